"""Moving jobs between stores in SQLite: what leaves, what arrives, and that no job goes on in two stores.

A job that was moved out stays as it was, but `ended_as` says `moved`: nobody takes it up, its addresses serve nobody,
and its row keeps the state in which it left, so that it can be had back. An arrival is written as a new job is, with
hashes under this store's key.
"""

from __future__ import annotations

import time

import apsw

from fmsh.errors import StoreError, StoreFenced
from fmsh.store import chain, deletion, history, inbox, jobs, leases
from fmsh.store.base import ENDED_STATES, MOVED, InboxRow, Job, Lease, NewCallback, Snapshot, StoredEvent
from fmsh.store.moving import Belongings, BlobUse, Delivered, KeptBlob, KeptCallback

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from fmsh.store.database import Cursor, Database
    from fmsh.store.moving import Arrival, Piece
    from fmsh.store.presence import Presence
    from fmsh.store.watch import Watch

ROWS_AT_ONCE = 1000

INSERT_JOB = """
INSERT INTO job (id, uid, key, name, tags_json, source, command, program_hash, parent_id, created_at_ms, is_detached,
    state, wake_at_ms, steps, waiting_for_json, value_json, error_json, exit_status, ended_at_ms, at_terminal,
    head)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?) RETURNING id
"""
MOVE_OUT = f"""
UPDATE job SET ended_as = '{MOVED}', ended_at_ms = ?, ended_sum = ?, owner_id = NULL, due_at_ms = NULL
WHERE id = ? AND owner_id = ? AND epoch = ? AND head = ? AND ended_as IS NULL
    AND NOT EXISTS (SELECT 1 FROM inbox WHERE job_id = job.id AND inbox.id > ?)
"""
MOVE_BACK = f"""
UPDATE job SET ended_as = NULL, ended_sum = NULL, ended_at_ms = NULL WHERE id = ? AND ended_as = '{MOVED}' RETURNING id
"""


# -- leaving


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


# -- arriving


def is_here(database: Database, uid: str) -> bool:
    """Says whether a job is in this store, and was not moved out of it."""
    return bool(database.read(f"SELECT 1 FROM job WHERE uid = ? AND ended_as IS NOT '{MOVED}'", (uid,)))


def move_in(cursor: Cursor, key: bytes, arrival: Arrival, pieces: Iterator[Piece]) -> Job:
    """Writes a job that comes from another store, in place of what stayed behind here when it was moved out."""
    left = _left_behind(cursor, arrival)
    if left is not None:
        _require_continuation(cursor, arrival, left)
    try:
        row = _write(cursor, key, arrival, pieces, left)
    except apsw.ConstraintError as fault:
        raise StoreError(f"the job cannot be taken in: {fault}", hint="It was not written by fmsh as it is.") from fault
    return row


def _left_behind(cursor: Cursor, arrival: Arrival) -> Job | None:
    sql = f"SELECT {history.COLUMNS} FROM job WHERE uid = ?"
    found = [history.job_of(row) for row in cursor.execute(sql, (arrival.new.uid,)).fetchall()]
    if found and found[0].state != MOVED:
        raise StoreError(
            f"this job is here already: it is job {found[0].id}, and {found[0].state}",
            hint="A job that was moved out of a store can come back to it; a second copy cannot.",
        )
    sql = "SELECT id FROM job WHERE key = ? AND uid IS NOT ?"
    taken = cursor.execute(sql, (arrival.new.key, arrival.new.uid)).fetchall()
    if taken:
        raise StoreError(f"job {taken[0][0]} has the key {arrival.new.key!r} already", hint="A key names one job.")
    return found[0] if found else None


def _require_continuation(cursor: Cursor, arrival: Arrival, left: Job) -> None:
    if arrival.head < left.head:
        raise StoreError(
            f"job {left.id} had {left.head} events when it was moved from here, and this file of it has {arrival.head}",
            hint="It is of an earlier time: the job would do again what it has done since.",
        )


def _write(cursor: Cursor, key: bytes, arrival: Arrival, pieces: Iterator[Piece], left: Job | None) -> Job:
    jobs.keep_program(cursor, key, arrival.new.program)
    last = None
    unused: list[int] = []
    if left is not None:
        last = _event_at(cursor, left.id, left.head)
        unused = _delete(cursor, left.id)
    job_id = _insert_job(cursor, arrival, None if left is None else left.id)
    writer = _Writer(cursor, key, _row(cursor, job_id), arrival)
    for piece in pieces:
        writer.take(piece)
    writer.finish()
    for blob_id in unused:
        sql = "DELETE FROM blob WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM blob_use WHERE blob_id = ?1)"
        cursor.execute(sql, (blob_id,))
    if left is not None and _event_at(cursor, job_id, left.head) not in (None, last):
        raise StoreError(
            f"this file is not of what became of job {job_id} since it was moved from here: two copies of it went on",
            hint="Remove the one that was left here with `fmsh jobs rm`, if this is the one to go on.",
        )
    epoch = max(arrival.epoch, 0 if left is None else left.epoch)
    cursor.execute("UPDATE job SET epoch = max(epoch, ?) WHERE id = ?", (epoch, job_id))
    if arrival.summary.state in ENDED_STATES:
        leases.end(cursor, key, job_id, arrival.summary)
    else:
        leases.free(cursor, [job_id])
    return _row(cursor, job_id)


def _delete(cursor: Cursor, job_id: int) -> list[int]:
    """Deletes what stayed behind of a job, and gives the values that it used."""
    for table in ("event", *deletion.OF_A_JOB):
        cursor.execute(f"DELETE FROM {table} WHERE job_id = ?", (job_id,))
    cursor.execute("DELETE FROM job WHERE id = ?", (job_id,))
    return [row[0] for row in cursor.execute("DELETE FROM blob_use WHERE job_id = ? RETURNING blob_id", (job_id,))]


def _event_at(cursor: Cursor, job_id: int, seq: int) -> tuple[object, ...] | None:
    """What tells an event from another at the same place: of two copies that went on, no two agree in it."""
    sql = "SELECT seq, epoch, at_ms, type, step FROM event WHERE job_id = ? AND seq = ?"
    rows = cursor.execute(sql, (job_id, seq)).fetchall()
    return tuple(rows[0]) if rows else None


def _insert_job(cursor: Cursor, arrival: Arrival, job_id: int | None) -> int:
    new, summary = arrival.new, arrival.summary
    values = (
        job_id, new.uid, new.key, new.name, new.tags_json, new.source, new.command, new.program.hash, new.parent_id,
        new.created_at_ms, new.is_detached, summary.state, summary.wake_at_ms, summary.steps, summary.waiting_for_json,
        summary.value_json, summary.error_json, summary.exit_status, summary.ended_at_ms,
        max(0, arrival.trimmed_seq - 1),
    )  # fmt: skip
    return int(cursor.execute(INSERT_JOB, values).fetchall()[0][0])


def _row(cursor: Cursor, job_id: int) -> Job:
    sql = f"SELECT {history.COLUMNS} FROM job WHERE id = ?"
    return history.job_of(cursor.execute(sql, (job_id,)).fetchall()[0])


class _Writer:
    """Writes the pieces of one job. Events are gathered, and written in their epochs, as the triggers want it."""

    __slots__ = ("_cursor", "_key", "_lease", "_row", "_rows", "_snapshots", "_trimmed")

    def __init__(self, cursor: Cursor, key: bytes, row: Job, arrival: Arrival) -> None:
        self._cursor = cursor
        self._key = key
        self._row = row
        self._lease = Lease(row.id, row.epoch, row.head, chain.identity_hash(key, row))
        self._rows: list[tuple[object, ...]] = []
        self._snapshots: list[Snapshot] = []
        self._trimmed = (arrival.trimmed_seq, self._lease.chain)

    def take(self, piece: Piece) -> None:
        cursor, job_id = self._cursor, self._row.id
        if isinstance(piece, StoredEvent):
            self._add(piece)
        elif isinstance(piece, KeptBlob):
            history.keep_blobs(cursor, self._key, job_id, [(piece.hash, piece.data)], piece.until_seq)
        elif isinstance(piece, BlobUse):
            cursor.execute(history.USE_BLOB, (job_id, piece.until_seq, piece.hash))
        elif isinstance(piece, Snapshot):
            self._snapshots.append(piece)
        elif isinstance(piece, InboxRow):
            sum = chain.row_sum(self._key, job_id, piece.kind, piece.data_json)
            sql = "INSERT INTO inbox (job_id, at_ms, kind, data_json, sum) VALUES (?, ?, ?, ?, ?)"
            cursor.execute(sql, (job_id, piece.at_ms, piece.kind, piece.data_json, sum))
        elif isinstance(piece, Delivered):
            cursor.execute("INSERT INTO delivered VALUES (?, ?, ?)", (job_id, piece.dedupe_id, piece.at_ms))
        else:
            self._add_callback(piece)

    def _add(self, event: StoredEvent) -> None:
        lease = self._lease
        if event.epoch > lease.epoch:
            self._flush()
            lease.epoch = event.epoch
            self._cursor.execute("UPDATE job SET epoch = ? WHERE id = ?", (event.epoch, lease.job_id))
        (row,) = history.event_rows(self._key, lease, [event])
        lease.head, lease.chain = lease.head + 1, row[-1]
        self._rows.append(row)
        if len(self._rows) >= ROWS_AT_ONCE:
            self._flush()

    def _flush(self) -> None:
        self._cursor.executemany(history.INSERT_EVENT, self._rows)
        self._rows = []

    def _add_callback(self, kept: KeptCallback) -> None:
        new = NewCallback(**{field: getattr(kept.new, field) for field in kept.new.fields} | {"job_id": self._row.id})
        inbox.open_callback(self._cursor, self._key, new, time.time_ns() // 10**6)
        sql = "UPDATE callback SET used_by = ?, used_at_ms = ? WHERE token_hash = ?"
        self._cursor.execute(sql, (kept.used_by, kept.used_at_ms, new.token_hash))

    def finish(self) -> None:
        self._flush()
        if self._trimmed[0]:
            sql = "UPDATE job SET trimmed_seq = ?, trimmed_chain = ? WHERE id = ?"
            self._cursor.execute(sql, (*self._trimmed, self._row.id))
        for snapshot in self._snapshots:
            self._keep_snapshot(snapshot)

    def _keep_snapshot(self, snapshot: Snapshot) -> None:
        sql = "SELECT hash FROM event WHERE job_id = ? AND seq = ?"
        rows = self._cursor.execute(sql, (self._row.id, snapshot.seq)).fetchall()
        if rows:
            identity = chain.identity_hash(self._key, self._row)
            sum = chain.snapshot_sum(self._key, identity, snapshot.seq, rows[0][0], snapshot.state_json)
            values = (self._row.id, snapshot.seq, snapshot.state_json, rows[0][0], sum)
            self._cursor.execute("INSERT INTO snapshot VALUES (?, ?, ?, ?, ?)", values)
