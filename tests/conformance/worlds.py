"""Where the conformance suite runs: a disk, processes on it that can die or stall, and a clock that the tests move.

A new store takes part by one more `World` in `WORLDS`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Literal, Protocol

import apsw

from fmsh.errors import StoreFull
from fmsh.store.base import (
    Append,
    EventStore,
    JobFilter,
    Lease,
    NewEvent,
    NewJob,
    NewProgram,
    StoredEvent,
    Summary,
)
from fmsh.store.memory import MemoryStore
from fmsh.store.memory_disk import MemoryDisk
from fmsh.store.sqlite import SqliteStore

TTL_S = 15.0

PROGRAM = NewProgram(hash="p1", name="-c", text="true", tree_json="{}")
RUNNING = Summary("running")
SUCCEEDED = Summary("succeeded", value_json="1", exit_status=0, ended_at_ms=99)


class World(Protocol):
    now_s: float

    def open(self, kind: Literal["shell", "daemon"] = "shell") -> EventStore: ...
    def kill(self, store: EventStore) -> None:
        """Ends a process without its help."""

    def reboot_under(self, store: EventStore) -> None:
        """Makes an owner one of an earlier boot of the machine."""

    def damage_event(self, job_id: int, seq: int) -> None: ...
    def damage_snapshots(self, job_id: int, seq: int) -> None: ...
    def damage_blob(self, blob_hash: str) -> None: ...
    def fill_disk(self, store: EventStore) -> None: ...
    def free_disk(self, store: EventStore) -> None: ...
    def close(self) -> None: ...


class MemoryWorld:
    def __init__(self, directory: str) -> None:
        self.disk = MemoryDisk()
        self.now_s = 1000.0
        self._stores: list[MemoryStore] = []

    def open(self, kind: Literal["shell", "daemon"] = "shell") -> MemoryStore:
        self._stores.append(MemoryStore(self.disk, kind=kind, ttl_s=TTL_S, now_s=lambda: self.now_s))
        return self._stores[-1]

    def kill(self, store: EventStore) -> None:
        assert isinstance(store, MemoryStore)
        store.crash()

    def reboot_under(self, store: EventStore) -> None:
        self.disk.owners[store.owner.id] = store.owner.replace(boot_id="earlier")

    def damage_event(self, job_id: int, seq: int) -> None:
        self.disk.damage_event(job_id, seq)

    def damage_snapshots(self, job_id: int, seq: int) -> None:
        snapshot, _ = self.disk.jobs[job_id].snapshots[seq]
        self.disk.jobs[job_id].snapshots[seq] = (snapshot, b"something else")

    def damage_blob(self, blob_hash: str) -> None:
        self.disk.blobs[blob_hash] = (b"something else", self.disk.blobs[blob_hash][1])

    def fill_disk(self, store: EventStore) -> None:
        self.disk.fault = StoreFull("no room")

    def free_disk(self, store: EventStore) -> None:
        self.disk.fault = None

    def close(self) -> None:
        for store in self._stores:
            store.close()


class SqliteWorld:
    def __init__(self, directory: str) -> None:
        self.directory = directory + "/state"
        self.now_s = 1000.0
        self._stores: list[SqliteStore] = []
        self._killed: set[str] = set()

    def open(self, kind: Literal["shell", "daemon"] = "shell") -> SqliteStore:
        store = SqliteStore.open(self.directory, kind=kind, ttl_s=TTL_S, now_s=lambda: self.now_s)
        self._stores.append(store)
        return store

    def kill(self, store: EventStore) -> None:
        assert isinstance(store, SqliteStore)
        store._database.close()
        if store._presence._lock_fd >= 0:
            os.close(store._presence._lock_fd)
        self._killed.add(store.owner.id)

    def reboot_under(self, store: EventStore) -> None:
        self._execute("UPDATE owner SET boot_id = 'earlier' WHERE id = ?", store.owner.id)

    def damage_event(self, job_id: int, seq: int) -> None:
        self._damage("event_never_changes", "UPDATE event SET data_json = data_json || ' '", job_id, seq)

    def damage_snapshots(self, job_id: int, seq: int) -> None:
        self._execute("UPDATE snapshot SET state_json = 'x' WHERE job_id = ? AND seq = ?", job_id, seq)

    def damage_blob(self, blob_hash: str) -> None:
        self._execute("UPDATE blob SET data = x'00' WHERE hash = ?", blob_hash)

    def _damage(self, trigger: str, change: str, job_id: int, seq: int) -> None:
        sql = self._execute("SELECT sql FROM sqlite_schema WHERE name = ?", trigger)[0][0]
        self._execute(f"DROP TRIGGER {trigger}")
        self._execute(f"{change} WHERE job_id = ? AND seq = ?", job_id, seq)
        self._execute(sql)

    def _execute(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        connection = apsw.Connection(self.directory + "/store.db")
        try:
            return connection.execute(sql, values).fetchall()
        finally:
            connection.close()

    def fill_disk(self, store: EventStore) -> None:
        assert isinstance(store, SqliteStore)
        connection = store._database._connection
        connection.execute(f"PRAGMA max_page_count = {connection.pragma('page_count')}").fetchall()

    def free_disk(self, store: EventStore) -> None:
        assert isinstance(store, SqliteStore)
        store._database._connection.execute("PRAGMA max_page_count = 1000000").fetchall()

    def close(self) -> None:
        for store in reversed(self._stores):
            if store.owner.id not in self._killed:
                store.close()


WORLDS: dict[str, Callable[[str], World]] = {"memory": MemoryWorld, "sqlite": SqliteWorld}


def job(uid: str = "u1", **fields: Any) -> NewJob:
    values: dict[str, Any] = {"source": "-c", "command": "true", "created_at_ms": 1, "program": PROGRAM}
    return NewJob(uid=uid, **(values | fields))


def event(type: str = "Observed", data_json: str = "{}", step: int | None = None) -> NewEvent:
    return NewEvent(type, 5, data_json, step)


def start(store: EventStore, uid: str = "u1", **fields: Any) -> Lease:
    """Makes a job with one event that this store holds."""
    _, lease, is_new = store.create_job(job(uid, **fields), [event("JobStarted")], RUNNING, lease=True)
    assert lease is not None and is_new
    return lease


def append(lease: Lease, *types: str, summary: Summary = RUNNING, **fields: Any) -> Append:
    return Append(lease, [event(type) for type in types], summary, **fields)


def commit(store: EventStore, lease: Lease, *types: str, summary: Summary = RUNNING, **fields: Any) -> None:
    assert store.commit([append(lease, *types, summary=summary, **fields)]) == [None]


def history(store: EventStore, job_id: int, after: int = 0) -> list[StoredEvent]:
    return list(store.events(job_id, after=after))


def types_of(store: EventStore, job_id: int) -> list[str]:
    return [found.type for found in history(store, job_id)]


def ids(store: EventStore, **filter: Any) -> list[int]:
    return [found.id for found in store.jobs(JobFilter(**filter))]
