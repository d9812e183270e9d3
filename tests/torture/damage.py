"""Stores whose files were damaged: a log that is cut or garbled, and bits that have flipped."""

from __future__ import annotations

from pathlib import Path

import apsw

from fmsh.errors import StoreCorrupt, StoreError
from fmsh.store.base import Append, NewCallback, Snapshot, StoredEvent, Summary
from fmsh.store.sqlite import SqliteStore
from tests.conformance.worlds import PROGRAM, RUNNING, commit, event, history, start
from tests.torture.rows import Counts, Row, Trial, Verdict

OUTCOME = '{"value": "some value that other jobs read"}'
TURNS_SYNCED, TURNS_IN_LOG = 10, 40
FRAME_BYTES = 4096 + 24


def fold(state: str) -> None:
    """Copies the log of a closed store into its database, and empties it."""
    connection = apsw.Connection(state + "/store.db")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    connection.close()


# ---- A torn log


def torn_logs(trial: Trial) -> Verdict:
    """Opens copies of a store whose log ends, or is garbled, somewhere.

    What a checkpoint has put into the database must be there. Of the log a whole prefix of its commits must be there.
    """
    state = str(trial.directory / "state")
    written = _store_with_log(state)
    path = Path(state + "/store.db")
    database, log = path.read_bytes(), Path(state + "/store.db-wal").read_bytes().rstrip(b"\0")
    partial = lost = 0
    for _ in range(trial.count):
        path.write_bytes(database)
        Path(state + "/store.db-wal").write_bytes(_torn(trial, log))
        Path(state + "/store.db-shm").unlink(missing_ok=True)
        reader = SqliteStore.open(state, kind="shell")
        found = {job_id: history(reader, job_id) for job_id in written}
        steps = {getattr(reader.job(job_id), "steps", None) for job_id in written}
        reader.close()
        heads = {len(events) for events in found.values()}
        is_whole = len(heads) == 1 and len(steps) == 1 and (max(heads) - 1) % 3 == 0
        is_prefix = all(written[job_id][: len(events)] == events for job_id, events in found.items())
        partial += not (is_whole and is_prefix)
        lost += min(heads) < 1 + 3 * TURNS_SYNCED
    violations = [f"{partial} stores held a part of a commit"] if partial else []
    violations += [f"{lost} stores lost what was synced"] if lost else []
    return Verdict(trial.count, f"{partial} partial, {lost} lost", violations)


def _store_with_log(state: str) -> dict[int, list[StoredEvent]]:
    """Makes a store of three jobs that append together: some commits in the database, more in the log."""
    written: dict[int, list[StoredEvent]] = {}
    store = SqliteStore.open(state, kind="shell")
    leases = [start(store, f"u{number}") for number in range(3)]
    for turn in range(TURNS_SYNCED + TURNS_IN_LOG):
        if turn == TURNS_SYNCED:
            fold(state)
        append = [Append(lease, [event(f"{turn}")] * 3, Summary("running", steps=turn)) for lease in leases]
        assert store.commit(append) == [None] * 3
    written = {lease.job_id: history(store, lease.job_id) for lease in leases}
    store.close()
    return written


def _torn(trial: Trial, log: bytes) -> bytes:
    """A log that ends too soon, perhaps with old or strange bytes where it ended, or that is garbled in one place."""
    choose = trial.choose
    at = choose.randrange(len(log))
    match choose.randrange(4):
        case 0:
            return log[:at]
        case 1:
            return log[:at] + bytes([log[at] ^ (1 << choose.randrange(8))]) + log[at + 1 :]
        case 2:
            return log[:at] + choose.randbytes(min(len(log) - at, choose.randrange(1, 3 * FRAME_BYTES)))
        case _:
            return log[:at] + bytes(min(len(log) - at, 512)) + log[at + 512 :]  # a sector that was never written


# ---- Flipped bits


def damaged_store(state: str) -> tuple[dict[int, list[object]], int]:
    """Makes a store with some jobs and folds its log into the database; gives the histories and the file's size."""
    store = SqliteStore.open(state, kind="shell")
    leases = [start(store, f"u{number}") for number in range(6)]
    for turn in range(30):
        batch = [Append(lease, [event("A", f'{{"turn": {turn}}}', turn)], RUNNING) for lease in leases]
        assert store.commit(batch) == [None] * len(batch)
    for lease in leases[:3]:
        commit(store, lease, snapshot=Snapshot(lease.head, f'{{"state of": {lease.job_id}}}'))
    for lease in leases[3:5]:
        store.deliver(lease.job_id, "signal", OUTCOME, dedupe_id="d")
        commit(store, lease, summary=Summary("succeeded", value_json=OUTCOME, ended_at_ms=9))
    commit(store, leases[5], blobs=[("b1", b"a large value")])
    store.open_callback(NewCallback(leases[0].job_id, "hook", b"t" * 32, None))
    kept: dict[int, list[object]] = {lease.job_id: [*history(store, lease.job_id)] for lease in leases}
    store.close()
    fold(state)
    return kept, Path(state + "/store.db").stat().st_size


def flipped_bits(trial: Trial) -> Verdict:
    """Loads all jobs of a store in which one bit has flipped, as an engine does before it acts.

    What is found by that must also be found by verifying everything.
    """
    state = str(trial.directory / "state")
    kept, size = damaged_store(state)
    path = Path(state + "/store.db")
    sound = path.read_bytes()
    used = [at for at in range(100, size) if sound[at] != 0]
    found, undetected = 0, list[str]()
    for _ in range(trial.count):
        at, bit = trial.choose.choice(used), trial.choose.randrange(8)
        path.write_bytes(sound[:at] + bytes([sound[at] ^ (1 << bit)]) + sound[at + 1 :])
        for name in ("-wal", "-shm"):
            Path(f"{path}{name}").unlink(missing_ok=True)
        try:
            is_found = not loads_the_same(state, kept)
            assert not is_found or verifying_finds_it(state), "found when a job is loaded, and not by verifying"
            found += is_found
        except AssertionError as difference:
            undetected.append(f"byte {at}, bit {bit}: {difference}")
    harmless = trial.count - found - len(undetected)
    worst = f"{found} found, {harmless} harmless, {len(undetected)} undetected"
    return Verdict(trial.count, worst, undetected)


def loads_the_same(state: str, kept: dict[int, list[object]]) -> bool:
    """False: the store said that something is damaged. Raises: AssertionError: it gave what was never written."""
    is_same = True
    try:
        store = SqliteStore.open(state, kind="shell")
    except StoreError:
        return False
    try:
        store.due(10**9, limit=9)
        for job_id, events in kept.items():
            try:
                snapshot, rest = _load(store, job_id)
            except StoreError:
                is_same = False
                continue
            if isinstance(snapshot, Snapshot):
                assert snapshot == Snapshot(31, f'{{"state of": {job_id}}}') and rest == [], f"job {job_id}: {snapshot}"
            else:
                assert rest == events, f"job {job_id} was loaded with a history that is not its own"
                is_same = is_same and job_id > 3
    except StoreError:
        return False
    finally:
        store.close()
    return is_same


def verifying_finds_it(state: str) -> bool:
    """Whether verifying everything finds damage, or there is no store to verify any more."""
    try:
        store = SqliteStore.open(state, kind="shell")
    except StoreError:
        return True
    try:
        return any(store.verify())
    except StoreError:
        return True
    finally:
        store.close()


def _load(store: SqliteStore, job_id: int) -> tuple[object, list[object]]:
    """Loads a job as an engine does: its program, the newest snapshot, then the events after it."""
    found = store.job(job_id)
    if found is None:
        raise StoreCorrupt("the job is gone")
    assert found.ended_at_ms is None or found.value_json == OUTCOME, f"job {job_id} ended with {found.value_json}"
    assert store.program(found.program_hash) == PROGRAM, f"the program of job {job_id} is another one"
    for row in store.inbox(job_id):
        assert row.data_json == OUTCOME and row.job_id == job_id, f"job {job_id} was sent {row.data_json}"
    snapshot = store.snapshot(job_id)
    return snapshot, list(store.events(job_id, after=snapshot.seq if snapshot else 0))


ROWS = (
    Row("torn-log", "0 lost that was synced, 0 partial", Counts(60, 300, 1000), torn_logs),
    Row("flipped-bits", "0 undetected", Counts(100, 300, 1000), flipped_bits),
)
