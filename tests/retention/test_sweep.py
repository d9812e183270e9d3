"""What a sweep removes, keeps and survives, over both stores and real files."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import apsw
import pytest

from fmsh import retention
from fmsh.connectors import spool
from fmsh.errors import StoreMissing
from fmsh.retention import Limits, Sweep
from fmsh.store.base import KEPT, MANY, NOTHING_CAME, EventStore, Session, SessionChange, Snapshot, Summary, kept_handle
from tests.conformance.worlds import RUNNING, WORLDS, commit, event, history, job, start

DAY_MS = 86_400_000
NOW_MS = 100 * DAY_MS
LIMITS = Limits(7 * DAY_MS, 30 * DAY_MS, 30 * DAY_MS)


@pytest.fixture
def fx(tmp_path: Path) -> Path:
    return tmp_path / "fx"


def sweep(store: EventStore, fx: Path, limits: Limits = LIMITS, **options: Any) -> retention.Swept:
    return Sweep(store, str(fx), limits, now_ms=lambda: NOW_MS, **options).run()


def ended(store: EventStore, uid: str, days_ago: int, **fields: Any) -> int:
    lease = start(store, uid, **fields)
    at_ms = NOW_MS - days_ago * DAY_MS
    summary = Summary("succeeded", ended_at_ms=at_ms, exit_status=0)
    commit(store, lease, "JobEnded", summary=summary, blobs=[(f"value of {uid}", b"v"), ("shared", b"s")])
    return lease.job_id


def leave_files(fx: Path, uid: str, *names: str) -> None:
    for name in names or ("1-1",):
        (fx / uid / name).mkdir(parents=True)
        (fx / uid / name / "out").write_text("output" * 1000)


def has_blob(store: EventStore, hash: str) -> bool:
    try:
        return bool(store.blob(hash))
    except StoreMissing:
        return False


def test_output_goes_after_a_week_and_history_after_a_month(store: EventStore, fx: Path) -> None:
    days = {"today": 0, "six": 6, "eight": 8, "twenty-nine": 29, "thirty-one": 31}
    ids = {uid: ended(store, uid, ago) for uid, ago in days.items()}
    for uid in days:
        leave_files(fx, uid)
    swept = sweep(store, fx)
    assert swept.jobs == [ids["thirty-one"]] and swept.outputs == [ids["eight"], ids["twenty-nine"]]
    assert swept.bytes >= 3 * 6000
    assert sorted(os.listdir(fx)) == ["six", "today"]
    assert [uid for uid in days if has_blob(store, f"value of {uid}")] == ["today", "six"]
    assert [uid for uid, id in ids.items() if store.job(id) is None] == ["thirty-one"]
    found = store.job(ids["eight"])
    assert found is not None and found.output_removed_at_ms == NOW_MS and len(history(store, found.id)) == 2
    again = sweep(store, fx)
    assert (again.jobs, again.outputs, again.trimmed, again.strays) == ([], [], [], 0)


def test_the_time_of_completion_counts_not_that_of_the_start(store: EventStore, fx: Path) -> None:
    recent = ended(store, "recent", 1, created_at_ms=1)
    sweep(store, fx)
    assert store.job(recent) is not None and has_blob(store, "value of recent")


def test_a_line_with_an_open_address_stays_while_its_session_is_used(store: EventStore, fx: Path) -> None:
    lines = []
    for days_ago, came in ((40, NOTHING_CAME), (1, NOTHING_CAME), (1, MANY), (1, '"came"')):
        id = f"session {len(lines)}"
        store.create_session(Session(id, 10, "/", "UTC", "{}", {}))
        line = start(store, id)
        kept = ((f"{KEPT}{kept_handle(line.job_id, '1')}", came),)
        at_ms = NOW_MS - 40 * DAY_MS
        change = SessionChange(id, at_ms, "/", "{}", kept, ())
        commit(store, line, "JobEnded", summary=Summary("succeeded", ended_at_ms=at_ms, exit_status=0), session=change)
        used = start(store, f"used {id}")
        change = change.replace(at_ms=NOW_MS - days_ago * DAY_MS, variables=())
        commit(store, used, "JobEnded", summary=Summary("succeeded", ended_at_ms=NOW_MS, exit_status=0), session=change)
        lines.append(line.job_id)
    assert sweep(store, fx).jobs == [lines[0], lines[3]]


def test_forever_is_for_ever(store: EventStore, fx: Path) -> None:
    old, active = ended(store, "old", 99), start(store, "active")
    commit(store, active, "A", snapshot=Snapshot(2, "s"))
    swept = sweep(store, fx, Limits(None, None, None))
    assert store.job(old) is not None and has_blob(store, "value of old") and not swept.trimmed


def test_an_active_job_is_never_removed_but_its_old_events_are(store: EventStore, fx: Path) -> None:
    lease = start(store, "active")
    commit(store, lease, "A", "B", snapshot=Snapshot(3, "s"), blobs=[("old", b"o")])
    commit(store, lease, "C", blobs=[("new", b"n")])
    leave_files(fx, "active")
    swept = sweep(store, fx)
    assert swept.trimmed == [lease.job_id] and swept.jobs == []
    assert [found.seq for found in history(store, lease.job_id)] == [3, 4]
    assert has_blob(store, "new") and (fx / "active" / "1-1" / "out").exists(), "an unknown state says nothing"
    commit(store, lease, "D")


def test_files_of_nobody_go_when_they_are_at_rest(store: EventStore, fx: Path) -> None:
    start(store, "active")
    for name in ("active", "gone", "arriving.adopting"):
        leave_files(fx, name)
        os.utime(fx / name, (1, 1))
    (fx / "arriving.adopting" / "1-1" / "deeper").mkdir()
    (fx / "arriving.adopting" / "1-1" / "deeper" / "file").write_text("x")
    leave_files(fx, "young")
    os.utime(fx / "young", (NOW_MS / 1000 - 60, NOW_MS / 1000 - 60))
    (fx / "a file").write_text("not ours")
    os.utime(fx / "a file", (1, 1))
    assert sweep(store, fx).strays == 2
    assert sorted(os.listdir(fx)) == ["a file", "active", "young"]


def test_a_link_in_the_place_of_files_is_not_followed(store: EventStore, fx: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    (precious / "1-1").mkdir(parents=True)
    (precious / "1-1" / "out").write_text("mine")
    fx.mkdir()
    (fx / "linked").symlink_to(precious)
    (fx / "gone").mkdir()
    (fx / "gone" / "1-1").symlink_to(precious / "1-1")
    for name in ("linked", "gone"):
        os.utime(fx / name, (1, 1))
    sweep(store, fx)
    assert (precious / "1-1" / "out").read_text() == "mine"


def test_a_sweep_stops_where_it_is_told_to_and_the_next_one_goes_on(store: EventStore, fx: Path) -> None:
    ids = [ended(store, f"u{number}", 40) for number in range(3)]
    sweep(store, fx, may_go_on=lambda: False)
    assert all(store.job(id) is not None for id in ids)
    sweep(store, fx)
    assert all(store.job(id) is None for id in ids)


def test_gc_leaves_active_jobs_as_they_are(store: EventStore, fx: Path) -> None:
    lease = start(store, "active")
    commit(store, lease, "A", snapshot=Snapshot(2, "s"))
    old = ended(store, "old", 40)
    swept = Sweep(store, str(fx), LIMITS, now_ms=lambda: NOW_MS).run_ended()
    assert swept.jobs == [old] and len(history(store, lease.job_id)) == 2


def test_a_value_that_two_jobs_have_goes_with_the_second(store: EventStore, fx: Path) -> None:
    ended(store, "first", 40)
    ended(store, "second", 1)
    sweep(store, fx)
    assert has_blob(store, "shared")
    sweep(store, fx, LIMITS.replace(output_ms=0))
    assert not has_blob(store, "shared")


def test_what_can_be_started_again_with_the_same_key_is_removed_whole(store: EventStore, fx: Path) -> None:
    old = ended(store, "old", 40, key="nightly")
    sweep(store, fx)
    made, _, is_new = store.create_job(job("new", key="nightly"), [event("JobStarted")], RUNNING, lease=False)
    assert is_new and made.id > old


def test_a_removed_directory_in_use_stays(store: EventStore, fx: Path) -> None:
    leave_files(fx, "running")
    lock = spool.take_lock(str(fx / "running" / "1-1"), "wrapper.lock")
    os.utime(fx / "running", (1, 1))
    sweep(store, fx)
    assert (fx / "running" / "1-1" / "out").exists()
    assert lock is not None
    os.close(lock)
    os.utime(fx / "running", (1, 1))
    sweep(store, fx)
    assert os.listdir(fx) == []


def test_a_damaged_job_does_not_keep_the_others_from_being_swept(tmp_path: Path, fx: Path) -> None:
    world = WORLDS["sqlite"](str(tmp_path))
    store = world.open()
    leases = [start(store, f"active-{number}") for number in range(3)]
    for lease in leases:
        commit(store, lease, "A", snapshot=Snapshot(2, "s"))
    old = ended(store, "old", 40)
    connection = apsw.Connection(str(tmp_path / "state" / "store.db"))
    connection.execute("UPDATE job SET command = CAST(x'ff' AS TEXT) WHERE id = ?", (leases[0].job_id,))
    connection.execute("UPDATE job SET uid = CAST(x'ff' AS TEXT) WHERE id = ?", (leases[1].job_id,))
    connection.close()
    leave_files(fx, "active-1")
    os.utime(fx / "active-1", (1, 1))
    swept = sweep(store, fx)
    assert swept.jobs == [old] and swept.trimmed == [leases[2].job_id]
    assert swept.damaged == [leases[0].job_id, leases[1].job_id]
    assert (fx / "active-1" / "1-1" / "out").exists(), "nobody knows whose they are"
    world.close()


def test_a_delivery_is_remembered_for_as_long_as_was_asked_for(store: EventStore, fx: Path) -> None:
    lease = start(store, "active")
    now_ms = time.time_ns() // 10**6
    for days, is_new in [(None, False), (3, False), (1, True)]:
        store.deliver(lease.job_id, "callback", "1", dedupe_id="d")
        limits = LIMITS.replace(deliveries_ms=None if days is None else days * DAY_MS)
        Sweep(store, str(fx), limits, now_ms=lambda: now_ms + 2 * DAY_MS).run()
        assert store.deliver(lease.job_id, "callback", "1", dedupe_id="d") == is_new
