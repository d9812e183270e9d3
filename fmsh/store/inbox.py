"""How others reach a job in SQLite: rows in its inbox, and the addresses under which the world may call it."""

from __future__ import annotations

import time
from _json import encode_basestring

from fmsh.errors import StoreError, StoreMissing
from fmsh.store import chain, faults
from fmsh.store.base import MOVED, Delivery, InboxRow, NewCallback
from fmsh.store.moving import KeptCallback

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fmsh.store.base import NewInboxRow
    from fmsh.store.database import Cursor, Reader


class Knock:
    """What a delivery found: whether it was new, and who has to be woken for it."""

    __slots__ = ("holder_id", "is_new")

    def __init__(self, *, is_new: bool, holder_id: str | None) -> None:
        self.is_new = is_new
        self.holder_id = holder_id


def deliver(cursor: Cursor, key: bytes, job_id: int, kind: str, data_json: str, dedupe_id: str) -> Knock:
    """Puts a row into the inbox of a job, unless `dedupe_id` was there before."""
    rows = cursor.execute("SELECT owner_id, ended_as FROM job WHERE id = ?", (job_id,)).fetchall()
    if not rows:
        raise StoreMissing(f"there is no job {job_id}")
    if rows[0][1] == MOVED:
        raise StoreError(f"job {job_id} was moved to another store", hint="Nothing can be asked of it here.")
    at_ms = time.time_ns() // 1_000_000
    fresh = "INSERT OR IGNORE INTO delivered VALUES (?, ?, ?) RETURNING 1"
    if not cursor.execute(fresh, (job_id, dedupe_id, at_ms)).fetchall():
        return Knock(is_new=False, holder_id=rows[0][0])
    cursor.execute(
        "INSERT INTO inbox (job_id, at_ms, kind, data_json, sum) VALUES (?, ?, ?, ?, ?)",
        (job_id, at_ms, kind, data_json, chain.row_sum(key, job_id, kind, data_json)),
    )
    return Knock(is_new=True, holder_id=rows[0][0])


def deliver_if_active(cursor: Cursor, key: bytes, row: NewInboxRow) -> Knock:
    """Puts a row into the inbox of a job that is neither gone nor over."""
    if not cursor.execute("SELECT 1 FROM job WHERE id = ? AND ended_as IS NULL", (row.job_id,)).fetchall():
        return Knock(is_new=False, holder_id=None)
    return deliver(cursor, key, row.job_id, row.kind, row.data_json, row.dedupe_id)


def callback_json(handle_id: str, data_json: str) -> str:
    """The data of a delivery's row: which handle was called, and what came."""
    return f'{{"handle":{encode_basestring(handle_id)},"delivery":{data_json}}}'


def rows(database: Reader, job_id: int) -> list[InboxRow]:
    """Gives what waits in the inbox of a job, in the order of its arrival."""
    sql = "SELECT id, job_id, at_ms, kind, data_json, sum FROM inbox WHERE job_id = ? ORDER BY id"
    found = []
    for *values, sum in database.read(sql, (job_id,)):
        row = InboxRow(*values)
        if chain.row_sum(database.key, row.job_id, row.kind, row.data_json) != sum:
            raise faults.changed(f"inbox row {row.id} of job {job_id}")
        found.append(row)
    return found


def open_callback(cursor: Cursor, key: bytes, new: NewCallback) -> None:
    """Opens an address, or gives an open one a new token. One that was used up stays used up."""
    values = (new.token_hash, new.job_id, new.handle_id, new.expires_at_ms, " ".join(new.methods), int(new.is_many))
    cursor.execute(
        """INSERT INTO callback VALUES (?, ?, ?, ?, ?, ?, NULL, ?, NULL) ON CONFLICT (job_id, handle_id) DO UPDATE SET
        token_hash = excluded.token_hash, expires_at_ms = excluded.expires_at_ms, methods = excluded.methods,
        is_many = excluded.is_many, sum = excluded.sum""",
        (*values, chain.row_sum(key, *values)),
    )


def callbacks(database: Reader, job_id: int) -> list[KeptCallback]:
    """Gives the addresses of a job."""
    sql = """SELECT token_hash, job_id, handle_id, expires_at_ms, methods, is_many, sum, used_by, used_at_ms
        FROM callback WHERE job_id = ? ORDER BY handle_id"""
    found = []
    for *kept, sum, used_by, used_at_ms in database.read(sql, (job_id,)):
        if chain.row_sum(database.key, *kept) != sum:
            raise faults.changed(f"an address of job {job_id}")
        token_hash, _, handle_id, expires_at_ms, methods, is_many = kept
        new = NewCallback(job_id, handle_id, token_hash, expires_at_ms, tuple(methods.split()), bool(is_many))
        found.append(KeptCallback(new, used_by, used_at_ms))
    return found


class Call:
    """One call of an address, as it came."""

    __slots__ = ("data_json", "dedupe_id", "method", "now_ms", "token_hash")

    def __init__(self, token_hash: bytes, data_json: str, *, dedupe_id: str, method: str, now_ms: int) -> None:
        self.token_hash = token_hash
        self.data_json = data_json
        self.dedupe_id = dedupe_id
        self.method = method
        self.now_ms = now_ms


def deliver_callback(cursor: Cursor, key: bytes, call: Call) -> tuple[Delivery, Knock] | None:
    """Accepts a call of an address, or says nothing of why not. A repeat is still a repeat after use and expiry."""
    found = cursor.execute(
        """SELECT token_hash, job_id, handle_id, expires_at_ms, methods, is_many, sum, used_by, ended_as
        FROM callback JOIN job ON job.id = job_id WHERE token_hash = ?""",
        (call.token_hash,),
    ).fetchall()
    if not found:
        return None
    *kept, sum, used_by, ended_as = found[0]
    if chain.row_sum(key, *kept) != sum:
        raise faults.changed("the address that was called")
    _, job_id, handle_id, expires_at_ms, methods, is_many = kept
    if call.method not in methods.split():
        return None
    dedupe_id = f"callback {handle_id} {call.dedupe_id}"
    sql = "SELECT 1 FROM delivered WHERE job_id = ? AND dedupe_id = ?"
    if cursor.execute(sql, (job_id, dedupe_id)).fetchall():
        return Delivery(job_id, True), Knock(is_new=False, holder_id=None)
    is_over = ended_as not in (None, MOVED) or (expires_at_ms is not None and expires_at_ms <= call.now_ms)
    if is_over or (used_by is not None and not is_many):
        return None
    if ended_as == MOVED:
        return Delivery(job_id, False, is_moved=True), Knock(is_new=False, holder_id=None)
    used = "UPDATE callback SET used_by = ?, used_at_ms = ? WHERE token_hash = ?"
    cursor.execute(used, (call.dedupe_id, call.now_ms, call.token_hash))
    data_json = callback_json(handle_id, call.data_json)
    return Delivery(job_id, False), deliver(cursor, key, job_id, "callback", data_json, dedupe_id)
