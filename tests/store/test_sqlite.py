"""What the SQLite store promises beyond the suite of all stores: its files, its schema, and how it fails."""

from __future__ import annotations

import fcntl
import os
import random
import resource
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from fmsh.errors import StoreBusy, StoreCorrupt, StoreError, StoreFull
from fmsh.store import files
from fmsh.store.base import Append
from fmsh.store.sqlite import SqliteStore
from tests.conformance.worlds import RUNNING, SUCCEEDED, append, commit, event, history, job, start, types_of
from tests.torture.damage import damaged_store


def raw(state: str) -> apsw.Connection:
    return apsw.Connection(state + "/store.db")


# -- files


def test_nobody_else_can_read_anything(state: str) -> None:
    before = os.umask(0o000)
    store = SqliteStore.open(state, kind="daemon")
    start(store)
    store.wake_fileno()
    os.umask(before)
    modes = {path.name: stat.S_IMODE(path.lstat().st_mode) for path in [Path(state), *Path(state).rglob("*")]}
    directories = {"state", "run"}
    assert {name: mode for name, mode in modes.items() if mode != (0o700 if name in directories else 0o600)} == {}
    assert len(modes) == 8, "the database, its log, its shared memory, the gate, a lock, a socket, two directories"
    store.close()


def test_a_directory_and_a_database_open_to_others_are_closed(state: str) -> None:
    SqliteStore.open(state, kind="shell").close()
    for path, mode in ((state, 0o755), (state + "/run", 0o755), (state + "/store.db", 0o644)):
        os.chmod(path, mode)
    SqliteStore.open(state, kind="shell").close()
    modes = [stat.S_IMODE(os.stat(state + name).st_mode) for name in ("", "/run", "/store.db")]
    assert modes == [0o700, 0o700, 0o600]


def test_a_closed_store_leaves_nothing_in_run(state: str) -> None:
    store = SqliteStore.open(state, kind="daemon")
    store.wake_fileno()
    assert len(os.listdir(state + "/run")) == 2
    store.close()
    assert os.listdir(state + "/run") == []


def test_a_file_in_place_of_the_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(StoreError, match=r"must be a directory") as caught:
        SqliteStore.open(str(tmp_path / "state"), kind="shell")
    assert caught.value.hint


def test_a_directory_that_cannot_be_written_is_named() -> None:
    import tempfile

    directory = tempfile.mkdtemp()
    os.chmod(directory, 0o500)
    as_somebody_else: Callable[[int], object] = os.seteuid if os.geteuid() == 0 else lambda _: None
    if os.geteuid() == 0:
        os.chown(directory, 65534, 65534)
    as_somebody_else(65534)
    try:
        with pytest.raises(StoreError, match="cannot be written: permission denied"):
            SqliteStore.open(directory, kind="shell")
    finally:
        as_somebody_else(0)
        os.rmdir(directory)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a file of somebody else")
def test_a_directory_of_somebody_else_is_refused(state: str) -> None:
    os.mkdir(state)
    os.chown(state, 65534, 65534)
    with pytest.raises(StoreError, match="must belong"):
        SqliteStore.open(state, kind="shell")


def test_a_planted_database_is_refused(state: str, tmp_path: Path) -> None:
    os.mkdir(state, 0o700)
    os.symlink(tmp_path / "elsewhere.db", state + "/store.db")
    with pytest.raises(StoreError, match="of our own"):
        SqliteStore.open(state, kind="shell")
    assert not (tmp_path / "elsewhere.db").exists()


def test_a_network_file_system_is_refused(state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert files.file_system_of("/proc") in ("proc", "")
    monkeypatch.setattr(files, "file_system_of", lambda path: "nfs4")
    with pytest.raises(StoreError, match="network file system"):
        SqliteStore.open(state, kind="shell")
    assert not os.path.exists(state + "/store.db")


def test_an_old_sqlite_is_refused(state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apsw, "sqlite_lib_version", lambda: "3.51.2")
    with pytest.raises(StoreError, match=r"3\.51\.3 or later"):
        SqliteStore.open(state, kind="shell")


def test_the_connection_is_as_durable_and_as_careful_as_promised(store: SqliteStore) -> None:
    wanted = {"journal_mode": "wal", "synchronous": 2, "mmap_size": 0, "secure_delete": 1, "trusted_schema": 0}
    wanted |= {"cell_size_check": 1, "busy_timeout": 30_000}
    assert {name: store._database.read(f"PRAGMA {name}")[0][0] for name in wanted} == wanted


# -- the schema


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO event VALUES (1, 4, 1, 0, 'T', NULL, '', x'')",  # a gap
        "INSERT INTO event VALUES (1, 2, 1, 0, 'T', NULL, '', x'')",  # a second past
        "INSERT INTO event VALUES (1, 3, 0, 0, 'T', NULL, '', x'')",  # an older epoch
        "INSERT INTO event VALUES (1, 3, 2, 0, 'T', NULL, '', x'')",  # an epoch that nobody was given
        "INSERT INTO event VALUES (9, 1, 1, 0, 'T', NULL, '', x'')",  # no job
        "UPDATE event SET type = 'T'",
        "UPDATE event SET step = 1 WHERE seq = 2",
        "DELETE FROM event WHERE seq = 2",
        "REPLACE INTO event VALUES (1, 1, 1, 0, 'T', NULL, '', x'')",
        "UPDATE job SET epoch = 0",
        "UPDATE job SET trimmed_seq = 5",
    ],
)
def test_the_database_itself_refuses_to_change_history(state: str, store: SqliteStore, sql: str) -> None:
    lease = start(store)
    commit(store, lease, "A")
    before = history(store, lease.job_id)
    connection = raw(state)
    with pytest.raises(apsw.ConstraintError):
        connection.execute(sql)
    connection.close()
    assert history(store, lease.job_id) == before


# -- failing


@pytest.mark.parametrize("name", ["store.db", "store.db-wal"])
@pytest.mark.parametrize("how", ["unlinked", "replaced", "linked"])
def test_a_store_whose_files_are_not_ours_any_more_fails_closed(state: str, name: str, how: str) -> None:
    store = SqliteStore.open(state, kind="shell")
    lease = start(store)
    path = f"{state}/{name}"
    if how == "linked":
        os.link(path, path + ".other")
    else:
        os.rename(path, path + ".away")
    if how == "replaced":
        Path(path).write_bytes(Path(path + ".away").read_bytes())
    for type in ("A", "RequestMade"):
        with pytest.raises(StoreError, match="removed or replaced"):
            store.commit([append(lease, type)])
    assert lease.head == 1 and len(history(store, lease.job_id)) == 1
    store.close()


def test_a_full_disk_undoes_the_commit_and_work_goes_on_when_there_is_room(state: str) -> None:
    os.mkdir(state)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", state], capture_output=True).returncode:
        pytest.skip("no disk of our own can be mounted here")
    store = SqliteStore.open(state, kind="shell")
    try:
        lease = start(store)
        filler = os.open(state + "/filler", os.O_CREAT | os.O_WRONLY)
        size = os.statvfs(state).f_bavail * 4096
        os.posix_fallocate(filler, 0, size)
        with pytest.raises(StoreFull, match="no room") as caught:
            store.commit([Append(lease, [event(data_json="x" * 200_000)], SUCCEEDED)])
        assert "Free some space" in caught.value.hint and lease.head == 1
        assert types_of(store, lease.job_id) == ["JobStarted"]
        os.ftruncate(filler, 0)
        os.close(filler)
        commit(store, lease, "A")
        assert types_of(store, lease.job_id) == ["JobStarted", "A"]
    finally:
        store.close()
        subprocess.run(["umount", state], check=True)


def test_on_a_nearly_full_disk_nothing_begins_and_what_has_begun_ends(state: str) -> None:
    os.mkdir(state)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", state], capture_output=True).returncode:
        pytest.skip("no disk of our own can be mounted here")
    store = SqliteStore.open(state, kind="shell")
    try:
        lease = start(store)
        commit(store, lease, "RequestMade")
        with open(state + "/filler", "wb") as filler:
            os.posix_fallocate(filler.fileno(), 0, os.statvfs(state).f_bavail * 4096 - files.FREE_BYTES_MIN + 4096)
            with pytest.raises(StoreFull, match="less than 1 MiB is free"):
                store.commit([append(lease, "RequestCompleted", "RequestMade")])
            with pytest.raises(StoreFull):
                store.create_job(job("u2"), [event("JobStarted"), event("RequestMade")], RUNNING, lease=True)
            commit(store, lease, "RequestCompleted")
            filler.truncate(0)
        commit(store, lease, "RequestMade")
        assert types_of(store, lease.job_id) == ["JobStarted", "RequestMade", "RequestCompleted", "RequestMade"]
        assert store.last_job() == store.job(lease.job_id)
    finally:
        store.close()
        subprocess.run(["umount", state], check=True)


def test_a_file_size_limit_undoes_the_commit(store: SqliteStore, state: str) -> None:
    lease = start(store)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (os.path.getsize(state + "/store.db-wal") + 8192, hard))
    try:
        with pytest.raises(StoreError):
            store.commit([Append(lease, [event(data_json="x" * 200_000)], RUNNING)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    commit(store, lease, "A")
    assert types_of(store, lease.job_id) == ["JobStarted", "A"]


def failing_after_commit(*_: object) -> int:
    raise apsw.IOError("the commit's answer was lost")


def test_a_commit_of_unknown_outcome_is_settled_by_looking(store: SqliteStore) -> None:
    lease = start(store)
    connection = store._database._connection
    connection.set_wal_hook(failing_after_commit)
    commit(store, lease, "A")
    taken = start(store, "u2")
    connection.set_wal_hook(None)
    connection.set_commit_hook(lambda: True)
    with pytest.raises(StoreError):
        store.commit([append(lease, "B")])
    connection.set_commit_hook(None)
    commit(store, lease, "C")
    assert types_of(store, lease.job_id) == ["JobStarted", "A", "C"] and types_of(store, taken.job_id) == ["JobStarted"]


def test_a_lease_of_unknown_outcome_is_settled_by_looking(state: str, store: SqliteStore) -> None:
    lease = start(store)
    store.release(lease, wake_at_ms=None)
    store._database._connection.set_wal_hook(failing_after_commit)
    taken = store.acquire(lease.job_id)
    store._database._connection.set_wal_hook(None)
    assert taken is not None and taken.epoch == 2
    commit(store, taken, "A")


def test_a_wait_at_the_gate_ends_and_names_who_holds_it(state: str, store: SqliteStore) -> None:
    lease = start(store)
    holder = subprocess.Popen(
        [sys.executable, "-c", "import fcntl,sys;f=open(sys.argv[1]);fcntl.flock(f,2);print(flush=1);input()",
         state + "/store.gate"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert holder.stdin and holder.stdout
    holder.stdout.readline()
    store._database.gate.wait_s = 0.05
    for _ in range(2):
        with pytest.raises(StoreBusy, match=f"process {holder.pid} .*has kept the store locked") as caught:
            store.commit([append(lease, "A")])
    assert caught.value.hint
    holder.communicate(b"\n")
    store._database.gate.wait_s = 5.0
    for _ in range(20):
        commit(store, lease, "B")
    with open(state + "/store.gate") as gate:  # whoever gave up does not keep it
        fcntl.flock(gate, fcntl.LOCK_EX)


def test_a_queue_that_moves_is_waited_for(state: str, store: SqliteStore) -> None:
    """Some are in line before us: each keeps the gate for less than the limit, and all of them for longer."""
    lease = start(store)
    store._database.gate.wait_s = 1.0
    before_us = [os.open(state + "/store.gate", os.O_RDWR) for _ in range(6)]
    inode = f":{os.stat(state + '/store.gate').st_ino} "

    def take_a_turn(gate: int) -> None:
        fcntl.flock(gate, fcntl.LOCK_EX)
        time.sleep(0.3)
        os.utime(state + "/store.db-wal")  # as a commit does
        fcntl.flock(gate, fcntl.LOCK_UN)

    threads = [threading.Thread(target=take_a_turn, args=(gate,)) for gate in before_us]
    for thread in threads:
        thread.start()
    while Path("/proc/locks").read_text().count(inode) < len(threads):
        time.sleep(0.01)
    commit(store, lease, "A")
    assert not any(thread.is_alive() for thread in threads[:-1])
    for thread, gate in zip(threads, before_us, strict=True):
        thread.join()
        os.close(gate)


# -- damage


def test_a_flipped_bit_in_an_event_is_always_found_and_costs_one_job(state: str) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    choose = random.Random(seed)
    kept, _ = damaged_store(state)
    path = state + "/store.db"
    sound = Path(path).read_bytes()
    for turn in range(30):
        starts = [at for at in range(len(sound)) if sound.startswith(b'{"turn": %d}' % turn, at)]
        assert len(starts) >= 6
        at = choose.choice(starts) + choose.randrange(9)
        Path(path).write_bytes(sound[:at] + bytes([sound[at] ^ (1 << choose.randrange(7))]) + sound[at + 1 :])
        for name in ("-wal", "-shm"):
            Path(path + name).unlink(missing_ok=True)
        store = SqliteStore.open(state, kind="shell")
        failed = 0
        for job_id, events in kept.items():
            try:
                assert [*store.events(job_id)] == events
            except StoreCorrupt:
                failed += 1
        store.close()
        assert failed == 1


# -- owners and waking


def test_a_short_job_makes_two_commits(store: SqliteStore) -> None:
    commits: list[int] = []

    def count(*_: object) -> int:
        commits.append(1)
        return 0

    store._database._connection.set_wal_hook(count)
    lease = start(store)
    commit(store, lease, "JobEnded", summary=SUCCEEDED)
    assert len(commits) == 2


def test_the_names_of_the_dead_do_not_pile_up(state: str) -> None:
    for number in range(5):
        store = SqliteStore.open(state, kind="shell")
        lease = start(store, f"u{number}")
        commit(store, lease, "JobEnded", summary=SUCCEEDED)
        assert [owner.id for owner in store.owners()] == [store.owner.id]
        store.close()


def test_a_second_thread_is_the_same_owner_and_wakes_the_first(store: SqliteStore) -> None:
    lease = start(store)
    fileno = store.wake_fileno()

    def deliver() -> None:
        second = store.reopen()
        assert second.owner is store.owner and second.wake_fileno() == fileno
        assert second.deliver(lease.job_id, "signal", "{}", dedupe_id="d")
        second.close()

    thread = threading.Thread(target=deliver)
    thread.start()
    thread.join()
    assert os.read(fileno, 9) and store.is_alive(store.owner.id)
    commit(store, lease, "A")


def test_a_path_too_long_for_a_socket_is_woken_all_the_same(tmp_path: Path) -> None:
    state = str(tmp_path / ("d" * 100) / ("e" * 100))
    daemon, other = SqliteStore.open(state, kind="daemon"), SqliteStore.open(state, kind="shell")
    fileno = daemon.wake_fileno()
    other.wake_daemon()
    assert os.read(fileno, 9)
    daemon.close()
    other.wake_daemon()
    other.close()
    assert os.listdir(state + "/run") == []


def test_a_living_owner_whose_name_was_lost_keeps_its_jobs_and_comes_back(state: str, store: SqliteStore) -> None:
    lease = start(store)
    connection = raw(state)
    connection.execute("DELETE FROM owner")
    connection.close()
    other = SqliteStore.open(state, kind="shell")
    assert other.acquire(lease.job_id) is None and other.reap() == []
    store.renew()
    assert store.owner in other.owners()
    commit(store, lease, "A")
    other.close()


def test_an_owner_without_leases_writes_nothing(store: SqliteStore) -> None:
    store.renew()
    assert store.owners() == [] and os.listdir(os.path.dirname(store._database.path) + "/run") == []


def test_what_a_crash_left_in_run_is_swept_when_somebody_died(state: str, store: SqliteStore) -> None:
    start(store)
    dead = SqliteStore.open(state, kind="daemon")
    dead.wake_fileno()
    for name in ("0" * 32 + ".lock", "0" * 32 + ".sock", "control.sock.lock"):
        Path(f"{state}/run/{name}").touch()
    os.close(dead._presence._lock_fd)
    dead._database.close()
    assert store.reap() == []
    kept = [f"{store.owner.id}.lock", "control.sock.lock"]  # the second belongs to whoever becomes the daemon
    assert sorted(os.listdir(state + "/run")) == sorted(kept)


def test_opening_a_store_imports_nothing_that_is_slow(state: str) -> None:
    program = (
        "import sys; from fmsh.store.sqlite import SqliteStore; s = SqliteStore.open(sys.argv[1], kind='shell');"
        "s.wake_daemon(); s.close(); print(*sys.modules)"
    )
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    run = subprocess.run([sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {root!r}); {program}", state],
                         capture_output=True, text=True, check=True)  # fmt: skip
    slow = {"typing", "dataclasses", "pathlib", "json", "re", "subprocess", "socket", "hashlib", "contextlib",
            "cryptography", "asyncio", "threading", "random", "enum", "functools"}  # fmt: skip
    assert slow & set(run.stdout.split()) == set()


def test_a_damaged_head_costs_its_job_and_not_the_others_of_the_commit(state: str, store: SqliteStore) -> None:
    leases = [start(store, f"u{number}") for number in range(3)]
    for lease in leases:
        commit(store, lease, "A", "B")
    connection = raw(state)
    connection.execute("UPDATE job SET head = 2 WHERE id = ?", (leases[1].job_id,))
    connection.close()
    leases[1].head = 2
    answers = store.commit([append(lease, "C") for lease in leases])
    assert answers[0] is None and answers[2] is None and isinstance(answers[1], StoreError)
    with pytest.raises(StoreCorrupt, match="ends at event 3, and its row says 2"):
        history(store, leases[1].job_id)
    store.quarantine(leases[1].job_id, error_json='"damaged"')
    assert types_of(store, leases[2].job_id)[-1] == "C"


@pytest.mark.parametrize("prepare", ["", "PRAGMA journal_mode = WAL"])
def test_a_store_whose_making_was_cut_short_is_made_whole(state: str, prepare: str) -> None:
    os.mkdir(state, 0o700)
    Path(state + "/store.db").touch(0o600)
    connection = raw(state)
    connection.execute(prepare).fetchall()
    connection.close()
    store = SqliteStore.open(state, kind="shell")
    commit(store, start(store), "A")
    store.close()


def test_the_log_grows_ahead_and_is_folded_in_time(state: str, store: SqliteStore) -> None:
    lease = start(store)
    sizes = set()
    for _ in range(500):
        commit(store, lease, "A", "B")
        sizes.add(os.path.getsize(state + "/store.db-wal"))
    assert len(sizes) < 40 and max(sizes) < 1100 * 4120, "the log grows with every commit, or is never folded"
    assert os.path.getsize(state + "/store.db") > 50_000
    reader = SqliteStore.open(state, kind="shell")
    assert len(history(reader, lease.job_id)) == 1001
    reader.close()
