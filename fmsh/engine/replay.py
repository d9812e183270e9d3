"""Loading a job: its newest snapshot, and the events after it fed to the machine again.

The machine must ask again for exactly what it asked for then: every request that it makes is compared with the recorded
one, and a difference is an error of ours (or of an upgrade) that parks the job with a report. What the machine asks for
beyond the recorded events was lost in a crash, or not done for a hand-over: it is recorded and done now.

An input is fed when the machine is quiescent, or in the middle of a long run at the instruction that it names. Inputs
recorded while the job was paused or parked are fed after its `Resumed`: no sooner than what follows proves that they
were fed then, for the job may be in a run that never ends.
"""

from __future__ import annotations

from fmsh import wire
from fmsh.engine import recording, snapshots
from fmsh.engine.flight import Flight, begun_by
from fmsh.engine.forks import disown
from fmsh.engine.starting import facts_of
from fmsh.engine.worker import SLICE_INSTRUCTIONS, Worker
from fmsh.errors import InternalError
from fmsh.machine.effects import CancelRequest, Display, End, Observe, Request
from fmsh.machine.events import (
    AttemptFailed,
    Displayed,
    HandedOver,
    InboxTaken,
    ItemsRead,
    JobStarted,
    Observed,
    Parked,
    Paused,
    RequestCompleted,
    RequestMade,
    Resumed,
)
from fmsh.machine.machine import Machine
from fmsh.values import are_equal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from fmsh.engine.worker import Surroundings
    from fmsh.machine.code import Program
    from fmsh.machine.effects import Effect
    from fmsh.machine.events import Event
    from fmsh.store.base import EventStore, Job, Lease, StoredEvent
    from fmsh.values import Secret, Value

SHOWN_MAX = 200  # characters of each side of a difference, in its report


class Divergence(InternalError):
    """A replay asked for something else than the recorded history says."""


def load(store: EventStore, job: Job, lease: Lease, *, program: Program, surroundings: Surroundings) -> Worker:
    """Makes the worker of a job whose lease is held, as it was after the last event when the lease was taken.

    What others have written since, because they took it from us, is no concern of ours: our next commit is refused.
    Raises: StoreCorrupt, StoreMissing; Divergence; and whatever a fault of the machine raises.
    """
    worker, after = begin(store, job, at=lease.head, epoch=lease.epoch, program=program, surroundings=surroundings)
    worker.lease = lease
    worker.parent_id = job.parent_id
    replay = Replay(worker)
    for stored in store.events(job.id, after=after, limit=lease.head - after):
        replay.apply(recording.read(store, stored), stored)
    replay.finish()
    return worker


def begin(
    store: EventStore, job: Job, *, at: int, epoch: int | None, program: Program, surroundings: Surroundings
) -> tuple[Worker, int]:
    """Makes a worker from the newest snapshot at or before event `at`, or from the start; gives after which event.

    `epoch`: of the lease under which it goes on after event `at`; None: it does not.
    """
    found = store.snapshot(job.id, at=at)
    if found is None or not found.state_json.startswith(snapshots.PREFIX):
        return _from_start(store, job, program, surroundings), 1
    saved = snapshots.decode(found.state_json, epoch=epoch if found.seq == at else None)
    worker = _from_snapshot(store, job, program, saved, surroundings)
    worker.snapshots.lasting_seq = saved.lasting_seq
    worker.snapshots.taken(found.seq, len(found.state_json))
    return worker, found.seq


def environment_of(store: EventStore, environment_hash: str) -> Mapping[str, str | Secret]:
    """Reads the environment that a job started with."""
    found: dict[str, str | Secret] = wire.decode(store.blob(environment_hash).decode()) if environment_hash else {}
    return found


def _from_start(store: EventStore, job: Job, program: Program, surroundings: Surroundings) -> Worker:
    first = next(iter(store.events(job.id, limit=1)), None)
    started = None if first is None else recording.read(store, first)
    if not isinstance(started, JobStarted):
        raise InternalError(f"job {job.id} has neither a snapshot nor a start")
    environment = environment_of(store, started.environment)
    worker = Worker(surroundings, job.uid, Machine(program, facts_of(job.id, job.key, job.name, started), environment))
    worker.job_id = job.id
    worker.environment_hash = started.environment
    worker.umask = started.options.get("umask")
    worker.begun_by = started.options.get("begun_by")
    worker.inherited = started.options.get("inherited") or 0
    return worker


def _from_snapshot(
    store: EventStore, job: Job, program: Program, saved: snapshots.Saved, surroundings: Surroundings
) -> Worker:
    environment = environment_of(store, saved.environment_hash)
    worker = Worker(surroundings, job.uid, Machine.restore(program, environment, saved.machine_json))
    worker.job_id = job.id
    worker.environment_hash = saved.environment_hash
    worker.umask = saved.umask
    worker.kept = saved.kept
    worker.begun_by = saved.begun_by
    worker.owner = saved.owner
    worker.steps = saved.steps
    worker.is_quiescent = True
    worker.is_paused, worker.is_parked = saved.is_paused, saved.is_parked
    worker.parked_step, worker.error = saved.parked_step, saved.error
    for flight in saved.flights:
        worker.flights[flight.request.step] = flight
    return worker


class Replay:
    """Feeds recorded events to the machine of a worker. It runs the machine no sooner than the next event needs."""

    __slots__ = ("_answered", "_effects", "_expected", "_made", "_seq", "_shown", "_unshown", "_worker")

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._seq = 0  # of the event that is being taken
        self._answered = 0  # the last observation that is answered in the history; they are answered in their order
        self._expected: list[RequestMade] = []  # recorded, and not made again yet
        self._made: list[Request] = []  # made again, and not compared yet
        self._shown = {"out": 0, "err": 0}  # characters recorded as shown, that are not shown again
        self._unshown = {"out": 0, "err": 0}  # of these, how many the machine has not yet come to
        self._effects: list[Effect] = []  # what came out, in order: to be done if it is not recorded

    def apply(self, event: Event, stored: StoredEvent) -> None:
        """Takes the next event of the history."""
        apply = _APPLY.get(type(event))
        if apply is None:
            raise Divergence(f"event {stored.seq} ({stored.type}) cannot stand here")
        self._worker.now_ms = stored.at_ms
        self._seq = stored.seq
        apply(self, event, stored)

    def finish(self) -> None:
        """Runs as far as the job had come, and gives the worker what the machine asked for beyond the history.

        Not further: a job may be in a run that never ends. The worker goes on with it, a slice at a time.
        """
        worker = self._worker
        if worker.error is None or worker.error.kind != "internal":  # a fault would only come again
            if worker.is_parked:
                self._run()  # it had come to rest
            self._catch_up()
        if self._expected:
            raise Divergence(f"step {self._expected[0].step} is in the history, and was not asked for again")
        worker.now_ms = worker.surroundings.clock_ms()
        new = {request.step for request in self._made}
        for effect in self._effects:
            if type(effect) is not Request or effect.step in new:
                self._pass_on(effect)

    def _pass_on(self, effect: Effect) -> None:
        worker = self._worker
        if type(effect) is CancelRequest:
            flight = worker.flights.get(effect.step)
            if flight is not None and flight.is_resumed:
                flight.is_cancel_wanted = True  # the engine starts and cancels it: a process of it may still run
            elif flight is not None:
                worker.cancel_step(effect.step)
        elif type(effect) is Observe:
            if effect.number > self._answered:
                worker.observes.append(effect)
        elif type(effect) is Display:
            recorded = min(self._shown[effect.stream], len(effect.text))
            self._shown[effect.stream] -= recorded
            if recorded == 0:
                worker.collect([effect])
            elif effect.text[recorded:]:
                worker.collect([Display(effect.text[recorded:], effect.stream)])
        elif type(effect) is End and worker.is_parked:
            worker.end = effect
        else:
            worker.collect([effect])

    def _run(self) -> None:
        """Runs to quiescence."""
        while not self._worker.is_quiescent:
            self._run_slice()

    def _run_slice(self) -> None:
        self._worker.is_quiescent = self._worker.machine.run(SLICE_INSTRUCTIONS)
        self._collect()

    def _catch_up(self) -> None:
        """Runs until all that is recorded has come out again."""
        worker = self._worker
        while self._is_behind():
            if not worker.is_quiescent:
                self._run_slice()
            elif worker.held and not worker.is_held:
                self._feed_held(unfed=len(worker.held) - 1)
            else:
                return

    def _is_behind(self) -> bool:
        """Whether something is recorded that the machine has not yet asked for or shown again."""
        if self._expected or self._answered > self._worker.machine.observations:
            return True
        return any(count > 0 for count in self._unshown.values())

    def _collect(self) -> None:
        for effect in self._worker.machine.take_effects():
            if type(effect) is Request:
                if self._expected and not self._made:
                    _compare(effect, self._expected.pop(0))
                    continue
                self._made.append(effect)
            elif type(effect) is Display:
                self._unshown[effect.stream] -= len(effect.text)
            self._effects.append(effect)
        while self._made and self._expected:
            _compare(self._made.pop(0), self._expected.pop(0))

    def _input(self, event: Observed | RequestCompleted | ItemsRead | InboxTaken) -> None:
        worker = self._worker
        if worker.is_held or (worker.held and event.instruction is None):
            worker.held.append(event)
        elif event.instruction is None:
            self._run()
            self._feed(event)
        else:
            self._feed_held()
            self._run_to(event.instruction)
            self._feed(event)

    def _feed_held(self, *, unfed: int = 0) -> None:
        """Feeds what is held, but so many, each when the machine is quiescent."""
        worker = self._worker
        count = max(0, len(worker.held) - unfed)
        held, worker.held = worker.held[:count], worker.held[count:]
        for event in held:
            self._run()
            self._feed(event)

    def _feed(self, event: Event) -> None:
        if self._seq <= self._worker.inherited:
            disown(self._worker.machine, event)
        self._worker.machine.feed(event)
        self._worker.is_quiescent = False

    def _run_to(self, instruction: int) -> None:
        self._worker.machine.run_to(instruction)
        self._collect()

    # -- one function for each type of event

    def _observed(self, event: Observed, stored: StoredEvent) -> None:
        self._answered = event.number
        self._input(event)

    def _completed(self, event: RequestCompleted, stored: StoredEvent) -> None:
        flight = self._worker.flights.pop(event.step, None)
        if flight is not None and event.kept is not None:
            self._worker.keep(flight.request.connector, event.kept)
        if flight is None:
            raise Divergence(f"event {stored.seq} completes step {event.step}, which is not pending")
        self._input(event)

    def _attempt_failed(self, event: AttemptFailed, stored: StoredEvent) -> None:
        flight = self._worker.flights[event.step]
        flight.attempt = event.attempt + 1
        flight.failure = event.error.message
        flight.begun_by = self._worker.begun_by
        flight.next_at_ms = event.next_at_ms
        flight.is_lost = False

    def _inbox_taken(self, event: InboxTaken, stored: StoredEvent) -> None:
        self._input(event)

    def _request_made(self, event: RequestMade, stored: StoredEvent) -> None:
        request = Request(*[getattr(event, field) for field in Request.fields])
        flight = Flight(request, stored.at_ms, self._worker.begun_by)
        flight.is_resumed = True
        self._worker.flights[event.step] = flight
        self._worker.steps = event.step
        self._expected.append(event)
        self._collect()

    def _items_read(self, event: ItemsRead, stored: StoredEvent) -> None:
        flight = self._worker.flights.get(event.step)
        if flight is None:
            raise Divergence(f"event {stored.seq} has items of step {event.step}, which is not pending")
        flight.position = event.position
        self._input(event)

    def _displayed(self, event: Displayed, stored: StoredEvent) -> None:
        self._shown[event.stream] += len(event.text)
        self._unshown[event.stream] += len(event.text)

    def _paused(self, event: Paused, stored: StoredEvent) -> None:
        self._hold(event.unfed)
        self._worker.is_paused = True

    def _hold(self, unfed: int) -> None:
        if not self._worker.is_held:  # else nothing is fed
            self._feed_held(unfed=unfed)

    def _parked(self, event: Parked, stored: StoredEvent) -> None:
        worker = self._worker
        self._hold(event.unfed)
        worker.is_parked = True
        worker.parked_step, worker.error = event.step, event.error
        flight = None if event.step is None else worker.flights.get(event.step)
        if flight is not None:  # else the job stopped where the answer of that step failed it
            flight.is_lost = True

    def _resumed(self, event: Resumed, stored: StoredEvent) -> None:
        worker = self._worker
        worker.is_paused = worker.is_parked = False
        worker.parked_step = worker.error = None
        if event.instruction is not None:
            self._feed_held(unfed=event.unfed)
            self._run_to(event.instruction)
            held, worker.held = worker.held, []
            for input in held:
                self._feed(input)

    def _handed_over(self, event: HandedOver, stored: StoredEvent) -> None:
        self._worker.owner = event.owner
        self._worker.begun_by = begun_by(event.owner)


def _compare(made: Request, recorded: RequestMade) -> None:
    """Sees that a replayed request is the recorded one. Raises: Divergence: what each of them is."""
    for field in Request.fields:
        if field == "key_step" and recorded.key_step is None:
            continue  # recorded before there were any
        if not are_equal(getattr(made, field), getattr(recorded, field)):
            raise Divergence(
                f"step {recorded.step} of the history is {recorded.connector} {recorded.operation} with the {field} "
                f"{_shown(getattr(recorded, field))}, and the replay asks with {_shown(getattr(made, field))}"
            )


def _shown(value: Value) -> str:
    text = wire.encode(value)
    return text if len(text) <= SHOWN_MAX else text[:SHOWN_MAX] + "…"


_APPLY: dict[type[Event], Callable[[Replay, Any, StoredEvent], None]] = {
    Observed: Replay._observed,
    RequestCompleted: Replay._completed,
    AttemptFailed: Replay._attempt_failed,
    InboxTaken: Replay._inbox_taken,
    RequestMade: Replay._request_made,
    ItemsRead: Replay._items_read,
    Displayed: Replay._displayed,
    Paused: Replay._paused,
    Parked: Replay._parked,
    Resumed: Replay._resumed,
    HandedOver: Replay._handed_over,
}
