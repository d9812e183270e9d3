"""Deleting in SQLite: old events of active jobs, and ended jobs as a whole. Triggers refuse anything else."""

from __future__ import annotations

from fmsh.errors import StoreError, StoreFenced, StoreMissing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fmsh.store.base import Lease
    from fmsh.store.database import Cursor

OF_A_JOB = ("snapshot", "inbox", "delivered", "callback", "event")


def trim(cursor: Cursor, owner_id: str, lease: Lease, below_seq: int, snapshot_seq: int) -> None:
    """Deletes the events below `below_seq`; the hash of the last of them stays, so that the rest can be verified."""
    job_id = lease.job_id
    if not 0 < below_seq <= snapshot_seq:
        raise StoreError(f"job {job_id} has no snapshot at or after event {below_seq} that could stand for the events")
    held = "SELECT trimmed_seq FROM job WHERE id = ? AND epoch = ? AND owner_id = ?"
    rows = cursor.execute(held, (job_id, lease.epoch, owner_id)).fetchall()
    if not rows:
        raise StoreFenced(f"the lease of job {job_id} was taken over")
    if below_seq <= max(rows[0][0], 1):
        return
    cursor.execute(
        """UPDATE job SET trimmed_seq = ?1,
        trimmed_chain = (SELECT hash FROM event WHERE job_id = ?2 AND seq = ?1 - 1) WHERE id = ?2""",
        (below_seq, job_id),
    )
    cursor.execute("DELETE FROM event WHERE job_id = ? AND seq < ?", (job_id, below_seq))
    cursor.execute("DELETE FROM snapshot WHERE job_id = ? AND seq < ?", (job_id, below_seq))


def remove_job(cursor: Cursor, job_id: int) -> None:
    """Deletes an ended job. Its program goes with the last job that runs it."""
    rows = cursor.execute("SELECT ended_as IS NOT NULL, program_hash FROM job WHERE id = ?", (job_id,)).fetchall()
    if not rows:
        raise StoreMissing(f"there is no job {job_id}")
    has_ended, program_hash = rows[0]
    if not has_ended:
        raise StoreError(f"job {job_id} is active, and only ended jobs are removed", hint="Cancel it first.")
    for table in OF_A_JOB:
        cursor.execute(f"DELETE FROM {table} WHERE job_id = ?", (job_id,))
    cursor.execute("DELETE FROM job WHERE id = ?", (job_id,))
    unused = "DELETE FROM program WHERE hash = ?1 AND NOT EXISTS (SELECT 1 FROM job WHERE program_hash = ?1)"
    cursor.execute(unused, (program_hash,))
