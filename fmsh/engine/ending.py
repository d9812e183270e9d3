"""How a job left this process, and who is told."""

from __future__ import annotations

from fmsh import wire
from fmsh.engine import recording, summary
from fmsh.errors import StoreCorrupt, StoreMissing
from fmsh.machine.events import JobEnded
from fmsh.record import Record
from fmsh.store.base import NewInboxRow, Summary
from fmsh.values import error_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fmsh.engine.worker import Worker
    from fmsh.store.base import EventStore, Job
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


def value_of(store: EventStore, job: Job) -> Value:
    """The value that an ended job came to, also where it is too large for its row.

    Raises: StoreMissing: it was large, and its time is over.
    """
    if job.value_json is not None:
        return wire.decode(job.value_json)
    for stored in store.events(job.id, after=job.head - 1):
        event = recording.read(store, stored)
        if isinstance(event, JobEnded):
            return event.value
    raise StoreMissing(f"the value of job {job.id} is not kept any more")


def news_of_end(worker: Worker) -> list[NewInboxRow]:
    """How a job ended, for those who may await it: the job that started it, and all who asked.

    To be delivered in the commit of the end.
    """
    end = worker.end
    if end is None or worker.is_parked:
        return []
    return [_news(worker.job_id, worker.parent_id, end.value, end.error)]


def _news(job_id: int, parent_id: int | None, value: Value, error: ErrorValue | None) -> NewInboxRow:
    def text() -> str:
        return wire.encode({"handle": str(job_id), "delivery": {"value": value, "error": error}})

    to = job_id if parent_id is None else parent_id  # which is over, and takes none itself
    return NewInboxRow(to, "job", text, f"job {job_id}")


def give_up(store: EventStore, job_id: int, *, now_ms: int) -> bool:
    """Cancels a job whose history is damaged, without its machine. False: it has ended, or somebody holds it."""
    error = error_value("cancelled", "the job is damaged, and was cancelled without its defer and undo")
    status = summary.CANCELLED_STATUS
    row = Summary("cancelled", error_json=recording.error_json(error), exit_status=status, ended_at_ms=now_ms)
    try:
        job = store.job(job_id)
    except StoreCorrupt:  # nobody knows any more who started it
        job = None
    parent_id = None if job is None else job.parent_id
    return store.abandon(job_id, row, [_news(job_id, parent_id, None, error)])
