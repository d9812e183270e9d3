"""Real processes on one store, to be killed and stopped by the tests: `python -m tests.store.processes MODE …`.

Each `MODE` is one of the functions below; what it prints is read by the test that started it.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from fmsh.errors import StoreBusy, StoreError, StoreFenced
from fmsh.store.base import Append, Lease, NewEvent, Summary
from fmsh.store.migrations import CURRENT, Schema
from fmsh.store.sqlite import SqliteStore
from tests.conformance.worlds import PROGRAM, RUNNING, event, job

if TYPE_CHECKING:
    from fmsh.store.database import Cursor

BATCH = 3


def appender(directory: str, uid: str, commits: str) -> None:
    """Appends to a job of its own, as fast as it can, and prints the times of its commits in milliseconds."""
    store = SqliteStore.open(directory, kind="shell")
    print("ready", flush=True)
    sys.stdin.readline()
    _, lease, _ = store.create_job(job(uid), [event("JobStarted")], RUNNING, lease=True)
    assert lease is not None
    times = []
    for _ in range(int(commits)):
        begin = time.perf_counter()
        assert store.commit([Append(lease, [event("A"), event("B")], RUNNING)]) == [None]
        times.append((time.perf_counter() - begin) * 1000)
    print(json.dumps(times), flush=True)
    store.close()


def acknowledger(directory: str) -> None:
    """Appends batches to new jobs for ever, and writes down each commit once it has returned."""
    store = SqliteStore.open(directory, kind="shell")
    uid = os.urandom(8).hex()
    created, lease, _ = store.create_job(job(uid), [event("JobStarted")], RUNNING, lease=True)
    assert lease is not None
    while True:
        steps = (lease.head - 1) // BATCH + 1
        store.commit([Append(lease, [event(f"{steps}")] * BATCH, Summary("running", steps=steps))])
        os.write(1, b"%d %d\n" % (created.id, lease.head))


class UnfencedStore(SqliteStore):
    """The store with its fence taken out: whoever appends has the lease, whatever happened since it was given."""

    def commit(self, appends: Sequence[Append]) -> list[StoreError | None]:
        for append in appends:
            self._database.write(partial(self._revive, lease=append.lease))
        return super().commit(appends)

    def _revive(self, cursor: Cursor, *, lease: Lease) -> None:
        cursor.execute("UPDATE job SET owner_id = ? WHERE id = ?", (self.owner.id, lease.job_id))
        sql = "SELECT head, job.epoch, hash FROM job JOIN event ON job_id = id AND seq = head WHERE id = ?"
        lease.head, lease.epoch, lease.chain = cursor.execute(sql, (lease.job_id,)).fetchall()[0]


def engine(directory: str, effects: str, seed: str, ttl_s: str, fence: str) -> None:
    """Takes leases and counts in the jobs it holds: intent, effect, result, one after the other, for ever."""
    kind = UnfencedStore if fence == "unfenced" else SqliteStore
    store = kind.open(directory, kind="shell", ttl_s=float(ttl_s))
    log = os.open(effects, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    choose = random.Random(int(seed))
    print("ready", flush=True)
    while True:
        try:
            engine_turn(store, log, choose, float(ttl_s))
        except StoreBusy:
            print("busy", flush=True)


def engine_turn(store: SqliteStore, log: int, choose: random.Random, ttl_s: float) -> None:
    store.reap()
    renewed_s = renew(store)
    due = store.due(2**60, limit=10)
    lease = store.acquire(choose.choice(due)) if due else None
    if lease is None:
        time.sleep(ttl_s / 10)
        return
    count, is_open = where_it_stands(store, lease.job_id)
    for _ in range(choose.randrange(20, 200)):
        if not is_open:
            count += 1
            if not wrote(store, lease, "Intent", count):
                return
        renewed_s = renew(store) if time.monotonic() - renewed_s > ttl_s / 3 else renewed_s
        if time.monotonic() - renewed_s < ttl_s * 2 / 3:
            os.write(log, b"%d %d %d\n" % (lease.job_id, count, lease.epoch))
            if not wrote(store, lease, "Result", count):
                return
            is_open = False
    store.release(lease, wake_at_ms=0)


def renew(store: SqliteStore) -> float:
    store.renew()
    return time.monotonic()


def where_it_stands(store: SqliteStore, job_id: int) -> tuple[int, bool]:
    """Loads a job: the last count, and whether its effect is still to be done."""
    count, is_open = 0, False
    for found in store.events(job_id):
        if found.type in ("Intent", "Result"):
            count, is_open = int(found.data_json), found.type == "Intent"
    return count, is_open


def wrote(store: SqliteStore, lease: Lease, type: str, count: int) -> bool:
    """Appends an event. False: the lease is lost, and with it everything we knew of the job."""
    answer = store.commit([Append(lease, [NewEvent(type, 1, str(count), count)], Summary("running", wake_at_ms=0))])[0]
    assert answer is None or isinstance(answer, StoreFenced)
    if answer is not None:
        print("fenced", flush=True)
    return answer is None


def opener(directory: str, uid: str) -> None:
    """Opens a store that may not exist yet, at the same time as others do."""
    print("ready", flush=True)
    sys.stdin.readline()
    store = SqliteStore.open(directory, kind="shell")
    store.create_job(job(uid, program=PROGRAM), [event()], RUNNING, lease=True)
    print("done", flush=True)
    sys.stdin.readline()


NEWER = Schema(
    CURRENT.version + 2,
    {CURRENT.version: "CREATE TABLE extra (x)", CURRENT.version + 1: "INSERT INTO extra VALUES (7)"},
)
FOR_HOURS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) INSERT INTO extra SELECT max(x) FROM n"
SLOWLY_NEWER = Schema(CURRENT.version + 3, {**NEWER.steps, CURRENT.version + 2: FOR_HOURS})


def migrator(directory: str, schema: str) -> None:
    """Opens a store as an fmsh of a later version does."""
    print("ready", flush=True)
    sys.stdin.readline()
    SqliteStore.open(directory, kind="shell", schema={"newer": NEWER, "slowly newer": SLOWLY_NEWER}[schema])
    print("open", flush=True)
    sys.stdin.readline()


MODES = {mode.__name__: mode for mode in (appender, acknowledger, engine, opener, migrator)}

if __name__ == "__main__":
    MODES[sys.argv[1]](*sys.argv[2:])
