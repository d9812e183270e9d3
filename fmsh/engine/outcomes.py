"""What becomes of the outcome of an attempt: the step's outcome, a further attempt, or a parked job.

`lost` means that nobody knows whether the effect happened. Where a `try`, `||` or `result` encloses the step, that is
an error like another. Elsewhere the job parks before anything unwinds, so that a person can say what happened.
"""

from __future__ import annotations

from fmsh import wire
from fmsh.connectors.base import Cancelled, Done, Failed, Items
from fmsh.machine.events import AttemptFailed, InboxTaken, ItemsRead, RequestCompleted
from fmsh.values import error_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fmsh.connectors.base import Outcome
    from fmsh.engine.flight import Flight
    from fmsh.engine.worker import Worker
    from fmsh.machine.effects import End, Request
    from fmsh.values import ErrorValue, Value

COMMANDS = "process"  # the connector of external commands


def record(worker: Worker, flight: Flight, outcome: Outcome | Items) -> None:
    """Records what an outcome means for its step, and feeds it."""
    step = flight.request.step
    if type(outcome) is Items:
        flight.is_asked = False
        flight.position = outcome.position
        worker.input(ItemsRead(step, outcome.items, outcome.position), step=step)
        return
    if type(outcome) is Done and outcome.is_interrupted and not flight.is_cancel_wanted:
        # Ctrl-C went to the program alone; that it died of it cancels the job, and no `catch` sees a failure.
        worker.input(InboxTaken("cancel", None))
        if _has_failed(outcome.value):
            outcome = Cancelled()
    if type(outcome) is Done:
        worker.complete(flight, RequestCompleted(step, outcome.value, timings=outcome.timings, kept=_kept(outcome)))
    elif type(outcome) is Cancelled:
        _record_cancelled(worker, flight)
    else:
        assert type(outcome) is Failed
        _record_failure(worker, flight, outcome)


def _kept(outcome: Done | Failed) -> dict[str, Value] | None:
    return None if outcome.kept is None else outcome.kept()


def _record_cancelled(worker: Worker, flight: Flight) -> None:
    step = flight.request.step
    is_asked_about = worker.parked_step == step  # nobody needs to know its outcome any more
    if is_asked_about:
        worker.resume()
    worker.complete(flight, RequestCompleted(step, is_cancelled=True))
    if is_asked_about:
        park_for_the_next(worker)


def park_for_the_next(worker: Worker) -> None:
    """Parks the job if a step of it was lost while it was paused or parked, and is still wanted."""
    for step, flight in worker.flights.items():
        if flight.is_lost and not flight.is_cancel_wanted:
            worker.park(flight, error_value("lost", f"the outcome of step {step} is unknown"))
            return


def _record_failure(worker: Worker, flight: Flight, failed: Failed) -> None:
    step = flight.request.step
    error = failed.error
    is_lost = error.kind == "lost"
    if flight.is_cancel_wanted and (is_lost or failed.should_retry):
        worker.complete(flight, RequestCompleted(step, is_cancelled=True))
        return
    delay_ms = worker.surroundings.backoff.delay_ms(failed, flight.attempt)
    if delay_ms is not None:
        try_again(worker, flight, error, next_at_ms=worker.now_ms + delay_ms, timings=failed.timings)
    elif not is_lost or worker.machine.encloses_handler(step):
        worker.complete(flight, RequestCompleted(step, error=error, timings=failed.timings, kept=_kept(failed)))
    elif worker.is_parked or worker.is_paused:
        flight.is_lost = True  # one reason at a time: it parks the job when it would go on
    else:
        worker.park(flight, error)


def _has_failed(commands: Value) -> bool:
    return type(commands) is not dict or any(commands["statuses"])


def try_again(
    worker: Worker, flight: Flight, error: ErrorValue, *, next_at_ms: int, timings: dict[str, Value] | None = None
) -> None:
    """Records a failed attempt and the time of the next, which starts after the commit and not before that time."""
    step = flight.request.step
    worker.record(AttemptFailed(step, flight.attempt, error, next_at_ms, timings), step=step)
    flight.attempt += 1
    flight.failure = error.message
    flight.begun_by = worker.begun_by
    flight.next_at_ms = next_at_ms
    flight.is_lost = flight.is_resumed = flight.has_started = False
    worker.starts.append(flight)


def undo_failed(end: End) -> ErrorValue:
    """Gives the error of a job that ended without being undone wholly."""
    failed = "; ".join(error.message for error in end.undo_errors)
    return error_value(
        "undo", f"what the job did could not be undone: {failed}", errors=end.undo_errors, error=end.error
    )


def settle_lost(worker: Worker, flight: Flight, value: Value) -> None:
    """Takes what a person says was the outcome of a lost step."""
    request = flight.request
    outcome = _outcome(request, value)
    worker.complete(flight, RequestCompleted(request.step, outcome))


def of_stopped(worker: Worker, value: Value) -> Value:
    """The same for the step whose outcome a held job has stopped at."""
    from fmsh.machine.stopping import stopped_request  # few jobs are held

    request = stopped_request(worker.machine)
    assert request is not None
    return _outcome(request, value)


def _outcome(request: Request, value: Value) -> Value:
    if request.connector == COMMANDS:
        return _of_commands(request, value)
    return {"statuses": [], "value": value} if request.arguments.get("output") in ("fold", "stream") else value


def _of_commands(request: Request, value: Value) -> Value:
    """What external commands came to, as a person says it: their whole outcome, a status, or else what they wrote."""
    stages = len(request.arguments["stages"])
    if type(value) is dict and _are_statuses(value.get("statuses"), stages):
        return {"output": None, "stderr": "", **value}
    if request.arguments.get("output") == "fold":
        return {"statuses": [0] * stages, "output": None, "stderr": "", "value": value}
    status = value if type(value) is int else 0
    output = value if isinstance(value, str) else "" if value is None or type(value) is int else wire.encode(value)
    is_captured = request.arguments.get("output") == "capture"
    statuses: list[Value] = [0] * (stages - 1) + [status]
    return {"statuses": statuses, "output": output if is_captured else None, "stderr": ""}


def _are_statuses(value: Value, stages: int) -> bool:
    return type(value) is list and len(value) == stages and all(type(status) is int for status in value)
