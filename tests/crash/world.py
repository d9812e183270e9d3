"""A script with every kind of effect, killed where a test says, and what must hold of it afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from fmsh import wire
from fmsh.machine import events
from fmsh.store.base import Job, StoredEvent
from fmsh.store.sqlite import SqliteStore
from tests.cli.shell import ROOT, Shell, until
from tests.crash.service import Service, job_of

SCRIPT = """
let case = $args[0]
let url = "$args[1]/$case"
undo { sh -c 'echo never >> "$0"' $case }
let a = POST $url/a {n: 1}
let text = sh -c 'echo captured >> "$0"; echo text' $case
echo "text is $text"
sh -c 'echo displayed >> "$0"' $case
sleep 30ms
let hook = callback
POST $url/hook {url: $hook.url}
let got = await $hook
let kind = try {
  undo { sh -c 'echo undone >> "$0"' $case }
  GET $url/fail --retry 0
} catch e { $e.kind }
echo "then $kind"
for x in sh -c 'echo source >> "$0"; seq 2' $case { sh -c 'echo "item-$1" >> "$0"' $case $x }
for n in GET $url/events --stream { sh -c 'echo "event-$1" >> "$0"' $case $n }
let fed = follow crash.log --from start | take-while { $it != end } | sh -c 'all=$(cat); echo $all >> "$0"' $case
perform notes add "${case}.notes" | print
let b = lock shared { limit places --concurrency 1 { GET $url/b } }
{a: $a, text: $text, got: $got, kind: $kind, b: $b}
"""
PLUGIN = """
from fmsh.connectors.threaded import Operation, ThreadedConnector


def connector(world):
    return ThreadedConnector(world, {"add": Operation(add, is_repeatable=True)})


def add(work):
    with open(work.path(work.value), "a") as notes:
        notes.write(work.attempt.idempotency_key + "\\n")
    return "noted"
"""
VALUE = {"a": {"path": "a"}, "text": "text", "got": {"answer": 42}, "kind": "http", "b": {"path": "b"}}
DISPLAYED = (
    "text is text\nthen http\nnoted\n"
    '{"a":{"path":"a"},"text":"text","got":{"answer":42},"kind":"http","b":{"path":"b"}}\n'
)
PROCESS_EFFECTS = ["captured", "displayed", "undone", "source", "item-1", "item-2", "event-1", "event-2", "line"]
REQUESTS = {("POST", "a"), ("POST", "hook"), ("GET", "fail"), ("GET", "events"), ("GET", "b")}
STREAM = "events"
AFTER_CREATION = 2  # the boundary after `create_job`
WITHOUT_DAEMON = 20  # a foreground without a daemon is past its callback later than this boundary


class World:
    """One store, one service; each case is a job with its own key.

    With `wakes` the daemon is told of a kill, so that a test does not wait until it finds out by itself.
    """

    def __init__(self, directory: Path, *, wakes: bool = True) -> None:
        self.wakes = wakes
        self.shell = Shell(directory)
        self.state = str(self.shell.state)
        self.store = SqliteStore.open(self.state, kind="shell")
        self.service = Service(self.state)
        self.shell.script(SCRIPT)
        self.shell.script("line\nend\n", "crash.log")
        self.shell.script(PLUGIN, "crash_notes.py")
        self.shell.environment["PYTHONPATH"] = os.pathsep.join([ROOT, str(directory)])
        self.shell.ok("config", "set", "connectors.notes", "crash_notes")

    def close(self) -> None:
        self.service.close()
        self.shell.end()
        self.store.close()

    # -- running

    def victim(self, kill_at: int, *arguments: str, **environment: str) -> list[str]:
        """Runs fmsh up to a boundary (0: to its end); gives the boundaries that it passed."""
        log = self.shell.directory / "boundaries"
        log.unlink(missing_ok=True)
        done = subprocess.run(
            [sys.executable, "-m", "tests.crash.victim", str(log), str(kill_at), *arguments],
            cwd=self.shell.directory,
            env=self.shell.environment | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=60,
        )
        assert done.returncode in (0, -signal.SIGKILL), (kill_at, done.stderr.decode())
        passed = log.read_text().splitlines()
        assert done.returncode == 0 or len(passed) >= kill_at
        return passed

    def foreground(self, case: str, kill_at: int, *, option: str = "--key", **environment: str) -> list[str]:
        """Runs the script, under a key (its row is then made before its first turn) or only a name."""
        return self.victim(kill_at, option, case, "script.fmsh", case, self.service.url, **environment)

    def daemon_victim(self, case: str, kill_at: int) -> bool:
        """Lets a daemon take over a job, and kills it at a boundary. False: the job ended before that."""
        log = self.shell.directory / "boundaries"
        log.unlink(missing_ok=True)
        arguments = [sys.executable, "-m", "tests.crash.victim", str(log), str(kill_at), "daemon", "run"]
        process = subprocess.Popen(
            arguments,
            cwd=self.shell.directory,
            env=self.shell.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        job = job_of(self.store, case)
        assert job is not None

        def is_over() -> bool:
            found = self.store.job(job.id)
            return process.poll() is not None or (found is not None and found.ended_at_ms is not None)

        until(is_over, f"the end of {case} or of its daemon")
        was_killed = process.poll() == -signal.SIGKILL
        if process.poll() is None:
            process.terminate()
        process.wait(timeout=30)
        return was_killed

    def finish(self, case: str) -> Job | None:
        """Waits until the daemon has brought a job to its end. None: there is no job."""
        job = job_of(self.store, case)
        if job is None:
            return None
        if self.wakes:
            self.store.wake_daemon()

        def ended() -> Job | None:
            found = self.store.job(job.id)
            return (
                found if found is not None and found.state in ("succeeded", "failed", "cancelled", "parked") else None
            )

        found: Job = until(ended, f"the end of {case}")
        return found

    # -- judging

    def judge(self, case: str) -> bool:
        """Checks all that is promised of a case whose run was killed. False: it had not become a job."""
        job = self.finish(case)
        asked = self.service.of(case)
        assert not self.service.unrecorded, self.service.unrecorded
        if job is None:
            assert not asked and self.shell.file(case) is None, f"{case}: effects without a job"
            return False
        history = list(self.store.events(job.id))
        seen = self.service.seen.get(case, [])
        assert history[: len(seen)] == seen, f"{case}: an event that others had seen is gone or another one"
        assert job.state == "succeeded", (case, job.state, job.error_json)
        assert job.value_json is not None and wire.decode(job.value_json) == VALUE, (case, job.value_json)
        shown = "".join(event.text for event in _read(history, events.Displayed) if event.stream == "out")
        assert shown == DISPLAYED, (case, shown)
        lines = (self.shell.file(case) or "").split()
        for kind, name in (("lock", "shared"), ("limit", "places")):
            held = [claim for claim in self.store.claims(kind, name) if claim.job_id == job.id]
            assert held == [], f"{case}: the {kind} was not given back"
        assert lines == PROCESS_EFFECTS, f"{case}: a process was lost or repeated: {lines}"
        self._judge_requests(case, history, asked)
        notes = (self.shell.file(f"{case}.notes") or "").split()
        assert len(set(notes)) == 1, f"{case}: the plug-in was lost, or asked with two keys: {notes}"
        assert len(notes) <= 1 + _in_flight_at_handovers(history, f"{case}.notes"), f"{case}: {notes}"
        return True

    def _judge_requests(self, case: str, history: list[StoredEvent], asked: list[Any]) -> None:
        assert {(each.method, each.path) for each in asked} == REQUESTS, (case, asked)
        for method, path in REQUESTS:
            same = [each for each in asked if (each.method, each.path) == (method, path)]
            assert len({each.key for each in same}) == 1, f"{case}: {path} was sent with two keys"
            assert bool(same[0].key) == (method == "POST")
            if (
                len(same) > 1 and path != STREAM
            ):  # which is asked again whenever somebody goes on with it, and at its end
                allowed = _in_flight_at_handovers(history, f"/{case}/{path}")
                assert len(same) <= 1 + allowed, f"{case}: {path} was sent {len(same)} times, {allowed} times in flight"


def _read(history: list[StoredEvent], kind: type[Any]) -> list[Any]:
    return [events.decode(event.type, event.step, event.data_json) for event in history if event.type == kind.__name__]


def _in_flight_at_handovers(history: list[StoredEvent], url: str) -> int:
    """How often the request of a URL was in flight when its job changed hands."""
    step, handovers = None, 0
    for event in history:
        if event.type == "RequestMade" and url in event.data_json:
            step = event.step
        elif event.type == "RequestCompleted" and step is not None and event.step == step:
            break
        elif event.type == "HandedOver" and step is not None:
            handovers += 1
    return handovers


def start_daemon(world: World) -> None:
    world.shell.ok("daemon", "start")


def kill_daemon(world: World) -> None:
    """Ends the daemon with SIGKILL, and waits until it is gone."""
    pid = world.shell.daemon_status()["pid"]
    os.kill(pid, signal.SIGKILL)
    until(lambda: not _is_alive(pid), f"the end of {pid}")


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
