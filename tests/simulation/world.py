"""One run of a seed: the processes, the disk, and the scheduler that lets one of them act at a time."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from fmsh.assembly import load_program
from fmsh.connectors.base import AttemptId
from fmsh.engine import holding, snapshots, worker
from fmsh.engine.ending import Ended
from fmsh.errors import StoreError
from fmsh.machine import machine
from fmsh.machine.code import Program
from fmsh.store.base import Append, Job, Lease, NewEvent, NewJob, NewProgram
from tests.simulation import chaos, disk, judge
from tests.simulation.disk import Pokes
from tests.simulation.effects import Fate, Ledger, Run
from tests.simulation.journal import Journal
from tests.simulation.owners import Cli, Daemon, Killed, Owner, Runner, Shell
from tests.simulation.programs import Chosen, choose
from tests.simulation.time import Time

TROUBLE_TICKS = (20, 400)  # how long things go wrong
ROUNDS_MAX = 30  # of the end: after each of them a person looks at what has not come to an end
ROUND_S = 25.0
ROUND_TICKS_MAX = 5000
CANCEL_ROUND = 8  # from this round on, what still waits is cancelled
DAYS_ROUND = (
    12  # then days pass: a clock that was set back has made sleeps of cleanup, which no cancel reaches, so long
)
DAYS_MS = 7 * 86_400_000
JOBS_MAX = 5
FATES = 8  # of one seed
LONG = 5000  # instructions: more than most programs have between two effects
POLL_S = 1.0  # the poll below the wake-ups: slower than in life, so that a lost one matters


class Profile:
    """What kind of trouble a seed has. `weights` are of the things that go wrong, by name."""

    def __init__(self, drawn: random.Random) -> None:
        self.latency_s = drawn.choice([0.002, 0.3, 0.3, 3.0])
        self.lost_pokes = drawn.choice([0, 0, 0.3, 1.0])
        self.rate = drawn.choice([0.02, 0.1, 0.1, 0.3])
        self.ticks = drawn.randint(*TROUBLE_TICKS)
        self.snapshot_events = drawn.choice([3, 3, 12, 1000])
        self.slice = drawn.choice([LONG, LONG, LONG, LONG, 40, 9])  # instructions in a row, and
        self.turn = LONG if self.slice != 9 else 25  # of one task
        self.patience = 0.97  # how often somebody acts rather than time passes, while somebody could
        self.jobs = drawn.choice([1, 1, 1, 2])
        self.daemon = drawn.choice([0.5, 0.05, 0])
        self.weights = {name: drawn.choice([0, 0, 1, 3]) for name in sorted(chaos.ACTS)}
        self.weights[drawn.choice([*sorted(chaos.ACTS), "stop", "stop", "light", "light"])] = 12


class Planned:
    """A job of the run: its program, its fate, and the shell that was to run it."""

    def __init__(self, chosen: Chosen, fate: Fate, parent_id: int | None = None) -> None:
        self.chosen = chosen
        self.fate = fate
        self.parent_id = parent_id
        self.ended: Ended | None = None
        self.shown: str | None = None  # what its shell showed, if it ended there


class World:
    """See the module's docstring. `directory`: for a real database. `trace` takes a line for all that happens.

    With `calm_fate` there is one job, of that fate, and no trouble.
    """

    def __init__(
        self, seed: int, *, calm_fate: int | None = None, directory: str | None = None, trace: list[str] | None = None
    ) -> None:
        self.seed = seed
        self.random = random.Random(f"world {seed}")
        self.profile = Profile(random.Random(f"profile {seed}"))
        self.calm_fate = calm_fate
        self.is_calm = calm_fate is not None
        self.trace = trace
        self.time = Time()
        self.pokes = Pokes(self)
        self.open_store = disk.memory(self) if directory is None else disk.database(directory)
        self.violations: list[str] = []
        self.journal = Journal(self.violate, self.time.monotonic_s)
        self.ledger = Ledger(self)
        self.runs: dict[AttemptId, Run] = {}
        self.addresses: dict[tuple[int, str, bool], list[bytes]] = {}
        self.knocks = chaos.Knocks(self)
        self.owners: list[Owner] = []
        self.jobs: dict[int, Planned] = {}
        self.boot_id = "boot 1"
        self.is_full = False
        self.ticks = 0
        self._next: Planned | None = None
        self._numbers = 0
        self._compiled: dict[str, Program] = {}
        self.cli = Cli(self)

    # -- what the parts of it ask

    def log(self, text: str) -> None:
        if self.trace is not None:
            self.trace.append(f"{self.time.now_s:9.3f}  {text}")

    def violate(self, text: str) -> None:
        self.log(f"VIOLATION: {text}")
        self.violations.append(text)

    def new_number(self) -> int:
        self._numbers += 1
        return self._numbers

    def latency_s(self) -> float:
        return self.random.random() * self.profile.latency_s

    def fate_of(self, job_id: int) -> Fate:
        return self.jobs[job_id].fate

    def task_of(self, id: AttemptId) -> object:
        return self.journal.stories[id.job_id].requests[id.step]["task"]

    def load_program(self, stored: NewProgram) -> Program:
        """Compiles a stored program again now and then; sharing the compiled one saves time."""
        if self.seed % 20 == 0:
            return load_program(stored)
        return self._compiled[stored.hash]

    # -- what is told of the disk

    def created(self, owner: Owner, job: Job, lease: Lease | None, events: Any) -> None:
        planned = self._next
        if job.parent_id is not None:
            planned = Planned(self.jobs[job.parent_id].chosen, self.fate_of(job.parent_id), job.parent_id)
        assert planned is not None
        self.jobs[job.id] = planned
        self.log(f"{owner.name} creates job {job.id} ({planned.chosen.name}): {_told(events)}")
        self.journal.created(owner, job, lease, events)

    def committed(self, owner: Owner, append: Append, head: int, answer: StoreError | None) -> None:
        if self.trace is not None:
            more = "".join(
                f", {what}"
                for what, holds in (
                    (f"takes {list(append.taken)}", append.taken),
                    ("snapshot", append.snapshot),
                    ("releases", append.release),
                )
                if holds
            )
            refusal = "" if answer is None else f" REFUSED: {answer}"
            state = append.summary.state
            self.log(
                f"{owner.name} commits job {append.lease.job_id} [{append.lease.epoch}] {state}{more}: "
                f"{_told(append.events)}{refusal}"
            )
        self.journal.committed(owner, append, head, answer)

    def acquired(self, owner: Owner, lease: Lease) -> None:
        self.log(f"{owner.name} takes job {lease.job_id}, epoch {lease.epoch}")
        self.journal.acquired(owner, lease)

    def left(self, shell: Shell, ended: Ended) -> None:
        planned = self.jobs[ended.job_id]
        if self.journal.stories[ended.job_id].has_ended and planned.ended is None:
            planned.ended, planned.shown = ended, "".join(shell.shown)

    # -- processes

    @property
    def runners(self) -> list[Runner]:
        """The living processes with an engine."""
        return [owner for owner in self.owners if isinstance(owner, Runner) and not owner.is_dead]

    @property
    def active(self) -> list[int]:
        """The jobs that have not ended."""
        return [job_id for job_id, story in self.journal.stories.items() if not story.has_ended]

    def start_shell(self) -> Shell:
        shell = Shell(self)
        self.log(f"{shell.name} begins")
        return shell

    def submit(self, shell: Shell, planned: Planned) -> None:
        """A person types a job."""
        chosen = planned.chosen
        self._next = planned
        self._compiled[chosen.program.hash] = self._compiled[chosen.stored.hash] = chosen.program
        new = NewJob(f"uid-{self.new_number()}", "x.fmsh", "x.fmsh", 1, chosen.stored)
        self.guard(shell, lambda: shell.submit(new, chosen.program))

    def submit_another(self, shell: Shell) -> None:
        if len(self.jobs) < JOBS_MAX:
            self.submit(shell, Planned(choose(self.seed), Fate(self.seed * FATES + len(self.jobs))))

    def ensure_daemon(self) -> None:
        if not any(isinstance(owner, Daemon) for owner in self.runners):
            daemon = Daemon(self)
            self.log(f"{daemon.name} begins")
            self.guard(daemon, daemon.begin)

    def guard(self, owner: Owner, act: Callable[[], object]) -> None:
        """Lets a process act. It may be killed in the middle; nothing else may come out of it."""
        try:
            act()
        except Killed:
            owner.die()
        except Exception as fault:
            if self.trace is not None:
                import traceback

                self.log("".join(traceback.format_exception(fault)))
            self.violate(f"{owner.name} breaks down: {type(fault).__name__}: {fault}")
            owner.die()

    # -- the run

    def run(self) -> list[str]:
        """Runs the seed and judges it; gives what is wrong."""
        with self._constants():
            try:
                self._begin()
                self._trouble()
                self._settle()
                if not self.violations:
                    judge.judge(self)
            finally:
                for owner in self.owners:
                    owner.die()
        return self.violations

    @contextmanager
    def _constants(self) -> Iterator[None]:
        before = holding.POLL_ACTIVE_S, snapshots.INTERVAL_EVENTS
        holding.POLL_ACTIVE_S, snapshots.INTERVAL_EVENTS = POLL_S, self.profile.snapshot_events
        if choose(self.seed).name == "computing":  # else it runs for long until a simulated second is over
            self.profile.slice, self.profile.turn, self.profile.patience = 9, 25, 0.7
        worker.SLICE_INSTRUCTIONS, machine.TURN_INSTRUCTIONS = self.profile.slice, self.profile.turn
        try:
            yield
        finally:
            holding.POLL_ACTIVE_S, snapshots.INTERVAL_EVENTS = before
            worker.SLICE_INSTRUCTIONS = machine.TURN_INSTRUCTIONS = LONG

    def _begin(self) -> None:
        if self.calm_fate is not None:
            self.submit(self.start_shell(), Planned(choose(self.seed), Fate(self.calm_fate)))
            return
        for _ in range(self.profile.jobs):
            self.submit_another(self.start_shell())

    def _trouble(self) -> None:
        if self.is_calm:
            return
        names, weights = zip(*self.profile.weights.items(), strict=True)
        is_quiet = not any(weights)
        for _ in range(self.profile.ticks):
            if self.violations or not self.active:
                return
            if not is_quiet and self.random.random() < self.profile.rate:
                name = self.random.choices(names, weights)[0]
                chaos.ACTS[name](self)
            if self.random.random() < self.profile.daemon:
                self.ensure_daemon()
            self._tick()

    def _tick(self) -> None:
        """Lets one process do one iteration, or time pass."""
        self.ticks += 1
        awake = [owner for owner in self.runners if not owner.is_stopped]
        ready = [owner for owner in awake if owner.is_ready]
        if ready and (self.is_calm or self.random.random() < self.profile.patience):
            owner = ready[0] if self.is_calm else self.random.choice(ready)
            self.guard(owner, owner.turn)
            return
        moments = [owner.next_s() for owner in awake] + [self.time.next_s()]
        soonest = min((moment for moment in moments if moment is not None), default=self.time.now_s + 1.0)
        self.time.move_to(self.time.now_s + self.random.random() if ready else soonest)

    def _settle(self) -> None:
        """Nothing goes wrong any more: everything comes to an end, with a person's help where that is due."""
        self.log("no more trouble")
        self.is_full = False
        self.profile.lost_pokes = 0
        for owner in self.owners:
            owner.fuse, owner.busy_writes, owner.is_stopped = None, 0, False
        for round in range(ROUNDS_MAX):
            until_s, ticks = self.time.now_s + ROUND_S, self.ticks + ROUND_TICKS_MAX
            while self.active and self.time.now_s < until_s and not self.violations:
                if self.ticks > ticks:
                    self.violate("it does not come to rest")
                if not self.is_calm:
                    self.ensure_daemon()
                self._tick()
            if not self.active or self.violations:
                return
            self.ensure_daemon()
            if round >= DAYS_ROUND:
                self.time.suspended_ms += DAYS_MS
            chaos.attend(self, may_cancel=round >= CANCEL_ROUND)
        states = {job_id: self.journal.stories[job_id].state for job_id in self.active}
        self.violate(f"not all jobs come to an end: {states}")


def _told(events: list[NewEvent] | tuple[NewEvent, ...]) -> str:
    return " ".join(event.type if event.step is None else f"{event.type}.{event.step}" for event in events)
