"""Moving jobs between stores in SQLite: what leaves, what arrives, and that no job goes on in two stores.

A job that was moved out stays as it was, but `ended_as` says `moved`: nobody takes it up, its addresses serve nobody,
and its row keeps the state in which it left, so that it can be had back. An arrival is written as a new job is, with
hashes under this store's key.
"""

from __future__ import annotations

from fmsh.errors import StoreFenced
from fmsh.store import inbox, leases
from fmsh.store.base import MOVED, Job
from fmsh.store.moving import Belongings, Delivered

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fmsh.store.database import Cursor, Database
    from fmsh.store.presence import Presence
    from fmsh.store.watch import Watch

SUBSCRIBED = "SELECT DISTINCT topic FROM subscription WHERE job_id = ? ORDER BY topic"
CALLED = "SELECT DISTINCT name FROM call WHERE job_id = ? AND is_open ORDER BY name"
CLAIMED = "SELECT DISTINCT kind || ' ' || name FROM claim WHERE job_id = ? ORDER BY 1"
MOVE_OUT = f"""
UPDATE job SET ended_as = '{MOVED}', ended_at_ms = ?, ended_sum = ?, owner_id = NULL, due_at_ms = NULL
WHERE id = ? AND owner_id = ? AND epoch = ? AND head = ? AND ended_as IS NULL
    AND NOT EXISTS (SELECT 1 FROM inbox WHERE job_id = job.id AND inbox.id > ?)
    AND NOT EXISTS (SELECT 1 FROM claim WHERE job_id = job.id)
"""
MOVE_BACK = f"""
UPDATE job SET ended_as = NULL, ended_sum = NULL, ended_at_ms = NULL WHERE id = ? AND ended_as = '{MOVED}' RETURNING id
"""


def hold(cursor: Cursor, presence: Presence, watch: Watch, job_id: int) -> bool:
    """Makes this process the owner of a job, without a new epoch, if nobody who may keep it has it."""
    rows = cursor.execute(
        "SELECT owner_id, at_terminal FROM job WHERE id = ? AND ended_as IS NULL", (job_id,)
    ).fetchall()
    if not rows:
        return False
    holder_id, at_terminal = rows[0]
    if holder_id is not None and not leases.may_take_from(cursor, presence, watch, holder_id, bool(at_terminal)):
        return False
    cursor.execute("UPDATE job SET owner_id = ?, due_at_ms = NULL WHERE id = ?", (presence.owner.id, job_id))
    return True


def belongings(database: Database, job_id: int) -> Belongings:
    """Reads what belongs to a job beside its row, its history and its values."""
    rows = inbox.rows(database, job_id)
    state = database.read("SELECT state FROM job WHERE id = ?", (job_id,))
    delivered = database.read("SELECT dedupe_id, at_ms FROM delivered WHERE job_id = ? ORDER BY dedupe_id", (job_id,))
    children = database.read("SELECT id FROM job WHERE parent_id = ? ORDER BY id", (job_id,))
    return Belongings(
        state[0][0] if state else "",
        tuple(rows),
        tuple(Delivered(*row) for row in delivered),
        tuple(inbox.callbacks(database, job_id)),
        tuple(row[0] for row in children),
        tuple(row[0] for row in database.read(SUBSCRIBED, (job_id,))),
        tuple(row[0] for row in database.read(CALLED, (job_id,))),
        tuple(row[0] for row in database.read(CLAIMED, (job_id,))),
    )


def move_out(cursor: Cursor, key: bytes, owner_id: str, job: Job, inbox_id: int, at_ms: int) -> None:
    """Makes a job `moved`, unless it has gone on since it was read."""
    sum = leases.outcome_sum(key, job.id, job.replace(state=MOVED, ended_at_ms=at_ms))
    before = cursor.connection.total_changes()
    cursor.execute(MOVE_OUT, (at_ms, sum, job.id, owner_id, job.epoch, job.head, inbox_id))
    if cursor.connection.total_changes() == before:
        raise StoreFenced(
            f"job {job.id} was taken up or called by others while it was written",
            hint="It stays here, and what was written of it is no whole file. Try again.",
        )


def move_back(cursor: Cursor, job_id: int) -> None:
    """Makes a moved job what it was, held by nobody."""
    leases.free(cursor, [row[0] for row in cursor.execute(MOVE_BACK, (job_id,)).fetchall()])
