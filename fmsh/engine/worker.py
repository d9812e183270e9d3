"""One job under one lease: what is fed to its machine, and what comes out of it.

A turn feeds inputs, one at a time, each to quiescence; everything that was fed and everything that came out is recorded
in that order, so that replay meets it in the same order. `committing` then makes a commit of the recording, and only
after that are requests started and cancelled. While a commit is outstanding there is no turn: what arrives waits.

Invariants
- An effect starts after the commit that holds its request, and only while the lease is sound.
- An input is recorded when it is taken. While the job is paused or parked it is not fed, but held until `Resumed`;
  replay does the same. A job about to leave this process records inputs and feeds none: whoever loads it does.
- An input that comes in the middle of a long run is fed between two slices of it, and says at which instruction.
- Every step has one recorded outcome; the outcome of an attempt that is not the current one is ignored.
- A fault of ours, or any exception out of the machine, parks the job; the others go on.

It knows the store's records, but no store; and of connectors only that outcomes arrive at `post`.
"""

from __future__ import annotations

from fmsh.connectors.base import Cancelled, Items
from fmsh.engine import outcomes, summary
from fmsh.engine.flight import Flight
from fmsh.engine.recording import Recording
from fmsh.engine.shown import Shown
from fmsh.engine.snapshots import SnapshotPolicy
from fmsh.machine.effects import CancelRequest, Display, Observe, Request
from fmsh.machine.events import (
    JobEnded,
    Observed,
    Parked,
    Paused,
    RequestCompleted,
    Resumed,
)
from fmsh.record import Record
from fmsh.values import error_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from fmsh.connectors.base import AttemptId, Outcome
    from fmsh.engine.dispatcher import Dispatcher
    from fmsh.engine.intake import Backlog
    from fmsh.engine.loop import Loop
    from fmsh.engine.retry import Backoff
    from fmsh.engine.sessions import SessionLine
    from fmsh.machine.effects import Effect, End
    from fmsh.machine.events import Event
    from fmsh.machine.machine import Machine
    from fmsh.store.base import Append, InboxRow, Lease
    from fmsh.values import ErrorValue, Value

SLICE_INSTRUCTIONS = 5000  # about 10 ms at 2 µs each: how long a cancel, or another job, waits for its turn


class Surroundings(Record):
    """What the workers of one engine share. `ready` asks the engine for a turn of a worker."""

    loop: Loop
    dispatcher: Dispatcher
    backoff: Backoff
    clock_ms: Callable[[], int]
    observe: Callable[[str, dict[str, Value]], Value]
    display: Callable[[str, str, Value], object]
    report: Callable[[BaseException, str], None]
    ready: Callable[[Worker], None]


class Worker:
    """See the module's docstring."""

    __slots__ = (
        "addresses",
        "arrived",
        "backlog",
        "begun_by",
        "cancels",
        "end",
        "environment_hash",
        "error",
        "flights",
        "has_left",
        "held",
        "inbox_seen",
        "inherited",
        "is_detaching",
        "is_dropped",
        "is_faulty",
        "is_foreground",
        "is_hurried",
        "is_in_long_run",
        "is_leaving",
        "is_parked",
        "is_paused",
        "is_quiescent",
        "is_row_old",
        "job_id",
        "kept",
        "lease",
        "machine",
        "now_ms",
        "observes",
        "owner",
        "parent_id",
        "parked_step",
        "pending",
        "recording",
        "session_line",
        "settled",
        "shown",
        "since_ms",
        "snapshots",
        "starts",
        "steps",
        "surroundings",
        "taken",
        "terminals",
        "trim_at_ms",
        "uid",
        "umask",
    )

    def __init__(self, surroundings: Surroundings, uid: str, machine: Machine) -> None:
        self.surroundings = surroundings
        self.uid = uid
        self.machine = machine
        self.job_id = 0  # until the job is created
        self.parent_id: int | None = None
        self.lease: Lease | None = None
        self.is_foreground = False
        self.environment_hash = ""
        self.kept: dict[str, dict[str, Value]] = {}  # by connector, what it had the job keep
        self.umask: int | None = None
        self.begun_by: str | None = None  # as in `Flight`, of what it asks now
        self.inherited = 0  # how many of its first events are those of the job that it was forked from
        self.session_line: SessionLine | None = None
        self.owner: Mapping[str, Value] = {}
        self.addresses: dict[str, str] = {}  # for many calls, of the session: their mailboxes by their handles

        self.now_ms = surroundings.clock_ms()
        self.since_ms = self.now_ms  # of its last event here, or of its arrival
        self.is_quiescent = False
        self.is_row_old = False  # it was made before the first turn, and says that the job runs
        self.is_in_long_run = False  # the budget of a slice was used up
        self.arrived: list[tuple[Flight, Outcome | Items]] = []
        self.observes: list[Observe] = []
        self.held: list[Event] = []  # recorded inputs that are not fed yet
        self.flights: dict[int, Flight] = {}
        self.steps = 0
        self.terminals = 0  # flights that have the terminal

        self.recording = Recording()
        self.taken: list[int] = []
        self.inbox_seen: set[int] = set()  # rows taken, until the commit that deletes them
        self.backlog: Backlog | None = None  # what had to stay in the inbox
        self.starts: list[Flight] = []  # to be started after the commit
        self.cancels: list[Flight] = []
        self.settled: list[tuple[Flight, Value]] = []  # with outcomes that are recorded and not committed
        self.pending: Append | None = None  # a commit that was tried, and not made for want of room
        self.shown = Shown()
        self.snapshots = SnapshotPolicy()
        self.trim_at_ms = 0  # when there may be events that are too old

        self.end: End | None = None
        self.error: ErrorValue | None = None  # why it is parked
        self.parked_step: int | None = None
        self.is_paused = False
        self.is_parked = False
        self.is_faulty = False  # parked by a fault of ours: the machine is not to be trusted any more
        self.is_leaving = False
        self.is_detaching = False
        self.is_hurried = False  # it leaves whatever is in flight
        self.is_dropped = False
        self.has_left = False  # its lease was given back

    # -- arrivals

    def post(self, id: AttemptId, outcome: Outcome | Items) -> None:
        """Takes the outcome of an attempt, or items of its stream, from any thread."""
        self.surroundings.loop.submit(self._arrive, id, outcome)

    def _arrive(self, id: AttemptId, outcome: Outcome | Items) -> None:
        flight = self.flights.get(id.step)
        if flight is None or not flight.is_running or flight.attempt != id.attempt:
            return
        flight.is_running = type(outcome) is Items
        self.arrived.append((flight, outcome))
        self.surroundings.ready(self)

    def take(self, rows: Iterable[InboxRow]) -> None:
        """Turns rows of the inbox into events, in their order."""
        from fmsh.engine import inbox

        self.now_ms = self.surroundings.clock_ms()
        try:
            for row in rows:
                if self.end is not None and not self.is_parked:
                    break  # it is over: what comes now comes too late
                if row.id not in self.inbox_seen:
                    inbox.take(self, row)
        except Exception as fault:
            self.park_for_fault(fault)
        self.surroundings.ready(self)

    # -- the turn

    def advance(self) -> None:
        """Takes a turn: feeds and runs until there is nothing left to feed, or the budget of a slice is used up."""
        self.now_ms = self.surroundings.clock_ms()
        try:
            self._run_turn()
        except Exception as fault:
            self.park_for_fault(fault)

    def _run_turn(self) -> None:
        machine = self.machine
        while self.end is None and not self.is_faulty:
            may_feed = not self.is_held
            if may_feed and self.is_in_long_run:
                self.is_in_long_run = False
                self._feed_between_slices()
            elif may_feed and not self.is_quiescent:
                self.is_quiescent = machine.run(SLICE_INSTRUCTIONS)
                self.collect(machine.take_effects())
                if not self.is_quiescent:
                    self.is_in_long_run = True
                    return
                if machine.stopped and machine.tasks["0"].cancel == "no":  # else its stopped tasks are cancelled soon
                    self._park_where_it_stopped()
            elif may_feed and self.held:
                self._feed(self.held.pop(0))
            elif may_feed and self.observes:
                self._answer(self.observes.pop(0))
            elif self.arrived:
                self._record_outcome()
            else:
                return

    def _feed_between_slices(self) -> None:
        """Feeds all that waits for the machine in the middle of a long run, which may never end by itself."""
        if self.held:
            self.record(Resumed(self.machine.instructions, len(self.held)))
            held, self.held = self.held, []
            for event in held:
                self._feed(event)
        while self.observes:
            self._answer(self.observes.pop(0))
        while self.arrived and not self.is_held:
            self._record_outcome()

    def _record_outcome(self) -> None:
        flight, outcome = self.arrived.pop(0)
        if self.flights.get(flight.request.step) is flight:
            outcomes.record(self, flight, outcome)

    @property
    def is_held(self) -> bool:
        """Whether inputs are recorded but not fed."""
        return self.is_paused or self.is_parked or self.is_leaving

    @property
    def wants_items(self) -> bool:
        """Whether the machine waits for items that nobody has been asked for."""
        return bool(self.hungry())

    def hungry(self) -> list[Flight]:
        """The running streams whose next items are to be asked for."""
        if not self.is_quiescent or self.end is not None or not self.machine.streams or self.is_held or self.held:
            return []
        from fmsh.machine import streams  # few programs have any

        found = [self.flights[step] for step in streams.hungry(self.machine) if step in self.flights]
        return [flight for flight in found if flight.is_running and not flight.is_asked]

    @property
    def is_between_slices(self) -> bool:
        """Whether the machine is in the middle of a long run."""
        return not self.is_quiescent and not self.is_held and self.end is None and not self.is_faulty

    def input(self, event: Event, *, step: int | None = None) -> None:
        """Records an input, and feeds it as soon as all recorded before it are fed."""
        is_stopped = self.is_paused or self.is_parked or bool(self.held)
        if not (is_stopped or self.is_quiescent):
            event = event.replace(instruction=self.machine.instructions)
        self.record(event, step=step)
        if is_stopped or (self.is_quiescent and self.is_leaving):
            self.held.append(event)
        elif not self.is_leaving:
            self._feed(event)

    def record(self, event: Event, *, step: int | None = None) -> None:
        if self.shown.parts:
            self.record_shown()
        self.recording.add(event, at_ms=self.now_ms, step=step)

    def _feed(self, event: Event) -> None:
        self.machine.feed(event)
        self.is_quiescent = False

    def _answer(self, observe: Observe) -> None:
        value = self.surroundings.observe(observe.operation, observe.arguments)
        self.input(Observed(observe.number, value))

    def collect(self, effects: list[Effect]) -> None:
        """Takes what came out of the machine."""
        for effect in effects:
            kind = type(effect)
            if kind is Request:
                self._make(effect)  # type: ignore[arg-type]
            elif kind is Display:
                self._show(effect.text, effect.stream, effect.value)  # type: ignore[union-attr]
            elif kind is Observe:
                self.observes.append(effect)  # type: ignore[arg-type]
            elif kind is CancelRequest:
                self.cancel_step(effect.step)  # type: ignore[union-attr]
            else:
                self._finish(effect)  # type: ignore[arg-type]

    def _make(self, request: Request) -> None:
        if self.shown.parts:
            self.record_shown()
        self.recording.add_request(request, at_ms=self.now_ms)
        self.steps = request.step
        flight = Flight(request, self.now_ms, self.begun_by)
        self.add_flight(flight)
        self.starts.append(flight)

    def add_flight(self, flight: Flight) -> None:
        self.flights[flight.request.step] = flight
        if self.surroundings.dispatcher.wants_terminal(self, flight.request):
            flight.is_terminal = True
            self.terminals += 1

    def cancel_step(self, step: int) -> None:
        """Sees to it that a step ends: by its connector if an attempt is running, else at once."""
        flight = self.flights.get(step)
        if flight is None:
            return
        flight.is_cancel_wanted = True
        is_taken_up = flight.is_resumed and flight in self.starts  # what a dead process left running ends with it
        if flight.is_running or is_taken_up:
            self.cancels.append(flight)
            return
        flight.stop_timer()
        if flight in self.starts:
            self.starts.remove(flight)
        self.arrived.append((flight, Cancelled()))

    def complete(self, flight: Flight, completed: RequestCompleted) -> None:
        """Records and feeds the one outcome of a step."""
        step = flight.request.step
        if completed.kept is not None:
            self.keep(flight.request.connector, completed.kept)
        del self.flights[step]
        if flight in self.starts:  # a person had it tried again, and it was to be cancelled already
            self.starts.remove(flight)
        self.terminals -= flight.is_terminal
        flight.stop_timer()
        if flight.has_started or flight.is_resumed:
            self.settled.append((flight, completed.value))
        self.input(completed, step=step)

    def keep(self, connector: str, changes: dict[str, Value]) -> None:
        """Notes what the job keeps for the later attempts of a connector; null for what it keeps no more."""
        kept = {**self.kept.get(connector, {}), **changes}
        self.kept = {**self.kept, connector: {key: value for key, value in kept.items() if value is not None}}

    def _finish(self, end: End) -> None:
        self.end = end
        if end.undo_errors:
            self.is_parked = True  # ended, but not undone: a person has to look before it counts as over
            self.error = outcomes.undo_failed(end)
            self.record(Parked(None, self.error))
        else:
            self.record_end()

    def record_end(self) -> None:
        end = self.end
        assert end is not None
        self.record(JobEnded(end.value, end.error, summary.exit_status(end)))

    # -- what people see

    def _show(self, text: str, stream: str, value: Value) -> None:
        if self.is_foreground:
            try:
                self.surroundings.display(text, stream, value)
            except OSError:  # a reader that has gone is not a failure of the job
                pass
        if not self.shown.takes(stream):
            self.record_shown()
        self.shown.add(text, stream, self.now_ms)

    def record_shown(self) -> None:
        """Records what was shown since the last event."""
        if self.shown.parts:
            self.recording.add(self.shown.flush(), at_ms=self.now_ms)

    # -- pausing and parking

    def pause(self) -> None:
        """Holds inputs from here on; what is in flight goes on."""
        if not self.is_held and self.end is None:
            self.record(Paused(len(self.held)))
            self.is_paused = True

    def resume(self) -> None:
        """Goes on feeding: first what was held."""
        if self.is_paused or self.is_parked:
            self.record(Resumed())
            self.is_paused = self.is_parked = False
            self.parked_step = self.error = None

    def park(self, flight: Flight, error: ErrorValue) -> None:
        """Parks the job at a step whose outcome nobody knows, before anything unwinds."""
        flight.is_lost = True
        self.is_parked = True
        self.parked_step = flight.request.step
        self.error = error
        self.record(Parked(self.parked_step, error, len(self.held)), step=self.parked_step)

    def _park_where_it_stopped(self) -> None:
        """Parks a held job whose program failed, with all its blocks still open."""
        from fmsh.machine.stopping import stopped_request  # few jobs are held

        request = stopped_request(self.machine)
        self.is_parked = True
        self.parked_step = None if request is None else request.step
        self.error = next(iter(self.machine.stopped.values())).error
        self.record(Parked(self.parked_step, self.error, len(self.held)), step=self.parked_step)

    @property
    def is_stopped(self) -> bool:
        """Whether it is parked where its program failed."""
        return self.is_parked and not self.is_faulty and bool(self.machine.stopped)

    def park_for_fault(self, fault: Exception) -> None:
        """Parks the job for a fault of ours. Its machine is not touched again; a retry replays its history."""
        self.surroundings.report(fault, f"job {self.job_id}")
        self.is_parked = self.is_faulty = True
        self.starts = []
        self.error = error_value("internal", f"{type(fault).__name__}: {fault}")
        self.record(Parked(None, self.error, len(self.held)))

    def drop(self) -> None:
        """Forgets the job: its lease is gone, or it has ended. Outcomes that still come find nothing."""
        self.is_dropped = True
        for flight in self.flights.values():
            flight.stop_timer()
            if flight.is_waiting and flight.is_running:  # a timer of a connector, which would keep this job in memory
                self.surroundings.dispatcher.cancel(self, flight)
            elif flight.is_running and flight.is_streamed:
                self.surroundings.dispatcher.forget(self, flight)
        self.flights = {}
        self.arrived = []
        self.starts = []
        self.cancels = []
        del self.machine  # somebody may hold `post` for long, but the state of a job that is gone costs no memory
