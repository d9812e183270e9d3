"""Calls of functions that programs outside implement, in SQLite: who works on which, and what came of it.

A call is *open* until it has an outcome. A worker leases it; a lease that runs out, or an error that may go away, lets
another worker try, as often as the call allows. The outcome is a row in the inbox of the job.
"""

from __future__ import annotations

from fmsh import wire
from fmsh.store import chain, faults, inbox
from fmsh.store.base import NewInboxRow
from fmsh.store.outside import LeasedCall
from fmsh.values import error_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fmsh.store.database import Cursor, Reader
    from fmsh.store.inbox import Knock
    from fmsh.store.outside import CallOutcome, NewCall

COLUMNS = "id, job_id, handle_id, name, value_json, attempts_max, expires_at_ms"
DUE = f"""
SELECT {COLUMNS}, sum, attempt FROM call WHERE name = ? AND is_open AND free_at_ms <= ?
AND EXISTS (SELECT 1 FROM job WHERE job.id = call.job_id AND ended_as IS NULL) ORDER BY rowid LIMIT 1
"""


def open_call(cursor: Cursor, key: bytes, new: NewCall) -> None:
    """Opens a call; the same id again changes nothing."""
    values = (new.id, new.job_id, new.handle_id, new.name, new.value_json, new.attempts_max, new.expires_at_ms)
    sql = f"INSERT OR IGNORE INTO call ({COLUMNS}, attempt, free_at_ms, is_open, sum) VALUES (?,?,?,?,?,?,?,0,0,1,?)"
    cursor.execute(sql, (*values, chain.row_sum(key, *values)))


def is_one_due(database: Reader, name: str, now_ms: int) -> bool:
    """Whether there may be something to lease; asked often, and without a transaction."""
    return bool(database.read(DUE, (name, now_ms)))


def lease_call(
    cursor: Cursor, key: bytes, name: str, now_ms: int, lease_ms: int
) -> tuple[LeasedCall | None, list[Knock]]:
    """Gives the oldest call that waits for a worker, for so long; and whom to tell of those that were given up."""
    knocks: list[Knock] = []
    while True:
        rows = cursor.execute(DUE, (name, now_ms)).fetchall()
        if not rows:
            return None, knocks
        *kept, sum, attempt = rows[0]
        if chain.row_sum(key, *kept) != sum:
            raise faults.changed(f"a call of job {kept[1]}")
        id, _job_id, _handle_id, _name, value_json, attempts_max, expires_at_ms = kept
        is_late = expires_at_ms is not None and expires_at_ms <= now_ms
        if attempt < attempts_max and not is_late:
            sql = "UPDATE call SET attempt = attempt + 1, free_at_ms = ? WHERE id = ?"
            cursor.execute(sql, (now_ms + lease_ms, id))
            return LeasedCall(id, name, value_json, attempt + 1, now_ms + lease_ms), knocks
        knocks += _close(cursor, key, id, None if is_late else given_up(name, attempt))


def given_up(name: str, attempts: int) -> str:
    """The outcome of a call that no worker finished."""
    text = f"function {name}: {attempts} workers took the call, and none of them finished it"
    return wire.encode({"value": None, "error": error_value("lost", text, retryable=False)})


def _close(cursor: Cursor, key: bytes, id: str, outcome_json: str | None) -> list[Knock]:
    """Ends a call. None: nobody waits for its outcome any more."""
    sql = "UPDATE call SET is_open = 0 WHERE id = ? AND is_open RETURNING job_id, handle_id"
    rows = cursor.execute(sql, (id,)).fetchall()
    if not rows or outcome_json is None:
        return []
    job_id, handle_id = rows[0]
    row = NewInboxRow(job_id, "call", inbox.callback_json(handle_id, outcome_json), f"call {id}")
    return [inbox.deliver_if_active(cursor, key, row)]


def beat_call(cursor: Cursor, id: str, attempt: int, until_ms: int) -> bool:
    """Lengthens a lease. False: the call is over, or another worker has it."""
    sql = "UPDATE call SET free_at_ms = ? WHERE id = ? AND attempt = ? AND is_open RETURNING 1"
    return bool(cursor.execute(sql, (until_ms, id, attempt)).fetchall())


def finish_call(cursor: Cursor, key: bytes, outcome: CallOutcome, now_ms: int) -> tuple[bool, list[Knock]]:
    """Takes what a worker says of its attempt. False: the call is over, or another worker has it."""
    sql = "SELECT attempt, attempts_max FROM call WHERE id = ? AND is_open"
    rows = cursor.execute(sql, (outcome.id,)).fetchall()
    if not rows or rows[0][0] != outcome.attempt:
        return False, []
    if outcome.is_retryable and outcome.attempt < rows[0][1]:
        free = "UPDATE call SET free_at_ms = ? WHERE id = ?"
        cursor.execute(free, (now_ms + outcome.retry_after_ms, outcome.id))
        return True, []
    return True, _close(cursor, key, outcome.id, outcome.data_json)
