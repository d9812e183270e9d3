"""Where the tests of the engine run: a store in memory or on disk, engines that can be killed, and a connector "world".

The connector is a real one with visible effects: it notes every attempt, and refuses one whose intent is not in the
store. Its operations: `done` succeeds at once with the argument `value`; `hold` waits for the test to say how it ends;
`fail` ends with the outcomes that the test has put into `script`, one an attempt, then succeeds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from fmsh.connectors.base import Attempt, AttemptId, Cancelled, Done, Failed, Outcome
from fmsh.connectors.timer import TimerConnector
from fmsh.engine.engine import Ended, Engine, NewRun
from fmsh.engine.loop import Loop
from fmsh.machine.code import Program
from fmsh.store.base import EventStore, Job, Lease, NewEvent, NewJob, StoredEvent, Summary
from fmsh.store.memory import MemoryStore
from fmsh.store.memory_disk import MemoryDisk
from fmsh.values import error_value
from tests.engine import programs

if TYPE_CHECKING:
    from fmsh.connectors.base import Post
    from fmsh.values import Value


OPEN: list[World] = []  # worlds of the running test, closed after it


class Killed(BaseException):
    """The process is gone: no code of ours handles this."""


class Effects:
    """What has happened in the world, over all processes of a test."""

    def __init__(self) -> None:
        self.attempts: list[Attempt] = []
        self.cancelled: list[AttemptId] = []
        self.script: list[Outcome] = []

    @property
    def steps(self) -> list[int]:
        return [attempt.id.step for attempt in self.attempts]


class WorldConnector:
    def __init__(self, effects: Effects, store: EventStore) -> None:
        self._effects = effects
        self._store = store
        self.held: dict[int, tuple[AttemptId, Post]] = {}

    def start(self, attempt: Attempt, post: Post) -> None:
        job = self._store.job(attempt.id.job_id)
        assert job is not None
        recent = self._store.events(job.id, after=max(0, job.head - 100))
        recorded = {event.step for event in recent if event.type == "RequestMade"}
        assert attempt.id.step in recorded, "an effect without its recorded intent"
        self._effects.attempts.append(attempt)
        if attempt.operation == "done":
            post(attempt.id, Done(attempt.arguments.get("value")))
        elif attempt.operation == "hold":
            self.held[attempt.id.step] = (attempt.id, post)
        elif attempt.operation == "fail":
            post(attempt.id, self._effects.script.pop(0) if self._effects.script else Done("at last"))
        else:
            raise RuntimeError(f"no operation {attempt.operation}")

    def finish(self, step: int, outcome: Outcome) -> None:
        id, post = self.held.pop(step)
        post(id, outcome)

    def cancel(self, id: AttemptId) -> None:
        self._effects.cancelled.append(id)
        held = self.held.pop(id.step, None)
        if held is not None:
            held[1](id, Cancelled())

    def close(self) -> None:
        self.held.clear()


class SystemClock:
    def wall_ms(self) -> int:
        return time.time_ns() // 10**6

    def boot_ms(self) -> int:
        return time.monotonic_ns() // 10**6


class DyingStore(MemoryStore):
    """A process that is killed at its n-th commit: just before it, or just after. Creating a job is a commit too."""

    commits = 0
    dies_at: int | None = None
    dies_before = False

    def create_job(
        self,
        new: NewJob,
        append: Sequence[NewEvent],
        summary: Summary,
        *,
        lease: bool,
        **blobs: Any,
    ) -> tuple[Job, Lease | None, bool]:
        self._pass(is_before=True)
        answer = super().create_job(new, append, summary, lease=lease, **blobs)
        self._pass(is_before=False)
        return answer

    def commit(self, appends: Any) -> Any:
        self._pass(is_before=True)
        answers = super().commit(appends)
        self._pass(is_before=False)
        return answers

    def _pass(self, *, is_before: bool) -> None:
        self.commits += is_before
        if self.commits == self.dies_at and self.dies_before is is_before:
            raise Killed


class World:
    """One disk and the processes on it. `programs` are what `load_program` finds, by hash."""

    def __init__(self, open_store: Callable[[str], EventStore] | None = None) -> None:
        self.disk = MemoryDisk()
        self.effects = Effects()
        self.programs: dict[str, Program] = {}
        self.shown: list[tuple[str, str]] = []
        self.reports: list[str] = []
        self.stalls: list[bool] = []
        self.observed = 0
        self.jobs_made = 0
        self._processes: list[Process] = []
        OPEN.append(self)
        self._open_store = open_store or (lambda kind: DyingStore(self.disk, kind=kind))

    def process(self, kind: str = "shell", **options: Any) -> Process:
        self._processes.append(Process(self, self._open_store(kind), **options))
        return self._processes[-1]

    def close(self) -> None:
        """Ends what is left of the processes of a test."""
        for process in self._processes:
            process.loop.close()
            process.store.close()
        self._processes = []

    def observe(self, operation: str, arguments: dict[str, Value]) -> Value:
        self.observed += 1
        return f"the {operation}"


class Process:
    """One process with an engine. `kill` is `kill -9`."""

    def __init__(
        self, world: World, store: EventStore, *, now_s: Callable[[], float] = time.monotonic, **options: Any
    ) -> None:
        self.world = world
        self.store = store
        self.loop = Loop(now_s)
        self.connector = WorldConnector(world.effects, store)
        timer = TimerConnector(self.loop.after, SystemClock())
        self.engine = Engine(
            store,
            {"world": self.connector, "process": self.connector, "timer": timer},
            self.loop,
            load_program=lambda program: world.programs[program.hash],
            observe=world.observe,
            clock_ms=SystemClock().wall_ms,
            display=lambda text, stream, value: world.shown.append((text, stream)),
            is_daemon=store.owner.kind == "daemon",
            random=lambda: 0.0,
            report=world.reports.append,
            stalled=lambda error: world.stalls.append(error is not None),
            **options,
        )

    def submit(self, program: Program, *, is_foreground: bool = True, **fields: Any) -> int:
        self.world.programs[program.hash] = program
        self.world.jobs_made += 1
        job = NewJob(f"uid-{self.world.jobs_made}", "test.fmsh", "test.fmsh", 1, programs.stored(program), **fields)
        run = NewRun(job, program, [], {}, "/", "UTC", {})
        return self.engine.submit(run, is_foreground=is_foreground)[0].id

    def run(self, program: Program) -> Ended:
        ended = self.engine.run_until_ended(self.submit(program), timeout_s=10)
        assert ended is not None, "it did not end"
        return ended

    def run_on(self, job_id: int) -> Ended:
        """Adopts a job and runs it to its end."""
        assert self.engine.adopt(job_id)
        self.step_until(lambda: job_id not in self.engine.workers)
        job = self.store.job(job_id)
        assert job is not None
        return Ended(job_id, job.state)

    def step_until(self, condition: Callable[[], object], *, within_s: float = 10.0) -> None:
        until_s = time.monotonic() + within_s
        while not condition():
            assert time.monotonic() < until_s, "it did not happen in time"
            self.engine.step(0.02)

    def settle(self) -> None:
        """Does all that can be done without the world."""
        for _ in range(20):
            self.engine.step(0)

    def state(self, job_id: int) -> str:
        job = self.store.job(job_id)
        assert job is not None
        return job.state

    def deliver(self, job_id: int, kind: str, data_json: str = "{}") -> None:
        """What another process does with `fmsh jobs …`; this one is told."""
        self.store.deliver(job_id, kind, data_json, dedupe_id=f"{kind} {time.monotonic_ns()}")
        self.engine.look()
        self.settle()

    def kill(self) -> None:
        assert isinstance(self.store, MemoryStore)
        self.store.crash()
        self.loop.close()


def history(store: EventStore, job_id: int) -> list[tuple[str, int | None, str]]:
    """What happened in a job, without times, epochs and owners."""
    events = store.events(job_id)
    return [(event.type, event.step, event.data_json) for event in events if event.type != "HandedOver"]


def types(store: EventStore, job_id: int) -> list[str]:
    return [event.type for event in store.events(job_id)]


def last_event(store: EventStore, job_id: int, type: str) -> StoredEvent:
    return [event for event in store.events(job_id) if event.type == type][-1]


def lost() -> Failed:
    return Failed(error_value("lost", "nobody knows"))


def failed(kind: str = "network", *, retry: bool = False, attempts_max: int | None = None, **options: Any) -> Failed:
    error = error_value(kind, f"{kind} failed", retryable=retry)
    return Failed(error, should_retry=retry, attempts_max=attempts_max, **options)
