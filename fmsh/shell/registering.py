"""`fmsh on TOPIC|cron EXPR FILE [ARG…]`: a script that runs as a job for every event.

A registration is itself a detached job, which hears of the topic and starts the script; so it is listed, paused, moved
and cancelled as any job, and a crash loses no event. It holds the text of the script: what is edited later does not
matter to it.
"""

from __future__ import annotations

import os
import sys

from fmsh import schedule
from fmsh.assembly import make_program
from fmsh.child_jobs import ON
from fmsh.errors import DaemonError, UsageError
from fmsh.shell import daemon
from fmsh.shell.foreground import Foreground, Start
from fmsh.shell.script import read_source
from fmsh.spans import Source
from fmsh.store.base import OVER_STATES, JobFilter
from fmsh.store.sqlite import SqliteStore
from fmsh.values import Raised

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from fmsh.settings import Settings
    from fmsh.store.base import EventStore, Job
    from fmsh.values import Value

USAGE = "usage: fmsh on [--name N] [--concurrency N] TOPIC|cron EXPR FILE [ARG…]\n         fmsh on list | rm N…"
HELP = f"""{USAGE.replace("         fmsh", "       fmsh")}

Registers a script that runs as a job for every event of a topic, or at the
times of a pattern. The event is its `$in`; on the topic `jobs` it is the job
whose state has changed. Prints the number of the registration, which is itself
a job. The script is kept as it is now: what is edited later does not matter.

  --name N          a name for people
  --concurrency N   so many at once and no more
  list              the registrations; with --json as a list of jobs
  rm N…             end registrations; what they have started goes on

Examples: fmsh on jobs page.fmsh https://ntfy.sh/our-jobs
          fmsh on cron "0 9 * * 1-5" report.fmsh
"""
ON_TOPIC = """param topic: string
param script: record
for event in (subscribe $topic --from now) { run-script $script $event }
"""
ON_TOPIC_SOME = """param topic: string
param script: record
param concurrency: int
let events = subscribe $topic --from now
1..$concurrency | each --parallel $concurrency {
  for event in $events {
    let started = run-script $script $event
    result { await $started }
  }
}
"""
ON_TIMES = """param times: string
param script: record
cron $times { await (run-script $script (now)) }
"""


def main(arguments: list[str], settings: Settings) -> int:
    """Runs the verb; gives the exit status. Raises: UsageError, SourceError, StoreError, DaemonError."""
    is_json = "--json" in arguments[:2]
    if arguments in (["--help"], ["-h"]):
        sys.stdout.write(HELP)
        return 0
    if arguments[:1] == ["list"]:
        return _list(settings, is_json=is_json)
    if arguments[:1] == ["rm"]:
        return _remove(arguments[1:], settings)
    options, words = _options(arguments)
    is_timed = words[:1] == ["cron"]
    if len(words) < (3 if is_timed else 2):
        raise UsageError("fmsh on takes a topic, or cron and times, and a script", hint=USAGE)
    what, file, given = (words[1], words[2], words[3:]) if is_timed else (words[0], words[1], words[2:])
    if is_timed:
        _check_times(what)
    number = _register(settings, options, what, os.path.abspath(file), given, is_timed=is_timed)
    sys.stdout.write(f"{number}\n")
    return 0


def _check_times(text: str) -> None:
    """Sees that there are such times before a job is made that would fail at once. Raises: UsageError."""
    from datetime import UTC, datetime

    try:
        schedule.next_time(schedule.parse(text), datetime.now(UTC), UTC)
    except Raised as problem:
        raise UsageError(problem.error.message, hint=str(problem.error.fields.get("hint", ""))) from None


def _options(arguments: list[str]) -> tuple[dict[str, str], list[str]]:
    options: dict[str, str] = {}
    words = list(arguments)
    while words and words[0].startswith("--"):
        name, has_value, value = words.pop(0).partition("=")
        if name not in ("--name", "--concurrency") or not (has_value or words):
            raise UsageError(f"fmsh on does not take {name} so", hint=USAGE)
        options[name] = value if has_value else words.pop(0)
    return options, words


def _register(
    settings: Settings, options: dict[str, str], what: str, file: str, given: list[str], *, is_timed: bool
) -> int:
    source = read_source(file)
    _, program = make_program(source)
    from fmsh.lang.arguments import bind_texts

    bind_texts(program.parameters.signature, given)  # what is wrong with these is said now
    script: Value = {"file": file, "text": source.text, "arguments": list(given), "on": "cron" if is_timed else what}
    variables: dict[str, Value] = {"times" if is_timed else "topic": what, "script": script}
    text = ON_TIMES if is_timed else ON_TOPIC
    concurrency = options.get("--concurrency")
    if concurrency is not None:
        if is_timed or not (concurrency.isascii() and concurrency.isdigit() and int(concurrency) > 0):
            raise UsageError("--concurrency takes a whole number from 1, and is for topics", hint=USAGE)
        variables["concurrency"], text = int(concurrency), ON_TOPIC_SOME
    stored, registering = make_program(Source("fmsh on", text))
    command = " ".join(["fmsh on", *(["cron", f"'{what}'"] if is_timed else [what]), file, *given])
    foreground = Foreground(settings)
    try:
        _require_free(foreground.assembly.store, options.get("--name"))
        tags = {ON: "cron" if is_timed else what, "fmsh.registered": "yes"}
        start = Start(
            stored, registering, command, [], variables, name=options.get("--name"), tags=tags, is_detached=True
        )
        return foreground.detach(start)
    finally:
        foreground.close()


def _require_free(store: EventStore, name: str | None) -> None:
    """Sees that a name means one registration only. Raises: UsageError."""
    for job in _registered(store):
        if name is not None and job.name == name:
            message = f"the name {name!r} is that of registration {job.id}: {job.command}"
            raise UsageError(message, hint=f"take another name, or remove that one first: fmsh on rm {name}")


def _list(settings: Settings, *, is_json: bool) -> int:
    store = SqliteStore.open(settings.state_directory, kind="shell")
    try:
        found = [document(job) for job in _registered(store)]
    finally:
        store.close()
    if is_json:
        from fmsh.builtins.text import plain_json

        sys.stdout.write(plain_json(found) + "\n")
        return 0
    for each in found:
        name = f"  ({each['name']})" if each["name"] else ""
        sys.stdout.write(f"{each['id']:>5}  {each['state']}  {each['command']}{name}\n")
    return 0


def document(job: Job) -> dict[str, Any]:
    return {"id": job.id, "name": job.name, "state": job.state, "command": job.command}


def _registered(store: EventStore) -> list[Job]:
    found = store.jobs(JobFilter(tags=(("fmsh.registered", "yes"),)))
    return [job for job in found if job.state not in OVER_STATES]


def _remove(names: list[str], settings: Settings) -> int:
    if not names:
        raise UsageError("fmsh on rm takes the number or name of a registration", hint=USAGE)
    store = SqliteStore.open(settings.state_directory, kind="shell")
    try:
        registered = _registered(store)
        for name in names:
            chosen = [job for job in registered if name.removeprefix("%") == str(job.id) or name == job.name]
            if not chosen:
                raise UsageError(f"there is no registration {name!r}", hint="`fmsh on list` lists them")
            for job in chosen:
                store.deliver(job.id, "cancel", "null", dedupe_id=f"cancel {os.urandom(16).hex()}")
        _see_to_it(settings, store)
    finally:
        store.close()
    return 0


def _see_to_it(settings: Settings, store: EventStore) -> None:
    """Starts the daemon, which ends what was removed; says so if it may not or cannot be started."""
    try:
        daemon.start(settings, store)
    except DaemonError as problem:
        sys.stderr.write(f"fmsh: nobody ends it until a daemon runs: {problem.message}\n")
