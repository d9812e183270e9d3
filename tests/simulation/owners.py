"""Simulated processes: shells and daemons with a real engine each, which are driven one iteration at a time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from fmsh import child_jobs, exchange
from fmsh.connectors.base import Attempt
from fmsh.connectors.callback import Address, CallbackConnector
from fmsh.connectors.messages import MessageConnector
from fmsh.connectors.plugin import Plugin
from fmsh.connectors.plugin import World as PluginWorld
from fmsh.connectors.timer import TimerConnector
from fmsh.engine.engine import Ended, Engine, NewRun
from fmsh.engine.service import Service
from fmsh.errors import StoreBusy, StoreError, StoreFull
from fmsh.store.base import NewCallback, NewJob, NewProgram
from tests.simulation.effects import Commands, HttpRequests, Witness
from tests.simulation.time import SimulatedLoop

if TYPE_CHECKING:
    from fmsh.connectors.base import Connector
    from fmsh.machine.code import Program
    from fmsh.values import Value
    from tests.simulation.world import World

DETACH_WITHIN_S = 1.5  # what a closed terminal leaves
ENDS_WITH_ITS_JOB = 0.6  # of the shells: `fmsh -c`, the others are at a prompt


class Killed(BaseException):
    """The process is gone: no code of ours handles this."""


class Owner:
    """One process. `fuse` counts down with each write and effect; at 0 it dies, before or after that one."""

    kind = "shell"

    def __init__(self, world: World) -> None:
        self.world = world
        self.number = len(world.owners) + 1
        self.name = f"{self.kind}-{self.number}"
        self.fuse: int | None = None
        self.dies_before = False
        self.busy_writes = 0
        self.renewed_s = world.time.now_s
        self.is_dead = False
        self.is_stopped = False
        self.is_writing = False
        self.hurried: set[int] = set()  # jobs that it was told to give back whatever is in flight
        self.shown: list[str] = []
        self.store = world.open_store(self)
        self.loop = SimulatedLoop(world.time)
        world.owners.append(self)

    # -- the seam of the disk

    def before_write(self) -> None:
        if self.is_writing:
            return
        self._burn(is_before=True)
        if self.world.is_full:
            raise StoreFull("no room")
        if self.busy_writes:
            self.busy_writes -= 1
            raise StoreBusy("somebody has kept the store locked")

    def after_write(self) -> None:
        self._burn(is_before=False)

    def may_die(self) -> None:
        self._burn(is_before=True)
        self._burn(is_before=False)

    def _burn(self, *, is_before: bool) -> None:
        if self.fuse is None:
            return
        self.fuse -= is_before
        if self.fuse <= 0 and self.dies_before is is_before:
            raise Killed

    # -- its life

    @property
    def is_ready(self) -> bool:
        """Whether an iteration would do something now."""
        return self.loop.is_ready or self.world.pokes.waits(self.store.owner.id)

    def next_s(self) -> float | None:
        return self.loop.next_due_s()

    def turn(self) -> None:
        """One iteration."""

    def die(self) -> None:
        """`kill -9`."""
        if not self.is_dead:
            self.world.log(f"{self.name} is gone")
            self.is_dead = True
            self.store.kill()
            self.loop.close()


class Cli(Owner):
    """Short commands that hold no job: `fmsh jobs cancel`, and the listener that takes deliveries."""

    kind = "cli"


class Runner(Owner):
    """A process with an engine."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.connectors: dict[str, Connector] = {
            name: Witness(self, name, connector) for name, connector in self._make_connectors().items()
        }
        self.engine = Engine(
            self.store,
            self.connectors,
            self.loop,
            load_program=self._load_program,
            observe=self._observe,
            clock_ms=world.time.wall_ms,
            display=lambda text, stream, value: self.shown.append(text),
            is_daemon=self.kind == "daemon",
            random=world.random.random,
            report=self._report,
        )

    def _make_connectors(self) -> dict[str, Connector]:
        world = self.world
        return {
            "http": HttpRequests(self),
            "plugin.world": self._plug_in(HttpRequests(self)),
            "process": Commands(self),
            "timer": TimerConnector(self.loop.after, world.time),
            "callback": CallbackConnector(self._open_callback, lambda: "http://x", world.random.randbytes),
            "job": MessageConnector(
                "job",
                {
                    "start": lambda attempt: child_jobs.start(
                        self.engine, attempt, lambda: f"uid-{world.new_number()}"
                    ),
                    "cancel": lambda attempt: child_jobs.cancel(self.store, attempt),
                },
            ),
            "lock": MessageConnector("lock", {"claim": lambda attempt: exchange.claim_lock(self.store, attempt)}),
            "limit": MessageConnector(
                "limit",
                {
                    "claim": lambda attempt: exchange.claim_place(self.store, attempt),
                    "reserve": lambda attempt: exchange.reserve(
                        self.store, attempt, lambda: world.time.wall_ms() * 10**6
                    ),
                },
            ),
        }

    def _plug_in(self, connector: Connector) -> Connector:
        """A connector as others write them, whose package is imported already: that would take a thread."""
        world = PluginWorld(str, self.loop.after)
        plugin = Plugin("world", lambda: "world", world, self.loop.submit)
        plugin._loaded(connector)
        return plugin

    def _open_callback(self, new: Address) -> None:
        opened = NewCallback(new.job_id, new.handle_id, new.token_hash, new.expires_at_ms, new.methods, new.is_many)
        self.store.open_callback(opened)
        self.world.addresses.setdefault((new.job_id, new.handle_id, new.is_many), []).append(new.token_hash)

    def _start_child(self, attempt: Attempt) -> Value:
        return child_jobs.start(self.engine, attempt, lambda: f"uid-{self.world.new_number()}")

    def _cancel_children(self, attempt: Attempt) -> Value:
        return child_jobs.cancel(self.store, attempt)

    def _load_program(self, stored: NewProgram) -> Program:
        return self.world.load_program(stored)

    def _observe(self, operation: str, arguments: dict[str, Value]) -> Value:
        assert operation == "now", operation
        return datetime.fromtimestamp(self.world.time.wall_ms() // 1000, UTC)

    def _report(self, text: str) -> None:
        if not any(expected in text for expected in ("StoreFull", "StoreBusy")):
            self.world.violate(f"{self.name} reports a fault: {text}")

    @property
    def is_ready(self) -> bool:
        engine = self.engine
        return super().is_ready or bool(engine._ready and engine._stall is None)

    def knows(self, job_id: int) -> bool:
        return job_id in self.engine.workers

    def leave(self, job_id: int) -> None:
        """Gives a job back as soon as nothing risky is in flight."""
        worker = self.engine.workers.get(job_id)
        if worker is not None:
            self.engine.leave(worker)

    def detach(self, job_id: int) -> None:
        """What a closed terminal does: the job goes, at the latest after 1.5 s."""
        self.hurried.add(job_id)
        self.loop.may_sleep = True
        try:
            self.engine.release(job_id, within_s=DETACH_WITHIN_S, detach=True)
        finally:
            self.loop.may_sleep = False

    def adopt(self, job_id: int) -> None:
        try:
            self.engine.adopt(job_id)
        except (StoreFull, StoreBusy):
            self.world.log(f"{self.name} cannot take over job {job_id}: the store is not ready")


class Shell(Runner):
    """A shell with one foreground job at most. It ends with that, or stays at its prompt for another."""

    job_id: int | None = None

    def submit(self, new: NewJob, program: Program) -> None:
        self.shown.clear()
        try:
            self.job_id = self.engine.submit(NewRun(new, program, [], {}, "/", "UTC", {}))[0].id
        except (StoreFull, StoreBusy):
            self.world.log(f"{self.name} says that the store is not ready")  # and there is no job

    @property
    def is_at_prompt(self) -> bool:
        return self.job_id is None and not self.is_stopped

    def turn(self) -> None:
        if self.job_id is None:
            self.engine.step(0)
            return
        asked = iter((False, True))
        ended = self.engine.run_until_ended(self.job_id, is_interrupted=lambda: next(asked))
        if ended is not None:
            self._leave(ended)

    def _leave(self, ended: Ended) -> None:
        self.world.log(f"{self.name}: job {ended.job_id} is {ended.state}")
        self.world.left(self, ended)
        self.job_id = None
        if not self.engine.workers and self.world.random.random() < ENDS_WITH_ITS_JOB:
            self.die()


class Daemon(Runner):
    """The daemon: the real service, a turn at a time."""

    kind = "daemon"

    def begin(self) -> None:
        try:
            self.engine._holding.listen()
            self.service = Service(self.engine)
            self.service.begin()
        except StoreError as error:
            self.world.log(f"{self.name} cannot begin: {error.message}")
            self.die()

    @property
    def is_ready(self) -> bool:
        return super().is_ready or self.engine.has_released

    def turn(self) -> None:
        self.service.turn()

    def stop(self) -> None:
        """What TERM does."""
        self.hurried.update(self.engine.workers)
        self.loop.may_sleep = True
        try:
            self.service.end()
        finally:
            self.loop.may_sleep = False
        self.die()
