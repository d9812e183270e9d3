"""How others reach a job in SQLite: rows in its inbox, and the addresses under which the world may call it."""

from __future__ import annotations

import time
from _json import encode_basestring

from fmsh.errors import StoreError, StoreMissing, StoreTaken
from fmsh.store import chain, faults
from fmsh.store.base import MOVED, Delivery, InboxRow, NewCallback, NewInboxRow
from fmsh.store.leases import topic_of_end
from fmsh.store.moving import KeptCallback

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from fmsh.store.database import Cursor, Reader
    from fmsh.store.outside import Call

NO_OPTIONS = "{}"
ADDRESS = "token_hash, job_id, handle_id, expires_at_ms, methods, is_many, options_json"


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
    put(cursor, key, job_id, kind, data_json, at_ms)
    return Knock(is_new=True, holder_id=rows[0][0])


def put(cursor: Cursor, key: bytes, job_id: int, kind: str, data_json: str, at_ms: int) -> None:
    """Puts a row into the inbox of a job, whatever came before."""
    cursor.execute(
        "INSERT INTO inbox (job_id, at_ms, kind, data_json, sum) VALUES (?, ?, ?, ?, ?)",
        (job_id, at_ms, kind, data_json, chain.row_sum(key, job_id, kind, data_json)),
    )


def deliver_if_active(cursor: Cursor, key: bytes, row: NewInboxRow) -> Knock:
    """Puts a row into the inbox of a job that is neither gone nor over."""
    if not cursor.execute("SELECT 1 FROM job WHERE id = ? AND ended_as IS NULL", (row.job_id,)).fetchall():
        return Knock(is_new=False, holder_id=None)
    return deliver(cursor, key, row.job_id, row.kind, row.text(), row.dedupe_id)


def deliver_news(cursor: Cursor, key: bytes, row: NewInboxRow) -> list[Knock]:
    """Tells a job something; the end of a job also all that are to hear of it (`hear_of_end`)."""
    told = {row.job_id: row}
    if row.kind == "job":
        sql = "SELECT job_id FROM subscription WHERE topic = ?"
        for (job_id,) in cursor.execute(sql, (topic_of_end(row.dedupe_id),)).fetchall():
            told[job_id] = row.replace(job_id=job_id)
    return [deliver_if_active(cursor, key, each) for each in told.values()]


def hear_of_end(cursor: Cursor, job_id: int, of: int) -> bool:
    """Notes that a job is to hear of the end of another. False: that is over, or gone."""
    rows = cursor.execute("SELECT 1 FROM job WHERE id = ? AND ended_as IS NULL", (of,)).fetchall()
    if rows:
        values = (job_id, f"job {of}", topic_of_end(f"job {of}"))
        cursor.execute("INSERT OR IGNORE INTO subscription VALUES (?, ?, ?, NULL, 0)", values)
    return bool(rows)


def callback_json(handle_id: str, data_json: str) -> str:
    """The data of a delivery's row: which handle was called, and what came."""
    return f'{{"handle":{encode_basestring(handle_id)},"delivery":{data_json}}}'


def rows(
    database: Reader, job_id: int, after: int = 0, limit: int | None = None, kind: str | None = None
) -> list[InboxRow]:
    """Gives what waits in the inbox of a job, in the order of its arrival."""
    where, values_of = ("AND kind = ?", (kind,)) if kind is not None else ("", ())
    sql = f"""SELECT id, job_id, at_ms, kind, data_json, sum FROM inbox WHERE job_id = ? AND id > ? {where}
    ORDER BY id LIMIT ?"""
    found = []
    for *values, sum in database.read(sql, (job_id, after, *values_of, -1 if limit is None else limit)):
        row = InboxRow(*values)
        if chain.row_sum(database.key, row.job_id, row.kind, row.data_json) != sum:
            raise faults.changed(f"inbox row {row.id} of job {job_id}")
        found.append(row)
    return found


def open_callback(cursor: Cursor, key: bytes, new: NewCallback, now_ms: int) -> list[Knock]:
    """Opens an address, or gives an open one a new token. One that was used up stays used up.

    Gives the knocks of those who waited at the handle that had the address before.

    Raises: StoreTaken: another handle has the address, and it is open there.
    """
    knocks = _take_over(cursor, key, new, now_ms)
    values = (
        new.token_hash, new.job_id, new.handle_id, new.expires_at_ms, " ".join(new.methods), int(new.is_many),
        new.options_json,
    )  # fmt: skip
    cursor.execute(
        """INSERT INTO callback VALUES (?, ?, ?, ?, ?, ?, NULL, ?, NULL, ?) ON CONFLICT (job_id, handle_id)
        DO UPDATE SET token_hash = excluded.token_hash, expires_at_ms = excluded.expires_at_ms,
        methods = excluded.methods, is_many = excluded.is_many, sum = excluded.sum,
        options_json = excluded.options_json""",
        (*values[:-1], address_sum(key, values), new.options_json),
    )
    return knocks


def address_sum(key: bytes, kept: Sequence[object]) -> bytes:
    """The sum of an address; one without options has that of the time before there were any."""
    return chain.row_sum(key, *(kept if kept[-1] != NO_OPTIONS else kept[:-1]))  # type: ignore[arg-type]


def _take_over(cursor: Cursor, key: bytes, new: NewCallback, now_ms: int) -> list[Knock]:
    """Takes an address from the handle that had it before, with the notes of what was delivered there."""
    found = _address(cursor, key, new.token_hash)
    if found is None or (found.job_id, found.handle_id) == (new.job_id, new.handle_id):
        return []
    if not found.is_over(now_ms):
        raise StoreTaken(f"job {found.job_id} has this address, and is open there")
    from fmsh.store import addresses  # few are taken over

    knocks = addresses.close(cursor, key, found.job_id, found.handle_id)
    cursor.execute("DELETE FROM callback WHERE token_hash = ?", (new.token_hash,))
    before, now = (f"callback {handle_id} " for handle_id in (found.handle_id, new.handle_id))
    cursor.execute(
        """INSERT OR IGNORE INTO delivered SELECT ?1, ?2 || substr(dedupe_id, length(?3) + 1), at_ms FROM delivered
        WHERE job_id = ?4 AND substr(dedupe_id, 1, length(?3)) = ?3""",
        (new.job_id, now, before, found.job_id),
    )
    return knocks


def callbacks(database: Reader, job_id: int) -> list[KeptCallback]:
    """Gives the addresses of a job."""
    sql = f"SELECT {ADDRESS}, sum, used_by, used_at_ms FROM callback WHERE job_id = ? ORDER BY handle_id"
    found = []
    for *kept, sum, used_by, used_at_ms in database.read(sql, (job_id,)):
        if address_sum(database.key, kept) != sum:
            raise faults.changed(f"an address of job {job_id}")
        token_hash, _, handle_id, expires_at_ms, methods, is_many, options = kept
        new = NewCallback(job_id, handle_id, token_hash, expires_at_ms, tuple(methods.split()), bool(is_many), options)
        found.append(KeptCallback(new, used_by, used_at_ms))
    return found


def callback_options(database: Reader, token_hash: bytes) -> str | None:
    rows = database.read("SELECT options_json FROM callback WHERE token_hash = ?", (token_hash,))
    return rows[0][0] if rows else None


class Address:
    """An address as it is kept."""

    __slots__ = ("ended_as", "expires_at_ms", "handle_id", "is_many", "job_id", "methods", "session_id", "used_by")

    def __init__(self, kept: list[Any], used_by: str | None, ended_as: str | None) -> None:
        _, self.job_id, self.handle_id, self.expires_at_ms, methods, self.is_many, _ = kept
        self.methods = methods.split()
        self.used_by = used_by
        self.ended_as = ended_as
        self.session_id: str | None = None  # of which the address is, now that its line has ended

    def is_over(self, now_ms: int) -> bool:
        """Whether it takes nothing new. One of a job that was moved is not over: it is open elsewhere."""
        is_past = self.expires_at_ms is not None and self.expires_at_ms <= now_ms
        has_ended = self.ended_as not in (None, MOVED) and self.session_id is None
        return has_ended or is_past or (self.used_by is not None and not self.is_many)


def _address(cursor: Cursor, key: bytes, token_hash: bytes) -> Address | None:
    sql = f"SELECT {ADDRESS}, sum, used_by, ended_as FROM callback JOIN job ON job.id = job_id WHERE token_hash = ?"
    rows = cursor.execute(sql, (token_hash,)).fetchall()
    if not rows:
        return None
    *kept, sum, used_by, ended_as = rows[0]
    if address_sum(key, kept) != sum:
        raise faults.changed("the address that was called")
    return Address(kept, used_by, ended_as)


def deliver_callback(cursor: Cursor, key: bytes, call: Call) -> tuple[Delivery, Knock] | None:
    """Accepts a call of an address, or says nothing of why not. A repeat is still a repeat after use and expiry."""
    address = _address(cursor, key, call.token_hash)
    if address is None or call.method not in address.methods:
        return None
    job_id = address.job_id
    if address.ended_as is not None:
        from fmsh.store import addresses  # few are left to a session

        address.session_id = addresses.session_of(cursor, address)
    dedupe_id = f"callback {address.handle_id} {call.dedupe_id}"
    sql = "SELECT 1 FROM delivered WHERE job_id = ? AND dedupe_id = ?"
    if cursor.execute(sql, (job_id, dedupe_id)).fetchall():
        return Delivery(job_id, True), Knock(is_new=False, holder_id=None)
    if address.is_over(call.now_ms):
        return None
    if address.ended_as == MOVED:
        return Delivery(job_id, False, is_moved=True), Knock(is_new=False, holder_id=None)
    used = "UPDATE callback SET used_by = ?, used_at_ms = ? WHERE token_hash = ?"
    cursor.execute(used, (call.dedupe_id, call.now_ms, call.token_hash))
    if address.session_id is not None:
        return Delivery(job_id, False), addresses.keep_call(cursor, key, address, call, dedupe_id)
    data_json = callback_json(address.handle_id, call.data_json)
    return Delivery(job_id, False), deliver(cursor, key, job_id, "callback", data_json, dedupe_id)


def reply(cursor: Cursor, key: bytes, job_id: int, request_id: str, data_json: str) -> bool:
    """Keeps what a job answers to a call, unless it was answered before."""
    sum = chain.row_sum(key, request_id, job_id, data_json)
    sql = "INSERT OR IGNORE INTO reply VALUES (?, ?, ?, ?, ?) RETURNING 1"
    return bool(cursor.execute(sql, (request_id, job_id, time.time_ns() // 10**6, data_json, sum)).fetchall())


def reply_to(database: Reader, request_id: str) -> str | None:
    for job_id, data_json, sum in database.read(
        "SELECT job_id, data_json, sum FROM reply WHERE request_id = ?", (request_id,)
    ):
        if chain.row_sum(database.key, request_id, job_id, data_json) != sum:
            raise faults.changed(f"an answer of job {job_id} to a call")
        return str(data_json)
    return None
