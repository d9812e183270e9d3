"""The daemon: takes over, wakes what is due, keeps nothing in memory that only waits, and ends in time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from fmsh.connectors.base import Done
from fmsh.store.sqlite import SqliteStore
from tests.engine import programs as p
from tests.engine.world import Process, World, last_event, types


def serve_until(daemon: Process, condition: object, *, within_s: float = 8.0) -> None:
    """Runs the daemon until a condition holds; it then hands back everything."""
    assert callable(condition)
    until_s = time.monotonic() + within_s

    def tick() -> None:
        daemon.loop.after(0.01, tick)

    tick()
    daemon.engine.serve(lambda: bool(condition()) or time.monotonic() > until_s)
    assert condition(), "it did not happen in time"


def test_the_daemon_runs_what_is_due_and_what_becomes_due() -> None:
    world = World()
    shell = world.process()
    due = shell.submit(p.Assembler().program(p.sleep(1), p.request("done"), name="due"))
    later = shell.submit(p.Assembler().program(p.sleep(300), p.request("done"), name="later"))
    for job_id in (due, later):
        shell.engine.release(job_id)
    daemon = world.process("daemon")
    serve_until(daemon, lambda: daemon.state(due) == daemon.state(later) == "succeeded")


def test_a_detached_job_is_started_by_the_daemon() -> None:
    from fmsh.engine.engine import NewRun
    from fmsh.store.base import NewJob

    world = World()
    shell = world.process()
    program = world.programs["main"] = p.steps(3)
    world.programs[program.hash] = program
    new = NewJob("uid-1", "test.fmsh", "test.fmsh", 1, p.stored(program), is_detached=True)
    run = NewRun(new, program, [], {"HOME": "/"}, "/", "UTC", {})
    job, is_new = shell.engine.submit_elsewhere(run)
    assert is_new and not world.effects.attempts
    daemon = world.process("daemon")
    serve_until(daemon, lambda: daemon.state(job.id) == "succeeded")
    assert "HandedOver" not in types(daemon.store, job.id)[:1]


def test_a_waiting_job_leaves_the_memory_and_a_delivery_brings_it_back() -> None:
    world = World()
    shell = world.process()
    handle = p.Handle("callback", "c1", {})
    job_id = shell.submit(p.Assembler().program(p.request("done"), p.await_(lambda scope: handle)), is_foreground=False)
    shell.settle()
    shell.engine.release(job_id)
    daemon = world.process("daemon")
    daemon.engine.adopt(job_id)
    assert job_id in daemon.engine.workers
    seen: list[bool] = []

    def watch() -> None:
        seen.append(not daemon.engine.workers)
        if seen[-1]:
            shell.store.deliver(job_id, "callback", '{"handle":"c1","delivery":{"body":1}}', dedupe_id="d")
        else:
            daemon.loop.after(0.05, watch)

    watch()
    serve_until(daemon, lambda: daemon.state(job_id) == "succeeded")
    assert seen[0] is False and seen[-1] is True


def test_stopping_hands_back_every_job_within_two_seconds() -> None:
    world = World()
    shell = world.process()
    free = shell.submit(p.Assembler().program(p.request("hold"), name="free"))
    risky = shell.submit(p.Assembler().program(p.request("hold", method="POST"), name="risky"))
    for job_id in (free, risky):
        shell.engine.release(job_id, within_s=0)
    daemon = world.process("daemon")
    serve_until(daemon, lambda: len(daemon.connector.held) > 0)
    for job_id in (free, risky):
        job = daemon.store.job(job_id)
        assert job is not None and job.owner_id is None and job.state == "running" and job.wake_at_ms == 0
    assert types(daemon.store, free).count("JobEnded") == 0


VICTIM = """
import sys, time
from fmsh.store.sqlite import SqliteStore
from tests.engine import programs as p
from tests.engine.world import World
world = World(lambda kind: SqliteStore.open(sys.argv[1], kind=kind))
process = world.process()
job_id = process.submit(p.Assembler().program(p.request("hold"), p.request("done")))
print(job_id, flush=True)
process.engine.run_until_ended(job_id)
"""


def test_the_job_of_a_killed_process_is_taken_over_at_once(tmp_path: Path) -> None:
    directory = str(tmp_path / "state")
    world = World(lambda kind: SqliteStore.open(directory, kind=kind))  # type: ignore[arg-type]
    world.programs["main"] = p.Assembler().program(p.request("hold"), p.request("done"))
    daemon = world.process("daemon")
    root = Path(__file__).parents[2]
    victim = subprocess.Popen(
        [sys.executable, "-c", VICTIM, directory], cwd=root, env={**os.environ, "PYTHONPATH": str(root)},
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert victim.stdout is not None
    job_id = int(victim.stdout.readline())
    killed_s: list[float] = []
    taken_s: list[float] = []

    def watch() -> None:
        if (
            not killed_s
            and daemon.engine.workers == {}
            and any(owner.pid == victim.pid for owner in daemon.store.owners())
        ):
            daemon.loop.after(0.3, kill)
        elif daemon.connector.held:
            taken_s.append(time.monotonic())
            daemon.connector.finish(1, Done(1))
            return
        daemon.loop.after(0.01, watch)

    def kill() -> None:
        if not killed_s:
            killed_s.append(time.monotonic())
            os.kill(victim.pid, signal.SIGKILL)

    watch()
    serve_until(daemon, lambda: daemon.state(job_id) == "succeeded")
    victim.wait()
    assert taken_s[0] - killed_s[0] < 0.5
    assert '"reason":"takeover"' in last_event(daemon.store, job_id, "HandedOver").data_json
    assert [attempt.is_resumed for attempt in world.effects.attempts] == [True, False]
