"""What each kind of inbox row does to a job. Only a lease's holder turns rows into events.

While a job is paused or parked, `cancel`, `resume`, `retry` and `answer` act at once; other rows are recorded and held.
"""

from __future__ import annotations

from fmsh import wire
from fmsh.engine import outcomes
from fmsh.machine.effects import End
from fmsh.machine.events import InboxTaken
from fmsh.values import error_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fmsh.engine.flight import Flight
    from fmsh.engine.worker import Worker
    from fmsh.store.base import InboxRow
    from fmsh.values import Value


def take(worker: Worker, row: InboxRow) -> None:
    """Takes one row; it leaves the inbox in the commit that holds what came of it."""
    worker.inbox_seen.add(row.id)
    worker.taken.append(row.id)
    data = wire.decode(row.data_json)
    act = _ACTS.get(row.kind)
    if act is None or not act(worker, data):
        worker.input(InboxTaken(row.kind, data))


def _cancel(worker: Worker, data: Value) -> bool:
    if worker.is_parked and (worker.end is not None or worker.parked_step is None) and not worker.is_stopped:
        _end_without_the_machine(worker)
        return True
    worker.resume()
    worker.input(InboxTaken("cancel", data))
    for step in [step for step, flight in worker.flights.items() if flight.is_lost]:
        worker.cancel_step(step)
    return True


def _pause(worker: Worker, data: Value) -> bool:
    worker.pause()
    return True


def _resume(worker: Worker, data: Value) -> bool:
    if worker.is_paused and worker.end is None:  # what has ended, and was not undone, does not go on
        worker.resume()
        outcomes.park_for_the_next(worker)
    return True


def _retry(worker: Worker, data: Value) -> bool:
    """Does the step of a parked job again; a job that is not parked has nothing to do again."""
    flight = _parked_flight(worker)
    if worker.is_stopped:
        worker.resume()
        worker.input(InboxTaken("retry", None))
    elif worker.is_parked and flight is None and worker.end is None:
        worker.resume()  # after a fault of ours: the same again, perhaps with a better fmsh
    elif flight is not None:
        error = worker.error or error_value("lost", "the outcome is unknown")
        worker.resume()
        if not flight.is_cancel_wanted:
            outcomes.try_again(worker, flight, error, next_at_ms=worker.now_ms)
        outcomes.park_for_the_next(worker)
    return True


def _answer(worker: Worker, data: Value) -> bool:
    """Takes the outcome of a parked step; for a job that is not parked it is an answer like another."""
    flight = _parked_flight(worker)
    if flight is None and worker.is_stopped and worker.parked_step is not None:
        outcome = outcomes.of_stopped(worker, data["value"])
        step = worker.parked_step
        worker.resume()
        worker.input(InboxTaken("outcome", {"step": step, "value": outcome}))
        return True
    if flight is None:
        return False
    worker.resume()
    outcomes.settle_lost(worker, flight, data["value"])
    outcomes.park_for_the_next(worker)
    return True


def _end_without_the_machine(worker: Worker) -> None:
    """Ends a job that cannot run any further: after a fault of ours, or when its undo has failed."""
    if worker.end is None:
        message = "the job was cancelled after a fault of fmsh; its defer and undo did not run"
        worker.end = End(error=error_value("cancelled", message))
    worker.resume()
    worker.record_end()


def _parked_flight(worker: Worker) -> Flight | None:
    return None if worker.parked_step is None else worker.flights.get(worker.parked_step)


_ACTS = {"cancel": _cancel, "pause": _pause, "resume": _resume, "retry": _retry, "answer": _answer}
