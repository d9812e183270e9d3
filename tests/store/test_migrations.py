"""Upgrades: a newer fmsh migrates a store whole or not at all and keeps what was before; an older one refuses it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import apsw
import pytest

from fmsh.errors import StoreError, StoreTooNew
from fmsh.store.migrations import CURRENT, Schema
from fmsh.store.sqlite import SqliteStore
from tests.conformance.worlds import RUNNING, SUCCEEDED, append, commit, event, history, job, start, types_of
from tests.store.processes import NEWER
from tests.store.started import Processes, line, tell

NOW = CURRENT.version
BACKUP = f"/store.db.backup-v{NOW}"


def raw(state: str) -> apsw.Connection:
    return apsw.Connection(state + "/store.db")


def make_store(state: str) -> int:
    """Makes a store of the current schema with one job; gives its number."""
    store = SqliteStore.open(state, kind="shell")
    lease = start(store)
    commit(store, lease, "A", "B", release=True)
    store.close()
    return lease.job_id


def rows(store: SqliteStore, sql: str) -> list[tuple[object, ...]]:
    return store._database.read(sql)


def schema_and_names(state: str) -> tuple[object, list[object]]:
    connection = raw(state)
    try:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        return connection.pragma("user_version"), names
    finally:
        connection.close()


# -- an older fmsh and a newer store


def test_a_store_of_a_newer_fmsh_is_refused_and_left_alone(state: str) -> None:
    make_store(state)
    connection = raw(state)
    connection.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreTooNew, match=rf"schema 99; .* up to {NOW}$") as caught:
        SqliteStore.open(state, kind="shell")
    assert state in caught.value.message and "newer fmsh" in caught.value.hint
    assert connection.pragma("user_version") == 99
    connection.close()


def test_a_store_that_a_newer_fmsh_migrated_meanwhile_takes_nothing_more(state: str, store: SqliteStore) -> None:
    lease = start(store)
    newer = SqliteStore.open(state, kind="shell", schema=NEWER)
    for ask in (lambda: store.commit([append(lease, "A")]), store.data_version, store.renew):
        with pytest.raises(StoreTooNew, match=f"schema {NEWER.version}; .* up to {NOW}$"):
            ask()
    assert types_of(newer, lease.job_id) == ["JobStarted"]
    newer.close()


# -- migrating


def test_a_migration_keeps_everything_and_a_backup_of_what_was_before(state: str) -> None:
    job_id = make_store(state)
    Path(state + BACKUP + ".new").write_bytes(b"the beginning of a backup that was cut short")
    Path(state + BACKUP).write_bytes(b"a backup of an earlier time")
    migrated = SqliteStore.open(state, kind="shell", schema=NEWER)
    assert types_of(migrated, job_id) == ["JobStarted", "A", "B"]
    assert rows(migrated, "SELECT x FROM extra") == [(7,)]
    migrated.close()
    assert stat.S_IMODE(os.stat(state + BACKUP).st_mode) == 0o600 and not os.path.exists(state + BACKUP + ".new")
    for name in ("", "-wal", "-shm"):
        os.unlink(f"{state}/store.db{name}")
    os.rename(state + BACKUP, state + "/store.db")
    restored = SqliteStore.open(state, kind="shell")
    assert types_of(restored, job_id) == ["JobStarted", "A", "B"] and list(restored.verify()) == []
    lease = restored.acquire(job_id)
    assert lease is not None
    commit(restored, lease, "C")
    assert rows(restored, "PRAGMA journal_mode") == [("wal",)]
    restored.close()


def test_a_new_store_of_a_later_schema_has_what_its_steps_make(state: str) -> None:
    store = SqliteStore.open(state, kind="shell", schema=NEWER)
    assert rows(store, "SELECT x FROM extra") == [(7,)] and rows(store, "PRAGMA user_version") == [(NEWER.version,)]
    assert not os.path.exists(state + BACKUP)
    store.close()


def test_a_migration_that_fails_changes_nothing(state: str) -> None:
    job_id = make_store(state)
    broken = Schema(NOW + 2, {NOW: "CREATE TABLE extra (x)", NOW + 1: "INSERT INTO nowhere VALUES (1)"})
    with pytest.raises(StoreError, match="nowhere"):
        SqliteStore.open(state, kind="shell", schema=broken)
    assert schema_and_names(state)[0] == NOW and "extra" not in schema_and_names(state)[1]
    store = SqliteStore.open(state, kind="shell")
    assert types_of(store, job_id) == ["JobStarted", "A", "B"] and list(store.verify()) == []
    store.close()


def test_a_store_that_is_too_old_to_be_migrated_says_so(state: str) -> None:
    make_store(state)
    with pytest.raises(StoreError, match=f"has schema {NOW}, .* cannot migrate") as caught:
        SqliteStore.open(state, kind="shell", schema=Schema(NOW + 2, {NOW + 1: "SELECT 1"}))
    assert f"migrates schema {NOW}" in caught.value.hint
    assert not os.path.exists(state + BACKUP)


def test_without_a_backup_nothing_is_migrated(state: str) -> None:
    make_store(state)
    os.mkdir(state + BACKUP)  # in its place nothing can be put
    with pytest.raises(StoreError, match="backup"):
        SqliteStore.open(state, kind="shell", schema=NEWER)
    assert schema_and_names(state)[0] == NOW


def test_processes_that_open_an_old_store_at_once_migrate_it_once(state: str, processes: Processes) -> None:
    make_store(state)
    started = [processes.start("migrator", state, "newer") for _ in range(5)]
    assert [line(process) for process in started] == ["ready"] * 5
    for process in started:
        tell(process)
    assert [line(process) for process in started] == ["open"] * 5
    store = SqliteStore.open(state, kind="shell", schema=NEWER)
    assert rows(store, "SELECT x FROM extra") == [(7,)]
    store.close()


def test_a_kill_in_mid_migration_leaves_the_old_schema_and_the_next_one_migrates(
    state: str, processes: Processes
) -> None:
    """The backup stands before the first step begins, and the steps take longer than the test lets them."""
    job_id = make_store(state)
    for _ in range(3):
        process = processes.start("migrator", state, "slowly newer")
        assert line(process) == "ready"
        tell(process)
        while not os.path.exists(state + BACKUP):
            assert process.poll() is None
        process.kill()
        process.wait()
        version, names = schema_and_names(state)
        assert version == NOW and "extra" not in names
        os.unlink(state + BACKUP)
    store = SqliteStore.open(state, kind="shell", schema=NEWER)
    assert types_of(store, job_id) == ["JobStarted", "A", "B"] and rows(store, "SELECT x FROM extra") == [(7,)]
    store.close()


def test_a_store_of_the_first_schema_is_migrated_with_the_uses_of_its_blobs(state: str) -> None:
    store = SqliteStore.open(state, kind="shell")
    inline = '{"environment":"env","arguments":[]}'
    for uid, started, blobs in (("u1", inline, []), ("u2", '{"$blob":"large"}', [("large", inline.encode())])):
        first = [event("JobStarted", started), event("Displayed", '{"$blob":"text"}'), event("Displayed", "not JSON")]
        _, lease, _ = store.create_job(job(uid), first, RUNNING, lease=True, blobs=[*blobs, ("text", b"shown")])
        assert lease is not None
        commit(store, lease, "JobEnded", summary=SUCCEEDED, blobs=[("env", b"{}")])
    everything = history(store, 2)
    store.close()
    to_the_first_schema(state)
    store = SqliteStore.open(state, kind="shell")
    assert list(store.verify()) == []
    assert history(store, 2) == everything and store._database.read("PRAGMA auto_vacuum") == [(2,)]
    store.remove_outputs([1], now_ms=1)
    assert store.blob("text") == b"shown" and store.blob("large") == inline.encode()
    store.remove_outputs([2], now_ms=1)
    assert store._database.read("SELECT hash FROM blob") == [("env",)]
    store.remove_jobs([1], now_ms=1)
    assert store.blob("env") == b"{}"
    store.remove_jobs([2], now_ms=1)
    assert store._database.read("SELECT hash FROM blob") == []
    store.close()


def to_the_first_schema(state: str) -> None:
    connection = raw(state)
    connection.execute(
        """DROP TRIGGER job_is_new_to_others; DROP TRIGGER job_state_is_told;
        DROP TABLE topic_event; DROP TABLE topic_group; DROP TABLE subscription; DROP TABLE call; DROP TABLE claim;
        DROP TABLE pace;
        DROP TABLE reply; ALTER TABLE callback DROP COLUMN options_json;
        DROP TABLE session; DROP TABLE session_variable;
        ALTER TABLE delivered DROP COLUMN at_ms; ALTER TABLE callback DROP COLUMN used_at_ms;
        ALTER TABLE job DROP COLUMN trimmed_at_ms; ALTER TABLE job DROP COLUMN output_removed_at_ms;
        CREATE TABLE old (hash TEXT PRIMARY KEY, data BLOB NOT NULL, sum BLOB NOT NULL) STRICT;
        INSERT INTO old SELECT hash, data, sum FROM blob; DROP TABLE blob; ALTER TABLE old RENAME TO blob;
        DROP TABLE blob_use; PRAGMA auto_vacuum = NONE; VACUUM; PRAGMA user_version = 1"""
    ).fetchall()
    connection.close()
