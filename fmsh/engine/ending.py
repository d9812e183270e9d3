"""How a job left this process, and who is told."""

from __future__ import annotations

from fmsh import wire
from fmsh.engine import summary
from fmsh.errors import StoreBusy, StoreFull, StoreMissing
from fmsh.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fmsh.engine.engine import Engine
    from fmsh.engine.worker import Worker
    from fmsh.values import ErrorValue, Value

RETRY_S = 1.0


class Ended(Record):
    """How a job left this process. `state`: as in its row once it has ended, or `parked`, or `released`."""

    job_id: int
    state: str
    value: Value = None
    error: ErrorValue | None = None
    exit_status: int | None = None


def ended(worker: Worker) -> Ended:
    """Says how the job of a dropped worker left."""
    end = worker.end
    if worker.is_parked:
        return Ended(worker.job_id, "parked", None, worker.error)
    if end is None:
        return Ended(worker.job_id, "released")
    return Ended(worker.job_id, summary.ended_state(end), end.value, end.error, summary.exit_status(end))


def tell_parent(engine: Engine, worker: Worker) -> None:
    """Delivers how a job ended to the job that started it, which may await it."""
    assert worker.end is not None and worker.parent_id is not None
    told = {"handle": str(worker.job_id), "delivery": {"value": worker.end.value, "error": worker.end.error}}
    try:
        engine.store.deliver(worker.parent_id, "job", wire.encode(told), dedupe_id=f"job {worker.job_id}")
    except (StoreFull, StoreBusy):
        engine.loop.after(RETRY_S, lambda: tell_parent(engine, worker))
        return
    except StoreMissing:  # it was removed meanwhile
        return
    parent = engine.workers.get(worker.parent_id)
    if parent is not None:
        engine.look_for(parent)
