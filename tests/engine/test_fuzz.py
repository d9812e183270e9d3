"""Random worlds: outcomes in any order, retries, losses, cancels, pauses, hand-overs and kills, at any moment.

Whatever happens: no effect without its intent (the connector looks), one outcome a step, an end that is reached, and a
history from which the same end follows. A seed that fails is in the test's name.
"""

from __future__ import annotations

import random

import pytest

from fmsh.connectors.base import Cancelled, Done, Outcome
from fmsh.engine import replay
from fmsh.engine.recording import read
from fmsh.engine.summary import ended_state
from fmsh.machine.code import Program
from fmsh.values import error_value
from tests.engine import programs as p
from tests.engine.world import DyingStore, Killed, Process, World, failed, lost

ACTIONS = 60
SEEDS = 120


def branches() -> Program:
    a = p.Assembler()
    cleanup = a.body(p.request("hold"), p.show("cleaned\n"))
    undo = a.body(p.request("hold"))
    body = a.body(
        p.undo(undo), p.defer(cleanup), p.request("hold"), p.observe("now", 2), p.request("hold"), parameters=(3,)
    )
    guarded = a.body(p.parallel(body, [1, 2, 3], limit=2), p.request("hold", method="POST"))
    catch = a.body(p.show("caught\n"), p.request("hold"))
    return a.program(p.try_(guarded, catch), p.request("hold"), *p.count_to(3000, at=2), p.show("end\n"))


def timeouts() -> Program:
    a = p.Assembler()
    inner = a.body(p.request("hold"), p.request("hold"))
    limited = a.body(p.within(inner, 3), p.fail(error_value("fail", "on purpose")))
    catch = a.body(p.request("hold"))
    careful = a.body(p.request("hold"))
    return a.program(p.show("begin\n"), p.try_(limited, catch), p.once(careful), p.sleep(1), p.request("hold"))


PROGRAMS = [branches, timeouts]


class Chaos:
    """Does random things to one job until it has ended."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.world = World()
        self.process = self.world.process()
        self.job_id = 0

    def run(self) -> None:
        self.guarded(lambda: self.submit(self.random.choice(PROGRAMS)()))
        for _ in range(ACTIONS):
            action = self.random.choice(
                [self.finish] * 6 + [self.knock, self.step, self.step, self.hand_over, self.kill]
            )
            self.guarded(action)
        while not self.is_over:
            self.guarded(self.settle)

    def submit(self, program: Program) -> None:
        self.world.programs[program.hash] = program
        self.job_id = 1
        self.process.submit(program, is_foreground=False)

    def guarded(self, action: object) -> None:
        """Does something; the process may be killed in its next commits."""
        assert callable(action)
        store = self.process.store
        assert isinstance(store, DyingStore)
        if self.random.random() < 0.1 and store.job(1) is not None:
            store.dies_at = store.commits + self.random.randint(1, 2)
            store.dies_before = self.random.random() < 0.5
        try:
            action()
            self.process.settle()
        except Killed:
            self.take_over()

    def take_over(self) -> None:
        self.process.kill()
        self.process = self.world.process()
        self.adopt()

    def adopt(self) -> None:
        job = self.process.store.job(1)
        if job is not None and job.state not in ("succeeded", "failed", "cancelled"):
            self.process.engine.adopt(1)
            self.process.settle()

    def outcome(self) -> Outcome:
        outcomes: list[Outcome] = [
            Done(1), Done(2), Done([1, "x"]), failed(), failed("http"), lost(), Cancelled(),
            failed(retry=True, retry_after_ms=0), failed(retry=True, retry_after_ms=1, attempts_max=2),
        ]  # fmt: skip
        return self.random.choice(outcomes)

    def finish(self) -> None:
        held = self.process.connector.held
        if held:
            self.process.connector.finish(self.random.choice(sorted(held)), self.outcome())
        if self.random.random() < 0.5:
            self.process.settle()

    def step(self) -> None:
        self.process.engine.step(0.001)

    def knock(self) -> None:
        if self.is_over or not self.job_id:
            return
        kind = self.random.choice(["pause", "resume", "resume", "retry", "answer", "signal", "cancel"])
        data = '{"value":5}' if kind == "answer" else "{}"
        self.process.store.deliver(1, kind, data, dedupe_id=str(self.random.random()))
        self.process.engine.look()
        if 1 not in self.process.engine.workers:
            self.adopt()

    def hand_over(self) -> None:
        if 1 in self.process.engine.workers:
            self.process.engine.release(1, within_s=0)
        self.process = self.world.process()
        self.adopt()

    def kill(self) -> None:
        self.take_over()

    def settle(self) -> None:
        """Lets everything end well."""
        for _ in range(400):
            if self.is_over:
                return
            state = self.process.state(1)
            if 1 not in self.process.engine.workers:
                self.adopt()
            if state in ("parked", "paused"):
                kind = (
                    "cancel"
                    if '"undo"' in str(self.process.store.job(1))
                    else "retry"
                    if state == "parked"
                    else "resume"
                )
                self.process.deliver(1, kind)
            for step in sorted(self.process.connector.held):
                self.process.connector.finish(step, Done(step))
            self.process.engine.step(0.002)
        raise AssertionError(f"it does not end: {self.process.store.job(1)}")

    @property
    def is_over(self) -> bool:
        return self.process.state(1) in ("succeeded", "failed", "cancelled")


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_job_survives_whatever_happens(seed: int) -> None:
    chaos = Chaos(seed)
    chaos.run()
    assert not chaos.world.reports
    store = chaos.process.store
    events = list(store.events(1))
    completed = [event.step for event in events if event.type == "RequestCompleted"]
    made = [event.step for event in events if event.type == "RequestMade"]
    assert sorted(completed) == sorted(set(made)) == sorted(made)  # type: ignore[type-var]
    assert events[-1].type == "JobEnded" and [event.type for event in events].count("JobEnded") == 1
    assert replayed_state(chaos.process) == chaos.process.state(1)


def replayed_state(process: Process) -> str:
    """Replays the whole history, without snapshots and without its end, and says how the machine then ends."""
    job = process.store.job(1)
    assert job is not None
    program = process.world.programs[job.program_hash]
    worker = replay._from_start(process.store, job, program, process.engine.surroundings)
    replaying = replay.Replay(worker)
    for event in process.store.events(1, after=1):
        if event.type != "JobEnded":
            replaying.apply(read(process.store, event), event)
    replaying.finish()
    while worker.end is None and (worker.held or not worker.is_quiescent):
        worker.advance()
    assert worker.end is not None
    return ended_state(worker.end)
