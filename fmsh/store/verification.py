"""Looking at a whole SQLite store for what is not as it was written. Nothing is locked, changed or kept in memory.

Each part of the store is read in small pieces, so that no statement stays open for long and a job that moves on
meanwhile is no damage. Histories are read by the same functions that load them. Only SQLite's own check is one
statement: it sees one state of the database, and nobody waits for it.
"""

from __future__ import annotations

from fmsh.errors import StoreCorrupt, StoreMissing
from fmsh.store import calls, chain, history, inbox, jobs, migrations
from fmsh.store.base import ACTIVE_STATES, ENDED_STATES, MOVED, Damage
from fmsh.store.outside import JOBS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fmsh.store.database import Reader

    Look = Callable[[Reader, int], Damage | None]

PAGE_ROWS = 500
PROBLEMS_MAX = 100  # of SQLite's own check; more of them say nothing more
INDEX_PROBLEMS = ("missing from index", "wrong # of entries in index", "non-unique entry in index")

OF_A_JOB = {
    "event": "events",
    "snapshot": "snapshots",
    "inbox": "inbox rows",
    "delivered": "notes of deliveries",
    "callback": "callback addresses",
    "reply": "answers to calls",
    "subscription": "subscriptions",
    "call": "calls of functions",
    "claim": "locks and limits",
    "blob_use": "uses of large values",
}

# What a job's row says twice must agree: else a job that wants to be woken is not found, or one never ends.
DUE_AT = "CASE WHEN owner_id IS NULL AND ended_as IS NULL AND state IN ('running', 'waiting') THEN wake_at_ms END"
CONTRADICTORY = f"""
SELECT id FROM job WHERE id > ? AND (
    due_at_ms IS NOT {DUE_AT}
    OR (ended_as IS NULL AND (state IN {ENDED_STATES} OR ended_sum IS NOT NULL))
    OR (ended_as IS NOT NULL AND ended_sum IS NULL)
    OR (ended_as <> '{MOVED}' AND (state IN {ACTIVE_STATES} OR ended_as <> state))
    OR (ended_as = '{MOVED}' AND state NOT IN {ACTIVE_STATES})
) ORDER BY id LIMIT {PAGE_ROWS}
"""
WITHOUT_PROGRAM = f"""
SELECT id FROM job WHERE id > ? AND program_hash NOT IN (SELECT hash FROM program) ORDER BY id LIMIT {PAGE_ROWS}
"""
WITHOUT_BLOB = f"""
SELECT job_id, count(*) FROM blob_use WHERE blob_id NOT IN (SELECT id FROM blob)
GROUP BY job_id ORDER BY job_id LIMIT {PAGE_ROWS}
"""
SNAPSHOT = """
SELECT snapshot.job_id, snapshot.seq, state_json, chain, sum, event.hash FROM snapshot
LEFT JOIN event ON event.job_id = snapshot.job_id AND event.seq = snapshot.seq WHERE snapshot.rowid = ?
"""
INBOX_ROW = "SELECT job_id, kind, data_json, sum FROM inbox WHERE id = ?"
CALLBACK = f"SELECT {inbox.ADDRESS}, sum FROM callback WHERE rowid = ?"
REPLY = "SELECT request_id, job_id, data_json, sum FROM reply WHERE rowid = ?"


def verify(reader: Reader) -> Iterator[Damage]:
    """Yields all damage that is found."""
    yield from _guarded(_database(reader))
    yield from _guarded(_schema(reader))
    for table, look in LOOKS.items():
        yield from _guarded(_table(reader, table, look))
    yield from _guarded(_rows_of_jobs(reader))


def _guarded(found: Iterator[Damage]) -> Iterator[Damage]:
    try:
        yield from found
    except StoreCorrupt as error:
        yield Damage(error.message)


def _database(reader: Reader) -> Iterator[Damage]:
    for (text,) in reader.read(f"PRAGMA integrity_check({PROBLEMS_MAX})"):
        if text != "ok":
            is_derived = any(problem in text for problem in INDEX_PROBLEMS)
            yield Damage(f"SQLite says of the database: {text}", is_derived=is_derived)


def _schema(reader: Reader) -> Iterator[Damage]:
    """Compares what the database has with what a new one has: columns, and the texts of its indexes and triggers."""
    wanted, found = migrations.schema_of_a_new_store(), migrations.schema_of(reader.read)
    for name in sorted(wanted.keys() | found.keys()):
        if wanted.get(name) != found.get(name):
            is_derived = not name.startswith("table ")
            state = "is missing" if name not in found else "is not one of ours" if name not in wanted else "was changed"
            yield Damage(f"the {name} of the database {state}", is_derived=is_derived)


def _table(reader: Reader, table: str, look: Look) -> Iterator[Damage]:
    sql = f"SELECT rowid FROM {table} WHERE rowid > ? ORDER BY rowid LIMIT {PAGE_ROWS}"
    for rowid in _numbers(reader, sql):
        try:
            found = look(reader, rowid)
        except StoreMissing:  # it was removed meanwhile
            continue
        except StoreCorrupt as error:
            found = Damage(error.message, rowid if table == "job" else None)
        if found is not None:
            yield found


def _numbers(reader: Reader, sql: str) -> Iterator[int]:
    """Yields the numbers that a query gives, a page at a time."""
    last = -(1 << 63)
    while page := reader.read(sql, (last,)):
        for (last,) in page:
            yield last


# -- one row of each table. Raises: StoreCorrupt: it cannot be read; StoreMissing: it is gone.


def _job(reader: Reader, job_id: int) -> Damage | None:
    if jobs.one(reader, "id = ?", job_id) is not None:
        for _ in history.events(reader, job_id, 0, None):
            pass
    return None


def _snapshot(reader: Reader, rowid: int) -> Damage | None:
    for job_id, seq, state_json, link, kept, event_hash in reader.read(SNAPSHOT, (rowid,)):
        rows = reader.read(f"SELECT {history.COLUMNS} FROM job WHERE id = ?", (job_id,))
        if not rows:  # it is counted with the rows of no job
            continue
        job = history.job_of(rows[0])
        sum = chain.snapshot_sum(reader.key, chain.identity_hash(reader.key, job), seq, link, state_json)
        is_after_an_event = job.trimmed_seq <= seq != 0
        if sum != kept or (is_after_an_event and event_hash != link):
            return Damage(f"the snapshot of job {job_id} after event {seq} is not what was written", job_id)
    return None


def _inbox_row(reader: Reader, rowid: int) -> Damage | None:
    for job_id, kind, data_json, kept in reader.read(INBOX_ROW, (rowid,)):
        if chain.row_sum(reader.key, job_id, kind, data_json) != kept:
            return Damage(f"inbox row {rowid} of job {job_id} is not what was written", job_id)
    return None


def _callback(reader: Reader, rowid: int) -> Damage | None:
    for *values, kept in reader.read(CALLBACK, (rowid,)):
        if inbox.address_sum(reader.key, values) != kept:
            return Damage(f"a callback address of job {values[1]} is not what was written", values[1])
    return None


def _reply(reader: Reader, rowid: int) -> Damage | None:
    for *values, kept in reader.read(REPLY, (rowid,)):
        if chain.row_sum(reader.key, *values) != kept:
            return Damage(f"an answer of job {values[1]} to a call is not what was written", values[1])
    return None


def _topic_event(reader: Reader, rowid: int) -> Damage | None:
    sql = "SELECT topic, at_ms, data_json, sum FROM topic_event WHERE seq = ?"
    for *values, kept in reader.read(sql, (rowid,)):
        if values[0] != JOBS and chain.row_sum(reader.key, *values) != kept:
            return Damage(f"event {rowid} of the topic {values[0]} is not what was written")
    return None


def _call(reader: Reader, rowid: int) -> Damage | None:
    for *values, kept in reader.read(f"SELECT {calls.COLUMNS}, sum FROM call WHERE rowid = ?", (rowid,)):
        if chain.row_sum(reader.key, *values) != kept:
            return Damage(f"a call of job {values[1]} is not what was written", values[1])
    return None


def _program(reader: Reader, rowid: int) -> Damage | None:
    for (hash,) in reader.read("SELECT hash FROM program WHERE rowid = ?", (rowid,)):
        jobs.program(reader, hash)
    return None


def _blob(reader: Reader, rowid: int) -> Damage | None:
    for (hash,) in reader.read("SELECT hash FROM blob WHERE rowid = ?", (rowid,)):
        history.blob(reader, hash)
    return None


LOOKS: dict[str, Look] = {
    "job": _job,
    "snapshot": _snapshot,
    "inbox": _inbox_row,
    "callback": _callback,
    "reply": _reply,
    "topic_event": _topic_event,
    "call": _call,
    "program": _program,
    "blob": _blob,
}


# -- what rows say of one another


def _rows_of_jobs(reader: Reader) -> Iterator[Damage]:
    for job_id in _numbers(reader, CONTRADICTORY):
        yield Damage(f"the row of job {job_id} contradicts itself in its state or its due time", job_id)
    for job_id in _numbers(reader, WITHOUT_PROGRAM):
        yield Damage(f"the program of job {job_id} is missing", job_id)
    for table, name in OF_A_JOB.items():
        sql = f"SELECT count(*), min(job_id) FROM {table} WHERE job_id NOT IN (SELECT id FROM job)"
        ((count, example),) = reader.read(sql)
        if count:
            yield Damage(f"{count} {name} belong to jobs that do not exist, such as job {example}")
    for job_id, count in reader.read(WITHOUT_BLOB):
        yield Damage(f"{count} of the large values of job {job_id} are missing", job_id)
