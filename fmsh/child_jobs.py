"""Jobs that a job starts, with `&`, `start`, `every` and `cron`, or finds: each function is one effect of the parent.

A child has a key made of the parent's uid and step, so an attempt that is made again finds the job of the first. With a
key of the program's own it may find a job that is nobody's child, or another's: that one is not told to the parent
when it ends, so its handle cannot be awaited, unless it is over already.
"""

from __future__ import annotations

import os

from fmsh import wire
from fmsh.engine.hearing import tell_of_end
from fmsh.engine.starting import NewRun
from fmsh.lang.arguments import bind_texts
from fmsh.spans import Source
from fmsh.store.base import OVER_STATES, NewJob
from fmsh.store.outside import JOBS
from fmsh.values import Handle, raised

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from fmsh.connectors.base import Attempt
    from fmsh.engine.engine import Engine
    from fmsh.machine.code import Program
    from fmsh.store.base import EventStore, Job, NewProgram
    from fmsh.values import Value


ON = "fmsh.on"  # the tag of jobs that are there for events, with the topic; the store's triggers look for it


def new_uid() -> str:
    return os.urandom(16).hex()


def start(engine: Engine, attempt: Attempt, uid: Callable[[], str] = new_uid) -> Value:
    """Starts a part of the parent's program as a job that the daemon runs; gives its handle. Raises: StoreError."""
    store, arguments = engine.store, attempt.arguments
    parent = store.job(attempt.id.job_id)
    assert parent is not None
    key = arguments.get("key")
    if key == "":
        raise raised("type", "the key of a job cannot be empty")
    new = NewJob(
        uid(),
        parent.source,
        arguments.get("command") or f"{parent.command.removesuffix('&').rstrip()} &",
        engine.clock_ms(),
        store.program(parent.program_hash),
        key=f"child {attempt.idempotency_key}" if key is None else key,
        name=arguments.get("name"),
        tags_json=wire.encode(_tags(arguments.get("tag")) | _told_of(store, parent)),
        is_detached=True,
        parent_id=parent.id,
    )
    options: dict[str, Value] = {"entry": arguments["entry"], "variables": arguments["variables"]}
    if attempt.umask is not None:
        options["umask"] = attempt.umask
    worker = engine.workers.get(parent.id)
    zone = "" if worker is None else worker.machine.facts.time_zone
    program = engine.program(parent.program_hash)
    run = NewRun(new, program, [], attempt.environment, attempt.directory, zone, options)
    job, _is_new = engine.submit_elsewhere(run)
    return _handle(store, job, parent.id)


def _told_of(store: EventStore, parent: Job) -> dict[str, Value]:
    """The tag of what a job starts that listens to jobs: it would hear of that, and start more, without an end."""
    is_quiet = wire.decode(parent.tags_json).get(ON) == JOBS or store.hears_of(parent.id, JOBS)
    return {ON: JOBS} if is_quiet else {}


def _tags(given: Value) -> dict[str, Value]:
    if given is None:
        return {}
    if isinstance(given, str) and "=" in given:
        name, _, value = given.partition("=")
        return {name: value}
    if isinstance(given, dict) and all(isinstance(value, str) for value in given.values()):
        return dict(given)
    raise raised("type", "--tag takes K=V, or a record of texts", hint="such as --tag team=web")


def _handle(store: EventStore, job: Job, parent_id: int) -> Handle:
    handle = str(job.id)
    if job.parent_id == parent_id:
        return Handle("job", handle, {"id": job.id})
    if job.state not in OVER_STATES:
        return Handle("job", handle, {"id": job.id, "is_foreign": True})
    tell_of_end(store, parent_id, job.id)
    return Handle("job", handle, {"id": job.id})


def find(store: EventStore, attempt: Attempt) -> Value:
    """Gives the handle of any job, whose end is told to the one that asks. Raises: StoreError."""
    number, asking = attempt.arguments["id"], attempt.id.job_id
    if number == asking:
        raise raised("job", "a job cannot wait for itself")
    if store.job(number) is None:
        raise raised("job", f"there is no job {number}", hint="`jobs` lists them")
    tell_of_end(store, asking, number)
    return Handle("job", str(number), {"id": number})


def cancel(store: EventStore, attempt: Attempt) -> Value:
    """Cancels children of the job, by a handle or a list of them; what is over, or another's, stays as it is."""
    given = attempt.arguments["jobs"]
    for handle in given if isinstance(given, list) else [given]:
        job = store.job(handle.fields_["id"])
        if job is not None and job.parent_id == attempt.id.job_id and job.state not in OVER_STATES:
            store.deliver(job.id, "cancel", "{}", dedupe_id=f"cancel {attempt.idempotency_key}")
    return None


def run(engine: Engine, attempt: Attempt, make_program: Callable[[Source], tuple[NewProgram, Program]]) -> Value:
    """Starts a script, of which the parent holds the text, as a job of its own; `$in` is the event that it is for.

    Raises: StoreError, SourceError, UsageError.
    """
    script: Any = attempt.arguments["script"]
    stored, program = make_program(Source(script["file"], script["text"]))
    variables, arguments = bind_texts(program.parameters.signature, script["arguments"])
    new = NewJob(
        new_uid(),
        stored.name,
        " ".join([script["file"], *script["arguments"]]),
        engine.clock_ms(),
        stored,
        key=f"run {attempt.idempotency_key}",
        tags_json=wire.encode({ON: script["on"]}),
        is_detached=True,
        parent_id=attempt.id.job_id,
    )
    options: dict[str, Value] = {"input": attempt.arguments.get("event")}
    options |= {"variables": variables} if variables else {}
    options |= {"umask": attempt.umask} if attempt.umask is not None else {}
    worker = engine.workers.get(attempt.id.job_id)
    zone = "" if worker is None else worker.machine.facts.time_zone
    job, _is_new = engine.submit_elsewhere(
        NewRun(new, program, arguments, attempt.environment, attempt.directory, zone, options)
    )
    return Handle("job", str(job.id), {"id": job.id})
