"""Locks and limits in SQLite: who has one, and who waits for it (`fmsh.store.outside`).

A queue is granted from its head: one that waits is never passed over, also not by one whose figure would allow it.
Whatever changes a queue grants what has become free in the same transaction, so that nobody ever has to look again.
"""

from __future__ import annotations

from fmsh.errors import StoreFenced
from fmsh.store import chain, faults, inbox
from fmsh.store.outside import Claim, Place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from fmsh.store.database import Cursor, Reader
    from fmsh.store.inbox import Knock
    from fmsh.store.outside import NewClaim

    Queue = Callable[[str, str], list[Claim]]
    OfJob = Callable[[int], list[Claim]]

COLUMNS = "job_id, step, kind, name, size, inside, is_granted, since_ms, sum"
QUEUE = f"SELECT {COLUMNS} FROM claim WHERE kind = ? AND name = ? ORDER BY id"
OF_JOB = f"SELECT {COLUMNS} FROM claim WHERE job_id = ? ORDER BY id"
INSERT = f"INSERT INTO claim ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
GRANT = "UPDATE claim SET is_granted = 1, since_ms = ?, sum = ? WHERE job_id = ? AND step = ?"
RESERVE = """
INSERT INTO pace VALUES (?1, ?2 + ?3)
ON CONFLICT DO UPDATE SET next_at_us = max(next_at_us, ?2) + ?3 RETURNING next_at_us - ?3
"""
GRANTED = '{"body":true}'  # what a job is told


def claim(cursor: Cursor, key: bytes, owner_id: str, new: NewClaim, now_ms: int) -> Place:
    """Puts a claim at the end of its queue, and grants it if it can be."""
    of_job = _read(cursor, key, OF_JOB, new.job_id)
    for found in of_job:
        if found.step == new.step:
            return Place(found.is_granted)
    if not cursor.execute("SELECT 1 FROM job WHERE id = ? AND owner_id = ?", (new.job_id, owner_id)).fetchall():
        raise StoreFenced(f"the lease of job {new.job_id} was taken over")
    waiting = Claim(**{field: getattr(new, field) for field in new.fields}, is_granted=False, since_ms=now_ms)
    circle = circle_of(
        waiting,
        lambda kind, name: _read(cursor, key, QUEUE, kind, name),
        lambda job_id: _read(cursor, key, OF_JOB, job_id),
    )
    if circle:
        return Place(False, circle)
    cursor.execute(INSERT, _row(key, waiting))
    return Place(any(granted.job_id == new.job_id and granted.step == new.step
                     for granted in _grant(cursor, key, new.kind, new.name, now_ms)))  # fmt: skip


def unclaim(cursor: Cursor, key: bytes, job_id: int, steps: Sequence[int] | None, now_ms: int) -> list[Knock]:
    """Takes claims out of their queues (None: all of a job); tells those who are next."""
    which, values = ("", [(job_id,)]) if steps is None else (" AND step = ?", [(job_id, step) for step in steps])
    sql = f"DELETE FROM claim WHERE job_id = ?{which} RETURNING kind, name"
    gone = [row for each in values for row in cursor.execute(sql, each).fetchall()]
    told: list[Knock] = []
    for kind, name in dict.fromkeys(gone):
        told += [tell(cursor, key, next) for next in _grant(cursor, key, kind, name, now_ms)]
    return told


def tell(cursor: Cursor, key: bytes, granted: Claim) -> Knock:
    data_json = inbox.callback_json(str(granted.step), GRANTED)
    return inbox.deliver(cursor, key, granted.job_id, granted.kind, data_json, delivery_id(granted))


def delivery_id(granted: Claim) -> str:
    return f"{granted.kind} {granted.step}"


def _grant(cursor: Cursor, key: bytes, kind: str, name: str, now_ms: int) -> list[Claim]:
    """Grants what is free to those at the head of a queue; gives these."""
    granted = grantable(_read(cursor, key, QUEUE, kind, name))
    for each in granted:
        row = _row(key, each.replace(is_granted=True, since_ms=now_ms))
        cursor.execute(GRANT, (now_ms, row[-1], each.job_id, each.step))
    return granted


def grantable(queue: Sequence[Claim]) -> list[Claim]:
    """Those in a queue that can have now what they wait for."""
    held = sum(claim.is_granted for claim in queue)
    found: list[Claim] = []
    for claim in queue:
        if claim.is_granted:
            continue
        if held >= claim.size:
            break
        found.append(claim)
        held += 1
    return found


def circle_of(new: Claim, queue: Queue, of_job: OfJob) -> tuple[Claim, ...]:
    """Finds those for which a claim would wait while they, in the end, wait for it; none where there are none.

    A claim waits for those before it in its queue. One that is granted lasts as long as what waits inside of its block.
    Where several may have a place at a time it is not looked for: one of them may always be free.
    """
    seen: set[tuple[int, int]] = set()

    def search(waiting: Claim, path: tuple[Claim, ...]) -> tuple[Claim, ...]:
        if waiting.size > 1:
            return ()
        for before in queue(waiting.kind, waiting.name):
            if (before.job_id, before.step) == (waiting.job_id, waiting.step):
                break
            if before.job_id == new.job_id and before.step in new.inside:
                return (*path, before)
            if (before.job_id, before.step) in seen:
                continue
            seen.add((before.job_id, before.step))
            inner = [before] if not before.is_granted else [
                each for each in of_job(before.job_id) if not each.is_granted and before.step in each.inside
            ]  # fmt: skip
            for each in inner:
                found = search(each, (*path, before))
                if found:
                    return found
        return ()

    return search(new, ())


def claims(database: Reader, kind: str, name: str) -> list[Claim]:
    found = [_claim(database.key, row) for row in database.read(QUEUE, (kind, name))]
    return sorted(found, key=lambda claim: not claim.is_granted)


def reserve(cursor: Cursor, name: str, interval_us: int, now_us: int) -> int:
    return int(cursor.execute(RESERVE, (name, now_us, interval_us)).fetchall()[0][0])


def _read(cursor: Cursor, key: bytes, sql: str, *values: Any) -> list[Claim]:
    return [_claim(key, row) for row in cursor.execute(sql, values).fetchall()]


def _claim(key: bytes, row: Sequence[Any]) -> Claim:
    *values, sum = row
    if chain.row_sum(key, *values) != sum:
        raise faults.changed(f"a {values[2]} of job {values[0]}")
    job_id, step, kind, name, size, inside, is_granted, since_ms = values
    return Claim(job_id, step, kind, name, size, tuple(map(int, inside.split())), bool(is_granted), since_ms)


def _row(key: bytes, claim: Claim) -> tuple[Any, ...]:
    inside = " ".join(map(str, claim.inside))
    values = (
        claim.job_id, claim.step, claim.kind, claim.name, claim.size, inside, int(claim.is_granted), claim.since_ms,
    )  # fmt: skip
    return (*values, chain.row_sum(key, *values))
