"""From a worker's recording to a commit, and from the commit to effects."""

from __future__ import annotations

from fmsh.engine import summary
from fmsh.engine.ending import news_of_end
from fmsh.engine.recording import Recording
from fmsh.store.base import Append

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fmsh.engine.flight import Flight
    from fmsh.engine.worker import Worker
    from fmsh.store.base import KeptCalls, SessionChange

WAIT_S_MAX = 1.8  # at once: the loop's clock stops in suspend, and does not see wall time being set
EVENTS_MAX = 4096  # recorded in one run without effects before they are committed, so that memory stays bounded


def next_append(worker: Worker, *, must: bool = False) -> Append | None:
    """Gives what is to be committed now, if anything has to be; with `must`, in any case.

    It stays the worker's pending commit, to be tried as it is until it is made.
    """
    if worker.pending is not None:
        return worker.pending
    if worker.shown.parts and (not worker.is_between_slices or worker.shown.is_due(worker.now_ms)):
        worker.record_shown()
    if not must and not _must_commit(worker):
        return None
    assert worker.lease is not None
    is_over = worker.end is not None and not worker.is_parked
    snapshot = None if is_over else worker.snapshots.take_if_due(worker)
    release = not is_over and (worker.is_faulty or (worker.is_leaving and not must_stay(worker)))
    worker.is_row_old = False
    recording, taken = worker.recording, worker.taken
    worker.recording, worker.taken = Recording(), []
    if recording.events:
        worker.since_ms = recording.events[-1].at_ms
    unclaimed: list[int] = []
    if not worker.is_faulty:  # else a replay leaves these blocks again
        unclaimed, worker.machine.released = worker.machine.released, []
    change = _session_change(worker) if is_over else None
    worker.pending = Append(
        worker.lease, recording.events, summary.of(worker), taken, snapshot, recording.blobs, release,
        release and worker.is_detaching, news_of_end(worker), change, unclaimed,
        _kept_calls(worker, change) if is_over else (),
    )  # fmt: skip
    return worker.pending


def _session_change(worker: Worker) -> SessionChange | None:
    if worker.session_line is None:
        return None
    from fmsh.engine import sessions  # only at a prompt

    return sessions.change_of(worker)


def _kept_calls(worker: Worker, change: SessionChange | None) -> tuple[KeptCalls, ...]:
    if change is None and not worker.addresses:
        return ()
    from fmsh.engine import sessions  # only at a prompt

    return sessions.calls_kept(worker, change)


def _must_commit(worker: Worker) -> bool:
    if worker.is_leaving and not must_stay(worker):
        return True
    recorded = worker.recording.events
    if worker.machine.released and not worker.is_faulty:
        return True
    if not recorded and not worker.taken:
        return worker.is_row_old and summary.is_waiting(worker)
    if not worker.is_between_slices or worker.starts or worker.taken:
        return True
    return len(recorded) >= EVENTS_MAX or recorded[-1].type == "Displayed"


def must_stay(worker: Worker) -> bool:
    """Whether something is in flight that another process would have to do again, or that has the terminal."""
    if worker.is_hurried:
        return False
    return worker.terminals > 0 or any(flight.is_risky for flight in worker.flights.values())


def committed(worker: Worker) -> None:
    """Notes that the pending commit was made. A job that has ended or was released with it is dropped."""
    append, worker.pending = worker.pending, None
    assert append is not None
    if append.taken:
        worker.inbox_seen.difference_update(append.taken)
    settled, worker.settled = worker.settled, []
    for flight, outcome in settled:
        worker.surroundings.dispatcher.settled(worker, flight, outcome)
    worker.has_left = append.release
    if append.release or (worker.end is not None and not worker.is_parked):
        worker.drop()


def act(worker: Worker) -> None:
    """Starts and cancels what is committed. To be called only while the lease is sound."""
    if worker.is_leaving:
        worker.starts = []  # whoever loads the job starts them
    if worker.starts:
        starts, worker.starts = worker.starts, []
        for flight in starts:
            _start(worker, flight)
    if worker.cancels:
        cancels, worker.cancels = worker.cancels, []
        for flight in cancels:
            if flight.is_running:
                worker.surroundings.dispatcher.cancel(worker, flight)
            elif (
                flight.timer is not None
            ):  # taken over while it waited for its next attempt: there is nothing to cancel
                worker.cancel_step(flight.request.step)
                worker.surroundings.ready(worker)
    for flight in worker.hungry():
        worker.surroundings.dispatcher.read(worker, flight)


def _start(worker: Worker, flight: Flight) -> None:
    if flight.next_at_ms is not None:
        wait_ms = flight.next_at_ms - worker.surroundings.clock_ms()
        if wait_ms > 0:
            wait_s = min(wait_ms / 1000, WAIT_S_MAX)
            flight.timer = worker.surroundings.loop.after(wait_s, lambda: _start_later(worker, flight))
            return
        flight.next_at_ms = None
    worker.surroundings.dispatcher.start(worker, flight)


def _start_later(worker: Worker, flight: Flight) -> None:
    """The wait is over, or to be looked at again; the engine looks first whether the job is still ours."""
    flight.timer = None
    worker.starts.append(flight)
    worker.surroundings.ready(worker)
