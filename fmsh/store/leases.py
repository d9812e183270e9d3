"""Leases in SQLite: who may append to a job, and from whom that right may be taken.

A lease is taken from nobody, from the dead, or from an owner that we ourselves have watched not renewing for a TTL.
None of this is needed for safety, which lies in the epoch that every append names: it only decides when to take over.
"""

from __future__ import annotations

from fmsh.store import chain, faults
from fmsh.store.base import Lease, Owner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fmsh.store.base import Job, Summary
    from fmsh.store.database import Cursor, Reader
    from fmsh.store.presence import Presence
    from fmsh.store.watch import Watch

OWN_TOPICS = "fmsh."  # how names begin under which the store notes who hears of what
OWNER_COLUMNS = ", ".join(Owner.fields)

FREE = "owner_id = NULL, due_at_ms = CASE WHEN state IN ('running', 'waiting') THEN wake_at_ms END"
DUE = """
SELECT id FROM (SELECT id FROM job WHERE due_at_ms <= ?1 ORDER BY due_at_ms LIMIT ?2)
UNION
SELECT job_id FROM inbox JOIN job ON job.id = job_id WHERE owner_id IS NULL AND ended_as IS NULL
LIMIT ?2
"""
ORPHANS = "SELECT DISTINCT owner_id FROM job WHERE owner_id IS NOT NULL AND owner_id NOT IN (SELECT id FROM owner)"
NEXT_DUE = "SELECT min(due_at_ms) FROM job WHERE due_at_ms IS NOT NULL"


def register(cursor: Cursor, presence: Presence) -> None:
    """Writes this process down as an owner, and strikes out the dead that left no job behind."""
    idle = "SELECT id FROM owner WHERE NOT EXISTS (SELECT 1 FROM job WHERE owner_id = owner.id)"
    for (owner_id,) in cursor.execute(idle).fetchall():
        if not presence.is_locked(owner_id):
            _strike_out(cursor, presence, owner_id)
    renew(cursor, presence.owner)


def renew(cursor: Cursor, owner: Owner) -> None:
    """Counts one renewal of an owner, and writes it down if it is not there."""
    cursor.execute(
        f"""INSERT INTO owner ({OWNER_COLUMNS}) VALUES (?, ?, ?, ?, ?)
        ON CONFLICT DO UPDATE SET renewals = renewals + 1""",
        (owner.id, owner.kind, owner.pid, owner.host, owner.boot_id),
    )


def _strike_out(cursor: Cursor, presence: Presence, owner_id: str) -> None:
    cursor.execute("DELETE FROM owner WHERE id = ?", (owner_id,))
    presence.bury(owner_id)


def acquire(cursor: Cursor, presence: Presence, watch: Watch, job_id: int) -> Lease | None:
    """Takes the lease of a job if nobody who may keep it has it."""
    rows = cursor.execute(
        "SELECT owner_id, head, at_terminal FROM job WHERE id = ? AND ended_as IS NULL", (job_id,)
    ).fetchall()
    if not rows:
        return None
    holder_id, head, at_terminal = rows[0]
    if not isinstance(head, int):
        raise faults.changed(f"the row of job {job_id}")
    if holder_id is not None and not may_take_from(cursor, presence, watch, holder_id, bool(at_terminal)):
        return None
    sql = "UPDATE job SET owner_id = ?, epoch = epoch + 1, due_at_ms = NULL WHERE id = ? RETURNING epoch"
    epoch = cursor.execute(sql, (presence.owner.id, job_id)).fetchall()[0][0]
    return Lease(job_id, epoch, head, _chain_at(cursor, job_id, head))


def is_held(database: Reader, owner_id: str, job_id: int) -> bool:
    return bool(database.read("SELECT 1 FROM job WHERE id = ? AND owner_id = ?", (job_id, owner_id)))


def may_take_from(cursor: Cursor, presence: Presence, watch: Watch, holder_id: str, at_terminal: bool) -> bool:
    """Says whether the job of a holder may be taken from it."""
    if holder_id == presence.owner.id:
        return False
    rows = cursor.execute(f"SELECT {OWNER_COLUMNS}, renewals FROM owner WHERE id = ?", (holder_id,)).fetchall()
    if not rows:
        return not presence.is_locked(holder_id)
    *values, renewals = rows[0]
    if not presence.is_alive(Owner(*values)):
        return True
    return watch.has_stalled(holder_id, renewals) and not at_terminal


def _chain_at(cursor: Cursor, job_id: int, seq: int) -> bytes:
    """Gives the hash to go on from. It is verified by whoever loads the job; a gap is not hidden by what follows it."""
    rows = cursor.execute("SELECT hash FROM event WHERE job_id = ? AND seq = ?", (job_id, seq)).fetchall()
    return chain.link_of(rows[0][0]) if rows else b""


def release(cursor: Cursor, owner_id: str, lease: Lease, wake_at_ms: int | None) -> None:
    """Gives a lease back; does nothing if it is ours no longer."""
    sql = "UPDATE job SET wake_at_ms = ? WHERE id = ? AND epoch = ? AND owner_id = ? RETURNING id"
    values = (wake_at_ms, lease.job_id, lease.epoch, owner_id)
    free(cursor, [row[0] for row in cursor.execute(sql, values).fetchall()])


def free(cursor: Cursor, job_ids: list[int]) -> None:
    """Leaves jobs to nobody, to be found when they are due."""
    cursor.executemany(f"UPDATE job SET {FREE} WHERE id = ?", [(job_id,) for job_id in job_ids])


def topic_of_end(dedupe_id: str) -> str:
    """The topic under which jobs are noted that hear of an end; `dedupe_id`: of the row that tells of it."""
    return f"{OWN_TOPICS}end of {dedupe_id}"


def end(cursor: Cursor, key: bytes, job_id: int, summary: Summary) -> None:
    """Leaves a job to nobody for ever, with its outcome sealed."""
    sum = outcome_sum(key, job_id, summary)
    sql = "UPDATE job SET owner_id = NULL, due_at_ms = NULL, ended_as = state, ended_sum = ? WHERE id = ?"
    cursor.execute(sql, (sum, job_id))


def outcome_sum(key: bytes, job_id: int, of: Summary | Job) -> bytes:
    return chain.row_sum(key, job_id, of.state, of.value_json, of.error_json, of.exit_status, of.ended_at_ms)


def is_anybody_gone(database: Reader, presence: Presence, watch: Watch) -> bool:
    """Looks, without writing, whether there is anything to reap."""
    rows = database.read(f"SELECT {OWNER_COLUMNS}, renewals FROM owner WHERE id <> ?", (presence.owner.id,))
    gone = [not presence.is_alive(Owner(*values)) or watch.has_stalled(values[0], count) for *values, count in rows]
    return any(gone) or bool(database.read(ORPHANS))


def reap(cursor: Cursor, presence: Presence, watch: Watch) -> list[int]:
    """Frees the jobs of the dead and of those that have stalled; gives the ids of these jobs."""
    freed: list[int] = []
    for *values, renewals in cursor.execute(f"SELECT {OWNER_COLUMNS}, renewals FROM owner").fetchall():
        owner = Owner(*values)
        if owner.id == presence.owner.id:
            continue
        if not presence.is_alive(owner):
            freed += _free(cursor, owner.id, "")
            _strike_out(cursor, presence, owner.id)
        elif watch.has_stalled(owner.id, renewals):
            freed += _free(cursor, owner.id, "AND NOT at_terminal")
    for (owner_id,) in cursor.execute(ORPHANS).fetchall():
        if not presence.is_locked(owner_id):
            freed += _free(cursor, owner_id, "")
    named = {owner_id for (owner_id,) in cursor.execute("SELECT id FROM owner").fetchall()}
    for owner_id in set(presence.ids()) - named:
        presence.bury(owner_id)
    return sorted(freed)


def _free(cursor: Cursor, owner_id: str, condition: str) -> list[int]:
    at_once = "wake_at_ms = CASE WHEN state = 'waiting' THEN wake_at_ms ELSE 0 END"
    sql = f"UPDATE job SET {at_once} WHERE owner_id = ? {condition} RETURNING id"
    freed = [row[0] for row in cursor.execute(sql, (owner_id,)).fetchall()]
    free(cursor, freed)
    return freed


def due(database: Reader, now_ms: int, limit: int) -> list[int]:
    return [row[0] for row in database.read(DUE, (now_ms, limit))]


def next_due_ms(database: Reader) -> int | None:
    found = database.read(NEXT_DUE)[0][0]
    return found if isinstance(found, int) else None


def owners(database: Reader) -> list[Owner]:
    return [Owner(*row) for row in database.read(f"SELECT {OWNER_COLUMNS} FROM owner ORDER BY id")]
