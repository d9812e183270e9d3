"""A job that comes from another store into SQLite, in place of what stayed behind here when it was moved out.

It is written as a new job is, with hashes under this store's key. All that takes long is done before the transaction:
what comes is read, checked and hashed, and laid aside in a database of its own; others wait while it is copied only.
"""

from __future__ import annotations

import itertools
import time

import apsw

from fmsh.errors import StoreBusy, StoreError
from fmsh.store import chain, deletion, history, inbox, jobs, leases
from fmsh.store.base import ENDED_STATES, MOVED, InboxRow, Job, Lease, Snapshot, StoredEvent
from fmsh.store.moving import BlobUse, Delivered, KeptBlob, KeptCallback

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Self

    from fmsh.store.database import Cursor, Database
    from fmsh.store.moving import Arrival, Piece

ROWS_AT_ONCE = 1000

ASIDE = """
CREATE TABLE aside.event (seq INTEGER PRIMARY KEY, epoch, at_ms, type, step, data_json, hash);
CREATE TABLE aside.blob (hash TEXT PRIMARY KEY, data, sum);
CREATE TABLE aside.blob_use (hash, until_seq);
CREATE TABLE aside.delivered (dedupe_id, at_ms);
"""
INSERT_JOB = """
INSERT INTO job (id, uid, key, name, tags_json, source, command, program_hash, parent_id, created_at_ms, is_detached,
    state, wake_at_ms, steps, waiting_for_json, value_json, error_json, exit_status, ended_at_ms, at_terminal,
    head)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?)
"""
INSERT_EVENTS = """
INSERT INTO event SELECT ?1, seq, epoch, at_ms, type, step, data_json, hash FROM aside.event
WHERE seq BETWEEN ?2 AND ?3 ORDER BY seq
"""


class Arriving:
    """An arrival, laid aside from `__enter__` on until `__exit__`."""

    def __init__(self, database: Database, arrival: Arrival, pieces: Iterator[Piece]) -> None:
        self._database = database
        self._arrival = arrival
        self._pieces = pieces

    def __enter__(self) -> Self:
        database = self._database
        left = database.write(lambda cursor: _left_behind(cursor, self._arrival))
        self._job_id = database.write(jobs.reserve_id) if left is None else left.id
        try:
            cursor = database.open_aside(ASIDE)
        except OSError as fault:
            raise StoreError(f"the job cannot be laid aside: {(fault.strerror or str(fault)).lower()}") from fault
        try:
            self._laid = _Laid(cursor, database.key, self._arrival, self._job_id)
            for piece in self._pieces:
                self._laid.take(piece)
            self._laid.finish()
            database.keep_aside()
        except BaseException:
            database.close_aside()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close_aside()

    def write(self, cursor: Cursor) -> Job:
        """Writes it, in a transaction. Raises: StoreError."""
        left = _left_behind(cursor, self._arrival)
        if left is not None and left.id != self._job_id:
            raise StoreBusy(f"this job was moved from here, as job {left.id}, while it was read", hint="Try again.")
        try:
            return self._write(cursor, left)
        except apsw.ConstraintError as fault:
            hint = "It was not written by fmsh as it is."
            raise StoreError(f"the job cannot be taken in: {fault}", hint=hint) from fault

    def _write(self, cursor: Cursor, left: Job | None) -> Job:
        arrival, job_id = self._arrival, self._job_id
        jobs.keep_program(cursor, self._database.key, arrival.new.program)
        last = None
        unused: list[int] = []
        if left is not None:
            last = _event_at(cursor, job_id, left.head)
            unused = _delete(cursor, job_id)
        cursor.execute(INSERT_JOB, _values(arrival, job_id))
        self._laid.copy(cursor)
        for blob_id in unused:
            sql = "DELETE FROM blob WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM blob_use WHERE blob_id = ?1)"
            cursor.execute(sql, (blob_id,))
        if left is not None and _event_at(cursor, job_id, left.head) not in (None, last):
            raise StoreError(
                f"this file is not what became of job {job_id} since it was moved from here: two copies of it went on",
                hint="Remove the one that was left here with `fmsh jobs rm`, if this is the one to go on.",
            )
        epoch = max(arrival.epoch, 0 if left is None else left.epoch)
        cursor.execute("UPDATE job SET epoch = max(epoch, ?) WHERE id = ?", (epoch, job_id))
        if arrival.summary.state in ENDED_STATES:
            leases.end(cursor, self._database.key, job_id, arrival.summary)
        else:
            leases.free(cursor, [job_id])
        return _row(cursor, job_id)


def is_here(database: Database, uid: str) -> bool:
    """Says whether a job is in this store, and was not moved out of it."""
    return bool(database.read(f"SELECT 1 FROM job WHERE uid = ? AND ended_as IS NOT '{MOVED}'", (uid,)))


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
    if found:
        _require_continuation(arrival, found[0])
    return found[0] if found else None


def _require_continuation(arrival: Arrival, left: Job) -> None:
    if arrival.head < left.head:
        raise StoreError(
            f"job {left.id} had {left.head} events when it was moved from here, and this file of it has {arrival.head}",
            hint="It is of an earlier time: the job would do again what it has done since.",
        )


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


def _job(arrival: Arrival, job_id: int) -> Job:
    """The row of a job that arrives, as far as it never changes; the rest of it is of no job."""
    new = arrival.new
    return Job(
        job_id, new.uid, new.key, new.name, new.tags_json, new.source, new.command, new.program.hash, new.parent_id,
        new.is_detached, new.created_at_ms, None, arrival.summary.state, None, 0, 1, None, 0, "[]", None, None, None, 0,
    )  # fmt: skip


def _values(arrival: Arrival, job_id: int) -> tuple[Any, ...]:
    new, summary = arrival.new, arrival.summary
    return (
        job_id, new.uid, new.key, new.name, new.tags_json, new.source, new.command, new.program.hash, new.parent_id,
        new.created_at_ms, new.is_detached, summary.state, summary.wake_at_ms, summary.steps, summary.waiting_for_json,
        summary.value_json, summary.error_json, summary.exit_status, summary.ended_at_ms,
        max(0, arrival.trimmed_seq - 1),
    )  # fmt: skip


def _row(cursor: Cursor, job_id: int) -> Job:
    sql = f"SELECT {history.COLUMNS} FROM job WHERE id = ?"
    return history.job_of(cursor.execute(sql, (job_id,)).fetchall()[0])


class _Laid:
    """What was laid aside of one job. Events are gathered, and copied in their epochs, as the triggers want it."""

    def __init__(self, cursor: Cursor, key: bytes, arrival: Arrival, job_id: int) -> None:
        self._cursor = cursor
        self._key = key
        self._identity = chain.identity_hash(key, _job(arrival, job_id))
        self._lease = Lease(job_id, 1, max(0, arrival.trimmed_seq - 1), self._identity)
        self._trimmed_seq = arrival.trimmed_seq
        self._rows: list[tuple[Any, ...]] = []
        self._epochs = [(1, self._lease.head + 1)]  # with the first event of each
        self._snapshots: list[Snapshot] = []
        self._inbox: list[InboxRow] = []
        self._callbacks: list[KeptCallback] = []

    def take(self, piece: Piece) -> None:
        """Lays one piece aside."""
        if isinstance(piece, StoredEvent):
            self._add(piece)
        elif isinstance(piece, KeptBlob):
            sum = chain.row_sum(self._key, piece.hash, piece.data)
            self._execute("INSERT OR IGNORE INTO aside.blob VALUES (?, ?, ?)", piece.hash, piece.data, sum)
            self._execute("INSERT INTO aside.blob_use VALUES (?, ?)", piece.hash, piece.until_seq)
        elif isinstance(piece, BlobUse):
            self._execute("INSERT INTO aside.blob_use VALUES (?, ?)", piece.hash, piece.until_seq)
        elif isinstance(piece, Snapshot):
            self._snapshots.append(piece)
        elif isinstance(piece, InboxRow):
            self._inbox.append(piece)
        elif isinstance(piece, Delivered):
            self._execute("INSERT INTO aside.delivered VALUES (?, ?)", piece.dedupe_id, piece.at_ms)
        else:
            self._callbacks.append(piece)

    def _add(self, event: StoredEvent) -> None:
        lease = self._lease
        if event.epoch > lease.epoch:
            lease.epoch = event.epoch
            self._epochs.append((lease.epoch, lease.head + 1))
        (row,) = history.event_rows(self._key, lease, [event])
        lease.head, lease.chain = lease.head + 1, row[-1]
        self._rows.append(row[1:])
        if len(self._rows) >= ROWS_AT_ONCE:
            self._flush()

    def _flush(self) -> None:
        self._cursor.executemany("INSERT INTO aside.event VALUES (?, ?, ?, ?, ?, ?, ?)", self._rows)
        self._rows = []

    def _execute(self, sql: str, *values: object) -> None:
        self._cursor.execute(sql, values)

    def finish(self) -> None:
        """Lays the last of it aside."""
        self._flush()
        self._epochs.append((self._lease.epoch, self._lease.head + 1))

    def copy(self, cursor: Cursor) -> None:
        """Writes all of it into the store, in a transaction."""
        job_id = self._lease.job_id
        for (epoch, first), (_, after) in itertools.pairwise(self._epochs):
            cursor.execute("UPDATE job SET epoch = ? WHERE id = ?", (epoch, job_id))
            cursor.execute(INSERT_EVENTS, (job_id, first, after - 1))
        if self._trimmed_seq:
            sql = "UPDATE job SET trimmed_seq = ?, trimmed_chain = ? WHERE id = ?"
            cursor.execute(sql, (self._trimmed_seq, self._identity, job_id))
        cursor.execute("INSERT OR IGNORE INTO blob (hash, data, sum) SELECT hash, data, sum FROM aside.blob")
        for until_seq, hash in cursor.execute("SELECT until_seq, hash FROM aside.blob_use").fetchall():
            cursor.execute(history.USE_BLOB, (job_id, until_seq, hash))
        cursor.execute("INSERT INTO delivered SELECT ?, dedupe_id, at_ms FROM aside.delivered", (job_id,))
        for row in self._inbox:
            sum = chain.row_sum(self._key, job_id, row.kind, row.data_json)
            sql = "INSERT INTO inbox (job_id, at_ms, kind, data_json, sum) VALUES (?, ?, ?, ?, ?)"
            cursor.execute(sql, (job_id, row.at_ms, row.kind, row.data_json, sum))
        for kept in self._callbacks:
            self._keep_callback(cursor, kept)
        for snapshot in self._snapshots:
            self._keep_snapshot(cursor, snapshot)

    def _keep_callback(self, cursor: Cursor, kept: KeptCallback) -> None:
        new = kept.new.replace(job_id=self._lease.job_id)
        inbox.open_callback(cursor, self._key, new, time.time_ns() // 10**6)
        sql = "UPDATE callback SET used_by = ?, used_at_ms = ? WHERE token_hash = ?"
        cursor.execute(sql, (kept.used_by, kept.used_at_ms, new.token_hash))

    def _keep_snapshot(self, cursor: Cursor, snapshot: Snapshot) -> None:
        job_id = self._lease.job_id
        rows = cursor.execute("SELECT hash FROM event WHERE job_id = ? AND seq = ?", (job_id, snapshot.seq)).fetchall()
        if rows:
            sum = chain.snapshot_sum(self._key, self._identity, snapshot.seq, rows[0][0], snapshot.state_json)
            values = (job_id, snapshot.seq, snapshot.state_json, rows[0][0], sum)
            cursor.execute("INSERT INTO snapshot VALUES (?, ?, ?, ?, ?)", values)
