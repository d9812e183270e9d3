"""What a job's row says of it: state, what it waits for, and how it ended."""

from __future__ import annotations

from fmsh import wire
from fmsh.engine import recording
from fmsh.store.base import Summary

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fmsh.engine.worker import Worker
    from fmsh.machine.effects import End
    from fmsh.machine.machine import Wait
    from fmsh.values import Value

CANCELLED_STATUS = 130  # as shells say it of Ctrl-C: 128 + SIGINT
WAITS_SHOWN_MAX = 20


def of(worker: Worker) -> Summary:
    """Makes the summary of a job as it is after what is recorded now."""
    if worker.end is not None and not worker.is_parked:
        return _of_end(worker, worker.end)
    at_terminal = worker.terminals > 0
    if worker.is_parked:
        error_json = None if worker.error is None else recording.error_json(worker.error)
        return Summary("parked", None, worker.steps, "[]", None, error_json, None, None, at_terminal)
    if worker.is_paused:
        return Summary("paused", None, worker.steps, "[]", None, None, None, None, at_terminal)
    if not is_waiting(worker):
        return Summary("running", 0, worker.steps, "[]", None, None, None, None, at_terminal)
    return Summary("waiting", wake_at_ms(worker), worker.steps, wire.encode(_waiting_for(worker)))


def is_waiting(worker: Worker) -> bool:
    """Whether nothing is in progress but waits that any process can go on with."""
    if not worker.is_quiescent or worker.held or worker.observes:
        return False
    return all(flight.is_waiting and not flight.is_cancel_wanted for flight in worker.flights.values())


def wake_at_ms(worker: Worker) -> int | None:
    """When the first of a job's timers is due; None if it waits for something else only."""
    due = [moment for flight in worker.flights.values() if (moment := flight.due_ms()) is not None]
    return min(due, default=None)


def exit_status(end: End) -> int:
    """Gives the exit status of an ended job."""
    if end.status is not None:
        return end.status
    if end.error is None:
        return 0
    if end.error.kind == "cancelled":
        return CANCELLED_STATUS
    status = end.error.fields.get("status") if end.error.kind == "exit" else 1
    if type(status) is not int:
        signal = end.error.fields.get("signal")
        return 128 + signal if type(signal) is int else 1
    return status if status >= 0 else 128 - status


def ended_state(end: End) -> str:
    if end.error is not None:
        return "cancelled" if end.error.kind == "cancelled" else "failed"
    return "failed" if end.status else "succeeded"


def _of_end(worker: Worker, end: End) -> Summary:
    error_json = None if end.error is None else recording.error_json(end.error)
    value_json = recording.value_json(end.value) if end.error is None else None
    return Summary(
        ended_state(end), None, worker.steps, "[]", value_json, error_json, exit_status(end), worker.now_ms, False
    )


def _waiting_for(worker: Worker) -> list[Value]:
    """Lists what a waiting job waits for, as INTERFACE says."""
    shown: list[Value] = []
    for wait in worker.machine.waits():
        entries = _entries(worker, wait)
        shown += entries[: WAITS_SHOWN_MAX - len(shown)]
        if len(shown) >= WAITS_SHOWN_MAX:
            break
    return shown


def _entries(worker: Worker, wait: Wait) -> list[Value]:
    if wait.kind == "task":  # what is behind it is listed by itself
        return []
    flights = [worker.flights[step] for step in wait.steps if step in worker.flights]
    is_request = wait.kind == "request" and bool(flights)
    since_ms = flights[0].requested_at_ms if is_request else worker.since_ms
    due = [moment for flight in flights if (moment := flight.due_ms()) is not None]
    until = timestamp(min(due)) if due else None
    kind = "timer" if wait.kind == "request" else wait.kind
    where = worker.machine.program.place(wait.node)
    shown = {"kind": kind, "label": wait.label, "since": timestamp(since_ms), "until": until, "where": where}
    return [shown | wait.about]


def timestamp(at_ms: int) -> str:
    """Writes a moment in RFC 3339, in UTC, with milliseconds."""
    import time

    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at_ms // 1000)) + f".{at_ms % 1000:03}Z"
