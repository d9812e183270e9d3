"""Addresses that the lines of a session left to it, in SQLite: what comes there is for its later lines.

The session has a variable for each, `KEPT` and `kept_handle`. Of an address that takes one call it holds what came, and
all lines read that. For one that takes many it is `MANY`, and each call waits as a variable of its own until a job that
waits for one has it moved into its inbox. What that job has not taken at its end goes back, before what came since.
"""

from __future__ import annotations

import time

from fmsh import wire
from fmsh.store.base import KEPT, MANY, MOVED, NOTHING_CAME, NewInboxRow, kept_handle
from fmsh.store.inbox import Knock, callback_json, deliver_if_active, put
from fmsh.store.leases import topic_of_end

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from fmsh.store.base import KeptCalls
    from fmsh.store.database import Cursor, Database
    from fmsh.store.inbox import Address
    from fmsh.store.outside import Call

FIRST_CALL = 5_000_000_000  # in the middle of ten digits: calls go back before the first and come behind the last
WAITS = """
SELECT job_id, owner_id FROM subscription JOIN job ON job.id = job_id WHERE topic = ? AND ended_as IS NULL
ORDER BY state IN ('paused', 'parked'), job_id LIMIT 1
"""
IN_USE = """
SELECT name FROM session JOIN session_variable ON session.id = session_id
WHERE used_at_ms > ? AND substr(name, 1, ?) = ? AND value_json IN (?, ?)
"""


def opener_of(handle_id: str) -> int:
    """The job that opened an address, by `kept_handle` of it."""
    return int(handle_id.partition(".")[0])


def session_of(cursor: Cursor, address: Address) -> str | None:
    """The session to which a line that has ended left an address."""
    if address.ended_as in (None, MOVED):
        return None
    found = _variable(cursor, KEPT + kept_handle(address.job_id, address.handle_id))
    return None if found is None else found[0]


def keep_call(cursor: Cursor, key: bytes, address: Address, call: Call, dedupe_id: str) -> Knock:
    """Keeps what came to an address of a session, and tells the lines that wait for it."""
    assert address.session_id is not None
    handle_id = kept_handle(address.job_id, address.handle_id)
    name = KEPT + handle_id
    fresh = "INSERT OR IGNORE INTO delivered VALUES (?, ?, ?)"
    cursor.execute(fresh, (address.job_id, dedupe_id, call.now_ms))
    if address.is_many:
        _queue(cursor, address.session_id, name, [call.data_json])
        knocks = _serve(cursor, key, address.session_id, handle_id)
    else:
        kept = "UPDATE session_variable SET value_json = ? WHERE session_id = ? AND name = ?"
        cursor.execute(kept, (call.data_json, address.session_id, name))
        knocks = _tell(cursor, key, handle_id, call.data_json)
    return knocks[0] if knocks else Knock(is_new=False, holder_id=None)


def hear_of_call(cursor: Cursor, key: bytes, job_id: int, handle_id: str) -> list[Knock]:
    """Tells a job what came to an address of a session, or notes that it is to hear of it."""
    name = KEPT + handle_id
    session_id, came = _variable(cursor, name) or ("", NOTHING_CAME)
    if came not in (NOTHING_CAME, MANY):
        return [deliver_if_active(cursor, key, _row(job_id, handle_id, came))]
    if not _is_there(cursor, handle_id) and not _calls(cursor, session_id, name):
        return [deliver_if_active(cursor, key, _row(job_id, handle_id, gone(handle_id)))]
    if came == MANY and _waiting_rows(cursor, job_id, handle_id):
        return []
    cursor.execute("INSERT OR IGNORE INTO subscription VALUES (?, ?, ?, NULL, 0)", (job_id, name, topic_of_end(name)))
    return _serve(cursor, key, session_id, handle_id) if came == MANY else []


def settled(cursor: Cursor, name: str, value: str) -> str:
    """The variable of an address that takes one call, with what came, and was not taken, while its line ended."""
    id = name.removeprefix(KEPT)
    rows = _waiting_rows(cursor, opener_of(id), id.partition(".")[2]) if value == NOTHING_CAME else []
    return rows[0][1] if rows else value


def give_back(cursor: Cursor, key: bytes, job_id: int, kept: KeptCalls) -> list[Knock]:
    """Takes back what a job that has ended was told of an address and has not taken; others are told of it."""
    handle_id, name = kept.handle_id, KEPT + kept.handle_id
    cursor.execute("DELETE FROM subscription WHERE job_id = ? AND handle_id = ?", (job_id, name))
    found = _variable(cursor, name)
    if found is None:
        return []
    own_id = handle_id.removeprefix(f"{job_id}.")
    rows = _waiting_rows(cursor, job_id, own_id)
    cursor.executemany("DELETE FROM inbox WHERE id = ?", [(row_id,) for row_id, _ in rows])
    _queue(cursor, found[0], name, [*kept.calls, *(data_json for _, data_json in rows)], is_in_front=True)
    return _serve(cursor, key, found[0], handle_id)


def close(cursor: Cursor, key: bytes, job_id: int, handle_id: str | None = None) -> list[Knock]:
    """Tells those who wait for an address, or for any of a job, that it is not kept any more."""
    knocks: list[Knock] = []
    sql = "SELECT handle_id FROM callback WHERE job_id = ? AND (?2 IS NULL OR handle_id = ?2)"
    for (own_id,) in cursor.execute(sql, (job_id, handle_id)).fetchall():
        kept_id = kept_handle(job_id, own_id)
        knocks += _tell(cursor, key, kept_id, gone(kept_id))
    return knocks


def lines_in_use(database: Database, since_ms: int) -> set[int]:
    names = database.read(IN_USE, (since_ms, len(KEPT), KEPT, NOTHING_CAME, MANY))
    return {opener_of(name.removeprefix(KEPT)) for (name,) in names}


def _variable(cursor: Cursor, name: str) -> tuple[str, str] | None:
    sql = "SELECT session_id, value_json FROM session_variable WHERE name = ?"
    rows = cursor.execute(sql, (name,)).fetchall()
    return rows[0] if rows else None


def _is_there(cursor: Cursor, handle_id: str) -> bool:
    sql = "SELECT 1 FROM callback WHERE job_id = ? AND handle_id = ?"
    return bool(cursor.execute(sql, (opener_of(handle_id), handle_id.partition(".")[2])).fetchall())


def gone(handle_id: str) -> str:
    """What is delivered instead of a call."""
    return wire.encode({"gone": f"the address is not kept any more: job {opener_of(handle_id)} had opened it"})


def _row(job_id: int, handle_id: str, data_json: str) -> NewInboxRow:
    return NewInboxRow(job_id, "callback", callback_json(handle_id, data_json), KEPT + handle_id)


def _tell(cursor: Cursor, key: bytes, handle_id: str, data_json: str) -> list[Knock]:
    rows = cursor.execute("SELECT job_id FROM subscription WHERE topic = ?", (topic_of_end(KEPT + handle_id),))
    return [deliver_if_active(cursor, key, _row(job_id, handle_id, data_json)) for (job_id,) in rows.fetchall()]


def _waiting_rows(cursor: Cursor, job_id: int, handle_id: str) -> list[tuple[int, str]]:
    """What came to a handle and waits in the inbox of a job: the row, and the call."""
    beginning = callback_json(handle_id, "").removesuffix("}")
    sql = "SELECT id, data_json FROM inbox WHERE job_id = ? AND kind = 'callback' ORDER BY id"
    rows = cursor.execute(sql, (job_id,)).fetchall()
    return [(id, text[len(beginning) : -1]) for id, text in rows if text.startswith(beginning)]


def _calls(cursor: Cursor, session_id: str, name: str) -> tuple[str, str] | None:
    """The first call that waits, and its variable."""
    sql = """SELECT name, value_json FROM session_variable WHERE session_id = ? AND name > ? AND name < ?
    ORDER BY name LIMIT 1"""
    rows = cursor.execute(sql, (session_id, f"{name} ", f"{name}!")).fetchall()
    return rows[0] if rows else None


def _queue(cursor: Cursor, session_id: str, name: str, calls: Sequence[str], *, is_in_front: bool = False) -> None:
    end = "min" if is_in_front else "max"
    sql = f"SELECT {end}(name) FROM session_variable WHERE session_id = ? AND name > ? AND name < ?"
    ((last,),) = cursor.execute(sql, (session_id, f"{name} ", f"{name}!")).fetchall()
    number = FIRST_CALL if last is None else int(last.rpartition(" ")[2])
    first = number - len(calls) if is_in_front else number + 1
    rows = [(session_id, f"{name} {first + index:010d}", call) for index, call in enumerate(calls)]
    cursor.executemany("INSERT INTO session_variable VALUES (?, ?, ?)", rows)


def _serve(cursor: Cursor, key: bytes, session_id: str, handle_id: str) -> list[Knock]:
    """Moves calls into the inboxes of the jobs that wait for one, one for each."""
    name, knocks = KEPT + handle_id, list[Knock]()
    while call := _calls(cursor, session_id, name):
        waiting = cursor.execute(WAITS, (topic_of_end(name),)).fetchall()
        if not waiting:
            break
        job_id, holder_id = waiting[0]
        cursor.execute("DELETE FROM session_variable WHERE session_id = ? AND name = ?", (session_id, call[0]))
        cursor.execute("DELETE FROM subscription WHERE job_id = ? AND handle_id = ?", (job_id, name))
        put(cursor, key, job_id, "callback", callback_json(handle_id, call[1]), time.time_ns() // 10**6)
        knocks.append(Knock(is_new=True, holder_id=holder_id))
    return knocks
