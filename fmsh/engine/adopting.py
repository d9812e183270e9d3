"""Taking over a job that nobody runs: the lease, the history, and what is to be done about its effects in flight.

A job that cannot be loaded is parked with the reason, or ended if it is to be cancelled; its inbox is emptied into
that, so that it is not loaded again and again.
"""

from __future__ import annotations

from fmsh.connectors.base import Cancelled
from fmsh.engine import ending, recording, replay, summary
from fmsh.engine.flight import begun_by
from fmsh.errors import StoreBusy, StoreCorrupt, StoreFull
from fmsh.machine.events import HandedOver, JobEnded, Parked
from fmsh.store.base import Append, Summary
from fmsh.values import error_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fmsh.engine.engine import Engine
    from fmsh.engine.worker import Worker
    from fmsh.store.base import Job, Lease

RETRY_S = 1.0


def adopt(engine: Engine, job_id: int) -> Worker | None:
    """Takes over a job, and makes its worker ready. None: it cannot be had, or not be loaded."""
    try:
        lease = engine.store.acquire(job_id)
        job = None if lease is None else engine.store.job(job_id)
    except StoreCorrupt as error:
        _set_aside(engine, job_id, error)
        return None
    if lease is None or job is None:
        return None
    stale = engine.workers.pop(job_id, None)
    if stale is not None:  # others had taken it from us while we stood still, and we did not know yet
        stale.drop()
    try:
        worker = replay.load(
            engine.store, job, lease, program=engine.program(job.program_hash), surroundings=engine.surroundings
        )
        _go_on(engine, worker, job)
    except StoreCorrupt as error:
        _set_aside(engine, job_id, error)
        return None
    except StoreBusy:
        _give_back(engine, lease, job.wake_at_ms)
        raise
    except Exception as fault:
        if _is_ours(engine, lease):
            engine.report(fault, f"loading job {job_id}")
            _put_aside(engine, job, lease, fault)
        return None
    engine.workers[job_id] = worker
    if worker.machine.facts.variables:
        engine.hear_of_others(worker)
    engine.look_for(worker)
    engine.make_ready(worker)
    return worker


def _is_ours(engine: Engine, lease: Lease) -> bool:
    """Whether nobody took a lease from us while we were loading: what others trim then is no fault."""
    now = engine.store.job(lease.job_id)
    return now is not None and now.epoch == lease.epoch


def _go_on(engine: Engine, worker: Worker, job: Job) -> None:
    """Records the hand-over, and resumes what is in flight."""
    is_first_run = job.is_detached and job.head == max(worker.inherited, 1)
    if worker.owner != engine.owner and not is_first_run:
        worker.recording.begin_with(HandedOver(engine.owner, _reason(worker, job)), at_ms=worker.now_ms)
        worker.begun_by = begun_by(engine.owner)
    worker.owner = engine.owner
    settled = [flight for flight, _ in worker.arrived]  # cancelled before they began
    for flight in list(worker.flights.values()):
        if flight in worker.starts or flight in settled:  # asked for just now
            continue
        if not flight.is_lost:
            worker.starts.append(flight)
            if flight.is_cancel_wanted:
                worker.cancels.append(flight)
        elif flight.is_cancel_wanted:
            worker.arrived.append((flight, Cancelled()))


def _reason(worker: Worker, job: Job) -> str:
    """Says why a job changes its owner: a clean hand-over leaves a snapshot after the last event."""
    if worker.snapshots.seq != job.head:
        return "takeover"
    return "restart" if worker.owner.get("kind") == "daemon" else "detached"


def _give_back(engine: Engine, lease: Lease, wake_at_ms: int | None) -> None:
    """Releases a lease for which there is no worker, as soon as the store can."""
    try:
        engine.store.release(lease, wake_at_ms=wake_at_ms)
    except (StoreFull, StoreBusy):
        engine.loop.after(RETRY_S, lambda: _give_back(engine, lease, wake_at_ms))


def _set_aside(engine: Engine, job_id: int, error: StoreCorrupt) -> None:
    """Parks a damaged job, or ends it if it is to be cancelled."""
    engine.quarantine(job_id, error)
    try:
        if engine.store.inbox(job_id, kind="cancel", limit=1):
            ending.give_up(engine.store, job_id, now_ms=engine.clock_ms())
    except (StoreCorrupt, StoreFull, StoreBusy) as refusal:  # `fmsh jobs cancel` can do without us
        engine.report(refusal, f"cancelling job {job_id}")


def _put_aside(engine: Engine, job: Job, lease: Lease, fault: Exception) -> None:
    rows = engine.store.inbox(job.id)
    now_ms = engine.clock_ms()
    recorded = recording.Recording()
    if any(row.kind == "cancel" for row in rows):
        message = "the job was cancelled, and could not be loaded; its defer and undo did not run"
        error = error_value("cancelled", message)
        recorded.add(JobEnded(None, error, summary.CANCELLED_STATUS), at_ms=now_ms)
        error_json = recording.error_json(error)
        row = Summary("cancelled", None, job.steps, "[]", None, error_json, summary.CANCELLED_STATUS, now_ms)
    else:
        error = error_value("internal", f"the job cannot be loaded: {fault}")
        recorded.add(Parked(None, error), at_ms=now_ms)
        row = Summary("parked", None, job.steps, error_json=recording.error_json(error))
    taken = [row.id for row in rows]
    try:
        engine.store.commit([Append(lease, recorded.events, row, taken, None, recorded.blobs, True)])
    except (StoreFull, StoreBusy):
        engine.loop.after(RETRY_S, lambda: _put_aside(engine, job, lease, fault))
