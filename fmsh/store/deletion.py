"""Deleting in SQLite: old events of active jobs, large values and the whole of ended ones. Triggers refuse all else.

Nothing here keeps the gate for long: what is long is deleted a few rows at a time, each time in a transaction of its
own. So that a process may die between two of them, the job's row says first how far its history is gone (`trimmed_seq`,
with the hash of the event before it); what still lies below that is read by nobody, and goes with the next call.
"""

from __future__ import annotations

from fmsh.errors import StoreError
from fmsh.store import addresses, history

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fmsh.store.database import Cursor, Database
    from fmsh.store.inbox import Knock

ROWS_MAX = 2000  # in one transaction: they are overwritten with zeros, some 10 ms
BYTES_OF_A_ROW = 512  # a large value counts as many
PAGES_MOVED = 250  # in one transaction: 1 MiB
PAGES_SPARE = 256  # free ones that the next commits use; to give them back only to take them again costs both times
SNAPSHOTS_LOOKED_AT = 1000  # those of a million events

OLD_SNAPSHOTS = """
SELECT snapshot.seq, event.at_ms FROM snapshot JOIN event ON event.job_id = snapshot.job_id AND event.seq = snapshot.seq
WHERE snapshot.job_id = ?1 AND snapshot.seq > (SELECT trimmed_seq FROM job WHERE id = ?1 AND ended_as IS NULL)
ORDER BY snapshot.seq LIMIT ?2
"""
MARK = """
UPDATE job SET trimmed_seq = ?1, trimmed_at_ms = ?2,
    trimmed_chain = (SELECT hash FROM event WHERE job_id = job.id AND seq = ?1 - 1)
WHERE id = ?3 AND trimmed_seq < ?1 AND ?1 > 1
"""
# The tables of a job, and what names a row of each: a job may have more of any than one transaction should delete.
OF_A_JOB = {
    "snapshot": "rowid",
    "inbox": "id",
    "delivered": "dedupe_id",
    "callback": "token_hash",
    "reply": "request_id",
    "subscription": "handle_id",
    "call": "id",
    "claim": "id",
}

OLD_DELIVERIES = "SELECT job_id, dedupe_id FROM delivered WHERE at_ms < ?1 LIMIT ?2"
OLD_CALLBACKS = """
SELECT rowid FROM callback WHERE (used_at_ms < ?1 AND NOT is_many) OR expires_at_ms < ?1 LIMIT ?2
"""
OLD_EVENTS = "SELECT seq FROM topic_event WHERE at_ms < ?1 LIMIT ?2"
OLD_PACES = "SELECT name FROM pace WHERE next_at_us < ?1 * 1000 LIMIT ?2"
OLD_CALLS = "SELECT rowid FROM call WHERE (NOT is_open AND free_at_ms < ?1) OR expires_at_ms < ?1 LIMIT ?2"
OLD_REPLIES = "SELECT request_id FROM reply WHERE at_ms < ?1 LIMIT ?2"


class Room:
    """How many rows the current transaction may still delete."""

    __slots__ = ("rows",)

    def __init__(self) -> None:
        self.rows = ROWS_MAX

    def spend(self, rows: int) -> None:
        self.rows -= rows

    @property
    def is_left(self) -> bool:
        return self.rows > 0


def trim(database: Database, job_id: int, before_ms: int, now_ms: int) -> int:
    """Deletes the events before the newest snapshot of an active job that is older than `before_ms`."""
    seq = _old_snapshot(database, job_id, before_ms)

    def work(cursor: Cursor, room: Room) -> bool:
        rows = cursor.execute("SELECT trimmed_seq FROM job WHERE id = ? AND ended_as IS NULL", (job_id,)).fetchall()
        if not rows:
            return True
        if seq is not None:
            cursor.execute(MARK, (seq, now_ms, job_id))
        return _delete_events(cursor, room, job_id, max(seq or 0, rows[0][0]))

    left = "SELECT 1 FROM event WHERE job_id = ?1 AND seq < (SELECT trimmed_seq FROM job WHERE id = ?1) LIMIT 1"
    return _in_turns(database, work) if seq is not None or database.read(left, (job_id,)) else 0


def _old_snapshot(database: Database, job_id: int, before_ms: int) -> int | None:
    """Finds the newest sound snapshot of that age. Time only seems to go back: after a younger one none is older."""
    old = 0
    for seq, at_ms in database.read(OLD_SNAPSHOTS, (job_id, SNAPSHOTS_LOOKED_AT)):
        if at_ms >= before_ms:
            break
        old = seq
    found = history.snapshot(database, job_id, old) if old else None
    return found.seq if found is not None else None


def remove_outputs(database: Database, job_ids: Sequence[int], now_ms: int) -> int:
    """Deletes the large values of ended jobs, but those that last as long as their job."""
    waiting = list(job_ids)

    def work(cursor: Cursor, room: Room) -> bool:
        while waiting and room.is_left:
            if _require_ended(cursor, waiting[-1]) is not None:
                if not _drop_blobs(cursor, room, waiting[-1], "until_seq IS NOT NULL"):
                    return False
                cursor.execute("UPDATE job SET output_removed_at_ms = ? WHERE id = ?", (now_ms, waiting[-1]))
            room.spend(1)
            waiting.pop()
        return not waiting

    return _in_turns(database, work)


def remove_jobs(
    database: Database, job_ids: Sequence[int], now_ms: int, wake: Callable[[Sequence[Knock]], None]
) -> int:
    """Deletes ended jobs. A program goes with the last job that runs it.

    Afterwards `wake` is called for the jobs that waited for an address of one.
    """
    waiting = list(job_ids)
    knocks: list[Knock] = []

    def work(cursor: Cursor, room: Room) -> bool:
        while waiting and room.is_left:
            knocks.extend(addresses.close(cursor, database.key, waiting[-1]))
            if not _remove_job(cursor, room, waiting[-1], now_ms):
                return False
            waiting.pop()
        return not waiting

    freed = _in_turns(database, work)
    wake(knocks)
    return freed


def _in_turns(database: Database, work: Callable[[Cursor, Room], bool]) -> int:
    """Calls `work` in one transaction after another until it says that it is done; gives the bytes that became free.

    Raises: StoreError: as much of it is done as had been before that turn.
    """
    freed = 0
    is_done = False
    while not is_done:

        def turn(cursor: Cursor) -> tuple[bool, int]:
            before = _bytes_used(cursor)
            return work(cursor, Room()), before - _bytes_used(cursor)

        is_done, bytes_freed = database.write(turn)
        freed += bytes_freed
    return freed


def _bytes_used(cursor: Cursor) -> int:
    pages, free, size = (
        cursor.execute(f"PRAGMA {name}").fetchall()[0][0] for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)


def _require_ended(cursor: Cursor, job_id: int) -> tuple[str, int] | None:
    """Gives the program and the head of an ended job; None: it is not there."""
    rows = cursor.execute("SELECT ended_as IS NOT NULL, program_hash, head FROM job WHERE id = ?", (job_id,)).fetchall()
    if not rows:
        return None
    has_ended, program_hash, head = rows[0]
    if not has_ended:
        raise StoreError(f"job {job_id} is active, and only ended jobs are removed", hint="Cancel it first.")
    return program_hash, head


def _remove_job(cursor: Cursor, room: Room, job_id: int, now_ms: int) -> bool:
    found = _require_ended(cursor, job_id)
    if found is None:
        return True
    program_hash, head = found
    cursor.execute(MARK, (head, now_ms, job_id))
    if not _delete_events(cursor, room, job_id, head) or not _drop_blobs(cursor, room, job_id, "TRUE"):
        return False
    for table, name in OF_A_JOB.items():
        if not _delete(cursor, room, table, name, "job_id = ?", job_id):
            return False
    cursor.execute("DELETE FROM event WHERE job_id = ?", (job_id,))
    cursor.execute("DELETE FROM job WHERE id = ?", (job_id,))
    unused = "DELETE FROM program WHERE hash = ?1 AND NOT EXISTS (SELECT 1 FROM job WHERE program_hash = ?1)"
    cursor.execute(unused, (program_hash,))
    room.spend(2)
    return True


def _delete_events(cursor: Cursor, room: Room, job_id: int, below_seq: int) -> bool:
    """Deletes events below the mark with what only they and older snapshots need. False: there is more."""
    below = "job_id = ? AND seq < ?"
    if not _delete(cursor, room, "event", "seq", below, job_id, below_seq):
        return False
    if not _delete(cursor, room, "snapshot", "seq", below, job_id, below_seq):
        return False
    return _drop_blobs(cursor, room, job_id, "until_seq < ?", below_seq)


def _delete(cursor: Cursor, room: Room, table: str, name: str, where: str, job_id: int, *values: object) -> bool:
    """Deletes rows of a job, as many as there is room for. False: there are more. `name` names a row within its job."""
    some = f"SELECT {name} FROM {table} WHERE {where} ORDER BY {name} LIMIT ?"
    before = cursor.connection.total_changes()
    cursor.execute(f"DELETE FROM {table} WHERE job_id = ? AND {name} IN ({some})", (job_id, job_id, *values, room.rows))
    room.spend(cursor.connection.total_changes() - before)
    return room.is_left


def _drop_blobs(cursor: Cursor, room: Room, job_id: int, where: str, *values: object) -> bool:
    """Takes the use of blobs from a job, and deletes those that nobody uses any more. False: there are more."""
    sql = f"SELECT blob_id, length(data) FROM blob_use JOIN blob ON id = blob_id WHERE job_id = ? AND {where} LIMIT ?"
    for blob_id, size in cursor.execute(sql, (job_id, *values, max(room.rows, 1))).fetchall():
        if not room.is_left:
            return False
        cursor.execute("DELETE FROM blob_use WHERE job_id = ? AND blob_id = ?", (job_id, blob_id))
        unused = "SELECT 1 FROM blob_use WHERE blob_id = ?"
        if not cursor.execute(unused, (blob_id,)).fetchall():
            cursor.execute("DELETE FROM blob WHERE id = ?", (blob_id,))
            room.spend(size // BYTES_OF_A_ROW)
        room.spend(1)
    return room.is_left


def forget_deliveries(database: Database, before_ms: int) -> int:
    """Deletes the notes of old deliveries, and the addresses and calls that were used up or ran out as long ago."""

    def work(cursor: Cursor, room: Room) -> bool:
        before = cursor.connection.total_changes()
        cursor.execute(f"DELETE FROM delivered WHERE (job_id, dedupe_id) IN ({OLD_DELIVERIES})", (before_ms, room.rows))
        cursor.execute(f"DELETE FROM callback WHERE rowid IN ({OLD_CALLBACKS})", (before_ms, room.rows))
        cursor.execute(f"DELETE FROM call WHERE rowid IN ({OLD_CALLS})", (before_ms, room.rows))
        cursor.execute(f"DELETE FROM reply WHERE request_id IN ({OLD_REPLIES})", (before_ms, room.rows))
        cursor.execute(f"DELETE FROM topic_event WHERE seq IN ({OLD_EVENTS})", (before_ms, room.rows))
        cursor.execute(f"DELETE FROM pace WHERE name IN ({OLD_PACES})", (before_ms, room.rows))
        return cursor.connection.total_changes() == before

    looks = (OLD_DELIVERIES, OLD_CALLBACKS, OLD_CALLS, OLD_REPLIES, OLD_EVENTS, OLD_PACES)
    return _in_turns(database, work) if any(database.read(look, (before_ms, 1)) for look in looks) else 0


def shrink(database: Database) -> None:
    """Moves pages from the end of the file into free ones and cuts it, a little in each transaction."""

    def work(cursor: Cursor) -> bool:
        free = cursor.execute("PRAGMA freelist_count").fetchall()[0][0] - PAGES_SPARE
        if free > 0:
            cursor.execute(f"PRAGMA incremental_vacuum({min(free, PAGES_MOVED)})").fetchall()
        return bool(free > PAGES_MOVED)

    if database.read("PRAGMA freelist_count")[0][0] > PAGES_SPARE:
        while database.write(work):
            pass
    database.fold()
