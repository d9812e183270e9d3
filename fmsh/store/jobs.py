"""Jobs and programs in SQLite: making and finding them."""

from __future__ import annotations

from fmsh import wire
from fmsh.errors import StoreCorrupt, StoreMissing
from fmsh.store import chain, faults, history, leases
from fmsh.store.base import ACTIVE_STATES, ENDED_STATES, OVER_STATES, Job, JobAge, Lease, NewProgram

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from fmsh.store.base import JobFilter, NewEvent, NewJob, Summary
    from fmsh.store.database import Cursor, Reader

COLUMNS = history.COLUMNS
IS = {"state": "ended_as IS NULL", "ended_as": "ended_as IS NOT NULL"}  # active, ended: as the indexes say it

INSERT_JOB = """
INSERT INTO job (uid, key, name, tags_json, source, command, program_hash, parent_id, created_at_ms, is_detached,
    state, wake_at_ms, steps, waiting_for_json, value_json, error_json, exit_status, ended_at_ms, at_terminal, owner_id)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id
"""


def find(database: Reader, where: str, *values: object) -> list[Job]:
    """Gives jobs by a condition, newest first. Raises: StoreCorrupt: the outcome of one is not what was written."""
    sql = f"SELECT {COLUMNS}, ended_sum FROM job WHERE {where} ORDER BY id DESC"
    return [_verified(database, row) for row in database.read(sql, values)]


def _verified(database: Reader, row: Sequence[Any]) -> Job:
    *values, ended_sum = row
    job = history.job_of(values)
    if ended_sum is not None and leases.outcome_sum(database.key, job.id, job) != ended_sum:
        raise faults.changed(f"the outcome of job {job.id}")
    return job


def one(database: Reader, where: str, *values: object) -> Job | None:
    found = find(database, where, *values)
    return found[0] if found else None


def exists(database: Reader, uid: str) -> bool:
    return bool(database.read("SELECT 1 FROM job WHERE uid = ?", (uid,)))


def last(database: Reader) -> Job | None:
    rows = database.read(f"SELECT {COLUMNS} FROM job ORDER BY id DESC LIMIT 1")
    return history.job_of(rows[0]) if rows else None


def create(
    cursor: Cursor, key: bytes, new: NewJob, events: Sequence[NewEvent], summary: Summary, owner_id: str | None
) -> tuple[Job, Lease | None, bool]:
    """Makes a job with its first events, unless one with its key exists."""
    if new.key is not None:
        rows = cursor.execute(f"SELECT {COLUMNS} FROM job WHERE key = ?", (new.key,)).fetchall()
        if rows:
            return history.job_of(rows[0]), None, False
    keep_program(cursor, key, new.program)
    job_id = _insert(cursor, new, summary, owner_id)
    if summary.state in ENDED_STATES:
        leases.end(cursor, key, job_id, summary)
    elif owner_id is None:
        leases.free(cursor, [job_id])
    lease = Lease(job_id, 1, 0, b"")
    lease.chain = chain.identity_hash(key, _row(cursor, job_id))
    rows = history.event_rows(key, lease, events)
    cursor.executemany(history.INSERT_EVENT, rows)
    if rows:
        lease.head, lease.chain = len(rows), rows[-1][-1]
    job = _row(cursor, job_id)
    return job, lease if job.owner_id is not None else None, True


def _insert(cursor: Cursor, new: NewJob, summary: Summary, owner_id: str | None) -> int:
    values = (
        new.uid, new.key, new.name, new.tags_json, new.source, new.command, new.program.hash, new.parent_id,
        new.created_at_ms, new.is_detached, summary.state, summary.wake_at_ms, summary.steps, summary.waiting_for_json,
        summary.value_json, summary.error_json, summary.exit_status, summary.ended_at_ms, summary.at_terminal, owner_id,
    )  # fmt: skip
    return int(cursor.execute(INSERT_JOB, values).fetchall()[0][0])


def _row(cursor: Cursor, job_id: int) -> Job:
    return history.job_of(cursor.execute(f"SELECT {COLUMNS} FROM job WHERE id = ?", (job_id,)).fetchall()[0])


def keep_program(cursor: Cursor, key: bytes, program: NewProgram) -> None:
    """Keeps a program by hash; one that is there already stays as it is."""
    values = (program.hash, program.name, program.text, program.tree_json)
    cursor.execute("INSERT OR IGNORE INTO program VALUES (?, ?, ?, ?, ?)", (*values, chain.row_sum(key, *values)))


def matching(database: Reader, filter: JobFilter) -> list[Job]:
    """Gives the jobs that a filter lets through: the active ones, then the ended ones, each newest first."""
    found: list[Job] = []
    for of_all, column in ((ACTIVE_STATES, "state"), (OVER_STATES, "ended_as")):
        wanted = [state for state in of_all if not filter.states or state in filter.states]
        if wanted and (filter.limit is None or len(found) < filter.limit):
            among = f"{column} IN ({', '.join(map(repr, wanted))})" if filter.states else "TRUE"
            found += _matching_in(database, f"{IS[column]} AND {among}", filter, len(found))
    return found


def _matching_in(database: Reader, where: str, filter: JobFilter, already: int) -> list[Job]:
    values: list[object] = []
    for name, value in filter.tags:
        where += " AND EXISTS (SELECT 1 FROM json_each(tags_json) WHERE json_each.key = ? AND json_each.value = ?)"
        values += (name, value)
    limit = -1 if filter.limit is None else filter.limit - already
    sql = f"SELECT {COLUMNS}, ended_sum FROM job WHERE {where} ORDER BY id DESC LIMIT ?"
    return [_listed(database, row) for row in database.read(sql, (*values, limit))]


def _listed(database: Reader, row: Sequence[Any]) -> Job:
    """A damaged row does not keep the others from being listed. What it says is not believed, but its number."""
    try:
        return _verified(database, row)
    except StoreCorrupt as error:
        unknown = {"value_json": None, "error_json": None, "exit_status": None, "head": 0, "epoch": 0, "trimmed_seq": 0}
        job: Job = Job(*row[:-1]).replace(**unknown, waiting_for_json="[]", damage=error.message)
        return job


def count_by_state(database: Reader) -> Mapping[str, int]:
    counts = dict.fromkeys(ACTIVE_STATES + OVER_STATES, 0)
    for column, condition in IS.items():
        counts |= dict(database.read(f"SELECT {column}, count(*) FROM job WHERE {condition} GROUP BY {column}"))
    return counts


def program(database: Reader, program_hash: str) -> NewProgram:
    rows = database.read("SELECT hash, name, text, tree_json, sum FROM program WHERE hash = ?", (program_hash,))
    if not rows:
        raise StoreMissing(f"the store has no program {program_hash}", hint="Run `fmsh doctor`.")
    *values, kept = rows[0]
    if chain.row_sum(database.key, *values) != kept:
        raise faults.changed(f"the program {program_hash}")
    return NewProgram(*values)


SELECT_AGES = """
SELECT id, CAST(uid AS BLOB), CASE WHEN ended_as IS NOT NULL THEN coalesce(ended_at_ms, created_at_ms) END,
    coalesce((SELECT at_ms FROM event WHERE job_id = job.id AND seq = max(trimmed_seq, 1)), created_at_ms),
    output_removed_at_ms IS NULL
FROM job WHERE id > ? ORDER BY id LIMIT ?
"""


def ages(database: Reader, after: int, limit: int) -> list[JobAge]:
    """Gives how old jobs are. No index helps: each commit of a job would have to keep it, for one look an hour.

    A uid that damage made unreadable does not keep the others from being looked at: it names no files.
    """
    rows = database.read(SELECT_AGES, (after, limit))
    return [
        JobAge(id, uid.decode(errors="replace"), ended_ms, oldest_ms, bool(has))
        for id, uid, ended_ms, oldest_ms, has in rows
    ]


def reserve_id(cursor: Cursor) -> int:
    """Takes the next number for a job that is yet to come; it is given to no other."""
    taken = cursor.execute("UPDATE sqlite_sequence SET seq = seq + 1 WHERE name = 'job' RETURNING seq").fetchall()
    if not taken:
        cursor.execute("INSERT INTO sqlite_sequence VALUES ('job', 1)")
    return int(taken[0][0]) if taken else 1


def existed(database: Reader, job_id: int) -> bool:
    return bool(database.read("SELECT 1 FROM sqlite_sequence WHERE name = 'job' AND ? BETWEEN 1 AND seq", (job_id,)))


def known_uids(database: Reader, uids: Sequence[str]) -> set[str]:
    sql = "SELECT uid FROM job WHERE uid IN (SELECT value FROM json_each(?))"
    return {row[0] for row in database.read(sql, (wire.encode_plain(list(uids)),))}
