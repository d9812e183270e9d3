"""What every store guarantees, proved for each of them. The names are the guarantees of `fmsh.store.base`."""

from __future__ import annotations

import json
import select
from typing import Any

import pytest

from fmsh.errors import InternalError, StoreCorrupt, StoreError, StoreFenced, StoreFull, StoreMissing, StoreTaken
from fmsh.store.base import (
    ENDED_STATES,
    KEPT,
    MANY,
    NOTHING_CAME,
    Append,
    Delivery,
    EventStore,
    Job,
    KeptCalls,
    Lease,
    NewCallback,
    NewEvent,
    NewInboxRow,
    Session,
    SessionChange,
    Snapshot,
    Summary,
    kept_handle,
)
from fmsh.store.outside import JOBS, Call, CallOutcome, LeasedCall, NewCall, NewClaim, Place, Subscription
from fmsh.store.topics import WAITING_MAX
from tests.conformance.worlds import (
    PROGRAM,
    RUNNING,
    SUCCEEDED,
    TTL_S,
    World,
    append,
    commit,
    event,
    history,
    ids,
    job,
    start,
    types_of,
)


def row(store: EventStore, job_id: int) -> Job:
    found = store.job(job_id)
    assert found is not None
    return found


# -- jobs


def test_a_created_job_is_there_with_its_events_and_its_program(store: EventStore) -> None:
    new = job(key="k", name="n", tags_json='{"a": "b"}', is_detached=True)
    created, lease, is_new = store.create_job(new, [event("JobStarted"), event("RequestMade")], RUNNING, lease=True)
    assert is_new and lease is not None
    assert (lease.job_id, lease.epoch, lease.head) == (created.id, 1, 2)
    assert created == store.job(created.id) == store.job_by_key("k") == store.last_job() == store.jobs_by_name("n")[0]
    assert (created.uid, created.is_detached, created.owner_id, created.head) == ("u1", True, store.owner.id, 2)
    assert types_of(store, created.id) == ["JobStarted", "RequestMade"]
    assert store.program("p1") == PROGRAM


def test_every_field_of_an_event_comes_back(store: EventStore) -> None:
    lease = start(store)
    text = '{"text": "ünï\\u0000\n"}'
    assert store.commit([Append(lease, [NewEvent("RequestMade", 2**40, text, 7)], RUNNING)]) == [None]
    found = history(store, lease.job_id)[-1]
    assert (found.job_id, found.seq, found.epoch) == (lease.job_id, 2, 1)
    assert (found.at_ms, found.type, found.step, found.data_json) == (2**40, "RequestMade", 7, text)


def test_a_key_starts_one_job_only(world: World, store: EventStore) -> None:
    lease = start(store, key="k")
    other, none, is_new = world.open().create_job(job("u2", key="k"), [event()], RUNNING, lease=True)
    assert (other.id, none, is_new) == (lease.job_id, None, False)
    assert len(ids(store)) == 1


def test_a_job_that_ends_at_once_is_held_by_nobody(store: EventStore) -> None:
    created, lease, _ = store.create_job(job(), [event()], SUCCEEDED, lease=True)
    assert lease is None and created.owner_id is None


def test_what_does_not_exist_is_none_or_missing(store: EventStore) -> None:
    assert store.job(1) is None and store.job_by_key("k") is None and store.last_job() is None
    assert store.jobs_by_name("n") == [] and store.inbox(1) == [] and store.snapshot(1) is None
    assert store.acquire(1) is None and not store.is_alive("nobody")
    for ask in (lambda: store.program("p"), lambda: store.blob("b"), lambda: history(store, 1)):
        with pytest.raises(StoreMissing):
            ask()
    with pytest.raises(StoreMissing):
        store.deliver(1, "cancel", "{}", dedupe_id="d")


def test_lists_are_newest_first_and_active_before_ended(store: EventStore) -> None:
    leases = [start(store, f"u{number}", tags_json=f'{{"parity": "{number % 2}"}}') for number in range(4)]
    a, b, c, d = (lease.job_id for lease in leases)
    commit(store, leases[1], "JobEnded", summary=SUCCEEDED)
    commit(store, leases[3], "JobEnded", summary=Summary("failed"))
    assert ids(store) == [c, a, d, b]
    assert ids(store, limit=3) == [c, a, d] and ids(store, limit=1) == [c]
    assert ids(store, states=("succeeded", "running")) == [c, a, b]
    assert ids(store, tags=(("parity", "1"),)) == [d, b]
    counts = store.count_by_state()
    assert (counts["running"], counts["succeeded"], counts["failed"], counts["parked"]) == (2, 1, 1, 0)


# -- append, all or nothing


def test_a_commit_is_seen_by_every_process(world: World, store: EventStore) -> None:
    lease, other = start(store), world.open()
    before = other.data_version()
    summary = Summary("waiting", wake_at_ms=7, steps=2, waiting_for_json='["x"]', error_json="{}")
    blobs = [("b1", b"\0value"), ("b1", b"\0value")]
    commit(store, lease, "A", "B", summary=summary, blobs=blobs, snapshot=Snapshot(3, "state"), detach=True)
    assert types_of(other, lease.job_id) == ["JobStarted", "A", "B"]
    found = row(other, lease.job_id)
    assert (found.state, found.wake_at_ms, found.steps, found.head) == ("waiting", 7, 2, 3)
    assert (found.waiting_for_json, found.error_json, found.is_detached) == ('["x"]', "{}", True)
    assert other.blob("b1") == b"\0value" and other.snapshot(lease.job_id) == Snapshot(3, "state")
    assert other.data_version() != before


def test_a_write_that_finds_no_room_has_no_effect_and_work_goes_on_when_there_is_some(
    world: World, store: EventStore
) -> None:
    lease = start(store)
    store.deliver(lease.job_id, "signal", "{}", dedupe_id="d")
    taken = [store.inbox(lease.job_id)[0].id]
    world.fill_disk(store)
    large = Append(
        lease, [event(data_json='"' + "x" * 50_000 + '"')], SUCCEEDED, taken=taken, blobs=[("b", b"x" * 9999)]
    )
    with pytest.raises(StoreFull):
        store.commit([large])
    assert row(store, lease.job_id).state == "running" and lease.head == 1 and len(store.inbox(lease.job_id)) == 1
    with pytest.raises(StoreMissing):
        store.blob("b")
    world.free_disk(store)
    assert store.commit([large]) == [None]
    assert row(store, lease.job_id).head == lease.head == 2 and store.inbox(lease.job_id) == []


def test_an_append_of_no_events_changes_the_summary(store: EventStore) -> None:
    lease = start(store)
    commit(store, lease, summary=Summary("paused"))
    assert (row(store, lease.job_id).state, lease.head) == ("paused", 1)
    assert store.commit([]) == []


def test_one_commit_serves_many_jobs(store: EventStore) -> None:
    leases = [start(store, f"u{number}") for number in range(20)]
    assert store.commit([append(lease, "A", "B") for lease in leases]) == [None] * 20
    assert all(types_of(store, lease.job_id) == ["JobStarted", "A", "B"] for lease in leases)


def test_one_job_twice_in_a_commit_is_a_fault_of_ours(store: EventStore) -> None:
    lease = start(store)
    with pytest.raises(InternalError):
        store.commit([append(lease, "A"), append(lease, "B")])


# -- fenced


def taken_over(world: World, store: EventStore, job_id: int) -> tuple[EventStore, Lease]:
    """Lets another process take a job from `store`, which has stalled."""
    other = world.open()
    assert other.acquire(job_id) is None
    world.now_s += TTL_S
    lease = other.acquire(job_id)
    assert lease is not None
    return other, lease


def test_a_stale_lease_appends_nothing_and_the_others_in_the_batch_do(world: World, store: EventStore) -> None:
    stale, sound = start(store), start(store, "u2")
    other, lease = taken_over(world, store, stale.job_id)
    commit(other, lease, "Theirs")
    fenced, none = store.commit([append(stale, "Late", summary=SUCCEEDED, blobs=[("b", b"")]), append(sound, "Ours")])
    assert isinstance(fenced, StoreFenced) and none is None
    assert types_of(other, stale.job_id) == ["JobStarted", "Theirs"] and row(other, stale.job_id).state == "running"
    assert types_of(other, sound.job_id) == ["JobStarted", "Ours"] and stale.head == 1
    with pytest.raises(StoreMissing):
        store.blob("b")


def test_a_stale_lease_without_events_is_fenced_beside_a_job_whose_end_others_are_told(
    world: World, store: EventStore
) -> None:
    stale, sound = start(store), start(store, "u2")
    other, lease = taken_over(world, store, stale.job_id)
    commit(other, lease, "Theirs")
    fenced, none = store.commit([append(stale, summary=SUCCEEDED), append(sound, "Ours", summary=SUCCEEDED)])
    assert isinstance(fenced, StoreFenced) and none is None
    assert row(other, stale.job_id).state == "running" and row(other, sound.job_id).state == "succeeded"


def test_an_append_that_is_not_after_the_head_is_fenced(store: EventStore) -> None:
    lease = start(store)
    for head in (0, 2):
        wrong = Lease(lease.job_id, lease.epoch, head, lease.chain)
        assert isinstance(store.commit([append(wrong, "A")])[0], StoreFenced)
    assert types_of(store, lease.job_id) == ["JobStarted"]


def test_a_released_or_ended_job_takes_no_more_appends(store: EventStore) -> None:
    released, ended = start(store), start(store, "u2")
    commit(store, released, "A", summary=Summary("waiting", wake_at_ms=9), release=True)
    commit(store, ended, "JobEnded", summary=SUCCEEDED)
    for lease in (released, ended):
        assert isinstance(store.commit([append(lease, "Late")])[0], StoreFenced)
        assert row(store, lease.job_id).owner_id is None
    assert store.acquire(ended.job_id) is None


# -- chained


def test_a_damaged_event_is_found_and_other_jobs_are_served(world: World, store: EventStore) -> None:
    damaged, sound = start(store), start(store, "u2")
    commit(store, damaged, "A", "B", "C")
    world.damage_event(damaged.job_id, 3)
    read = []
    with pytest.raises(StoreCorrupt, match="event 3"):
        for found in store.events(damaged.job_id):
            read.append(found.seq)
    assert read == [1, 2]
    commit(store, sound, "A")
    assert types_of(store, sound.job_id) == ["JobStarted", "A"]


def rich_store(store: EventStore) -> list[Lease]:
    """Jobs of which there is something in every part of the store."""
    leases = [start(store, f"u{number}") for number in range(4)]
    for lease in leases:
        commit(store, lease, "A", "B", blobs=[(f"of {lease.job_id}", b"a value")])
        commit(store, lease, "C", snapshot=Snapshot(4, "s4"))
        store.deliver(lease.job_id, "signal", "{}", dedupe_id="d")
        token_hash = b"%032d" % lease.job_id
        store.open_callback(NewCallback(lease.job_id, "hook", token_hash, None))
        store.deliver_callback(token_hash, "{}", dedupe_id="x", method="POST", now_ms=1)
    store.trim(leases[1].job_id, before_ms=99, now_ms=100)
    commit(store, leases[1], "D", "E", summary=Summary("waiting", wake_at_ms=99), release=True)
    commit(store, leases[2], "JobEnded", summary=SUCCEEDED)
    commit(store, leases[3], "Parked", summary=Summary("parked"), release=True)
    return leases


def test_a_sound_store_has_no_damage_whatever_is_in_it(store: EventStore) -> None:
    assert list(store.verify()) == []
    leases = rich_store(store)
    assert list(store.verify()) == []
    store.remove_jobs([leases[2].job_id], now_ms=100)
    assert list(store.verify()) == []


def test_all_damage_is_found_with_the_job_that_it_belongs_to(world: World, store: EventStore) -> None:
    leases = rich_store(store)
    world.damage_event(leases[0].job_id, 2)
    world.damage_event(leases[2].job_id, 5)
    world.damage_snapshots(leases[1].job_id, 4)
    world.damage_blob(f"of {leases[3].job_id}")
    found = {(damage.job_id, damage.text) for damage in world.open().verify()}
    a, b, c, d = (lease.job_id for lease in leases)
    assert found == {
        (a, f"event 2 of job {a} is not what was written"),
        (b, f"the snapshot of job {b} after event 4 is not what was written"),
        (c, f"event 5 of job {c} is not what was written"),
        (None, f"the value of {d} is not what was written"),
    }
    with pytest.raises(StoreCorrupt, match="the value of"):
        store.blob(f"of {d}")


def test_what_changes_while_everything_is_verified_is_no_damage(world: World, store: EventStore) -> None:
    damaged, busy = start(store, "first"), start(store, "second")
    rich = rich_store(store)
    world.damage_event(damaged.job_id, 1)
    verifying = world.open().verify()
    assert next(verifying).job_id == damaged.job_id
    commit(store, busy, "A", "B", snapshot=Snapshot(3, "s3"))
    commit(store, rich[0], "D", snapshot=Snapshot(5, "s5"))
    store.trim(rich[0].job_id, before_ms=99, now_ms=100)
    store.remove_jobs([rich[2].job_id], now_ms=100)
    start(store, "late")
    assert list(verifying) == []


def test_a_corrupt_job_is_parked_without_an_event(world: World, store: EventStore) -> None:
    lease = start(store)
    world.damage_event(lease.job_id, 1)
    store.quarantine(lease.job_id, error_json='"damaged"')
    found = row(store, lease.job_id)
    assert (found.state, found.error_json, found.owner_id, found.head) == ("parked", '"damaged"', None, 1)
    assert store.due(10**9, limit=9) == []
    other = start(store, "u2")
    world.open().quarantine(other.job_id, error_json="1")
    assert row(store, other.job_id).state == "running"


def test_a_corrupt_job_is_ended_without_an_event_and_told_to_who_awaits_it(world: World, store: EventStore) -> None:
    parent, lease = start(store), start(store, "u2")
    store.deliver(lease.job_id, "cancel", "{}", dedupe_id="d")
    row_for_parent = NewInboxRow(parent.job_id, "job", "1", "job 2")
    cancelled = Summary("cancelled", error_json="2", exit_status=130, ended_at_ms=9)
    assert not world.open().abandon(lease.job_id, cancelled), "somebody holds it"
    store.quarantine(lease.job_id, error_json="1")
    assert world.open().abandon(lease.job_id, cancelled, [row_for_parent])
    found = row(store, lease.job_id)
    assert (found.state, found.error_json, found.exit_status, found.ended_at_ms) == ("cancelled", "2", 130, 9)
    assert (found.head, found.owner_id, store.inbox(lease.job_id)) == (1, None, [])
    assert [each.data_json for each in store.inbox(parent.job_id)] == ["1"]
    assert store.acquire(lease.job_id) is None and store.due(10**9, limit=9) == []
    assert not store.abandon(lease.job_id, cancelled) and not store.abandon(99, cancelled)
    assert list(store.verify()) == []


def test_events_are_read_from_any_point_and_up_to_a_limit(store: EventStore) -> None:
    lease = start(store)
    commit(store, lease, *(f"E{number}" for number in range(2500)))
    everything = history(store, lease.job_id)
    assert [found.seq for found in everything] == list(range(1, 2502))
    assert history(store, lease.job_id, after=2499) == everything[2499:]
    assert history(store, lease.job_id, after=2501) == [] and history(store, lease.job_id, after=9999) == []
    assert list(store.events(lease.job_id, after=1000, limit=2)) == everything[1000:1002]


def test_a_reader_does_not_hold_up_a_commit(store: EventStore) -> None:
    lease = start(store)
    reader = store.events(lease.job_id)
    next(reader)
    commit(store, lease, "A")
    assert list(reader) == []


def test_snapshots_are_found_by_position_and_a_damaged_one_is_passed_over(world: World, store: EventStore) -> None:
    lease = start(store)
    for seq in (2, 3, 4):
        commit(store, lease, "A", snapshot=Snapshot(seq, f"s{seq}"))
    commit(store, lease, "A")
    commit(store, lease, snapshot=Snapshot(5, "s5"))
    job_id = lease.job_id
    assert store.snapshot(job_id) == Snapshot(5, "s5") and store.snapshot(job_id, at=3) == Snapshot(3, "s3")
    assert store.snapshot(job_id, at=1) is None
    world.damage_snapshots(job_id, 5)
    assert store.snapshot(job_id) == Snapshot(4, "s4")


def test_a_snapshot_of_another_moment_is_a_fault_of_ours(store: EventStore) -> None:
    lease = start(store)
    for seq in (0, 3):
        with pytest.raises(InternalError):
            store.commit([append(lease, "A", snapshot=Snapshot(seq, "s"))])
    assert types_of(store, lease.job_id) == ["JobStarted"]


def test_a_snapshot_may_replace_another_but_not_the_one_at_which_the_history_begins(store: EventStore) -> None:
    lease = start(store)
    commit(store, lease, "A", snapshot=Snapshot(2, "s2"))
    commit(store, lease, "A", snapshot=Snapshot(3, "s3", 2))
    assert store.snapshot(lease.job_id, at=2) is None and store.snapshot(lease.job_id) == Snapshot(3, "s3")
    store.trim(lease.job_id, before_ms=99, now_ms=1)
    commit(store, lease, "A", snapshot=Snapshot(4, "s4", 3))
    assert store.snapshot(lease.job_id, at=3) == Snapshot(3, "s3") and store.snapshot(lease.job_id) == Snapshot(4, "s4")


# -- retention


def old_job(store: EventStore, uid: str = "u1") -> Lease:
    """A job of seven events, of which the n-th is of the moment n, with snapshots after 3 and 5."""
    lease = start(store, uid)
    for seq in range(2, 8):
        snapshot = Snapshot(seq, f"s{seq}") if seq in (3, 5) else None
        new = NewEvent("A", seq, "{}", None)
        blobs = [(f"b{seq}", b"value of %d" % seq), ("often", b"x")]
        assert store.commit([Append(lease, [new], RUNNING, snapshot=snapshot, blobs=blobs)]) == [None]
    return lease


def seqs(store: EventStore, job_id: int, after: int = 0) -> list[int]:
    return [found.seq for found in history(store, job_id, after)]


def missing(store: EventStore, *hashes: str) -> set[str]:
    found = set()
    for hash in hashes:
        try:
            store.blob(hash)
        except StoreMissing:
            found.add(hash)
    return found


@pytest.mark.parametrize(("before_ms", "first"), [(0, 1), (3, 1), (4, 3), (5, 3), (6, 5), (99, 5)])
def test_old_events_are_trimmed_up_to_a_snapshot_from_which_the_rest_can_be_replayed(
    world: World, store: EventStore, before_ms: int, first: int
) -> None:
    lease, other = old_job(store), world.open()
    job_id = lease.job_id
    freed = other.trim(job_id, before_ms=before_ms, now_ms=77)
    assert seqs(other, job_id) == list(range(first, 8)) and freed >= 0
    found = row(other, job_id)
    assert (found.trimmed_seq, found.trimmed_at_ms) == ((0, None) if first == 1 else (first, 77))
    assert other.ages(after=0, limit=9)[0].oldest_at_ms == (5 if first == 1 else first)
    if first > 1:
        assert other.snapshot(job_id, at=first) == Snapshot(first, f"s{first}")
        assert other.snapshot(job_id, at=first - 1) is None
    commit(store, lease, "A", snapshot=Snapshot(8, "s8"))
    assert seqs(other, job_id)[-1] == 8 and seqs(other, job_id, after=6) == [7, 8]


def test_trimming_again_goes_further_and_never_back(store: EventStore) -> None:
    job_id = old_job(store).job_id
    for before_ms, first in ((4, 3), (4, 3), (0, 3), (99, 5), (4, 5)):
        store.trim(job_id, before_ms=before_ms, now_ms=1)
        assert seqs(store, job_id)[0] == first


def test_what_is_left_after_trimming_is_still_verified(world: World, store: EventStore) -> None:
    job_id = old_job(store).job_id
    store.trim(job_id, before_ms=99, now_ms=1)
    world.damage_event(job_id, 5)
    with pytest.raises(StoreCorrupt):
        history(store, job_id)


def test_nothing_is_trimmed_behind_a_damaged_snapshot_or_without_one(world: World, store: EventStore) -> None:
    job_id, without = old_job(store).job_id, start(store, "u2")
    commit(store, without, "A", "B")
    world.damage_snapshots(job_id, 5)
    for id in (job_id, without.job_id, 999):
        store.trim(id, before_ms=10**6, now_ms=1)
    assert seqs(store, job_id)[0] == 3 and seqs(store, without.job_id) == [1, 2, 3]


def test_a_reader_is_told_of_events_that_are_trimmed_under_it(store: EventStore) -> None:
    lease = start(store)
    for number in range(30):
        types = [f"E{number}"] * 100
        commit(store, lease, *types, snapshot=Snapshot(lease.head + 100, "s") if number == 25 else None)
    reader = store.events(lease.job_id)
    assert next(reader).seq == 1
    store.trim(lease.job_id, before_ms=10**6, now_ms=1)
    with pytest.raises(StoreMissing, match="removed while it was read"):
        list(reader)
    assert seqs(store, lease.job_id)[0] == 2601


def test_blobs_go_with_the_last_event_that_names_them(store: EventStore) -> None:
    job_id = old_job(store).job_id
    names = [f"b{seq}" for seq in range(2, 8)]
    store.trim(job_id, before_ms=99, now_ms=1)
    assert missing(store, *names, "often") == {"b2", "b3", "b4"}


def test_a_blob_that_another_job_uses_stays(store: EventStore) -> None:
    first, second = old_job(store), old_job(store, "u2")
    store.trim(first.job_id, before_ms=99, now_ms=1)
    assert missing(store, *(f"b{seq}" for seq in range(2, 8))) == set()
    commit(store, first, "JobEnded", summary=SUCCEEDED)
    store.remove_jobs([first.job_id], now_ms=1)
    assert missing(store, *(f"b{seq}" for seq in range(2, 8)), "often") == set()
    commit(store, second, "JobEnded", summary=SUCCEEDED)
    store.remove_outputs([second.job_id], now_ms=1)
    assert len(missing(store, *(f"b{seq}" for seq in range(2, 8)), "often")) == 7


def test_what_lasts_as_long_as_its_job_outlives_trimming_and_output(store: EventStore) -> None:
    env = [("env", b"A=1")]
    for uid in ("u1", "u2"):
        _, lease, _ = store.create_job(job(uid), [event()], RUNNING, lease=True, blobs=[("in", b"1")], lasting=env)
        assert lease is not None
        commit(store, lease, "A", snapshot=Snapshot(2, "s"), blobs=env)
        store.trim(lease.job_id, before_ms=99, now_ms=1)
        commit(store, lease, "JobEnded", summary=SUCCEEDED)
    assert missing(store, "in", "env") == {"in"}
    store.remove_outputs([1, 2], now_ms=1)
    store.remove_jobs([1], now_ms=1)
    assert store.blob("env") == b"A=1"
    store.remove_jobs([2], now_ms=1)
    assert missing(store, "env") == {"env"}


def test_only_ended_jobs_are_removed_and_with_everything(store: EventStore) -> None:
    lease = start(store)
    for remove in (store.remove_jobs, store.remove_outputs):
        with pytest.raises(StoreError, match="active"):
            remove([lease.job_id], now_ms=1)
    store.deliver(lease.job_id, "signal", "{}", dedupe_id="d")
    store.open_callback(NewCallback(lease.job_id, "h", b"t", None))
    commit(store, lease, "JobEnded", summary=SUCCEEDED, snapshot=Snapshot(2, "s"))
    assert store.remove_jobs([lease.job_id, 999], now_ms=1) >= 0
    assert store.job(lease.job_id) is None and store.snapshot(lease.job_id) is None and ids(store) == []
    assert store.deliver_callback(b"t", "{}", dedupe_id="d", method="POST", now_ms=1) is None
    with pytest.raises(StoreMissing):
        store.program("p1")
    assert start(store, "u2").job_id > lease.job_id, "a number was given twice"


def test_outputs_go_before_the_history_and_the_row_says_when(store: EventStore) -> None:
    lease = old_job(store)
    commit(store, lease, "JobEnded", summary=SUCCEEDED)
    assert [age.has_output for age in store.ages(after=0, limit=9)] == [True]
    assert store.remove_outputs([lease.job_id, 999], now_ms=1234) >= 0
    assert missing(store, "b7", "often") == {"b7", "often"} and seqs(store, lease.job_id) == list(range(1, 9))
    assert row(store, lease.job_id).output_removed_at_ms == 1234
    assert [age.has_output for age in store.ages(after=0, limit=9)] == [False]


def test_long_histories_are_removed_and_trimmed_whole_and_free_their_room(world: World, store: EventStore) -> None:
    lease = start(store)
    for _ in range(25):
        events = [event(data_json='"' + "x" * 400 + '"')] * 200
        assert store.commit([Append(lease, events, RUNNING, snapshot=Snapshot(lease.head + 200, "s" * 900))]) == [None]
    other = old_job(store, "u2")
    assert world.open().trim(lease.job_id, before_ms=10**6, now_ms=1) > 4500 * 400
    assert seqs(store, lease.job_id) == [5001] and lease.head == 5001
    assert store.commit([Append(lease, events * 10, RUNNING)]) == [None]
    commit(store, lease, "JobEnded", summary=SUCCEEDED)
    assert store.remove_jobs([lease.job_id], now_ms=1) > 1500 * 400
    store.shrink()
    assert seqs(store, other.job_id) == list(range(1, 8)) and ids(store) == [other.job_id]


def test_ages_name_all_jobs_in_order(store: EventStore) -> None:
    ended, active = old_job(store, "u1"), start(store, "u2")
    start(store, "u3")
    commit(store, ended, "JobEnded", summary=SUCCEEDED)
    ages = store.ages(after=0, limit=2)
    assert [(age.id, age.uid, age.ended_at_ms, age.oldest_at_ms) for age in ages] == [
        (ended.job_id, "u1", 99, 5),
        (active.job_id, "u2", None, 5),
    ]
    assert [age.uid for age in store.ages(after=active.job_id, limit=9)] == ["u3"]
    assert store.ages(after=99, limit=9) == []


def test_a_removed_job_is_known_to_have_been_there(store: EventStore) -> None:
    lease = start(store)
    commit(store, lease, "JobEnded", summary=SUCCEEDED)
    store.remove_jobs([lease.job_id], now_ms=1)
    start(store, "u2")
    assert [store.existed(number) for number in (0, 1, 2, 3)] == [False, True, True, False]
    assert store.known_uids(["u1", "u2", "it's", "é"]) == {"u2"}


# -- leases


def test_a_lease_is_not_taken_from_the_living(world: World, store: EventStore) -> None:
    lease, other = start(store), world.open()
    assert other.acquire(lease.job_id) is None and store.acquire(lease.job_id) is None
    assert store.is_alive(store.owner.id) and other.is_alive(store.owner.id)
    assert other.reap() == []


def test_a_renewing_owner_keeps_its_lease_whatever_the_time(world: World, store: EventStore) -> None:
    lease, other = start(store), world.open()
    for _ in range(8):
        assert other.acquire(lease.job_id) is None and other.reap() == []
        world.now_s += TTL_S / 3
        store.renew()
    assert row(store, lease.job_id).epoch == 1


def test_a_lease_of_the_dead_is_taken_at_once_and_its_history_goes_on(world: World, store: EventStore) -> None:
    lease, other = start(store), world.open()
    commit(store, lease, "A")
    world.kill(store)
    assert not other.is_alive(store.owner.id)
    taken = other.acquire(lease.job_id)
    assert taken is not None and (taken.epoch, taken.head, taken.chain) == (2, 2, lease.chain)
    commit(other, taken, "B")
    assert [(found.type, found.epoch) for found in history(other, lease.job_id)] == [
        ("JobStarted", 1),
        ("A", 1),
        ("B", 2),
    ]


def test_a_lease_of_an_earlier_boot_is_taken(world: World, store: EventStore) -> None:
    lease, other = start(store), world.open()
    world.reboot_under(store)
    assert other.acquire(lease.job_id) is not None


def test_a_stalled_owner_loses_its_lease_only_to_who_watched_it_for_a_whole_ttl(
    world: World, store: EventStore
) -> None:
    lease, watcher = start(store), world.open()
    assert watcher.acquire(lease.job_id) is None
    world.now_s += TTL_S * 0.9
    assert watcher.acquire(lease.job_id) is None
    world.now_s += TTL_S * 0.1
    late = world.open()
    assert late.acquire(lease.job_id) is None
    assert watcher.acquire(lease.job_id) is not None


def test_a_stalled_owner_at_its_terminal_keeps_the_job_until_it_dies(world: World, store: EventStore) -> None:
    lease, other = start(store), world.open()
    commit(store, lease, "A", summary=Summary("running", at_terminal=True))
    for _ in range(3):
        assert other.acquire(lease.job_id) is None and other.reap() == []
        world.now_s += TTL_S
    world.kill(store)
    assert other.reap() == [lease.job_id]


def test_reaping_frees_the_jobs_of_the_dead_and_strikes_out_their_names(world: World, store: EventStore) -> None:
    held, ended, other = start(store), start(store, "u2"), world.open()
    commit(store, ended, "JobEnded", summary=SUCCEEDED)
    world.kill(store)
    assert other.reap() == [held.job_id]
    assert other.due(0, limit=9) == [held.job_id] and other.owners() == [] and other.reap() == []
    lease = other.acquire(held.job_id)
    assert lease is not None and lease.epoch == 2 and [owner.id for owner in other.owners()] == [other.owner.id]


def test_of_the_jobs_of_the_dead_those_that_only_wait_go_on_waiting(world: World) -> None:
    store, other = world.open(), world.open()
    busy, sleeping, called = start(store, "busy"), start(store, "sleeping"), start(store, "called")
    commit(store, sleeping, "A", summary=Summary("waiting", wake_at_ms=5000))
    commit(store, called, "A", summary=Summary("waiting"))
    world.kill(store)
    assert other.reap() == [busy.job_id, sleeping.job_id, called.job_id]
    assert other.due(4999, limit=9) == [busy.job_id]
    assert set(other.due(5000, limit=9)) == {busy.job_id, sleeping.job_id}
    other.deliver(called.job_id, "callback", "{}", dedupe_id="1")
    assert called.job_id in other.due(0, limit=9)


def test_reaping_frees_the_jobs_of_a_stalled_owner(world: World, store: EventStore) -> None:
    lease, other = start(store), world.open()
    assert other.reap() == []
    world.now_s += TTL_S
    assert other.reap() == [lease.job_id]
    assert isinstance(store.commit([append(lease, "Late")])[0], StoreFenced)


def test_a_released_job_is_due_at_its_time(world: World, store: EventStore) -> None:
    lease, other = start(store), world.open()
    assert other.due(10**9, limit=9) == [] and other.next_due_ms() is None
    store.release(lease, wake_at_ms=500)
    assert other.due(499, limit=9) == [] and other.due(500, limit=9) == [lease.job_id] and other.next_due_ms() == 500
    taken = other.acquire(lease.job_id)
    assert taken is not None and other.next_due_ms() is None
    store.release(lease, wake_at_ms=1)
    assert row(store, lease.job_id).owner_id == other.owner.id, "a stale release took the job from its holder"
    other.release(taken, wake_at_ms=None)
    assert other.due(10**9, limit=9) == []


@pytest.mark.parametrize("state", ["paused", "parked", *ENDED_STATES])
def test_a_job_that_is_not_to_run_is_not_due_by_time(store: EventStore, state: str) -> None:
    lease = start(store)
    commit(store, lease, summary=Summary(state, wake_at_ms=1), release=True)
    assert store.due(10**9, limit=9) == [] and store.next_due_ms() is None
    store.deliver(lease.job_id, "resume", "{}", dedupe_id="d")
    assert store.due(0, limit=9) == ([] if state in ENDED_STATES else [lease.job_id])


def test_due_jobs_come_at_most_as_many_as_asked_for(store: EventStore) -> None:
    made = [store.create_job(job(f"u{n}"), [event()], Summary("running", wake_at_ms=0), lease=False) for n in range(5)]
    assert all(lease is None and new.owner_id is None for new, lease, _ in made)
    assert len(store.due(1, limit=3)) == 3 and len(store.due(1, limit=9)) == 5


# -- everybody else knocks


def test_inbox_rows_are_taken_in_order_and_once(world: World, store: EventStore) -> None:
    lease, other = start(store), world.open()
    assert [other.deliver(lease.job_id, "signal", f"{n}", dedupe_id=f"d{n}") for n in range(3)] == [True] * 3
    rows = store.inbox(lease.job_id)
    assert [(found.kind, found.data_json) for found in rows] == [("signal", "0"), ("signal", "1"), ("signal", "2")]
    commit(store, lease, "InboxTaken", taken=[rows[0].id, rows[1].id])
    assert store.inbox(lease.job_id) == rows[2:]
    store.deliver(lease.job_id, "cancel", "{}", dedupe_id="c")
    assert store.inbox(lease.job_id, after=rows[2].id) == store.inbox(lease.job_id, kind="cancel")
    assert store.inbox(lease.job_id, limit=1) == rows[2:]
    answer = store.commit([append(lease, "InboxTaken", taken=[rows[0].id])])[0]
    assert isinstance(answer, StoreError) and lease.head == 2 and types_of(store, lease.job_id)[-1] == "InboxTaken"


def test_a_bad_take_does_not_touch_the_other_jobs_of_the_batch(store: EventStore) -> None:
    bad, sound = start(store), start(store, "u2")
    answers = store.commit([append(bad, "A", taken=[77]), append(sound, "A")])
    assert isinstance(answers[0], StoreError) and answers[1] is None
    assert (row(store, bad.job_id).head, row(store, sound.job_id).head) == (1, 2)


def test_a_repeated_delivery_is_dropped_also_after_it_was_taken(store: EventStore) -> None:
    lease, other = start(store), start(store, "u2")
    assert store.deliver(lease.job_id, "cancel", "{}", dedupe_id="d")
    assert not store.deliver(lease.job_id, "cancel", "{}", dedupe_id="d")
    commit(store, lease, "InboxTaken", taken=[store.inbox(lease.job_id)[0].id])
    assert not store.deliver(lease.job_id, "cancel", "{}", dedupe_id="d") and store.inbox(lease.job_id) == []
    assert store.deliver(other.job_id, "cancel", "{}", dedupe_id="d")


def call(store: EventStore, token: bytes = b"t", dedupe_id: str = "d", method: str = "POST") -> Delivery | None:
    return store.deliver_callback(token, '"body"', dedupe_id=dedupe_id, method=method, now_ms=100)


def test_a_callback_serves_once_and_its_repeat_changes_nothing(world: World, store: EventStore) -> None:
    lease, other = start(store), world.open()
    store.open_callback(NewCallback(lease.job_id, "h", b"t", expires_at_ms=101))
    assert call(other, token=b"unknown") is None and call(other, method="GET") is None
    assert call(other) == Delivery(lease.job_id, False)
    assert call(other) == Delivery(lease.job_id, True)
    assert call(other, dedupe_id="another") is None
    assert [(found.kind, found.data_json) for found in store.inbox(lease.job_id)] == [
        ("callback", '{"handle":"h","delivery":"body"}')
    ]
    repeat = other.deliver_callback(b"t", "1", dedupe_id="d", method="POST", now_ms=999)
    assert repeat == Delivery(lease.job_id, True), "a repeat of an accepted delivery is accepted after expiry too"


def test_a_callback_for_many_takes_each_delivery_once(store: EventStore) -> None:
    lease = start(store)
    store.open_callback(NewCallback(lease.job_id, "h", b"t", None, is_many=True))
    answers = [call(store, dedupe_id=dedupe_id) for dedupe_id in ("a", "b", "a")]
    assert [answer.is_repeat for answer in answers if answer] == [False, False, True]
    assert len(store.inbox(lease.job_id)) == 2


def test_an_expired_or_ended_callback_is_unknown(store: EventStore) -> None:
    lease, ended = start(store), start(store, "u2")
    store.open_callback(NewCallback(lease.job_id, "h", b"t", expires_at_ms=100))
    store.open_callback(NewCallback(ended.job_id, "h", b"e", None))
    commit(store, ended, "JobEnded", summary=SUCCEEDED)
    assert call(store) is None and call(store, token=b"e") is None and store.inbox(lease.job_id) == []


def test_opening_a_callback_again_replaces_its_token(store: EventStore) -> None:
    lease = start(store)
    for token in (b"t", b"u"):
        store.open_callback(NewCallback(lease.job_id, "h", token, None))
    assert call(store, token=b"t") is None and call(store, token=b"u") == Delivery(lease.job_id, False)


# -- sessions


def test_an_address_is_one_handles_at_a_time_and_repeats_stay_repeats_with_the_next(store: EventStore) -> None:
    first, second, third = (start(store, uid) for uid in ("u1", "u2", "u3"))
    store.open_callback(NewCallback(first.job_id, "h", b"t", None, options_json='{"a":1}'))
    with pytest.raises(StoreTaken, match=f"job {first.job_id} has this address"):
        store.open_callback(NewCallback(second.job_id, "g", b"t", None))
    assert store.callback_options(b"t") == '{"a":1}' and store.callback_options(b"u") is None
    assert call(store, dedupe_id="one") == Delivery(first.job_id, False)
    store.open_callback(NewCallback(second.job_id, "g", b"t", None))
    assert call(store, dedupe_id="one") == Delivery(second.job_id, True)
    assert call(store, dedupe_id="two") == Delivery(second.job_id, False)
    commit(store, second, "JobEnded", summary=SUCCEEDED)
    store.open_callback(NewCallback(third.job_id, "h", b"t", None, is_many=True))
    assert [call(store, dedupe_id=id) for id in ("one", "two", "three")] == [
        Delivery(third.job_id, True),
        Delivery(third.job_id, True),
        Delivery(third.job_id, False),
    ]
    assert [damage.text for damage in store.verify()] == []


def test_calls_that_come_together_are_answered_each(store: EventStore) -> None:
    lease = start(store)
    store.open_callback(NewCallback(lease.job_id, "h", b"t", None, is_many=True))
    calls = [Call(token, "1", id, "POST", 100) for token, id in ((b"t", "a"), (b"x", "a"), (b"t", "a"), (b"t", "b"))]
    assert store.deliver_calls(calls) == [
        Delivery(lease.job_id, False),
        None,
        Delivery(lease.job_id, True),
        Delivery(lease.job_id, False),
    ]
    assert len(store.inbox(lease.job_id)) == 2


def test_a_call_is_answered_once_and_the_answer_goes_with_the_job_or_with_time(world: World, store: EventStore) -> None:
    lease, other = start(store), world.open()
    assert store.reply(lease.job_id, "r", '{"a":1}') and not store.reply(lease.job_id, "r", '{"a":2}')
    assert other.reply_to("r") == '{"a":1}' and other.reply_to("q") is None
    assert [damage.text for damage in store.verify()] == []
    store.forget_deliveries(before_ms=0)
    assert store.reply_to("r") == '{"a":1}'
    commit(store, lease, "JobEnded", summary=SUCCEEDED)
    store.remove_jobs([lease.job_id], now_ms=1)
    assert store.reply_to("r") is None
    later = start(store, "u2")
    store.reply(later.job_id, "r", "{}")
    store.forget_deliveries(before_ms=2**60)
    assert store.reply_to("r") is None


def test_a_line_leaves_its_changes_to_the_session_with_its_end(world: World, store: EventStore) -> None:
    assert store.session() is None and store.session("s1") is None
    first = Session("s1", 10, "/a", "UTC", "{}", {})
    store.create_session(first)
    store.create_session(first.replace(id="s2", started_at_ms=20))
    other = world.open()
    assert other.session("s1") == first
    assert (found := other.session()) is not None and found.id == "s2"
    lease = start(store, "u1")
    change = SessionChange("s1", 30, "/b", '{"A":"1"}', (("x", "1"), ("y", "2")), (("f", "def f() {}"), ("g", "alias")))
    commit(store, lease, "JobEnded", summary=SUCCEEDED, session=change)
    lease = start(store, "u2")
    again = change.replace(at_ms=40, variables=(("x", "3"),), definitions=(("f", "def f() { 1 }"),))
    commit(store, lease, "JobEnded", summary=SUCCEEDED, session=again)
    found = other.session()
    assert found == Session("s1", 10, "/b", "UTC", '{"A":"1"}', {"g": "alias", "f": "def f() { 1 }"})
    assert list(found.definitions) == ["g", "f"]
    assert other.session_names("s1") == ["x", "y"] and other.session_names("s2") == []
    assert other.session_variables("s1") == {"x": "3", "y": "2"}
    assert other.session_variables("s1", ["y", "z"]) == {"y": "2"}


def test_what_comes_to_an_address_that_a_line_left_to_its_session_is_for_every_later_line(
    world: World, store: EventStore
) -> None:
    store.create_session(Session("s1", 10, "/a", "UTC", "{}", {}))
    line, other = start(store, "u1"), start(store, "u2")
    names = []
    for handle, token in (("1", b"t"), ("2", b"early"), ("3", b"closed")):
        store.open_callback(NewCallback(line.job_id, handle, token, None))
        names.append(f"{KEPT}{kept_handle(line.job_id, handle)}")
    assert call(store, b"early") == Delivery(line.job_id, False)  # and not taken before the end
    kept = tuple((name, NOTHING_CAME) for name in names[:2])
    change = SessionChange("s1", 30, "/b", "{}", kept, ())
    commit(store, line, "JobEnded", summary=SUCCEEDED, session=change)
    assert call(store, b"closed") is None
    waiting, early = (name.removeprefix(KEPT) for name in names[:2])
    for _ in range(2):
        store.hear_of_call(other.job_id, early)
        store.hear_of_call(other.job_id, waiting)
    assert calls_told(store, other) == [(early, "body")]
    assert call(world.open(), b"t") == Delivery(line.job_id, False)
    assert call(store, b"t") == Delivery(line.job_id, True)
    assert call(store, b"t", "another") is None
    later = start(store, "u3")
    store.hear_of_call(later.job_id, waiting)
    assert calls_told(world.open(), other)[1:] == calls_told(store, later) == [(waiting, "body")]
    assert store.session_names("s1") == [] and [damage.text for damage in store.verify()] == []


def calls_told(store: EventStore, lease: Lease) -> list[tuple[str, Any]]:
    """What waits in the inbox of a job, of the addresses that it hears of."""
    rows = [json.loads(row.data_json) for row in store.inbox(lease.job_id, kind="callback")]
    return [(row["handle"], row["delivery"]) for row in rows]


def leave_address(store: EventStore, *calls: str, is_many: bool = True) -> tuple[Lease, str]:
    """A line of a session that has left it an address with the token "t"; `calls` came and were taken by nobody."""
    store.create_session(Session("s1", 10, "/a", "UTC", "{}", {}))
    line = start(store, "line")
    store.open_callback(NewCallback(line.job_id, "1", b"t", None, is_many=is_many))
    id = kept_handle(line.job_id, "1")
    change = SessionChange("s1", 30, "/b", "{}", ((KEPT + id, MANY if is_many else NOTHING_CAME),), ())
    commit(store, line, "JobEnded", summary=SUCCEEDED, session=change, kept_calls=(KeptCalls(id, calls),))
    return line, id


def test_of_many_calls_of_an_address_each_goes_to_one_line_and_goes_back_if_that_does_not_take_it(
    world: World, store: EventStore
) -> None:
    _, id = leave_address(store, "0")
    first, second, third = (start(store, uid) for uid in ("u1", "u2", "u3"))
    for dedupe_id in ("a", "b", "b"):
        store.deliver_callback(b"t", f'"{dedupe_id}"', dedupe_id=dedupe_id, method="POST", now_ms=1)
    for lease in (first, first, second):
        store.hear_of_call(lease.job_id, id)
    assert (calls_told(store, first), calls_told(store, second)) == ([(id, 0)], [(id, "a")])
    commit(store, first, "InboxTaken", taken=[store.inbox(first.job_id)[0].id])
    commit(store, first, "JobEnded", summary=SUCCEEDED, kept_calls=(KeptCalls(id, ("0",)),))
    commit(store, second, "JobEnded", summary=SUCCEEDED, kept_calls=(KeptCalls(id, ()),))
    got = []
    for _ in range(3):
        world.open().hear_of_call(third.job_id, id)
        row = store.inbox(third.job_id)[-1]
        got.append(json.loads(row.data_json)["delivery"])
        commit(store, third, "InboxTaken", taken=[row.id])
    assert sorted(map(str, got)) == ["0", "a", "b"] and got[2] == "b"
    store.hear_of_call(third.job_id, id)
    assert call(store, dedupe_id="c") == Delivery(int(id.partition(".")[0]), False)
    assert calls_told(store, third) == [(id, "body")]
    last = start(store, "u4")
    store.hear_of_call(last.job_id, id)
    commit(store, third, "JobEnded", summary=SUCCEEDED, kept_calls=(KeptCalls(id, ()),))
    assert calls_told(store, last) == [(id, "body")] and store.session_names("s1") == []


@pytest.mark.parametrize("is_many", [False, True])
def test_who_waits_for_an_address_is_told_when_it_is_not_kept_any_more(store: EventStore, is_many: bool) -> None:
    line, id = leave_address(store, is_many=is_many)
    assert store.lines_in_use(since_ms=29) == {line.job_id} and store.lines_in_use(since_ms=30) == set()
    before, after = start(store, "u1"), start(store, "u2")
    store.hear_of_call(before.job_id, id)
    store.remove_jobs([line.job_id], now_ms=99)
    store.hear_of_call(after.job_id, id)
    gone = {"gone": f"the address is not kept any more: job {line.job_id} had opened it"}
    assert calls_told(store, before) == calls_told(store, after) == [(id, gone)]


def test_the_lines_of_a_source_are_its_newest_in_order(store: EventStore) -> None:
    for number in range(5):
        source = "prompt" if number != 2 else "x.fmsh"
        start(store, f"u{number}", source=source, command=f"line {number}")
    (last, text), *others = store.lines("prompt", 3)
    assert [text, *(text for _, text in others)] == ["line 4", "line 3", "line 1"]
    assert store.lines("prompt", 1, before=last) == others[:1] and store.lines("prompt", 9, after=last) == []
    assert store.lines("none", 3) == []


def test_a_fenced_line_leaves_nothing_behind(store: EventStore) -> None:
    store.create_session(Session("s1", 10, "/a", "UTC", "{}", {}))
    lease = start(store)
    change = SessionChange("s1", 30, "/b", "{}", (("x", "1"),), ())
    wrong = Lease(lease.job_id, lease.epoch + 1, lease.head, lease.chain)
    assert isinstance(store.commit([append(wrong, "JobEnded", summary=SUCCEEDED, session=change)])[0], StoreFenced)
    assert store.session_names("s1") == []


def test_old_deliveries_are_forgotten_and_addresses_that_are_over_with_them(store: EventStore) -> None:
    lease = start(store)
    for handle, token, expires_at_ms, is_many in (
        ("used", b"t", None, False),
        ("ran out", b"o", 101, False),
        ("open", b"u", 10**15, False),
        ("many", b"m", None, True),
    ):
        store.open_callback(NewCallback(lease.job_id, handle, token, expires_at_ms, is_many=is_many))
    assert call(store) == call(store, token=b"m") == Delivery(lease.job_id, False)
    store.deliver(lease.job_id, "signal", "{}", dedupe_id="s")
    store.forget_deliveries(before_ms=100)
    assert call(store) == call(store, token=b"m") == Delivery(lease.job_id, True)
    assert not store.deliver(lease.job_id, "signal", "{}", dedupe_id="s")
    store.forget_deliveries(before_ms=10**14)
    assert call(store) is None and call(store, token=b"o") is None and len(store.inbox(lease.job_id)) == 3
    assert call(store, token=b"u") == call(store, token=b"m") == Delivery(lease.job_id, False)
    assert store.deliver(lease.job_id, "signal", "{}", dedupe_id="s")


# -- settings, secrets


def test_settings_and_secrets_are_kept(world: World, store: EventStore) -> None:
    assert store.setting("port") is None and store.secret("s") is None
    for value in ("1", "2"):
        store.set_setting("port", value)
        store.set_secret("s", value.encode())
    other = world.open()
    assert other.setting("port") == "2" and other.secret("s") == b"2"
    store.set_secret("r", b"3")
    assert other.secret_names() == ["r", "s"]
    assert other.remove_secret("s") and not store.remove_secret("s")
    assert store.secret_names() == ["r"] and other.secret("s") is None


# -- waking


def is_woken(store: EventStore) -> bool:
    ready, _, _ = select.select([store.wake_fileno()], [], [], 0)
    store.drain_wakeups()
    return bool(ready)


def test_what_happens_wakes_whom_it_concerns(world: World, store: EventStore) -> None:
    daemon, other = world.open("daemon"), world.open()
    assert not is_woken(daemon) and not is_woken(store)
    lease = start(store)
    assert not is_woken(daemon)
    other.deliver(lease.job_id, "signal", "{}", dedupe_id="1")
    assert is_woken(store) and not is_woken(daemon) and not is_woken(store)
    commit(store, lease, summary=Summary("waiting", wake_at_ms=0), release=True)
    assert is_woken(daemon)
    other.deliver(lease.job_id, "signal", "{}", dedupe_id="2")
    assert is_woken(daemon) and not is_woken(store)
    other.create_job(job("u2"), [event()], Summary("running", wake_at_ms=0), lease=False)
    assert is_woken(daemon)
    other.wake_daemon()
    assert is_woken(daemon) and not is_woken(daemon)


def test_ones_own_commits_do_not_change_the_data_version(world: World, store: EventStore) -> None:
    other = world.open()
    start(other)
    before = store.data_version()
    lease = start(store, "u2")
    commit(store, lease, "A")
    assert store.data_version() == before
    start(other, "u3")
    assert store.data_version() != before


def test_a_delivery_to_another_job_is_made_in_the_same_commit(world: World, store: EventStore) -> None:
    parent, child = start(store), start(store, uid="child")
    row = NewInboxRow(parent.job_id, "job", '{"handle":"2"}', f"job {child.job_id}")
    gone = NewInboxRow(10**6, "job", "{}", "x")
    assert store.commit([Append(child, [event()], RUNNING, deliveries=[row, gone])]) == [None]
    assert [(found.kind, found.data_json) for found in store.inbox(parent.job_id)] == [("job", '{"handle":"2"}')]
    stale = Lease(child.job_id, child.epoch + 1, child.head, child.chain)
    (refusal,) = store.commit([Append(stale, [event()], RUNNING, deliveries=[row.replace(dedupe_id="y")])])
    assert refusal is not None
    assert len(store.inbox(parent.job_id)) == 1


# -- topics


def heard(store: EventStore, job_id: int) -> list[tuple[str, object]]:
    rows = [json.loads(row.data_json) for row in store.inbox(job_id) if row.kind == "topic"]
    return [(row["handle"], row["delivery"]["body"]) for row in rows]


def publish(store: EventStore, data: object, topic: str = "t", dedupe_id: str | None = None) -> int:
    return store.publish(topic, json.dumps(data), dedupe_id=dedupe_id, at_ms=5)


def test_an_event_is_told_to_all_who_subscribed_and_once(world: World, store: EventStore) -> None:
    first, second, other = (start(store, uid) for uid in ("u1", "u2", "u3"))
    for lease in (first, second):
        store.subscribe(Subscription(lease.job_id, "h", "t"))
    store.subscribe(Subscription(other.job_id, "h", "other"))
    seq = publish(world.open(), {"a": 1}, dedupe_id="x")
    assert publish(store, {"a": 2}, dedupe_id="x") == seq
    publish(store, 3)
    store.subscribe(Subscription(first.job_id, "h", "t"))
    assert heard(store, first.job_id) == heard(store, second.job_id) == [("h", {"a": 1}), ("h", 3)]
    assert heard(store, other.job_id) == []
    found = store.topic_events("t", after=0, limit=9)
    assert [(event.topic, event.data_json) for event in found] == [("t", '{"a": 1}'), ("t", "3")]
    assert store.topic_events("t", after=found[0].seq, limit=9) == found[1:]
    assert store.topic_events("t", after=0, limit=1) == found[:1]
    assert [damage.text for damage in store.verify()] == []


def test_whoever_asked_hears_of_the_end_of_a_job_in_its_commit(world: World, store: EventStore) -> None:
    parent, child, other = (start(store, uid) for uid in ("u1", "u2", "u3"))
    for _ in range(2):
        assert store.hear_of_end(other.job_id, child.job_id)
    ended = Summary("succeeded", ended_at_ms=3)
    row = NewInboxRow(parent.job_id, "job", '{"handle":"2"}', f"job {child.job_id}")
    assert store.commit([Append(child, [event()], ended, deliveries=[row])]) == [None]
    for job_id in (parent.job_id, other.job_id):
        assert [(row.kind, row.data_json) for row in world.open().inbox(job_id)] == [("job", '{"handle":"2"}')]
    assert not store.hear_of_end(other.job_id, child.job_id) and not store.hear_of_end(other.job_id, 99)
    assert [damage.text for damage in store.verify()] == []


def test_the_end_of_a_job_that_nobody_started_is_written_for_those_who_asked_and_for_nobody_else(
    world: World, store: EventStore
) -> None:
    asked, job, alone = (start(store, uid) for uid in ("u1", "u2", "u3"))
    written = []

    def text() -> str:
        written.append(1)
        return '{"handle":"2"}'

    assert store.hear_of_end(asked.job_id, job.job_id)
    ended = Summary("succeeded", ended_at_ms=3)
    for lease in (job, alone):
        row = NewInboxRow(lease.job_id, "job", text, f"job {lease.job_id}")
        assert store.commit([Append(lease, [event()], ended, deliveries=[row])]) == [None]
    assert [row.data_json for row in world.open().inbox(asked.job_id)] == ['{"handle":"2"}'] and len(written) == 1
    assert not world.open().inbox(job.job_id) and not world.open().inbox(alone.job_id)


def test_a_subscription_begins_where_it_is_asked_to(store: EventStore) -> None:
    numbers = [publish(store, n) for n in range(3)]
    lease = start(store)
    publish(store, "later")
    for handle, options in (
        ("start", {"after": 0}),
        ("second", {"after": numbers[0]}),
        ("now", {"is_from_now": True}),
        ("job", {}),
    ):
        store.subscribe(Subscription(lease.job_id, handle, "t", **options))
    publish(store, "last")
    told = heard(store, lease.job_id)
    assert [body for handle, body in told if handle == "start"] == [0, 1, 2, "later", "last"]
    assert [body for handle, body in told if handle == "second"] == [1, 2, "later", "last"]
    assert [body for handle, body in told if handle == "now"] == ["last"]


def test_of_a_group_each_event_goes_to_one_member_and_waits_while_there_is_none(store: EventStore) -> None:
    members = [start(store, uid) for uid in ("u1", "u2")]
    for member in members:
        store.subscribe(Subscription(member.job_id, "h", "t", group="g"))
    for n in range(6):
        publish(store, n)
    told = [heard(store, member.job_id) for member in members]
    assert sorted(body for each in told for _, body in each) == [0, 1, 2, 3, 4, 5] and all(told)
    for member in members:
        store.commit([Append(member, [event("JobEnded")], SUCCEEDED)])
    publish(store, "waits")
    late = start(store, "u3")
    store.subscribe(Subscription(late.job_id, "h", "t", group="g"))
    assert heard(store, late.job_id) == [("h", "waits")]


def test_who_was_away_for_long_hears_all_of_it_a_part_at_a_time(store: EventStore) -> None:
    away, member, paused = (start(store, uid) for uid in ("u1", "u2", "u3"))
    store.subscribe(Subscription(away.job_id, "h", "t"))
    store.subscribe(Subscription(away.job_id, "beside", "other"))
    for each in (member, paused):
        store.subscribe(Subscription(each.job_id, "h", "t", group="g"))
    commit(store, paused, "Paused", summary=Summary("paused"))
    count = WAITING_MAX + 3
    for n in range(count):
        publish(store, n)
    assert len(heard(store, away.job_id)) == len(heard(store, member.job_id)) == WAITING_MAX
    publish(store, "told", "other")
    assert heard(store, away.job_id)[WAITING_MAX:] == [("beside", "told")], "what is not read is in nobody's way"
    assert heard(store, paused.job_id) == [], "the events of a group go to members that go on"
    told: list[object] = []
    for lease in (away, member):
        while rows := store.inbox(lease.job_id, limit=WAITING_MAX - 1):
            bodies = [json.loads(row.data_json)["delivery"]["body"] for row in rows]
            told += [body for body in bodies if body != "told"]
            commit(store, lease, "InboxTaken", taken=[row.id for row in rows])
    assert told == [*range(count), *range(count)]
    assert [damage.text for damage in store.verify()] == []


def test_every_change_of_a_jobs_state_is_an_event_but_of_those_who_listen(store: EventStore) -> None:
    listener, lease = start(store, "u1"), start(store, "u2")
    store.subscribe(Subscription(listener.job_id, "h", JOBS, is_from_now=True))
    commit(store, lease, "A", summary=Summary("waiting"))
    commit(store, lease, "B", summary=Summary("waiting"))
    commit(store, listener, "A", summary=Summary("waiting"))
    commit(store, lease, "JobEnded", summary=SUCCEEDED)
    told = [body for _, body in heard(store, listener.job_id)]
    assert [(body["id"], body["state"]) for body in told] == [(lease.job_id, "waiting"), (lease.job_id, "succeeded")]  # type: ignore[index]
    store.forget_deliveries(before_ms=2**60)
    assert store.topic_events(None, after=0, limit=9) == []


# -- calls of functions that are implemented elsewhere


def new_call(lease: Lease, id: str = "c", **options: Any) -> NewCall:
    return NewCall(id, lease.job_id, "7", "resize", '{"w":1}', options.get("attempts_max", 2), options.get("expires"))


def outcomes_of(store: EventStore, job_id: int) -> list[Any]:
    return [json.loads(row.data_json) for row in store.inbox(job_id) if row.kind == "call"]


def test_a_call_is_leased_to_one_worker_and_its_outcome_comes_once(world: World, store: EventStore) -> None:
    lease, other = start(store), world.open()
    store.open_call(new_call(lease))
    store.open_call(new_call(lease))
    assert store.lease_call("other", now_ms=10, lease_ms=5) is None
    assert other.lease_call("resize", now_ms=10, lease_ms=5) == LeasedCall("c", "resize", '{"w":1}', 1, 15)
    assert store.lease_call("resize", now_ms=14, lease_ms=5) is None
    assert store.beat_call("c", attempt=1, until_ms=20) and not store.beat_call("c", attempt=2, until_ms=99)
    assert store.lease_call("resize", now_ms=19, lease_ms=5) is None
    done = CallOutcome("c", 1, '{"value":5,"error":null}')
    assert store.finish_call(done, now_ms=19) and not store.finish_call(done, now_ms=19)
    assert outcomes_of(store, lease.job_id) == [{"handle": "7", "delivery": {"value": 5, "error": None}}]
    for before_ms, is_forgotten in ((20, False), (21, True)):
        store.forget_deliveries(before_ms=before_ms)
        store.open_call(new_call(lease))
        assert (store.lease_call("resize", now_ms=999, lease_ms=5) is not None) == is_forgotten
    assert [damage.text for damage in store.verify()] == []


def test_a_call_goes_to_another_worker_when_a_lease_runs_out_or_an_error_may_go_away(store: EventStore) -> None:
    lease = start(store)
    store.open_call(new_call(lease, attempts_max=3))
    assert store.lease_call("resize", now_ms=0, lease_ms=5)
    second = store.lease_call("resize", now_ms=5, lease_ms=5)
    assert second is not None and second.attempt == 2
    assert not store.finish_call(CallOutcome("c", 1, "{}"), now_ms=6), "it has lost its lease"
    assert store.finish_call(CallOutcome("c", 2, "{}", True, 100), now_ms=6)
    assert store.lease_call("resize", now_ms=105, lease_ms=5) is None
    third = store.lease_call("resize", now_ms=106, lease_ms=5)
    assert third is not None and third.attempt == 3
    assert store.lease_call("resize", now_ms=111, lease_ms=5) is None
    (outcome,) = outcomes_of(store, lease.job_id)
    assert "3 workers took the call" in json.dumps(outcome["delivery"]["error"])


def test_a_call_of_a_job_that_is_over_or_that_came_too_late_is_nobodys(store: EventStore) -> None:
    ended, lease = start(store, "u1"), start(store, "u2")
    store.open_call(new_call(ended, "a"))
    store.open_call(new_call(lease, "b", expires=50))
    commit(store, ended, "JobEnded", summary=SUCCEEDED)
    assert store.lease_call("resize", now_ms=50, lease_ms=5) is None
    assert outcomes_of(store, lease.job_id) == []
    store.remove_jobs([ended.job_id], now_ms=1)
    assert not store.finish_call(CallOutcome("a", 0, "{}"), now_ms=1)


# -- locks and limits


def claim(store: EventStore, lease: Lease, step: int = 1, **options: Any) -> Place:
    kind, name, size = options.get("kind", "lock"), options.get("name", "a"), options.get("size", 1)
    new = NewClaim(lease.job_id, step, kind, name, size, options.get("inside", ()))
    return store.claim(new, now_ms=options.get("now_ms", 7))


def unclaim(store: EventStore, lease: Lease, *steps: int) -> None:
    assert store.commit([Append(lease, [event("Observed")], RUNNING, unclaimed=steps)]) == [None]


def granted(store: EventStore, job_id: int) -> list[Any]:
    return [
        (row.kind, json.loads(row.data_json)["handle"])
        for row in store.inbox(job_id)
        if row.kind in ("lock", "limit") and json.loads(row.data_json)["delivery"] == {"body": True}
    ]


def queue(store: EventStore, kind: str = "lock", name: str = "a") -> list[tuple[int, bool]]:
    return [(claim.job_id, claim.is_granted) for claim in store.claims(kind, name)]


def test_a_lock_goes_to_one_job_after_the_other_in_the_order_in_which_they_came(store: EventStore) -> None:
    first, second, third = (start(store, uid) for uid in ("u1", "u2", "u3"))
    assert claim(store, first) == Place(True) and claim(store, second) == claim(store, third) == Place(False)
    assert claim(store, first) == Place(True) and claim(store, second) == Place(False), "asking again changes nothing"
    assert claim(store, second, 2, name="b") == Place(True) and claim(store, second, 3, kind="limit") == Place(True)
    assert queue(store) == [(first.job_id, True), (second.job_id, False), (third.job_id, False)]
    unclaim(store, first, 1)
    assert granted(store, second.job_id) == [("lock", "1")] and granted(store, third.job_id) == []
    assert claim(store, second) == Place(True), "who asks again after a crash hears of it, too"
    unclaim(store, first, 1)
    assert queue(store) == [(second.job_id, True), (third.job_id, False)]
    assert [damage.text for damage in store.verify()] == []


def test_a_job_that_is_over_however_it_ended_gives_back_what_it_has_and_waits_for(store: EventStore) -> None:
    first, second, third = (start(store, uid) for uid in ("u1", "u2", "u3"))
    for lease in (first, second, third):
        claim(store, lease)
    store.commit([Append(second, [event("JobEnded")], SUCCEEDED)])
    assert queue(store) == [(first.job_id, True), (third.job_id, False)]
    store.release(first, wake_at_ms=None)
    assert queue(store)[0] == (first.job_id, True), "it is the job's, whoever runs it"
    assert store.abandon(first.job_id, Summary("cancelled", exit_status=130, ended_at_ms=5))
    assert queue(store) == [(third.job_id, True)] and granted(store, third.job_id) == [("lock", "1")]


def test_a_holder_that_was_killed_still_holds_and_who_takes_it_over_gives_back(world: World, store: EventStore) -> None:
    other = world.open()
    first, second = start(store, "u1"), start(other, "u2")
    assert claim(store, first).is_granted and not claim(other, second).is_granted
    world.kill(store)
    assert queue(other) == [(first.job_id, True), (second.job_id, False)]
    taken = other.acquire(first.job_id)
    assert taken is not None and claim(other, taken) == Place(True)
    assert other.commit([Append(taken, [event("Observed")], RUNNING, unclaimed=[1])]) == [None]
    assert granted(other, second.job_id) == [("lock", "1")]


def test_a_process_that_lost_a_job_claims_nothing_for_it(world: World, store: EventStore) -> None:
    lease, other = start(store), world.open()
    store.release(lease, wake_at_ms=None)
    assert other.acquire(lease.job_id) is not None
    with pytest.raises(StoreFenced):
        claim(store, lease)
    assert queue(other) == [] and claim(other, lease) == Place(True)


def test_under_a_limit_several_have_a_place_and_nobody_is_passed_over(store: EventStore) -> None:
    leases = [start(store, f"u{n}") for n in range(4)]
    places = [claim(store, lease, kind="limit", size=size) for lease, size in zip(leases, (2, 2, 2, 9), strict=True)]
    assert places == [Place(True), Place(True), Place(False), Place(False)], "not even one that would take more"
    unclaim(store, leases[1], 1)
    assert granted(store, leases[2].job_id) == granted(store, leases[3].job_id) == [("limit", "1")]


def test_who_would_wait_for_itself_in_the_end_is_refused_and_told_by_whom(store: EventStore) -> None:
    first, second, third = (start(store, uid) for uid in ("u1", "u2", "u3"))
    for lease, name in ((first, "a"), (second, "b"), (third, "c")):
        assert claim(store, lease, 1, name=name).is_granted
    assert claim(store, first, 2, name="b", inside=(1,)) == Place(False)
    assert claim(store, second, 2, name="c", inside=(1,)) == Place(False)
    circle = claim(store, third, 2, name="a", inside=(1,)).circle
    assert [(each.job_id, each.name) for each in circle] == [
        (first.job_id, "a"), (second.job_id, "b"), (third.job_id, "c")
    ]  # fmt: skip
    assert queue(store, name="a") == [(first.job_id, True)], "it does not wait"
    assert claim(store, third, 3, name="a") == Place(False), "from outside of its block it may wait"


def test_each_moment_of_a_rate_is_given_once_and_old_rates_are_forgotten(store: EventStore) -> None:
    moments = [store.reserve("r", interval_us=100, now_us=now_us) for now_us in (5000, 5000, 5050, 9000)]
    assert moments == [5000, 5100, 5200, 9000] and store.reserve("other", interval_us=5, now_us=5000) == 5000
    store.forget_deliveries(before_ms=9)
    assert store.reserve("r", interval_us=100, now_us=9000) == 9100
    store.forget_deliveries(before_ms=10)
    assert store.reserve("r", interval_us=100, now_us=9000) == 9000
