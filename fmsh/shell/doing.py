"""What a job that runs here is at, from its machine and from what it has in flight."""

from __future__ import annotations

from fmsh.render.doing import Count, Doing
from fmsh.render.jobs import request_label

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fmsh.engine.flight import Flight
    from fmsh.engine.worker import Worker
    from fmsh.machine.facts import Wait

UNTOLD = ("task", "person")  # what is behind a task is told by itself, and a question is asked


def doing_of(worker: Worker) -> list[Doing]:
    """What the job waits for, outermost task first."""
    found = (_doing(worker, wait) for wait in worker.machine.waits() if wait.kind not in UNTOLD)
    return [doing for doing in found if doing is not None]


def count_of(worker: Worker) -> Count | None:
    """How far the outermost `each --parallel` or `parallel` has come; None if there is none."""
    for group in worker.machine.groups.values():
        if group.kind == "each" and group.error is None:
            return Count(group.started - len(group.running), len(group.items) if group.stream is None else None)
    return None


def _doing(worker: Worker, wait: Wait) -> Doing | None:
    flight = worker.flights.get(wait.steps[0]) if wait.steps else None
    if wait.kind != "request":
        label = f"{wait.kind} {wait.label}".strip()
        return Doing(label, worker.since_ms, None if flight is None else flight.due_ms())
    return None if flight is None else _of_flight(flight)


def _of_flight(flight: Flight) -> Doing:
    request = flight.request
    label = request_label(
        {"connector": request.connector, "operation": request.operation, "arguments": request.arguments}
    )
    if flight.failure and not flight.is_running:
        return Doing(flight.failure, flight.requested_at_ms, flight.due_ms(), flight.attempt)
    return Doing(label, flight.requested_at_ms, flight.due_ms())
