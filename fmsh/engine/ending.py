"""How a job left this process, and who is told."""

from __future__ import annotations

from fmsh import wire
from fmsh.engine import summary
from fmsh.record import Record
from fmsh.store.base import NewInboxRow

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fmsh.engine.worker import Worker
    from fmsh.values import ErrorValue, Value


class Ended(Record):
    """How a job left this process. `state`: as in its row once it has ended, or `parked`, or `released`.

    `by_exit`: the program itself ended it with a status.
    """

    job_id: int
    state: str
    value: Value = None
    error: ErrorValue | None = None
    exit_status: int | None = None
    by_exit: bool = False


def ended(worker: Worker) -> Ended:
    """Says how the job of a dropped worker left."""
    end = worker.end
    if worker.is_parked:
        return Ended(worker.job_id, "parked", None, worker.error)
    if end is None:
        return Ended(worker.job_id, "released")
    state, status = summary.ended_state(end), summary.exit_status(end)
    return Ended(worker.job_id, state, end.value, end.error, status, end.status is not None)


def news_for_parent(worker: Worker) -> list[NewInboxRow]:
    """How a job ended, for the job that started it, which may await it; to be delivered in the commit of the end."""
    end = worker.end
    if worker.parent_id is None or end is None or worker.is_parked:
        return []
    told = {"handle": str(worker.job_id), "delivery": {"value": end.value, "error": end.error}}
    return [NewInboxRow(worker.parent_id, "job", wire.encode(told), f"job {worker.job_id}")]
