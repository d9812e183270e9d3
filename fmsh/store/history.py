"""The history of jobs in SQLite: appending events under a lease, and reading them back verified.

Hashes and rows are made before the gate is entered, so that a commit holds it for little more than the disk's own time.
The statement that moves a job's summary is also the check of the lease: it finds no row for a stale one, and nothing
else of that append is then written. The triggers of the schema check each event once more.
"""

from __future__ import annotations

import time

import apsw

from fmsh.errors import InternalError, StoreError, StoreFenced, StoreMissing
from fmsh.record import Record
from fmsh.store import chain, faults, leases
from fmsh.store.base import ENDED_STATES, MOVED, Job, Lease, Snapshot, StoredEvent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from fmsh.store.base import Append, NewEvent, NewInboxRow, Summary
    from fmsh.store.database import Cursor, Database, Reader
    from fmsh.store.inbox import Knock

PAGE_EVENTS = 1000  # read at once, so that no statement stays open while the reader works

# Of a job's row. A job that was moved keeps the state in which it left; that it is over says `ended_as`.
COLUMNS = ", ".join(field for field in Job.fields if field != "damage").replace(
    " state,", f" CASE WHEN ended_as = '{MOVED}' THEN ended_as ELSE state END,"
)

UPDATE_JOB = """
UPDATE job SET state = ?, wake_at_ms = ?, steps = ?, waiting_for_json = ?, value_json = ?, error_json = ?,
    exit_status = ?, ended_at_ms = ?, at_terminal = ?, is_detached = is_detached OR ?
WHERE id = ? AND epoch = ? AND head = ? AND owner_id = ? RETURNING id
"""
INSERT_EVENT = "INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
INSERT_BLOB = "INSERT OR IGNORE INTO blob (hash, data, sum) VALUES (?, ?, ?)"
# Not the one at which the history begins.
DROP_SNAPSHOT = """
DELETE FROM snapshot WHERE job_id = ?1 AND seq = ?2 AND seq > (SELECT trimmed_seq FROM job WHERE id = ?1)
"""
HAS_CLAIMS = "SELECT 1 FROM claim WHERE job_id = ? LIMIT 1"
HAS_HEARERS = "SELECT 1 FROM subscription WHERE topic = ? LIMIT 1"
USE_BLOB = """
INSERT INTO blob_use SELECT ?1, id, ?2 FROM blob WHERE hash = ?3
ON CONFLICT DO UPDATE SET until_seq = excluded.until_seq WHERE until_seq < excluded.until_seq
"""
SELECT_EVENTS = """
SELECT job_id, seq, epoch, at_ms, type, step, data_json, hash FROM event
WHERE job_id = ? AND seq > ? AND seq <= ? ORDER BY seq LIMIT ?
"""


def job_of(row: Sequence[Any]) -> Job:
    """Makes a job of its row. Raises: StoreCorrupt: damage made something else of a number by which we go."""
    job = Job(*row)
    if not all(isinstance(number, int) for number in (job.head, job.epoch, job.trimmed_seq)):
        raise faults.changed(f"the row of job {job.id}")
    job.is_detached = bool(job.is_detached)  # type: ignore[misc]  # SQLite has no booleans; nobody else has it yet
    return job


class Refused(StoreError):
    """The database refused one append of a transaction; the whole transaction was undone."""


class Plan:
    """An append with everything that can be known before the transaction."""

    __slots__ = ("append", "event_rows", "head", "job_row", "knocks")

    def __init__(self, key: bytes, append: Append, owner_id: str) -> None:
        lease, summary = append.lease, append.summary
        self.append = append
        self.knocks: list[Knock] = []  # who has to be woken for its deliveries
        self.head = lease.head
        self.event_rows = event_rows(key, lease, append.events)
        self.job_row = (
            summary.state, summary.wake_at_ms, summary.steps, summary.waiting_for_json, summary.value_json,
            summary.error_json, summary.exit_status, summary.ended_at_ms, summary.at_terminal, append.detach,
            lease.job_id, lease.epoch, lease.head, owner_id,
        )  # fmt: skip


def event_rows(key: bytes, lease: Lease, events: Sequence[NewEvent | StoredEvent]) -> list[tuple[Any, ...]]:
    """Gives the rows of new events, each ending in its hash over the one before it."""
    job_id, epoch, seq, link = lease.job_id, lease.epoch, lease.head, lease.chain
    rows = []
    for event in events:
        seq += 1
        link = chain.event_hash(key, link, job_id, seq, epoch, event)
        rows.append((job_id, seq, epoch, event.at_ms, event.type, event.step, event.data_json, link))
    return rows


def commit(
    database: Database, owner_id: str, appends: Sequence[Append], wake: Callable[[Knock], None]
) -> list[StoreError | None]:
    """Appends for several jobs in one transaction; a damaged job does not keep the others from theirs.

    Afterwards `wake` is called for each delivery to another job.
    """
    if len({append.lease.job_id for append in appends}) < len(appends):
        raise InternalError("one job twice in one commit")
    plans = [Plan(database.key, append, owner_id) for append in appends]
    try:
        answers = _commit_together(database, plans)
    except Refused as refusal:
        if len(plans) == 1:
            return [refusal]
        answers = [answer for plan in plans for answer in _commit_alone(database, plan)]
    for plan in plans:
        for knock in plan.knocks:
            wake(knock)
    return answers


def _commit_alone(database: Database, plan: Plan) -> list[StoreError | None]:
    try:
        return _commit_together(database, [plan])
    except Refused as refusal:
        plan.knocks = []
        return [refusal]


def _commit_together(database: Database, plans: list[Plan]) -> list[StoreError | None]:
    written = database.write(
        lambda cursor: _append(cursor, database.key, plans), is_settled=lambda: _is_settled(database, plans)
    )
    for plan in written:
        if plan.event_rows:
            plan.append.lease.head = plan.head + len(plan.event_rows)
            plan.append.lease.chain = plan.event_rows[-1][-1]
    if len(written) == len(plans):
        return [None] * len(plans)
    held = {plan.append.lease.job_id for plan in written}
    return [None if (job_id := plan.append.lease.job_id) in held else _fenced(job_id) for plan in plans]


def _fenced(job_id: int) -> StoreFenced:
    return StoreFenced(f"the lease of job {job_id} was taken over", hint="Its new holder goes on with it.")


def _append(cursor: Cursor, key: bytes, plans: list[Plan]) -> list[Plan]:
    """Writes what the plans hold for the jobs whose lease is still ours, and gives these plans."""
    try:
        plans = _update_jobs(cursor, plans)
        cursor.executemany(INSERT_EVENT, [row for plan in plans for row in plan.event_rows])
        for plan in plans:
            if plan.append.taken or plan.append.snapshot or plan.append.blobs:
                _append_rest(cursor, key, plan)
    except apsw.ConstraintError as fault:
        raise Refused(f"a history does not end where its job says: {fault}", hint="Run `fmsh doctor`.") from fault
    freed = [plan.append.lease.job_id for plan in plans if plan.append.release]
    if freed:
        leases.free(cursor, freed)
    for plan in plans:
        has_ended = plan.append.summary.state in ENDED_STATES
        if has_ended:
            leases.end(cursor, key, plan.append.lease.job_id, plan.append.summary)
        if plan.append.unclaimed or (has_ended and cursor.execute(HAS_CLAIMS, (plan.append.lease.job_id,)).fetchall()):
            plan.knocks = plan.knocks + _unclaim(cursor, key, plan.append, is_all=has_ended)
        if any(_is_for_somebody(cursor, plan, row) for row in plan.append.deliveries):
            from fmsh.store import inbox  # a short line delivers nothing

            plan.knocks = plan.knocks + [
                knock for row in plan.append.deliveries for knock in inbox.deliver_news(cursor, key, row)
            ]
        if plan.append.session is not None:
            from fmsh.store import sessions  # most jobs have none

            sessions.change(cursor, plan.append.session)
        if plan.append.kept_calls:
            from fmsh.store import addresses  # few jobs have any

            plan.knocks = plan.knocks + [
                knock
                for kept in plan.append.kept_calls
                for knock in addresses.give_back(cursor, key, plan.append.lease.job_id, kept)
            ]
    return plans


def _unclaim(cursor: Cursor, key: bytes, append: Append, *, is_all: bool) -> list[Knock]:
    from fmsh.store import claims  # most jobs have none

    now_ms = append.events[-1].at_ms if append.events else time.time_ns() // 10**6
    return claims.unclaim(cursor, key, append.lease.job_id, None if is_all else append.unclaimed, now_ms)


def _update_jobs(cursor: Cursor, plans: list[Plan]) -> list[Plan]:
    """Moves the summaries of the jobs whose lease is still ours, and gives the plans for these."""
    held = {job_id for (job_id,) in cursor.executemany(UPDATE_JOB, [plan.job_row for plan in plans])}
    return plans if len(held) == len(plans) else [plan for plan in plans if plan.append.lease.job_id in held]


def keep_blobs(
    cursor: Cursor, key: bytes, job_id: int, blobs: Sequence[tuple[str, bytes]], until_seq: int | None
) -> None:
    """Keeps values by hash for a job until its event `until_seq` goes; those that are there stay as they are."""
    for hash, data in blobs:
        cursor.execute(INSERT_BLOB, (hash, data, chain.row_sum(key, hash, data)))
        cursor.execute(USE_BLOB, (job_id, until_seq, hash))


def _append_rest(cursor: Cursor, key: bytes, plan: Plan) -> None:
    append = plan.append
    job_id = append.lease.job_id
    if append.taken:
        rows = [(inbox_id, job_id) for inbox_id in append.taken]
        taken = cursor.executemany("DELETE FROM inbox WHERE id = ? AND job_id = ? RETURNING id", rows).fetchall()
        if len(taken) < len(rows):
            raise Refused(f"job {job_id} took an inbox row that is not there: {append.taken}")
        if append.summary.state not in ENDED_STATES:
            from fmsh.store import topics  # a short line takes nothing

            plan.knocks = topics.hand_on_to(cursor, key, job_id)
    keep_blobs(cursor, key, job_id, append.blobs, plan.head + len(plan.event_rows))
    if append.snapshot is not None:
        _keep_snapshot(cursor, key, plan, append.snapshot)


def _keep_snapshot(cursor: Cursor, key: bytes, plan: Plan, snapshot: Snapshot) -> None:
    lease = plan.append.lease
    if not plan.head <= snapshot.seq <= plan.head + len(plan.event_rows):
        raise InternalError(f"a snapshot of job {lease.job_id} after event {snapshot.seq}, which is not of this commit")
    at = plan.event_rows[snapshot.seq - plan.head - 1][-1] if snapshot.seq > plan.head else lease.chain
    row = cursor.execute(f"SELECT {COLUMNS} FROM job WHERE id = ?", (lease.job_id,)).fetchall()[0]
    sum = chain.snapshot_sum(key, chain.identity_hash(key, job_of(row)), snapshot.seq, at, snapshot.state_json)
    values = (lease.job_id, snapshot.seq, snapshot.state_json, at, sum)
    cursor.execute("INSERT OR REPLACE INTO snapshot VALUES (?, ?, ?, ?, ?)", values)
    if snapshot.replaces is not None:
        cursor.execute(DROP_SNAPSHOT, (lease.job_id, snapshot.replaces))


def quarantine(cursor: Cursor, owner_id: str, job_id: int, error_json: str) -> None:
    """Parks a job without an event, unless another process holds it."""
    cursor.execute(
        """UPDATE job SET state = 'parked', error_json = ?, wake_at_ms = NULL, owner_id = NULL, due_at_ms = NULL
        WHERE id = ? AND ended_as IS NULL AND (owner_id IS NULL OR owner_id = ?)""",
        (error_json, job_id, owner_id),
    )


def _is_for_somebody(cursor: Cursor, plan: Plan, row: NewInboxRow) -> bool:
    if row.job_id != plan.append.lease.job_id:
        return True
    return bool(cursor.execute(HAS_HEARERS, (leases.topic_of_end(row.dedupe_id),)).fetchall())


def abandon(
    cursor: Cursor, key: bytes, owner_id: str, job_id: int, summary: Summary, deliveries: Sequence[NewInboxRow]
) -> list[Knock] | None:
    """Ends a job without an event, unless another process holds it. None: it was not to be ended."""
    from fmsh.store import claims, inbox

    rows = cursor.execute(
        """UPDATE job SET state = ?, value_json = NULL, error_json = ?, exit_status = ?, ended_at_ms = ?,
        wake_at_ms = NULL, waiting_for_json = '[]', at_terminal = 0
        WHERE id = ? AND ended_as IS NULL AND (owner_id IS NULL OR owner_id = ?) RETURNING id""",
        (summary.state, summary.error_json, summary.exit_status, summary.ended_at_ms, job_id, owner_id),
    ).fetchall()
    if not rows:
        return None
    cursor.execute("DELETE FROM inbox WHERE job_id = ?", (job_id,))
    leases.end(cursor, key, job_id, summary)
    told = claims.unclaim(cursor, key, job_id, None, summary.ended_at_ms or 0)
    return told + [knock for row in deliveries for knock in inbox.deliver_news(cursor, key, row)]


def _is_settled(database: Reader, plans: list[Plan]) -> bool:
    """Says after a COMMIT of unknown outcome whether it happened: all of it did if one of its events is there."""
    sql = "SELECT 1 FROM event WHERE job_id = ? AND epoch = ? AND seq = ? AND hash = ?"
    for plan in plans:
        for job_id, seq, epoch, *_, hash in plan.event_rows:
            if database.read(sql, (job_id, epoch, seq, hash)):
                return True
    return False


def events(database: Reader, job_id: int, after: int, limit: int | None) -> Iterator[StoredEvent]:
    """Yields verified events from `after` on, or from the first that was not trimmed."""
    start = _start(database, job_id, after)
    seq, before, last = start.after, start.chain, start.head
    if limit is not None:
        last = min(last, seq + limit)
    while seq < last:
        rows = database.read(SELECT_EVENTS, (job_id, seq, last, PAGE_EVENTS))
        if not rows:
            raise _gap(database, job_id, seq + 1)
        for *values, hash in rows:
            event = StoredEvent(*values)
            seq += 1
            if event.seq != seq:
                raise _gap(database, job_id, seq)
            link = chain.event_hash(database.key, before, job_id, seq, event.epoch, event)
            if link != hash or event.job_id != job_id:
                if before == b"":
                    raise _gap(database, job_id, seq - 1)  # the event before it, with which it is linked, is gone
                raise faults.changed(f"event {seq} of job {job_id}")
            before = link
            yield event


class Start(Record):
    """Where reading a history starts: after which event, with which hash, and where it ends."""

    after: int
    chain: bytes
    head: int


def _start(database: Reader, job_id: int, after: int) -> Start:
    rows = database.read(
        f"""SELECT trimmed_chain, (SELECT max(seq) FROM event WHERE job_id = job.id), {COLUMNS}
        FROM job WHERE id = ?""",
        (job_id,),
    )
    if not rows:
        raise StoreMissing(f"there is no job {job_id}")
    trimmed_chain, newest, *values = rows[0]
    job = job_of(values)
    if (newest or 0) != job.head:
        raise faults.damaged(f"the history of job {job_id} ends at event {newest}, and its row says {job.head}")
    if after < job.trimmed_seq:
        return Start(job.trimmed_seq - 1, chain.link_of(trimmed_chain), job.head)
    if after == 0:
        return Start(0, chain.identity_hash(database.key, job), job.head)
    return Start(after, chain.link_of(_hash_at(database, job_id, after)), job.head)


def _hash_at(database: Reader, job_id: int, seq: int) -> object:
    rows = database.read("SELECT hash FROM event WHERE job_id = ? AND seq = ?", (job_id, seq))
    return rows[0][0] if rows else None


def _gap(database: Reader, job_id: int, seq: int) -> StoreError:
    """Tells an event that was lost from one that was removed, with its job or by trimming, while we read."""
    if not database.read("SELECT 1 FROM job WHERE id = ? AND trimmed_seq <= ?", (job_id, seq)):
        return StoreMissing(f"event {seq} of job {job_id} was removed while it was read", hint="Ask again.")
    return faults.damaged(f"event {seq} of job {job_id} is missing")


def snapshot(database: Reader, job_id: int, at: int | None) -> Snapshot | None:
    """Gives the newest sound snapshot at or before event `at`."""
    seq = at if at is not None else (1 << 62)
    sql = "SELECT seq, state_json, chain, sum FROM snapshot WHERE job_id = ? AND seq <= ? ORDER BY seq DESC LIMIT 1"
    rows = database.read(f"SELECT {COLUMNS} FROM job WHERE id = ?", (job_id,))
    if not rows:
        return None
    job = job_of(rows[0])
    identity = chain.identity_hash(database.key, job)
    while rows := database.read(sql, (job_id, seq)):
        found, state_json, link, sum = rows[0]
        is_sound = chain.snapshot_sum(database.key, identity, found, link, state_json) == sum
        if is_sound and (found < job.trimmed_seq or found == 0 or _hash_at(database, job_id, found) == link):
            return Snapshot(found, state_json)
        seq = min(seq, found) - 1 if isinstance(found, int) else seq - 1
    return None


def blob(database: Reader, blob_hash: str) -> bytes:
    rows = database.read("SELECT data, sum FROM blob WHERE hash = ?", (blob_hash,))
    if not rows:
        raise StoreMissing(f"the store has no value {blob_hash}", hint="Outputs expire before histories do.")
    data, sum = rows[0]
    if chain.row_sum(database.key, blob_hash, data) != sum:
        raise faults.changed(f"the value {blob_hash}")
    return bytes(data)
