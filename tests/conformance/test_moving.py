"""What every store guarantees when a job leaves it, comes into it, or comes back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from fmsh.errors import StoreError, StoreFenced, StoreMissing
from fmsh.store.base import (
    Append,
    EventStore,
    InboxRow,
    Job,
    Lease,
    NewCallback,
    NewJob,
    Snapshot,
    StoredEvent,
    Summary,
)
from fmsh.store.moving import Arrival, BlobUse, Delivered, KeptBlob, KeptCallback
from tests.conformance.worlds import PROGRAM, RUNNING, SUCCEEDED, TTL_S, World, commit, event, ids, job, start

if TYPE_CHECKING:
    from fmsh.store.moving import Piece

WAITING = Summary("waiting", wake_at_ms=50)
TOKEN = b"t" * 32


def row(store: EventStore, job_id: int) -> Job:
    found = store.job(job_id)
    assert found is not None
    return found


def waiting(store: EventStore, uid: str = "u1", **fields: Any) -> Job:
    """A job with three events, a snapshot, a blob and an address, that nobody holds."""
    lease = start(store, uid, **fields)
    store.open_callback(NewCallback(lease.job_id, "h", TOKEN, None))
    commit(store, lease, "Observed", "Observed", snapshot=Snapshot(3, '{"s":1}'), blobs=[("b", b"data")])
    commit(store, lease, summary=WAITING, release=True)
    return row(store, lease.job_id)


def leave(store: EventStore, job: Job, *, inbox_id: int = 0) -> None:
    assert store.hold(job.id)
    store.move_out(job, inbox_id=inbox_id, at_ms=77)


def arrival(new: NewJob | None = None, **fields: Any) -> Arrival:
    values: dict[str, Any] = {"new": new or job("x"), "summary": WAITING, "head": 3, "epoch": 2, "trimmed_seq": 0}
    return Arrival(**(values | fields))


def pieces(*seqs: int, at_ms: int = 5) -> list[Piece]:
    """Events with the epochs 1, 1, 2, 2, …"""
    return [StoredEvent(0, seq, (seq + 1) // 2, at_ms, "Observed", None, "{}") for seq in seqs or (1, 2, 3)]


# -- holding


def test_a_held_job_is_nobody_elses_and_keeps_its_epoch(world: World, store: EventStore) -> None:
    found, other = waiting(store), world.open("daemon")
    assert store.hold(found.id) and not store.hold(found.id)
    assert not other.hold(found.id) and other.acquire(found.id) is None and other.due(99, limit=9) == []
    assert row(store, found.id).epoch == found.epoch
    store.release(Lease(found.id, found.epoch, found.head, b""), wake_at_ms=found.wake_at_ms)
    assert row(store, found.id) == found and other.due(99, limit=9) == [found.id]
    lease = other.acquire(found.id)
    assert lease is not None and lease.epoch == found.epoch + 1


def test_a_held_job_of_the_dead_is_freed(world: World, store: EventStore) -> None:
    found, other = waiting(store), world.open()
    assert other.hold(found.id)
    world.kill(other)
    assert store.reap() == [found.id] and store.acquire(found.id) is not None


def test_what_others_hold_or_has_ended_is_not_held(world: World, store: EventStore) -> None:
    lease, other = start(store), world.open()
    assert not other.hold(lease.job_id) and not other.hold(99)
    commit(store, lease, "JobEnded", summary=SUCCEEDED)
    assert not other.hold(lease.job_id)
    stalled = start(store, "u2")
    assert not other.hold(stalled.job_id)
    world.now_s += TTL_S
    assert other.hold(stalled.job_id)
    assert isinstance(store.commit([Append(stalled, [event()], RUNNING)])[0], StoreFenced)


# -- leaving


def test_a_moved_job_is_over_here_and_kept_as_it_was(world: World, store: EventStore) -> None:
    found = waiting(store, key="k")
    before = list(store.events(found.id))
    leave(store, found)
    moved = row(store, found.id)
    assert moved == found.replace(state="moved", ended_at_ms=77) == store.job_by_key("k") == store.job_by_uid("u1")
    assert store.last_job() == moved and store.jobs_by_name("n") == []
    assert list(store.events(found.id)) == before and store.blob("b") == b"data"
    assert store.snapshot(found.id) == Snapshot(3, '{"s":1}')
    other = world.open("daemon")
    assert other.acquire(found.id) is None and not other.hold(found.id)
    assert other.due(99, limit=9) == [] and other.next_due_ms() is None and other.reap() == []
    assert ids(store, states=("moved",)) == ids(store) == [found.id] and ids(store, states=("waiting",)) == []
    assert store.count_by_state()["moved"] == 1 and store.count_by_state()["waiting"] == 0
    assert store.belongings(found.id).state == "waiting" and list(store.verify()) == []


def test_moved_jobs_are_listed_with_the_ended(store: EventStore) -> None:
    moved, active = waiting(store), start(store, "u2", name="n")
    leave(store, moved)
    assert ids(store) == [active.job_id, moved.id]


def test_a_moved_job_takes_nothing_any_more_and_says_so(store: EventStore) -> None:
    found = waiting(store)
    leave(store, found)
    with pytest.raises(StoreError, match="moved to another store"):
        store.deliver(found.id, "cancel", "{}", dedupe_id="d")
    delivery = store.deliver_callback(TOKEN, "{}", dedupe_id="d", method="POST", now_ms=1)
    assert delivery is not None and delivery.is_moved and not delivery.is_repeat
    assert store.deliver_callback(TOKEN, "{}", dedupe_id="d", method="PATCH", now_ms=1) is None
    assert store.inbox(found.id) == []


def test_a_job_that_went_on_does_not_leave(world: World, store: EventStore) -> None:
    found, other = waiting(store), world.open()
    with pytest.raises(StoreFenced):
        store.move_out(found, inbox_id=0, at_ms=77)  # it is not held
    assert store.hold(found.id)
    with pytest.raises(StoreFenced):
        other.move_out(found, inbox_id=0, at_ms=77)
    store.deliver(found.id, "callback", "{}", dedupe_id="d")
    with pytest.raises(StoreFenced):
        store.move_out(found, inbox_id=0, at_ms=77)
    assert row(store, found.id).state == "waiting"
    store.move_out(found, inbox_id=store.inbox(found.id)[-1].id, at_ms=77)
    assert row(store, found.id).state == "moved"


def test_a_taken_over_job_does_not_leave(world: World, store: EventStore) -> None:
    found, other = waiting(store), world.open()
    assert store.hold(found.id)
    assert other.acquire(found.id) is None
    world.now_s += TTL_S
    assert other.acquire(found.id) is not None
    with pytest.raises(StoreFenced):
        store.move_out(found, inbox_id=0, at_ms=77)


def test_a_move_that_is_undone_leaves_no_trace(store: EventStore) -> None:
    found = waiting(store)
    leave(store, found)
    store.move_back(found.id)
    assert row(store, found.id) == found and store.due(99, limit=9) == [found.id]
    lease = store.acquire(found.id)
    assert lease is not None
    commit(store, lease, "Observed")
    store.move_back(found.id)  # of a job that is not moved: nothing
    assert row(store, found.id).owner_id == store.owner.id


def test_a_moved_job_may_be_removed(store: EventStore) -> None:
    found = waiting(store)
    leave(store, found)
    store.remove_jobs([found.id], now_ms=1)
    assert store.job(found.id) is None


# -- belongings


def test_belongings_are_all_that_a_job_has(store: EventStore) -> None:
    found = waiting(store)
    child, _, _ = store.create_job(job("c", parent_id=found.id), [event()], RUNNING, lease=False)
    assert store.deliver_callback(TOKEN, '{"a":1}', dedupe_id="d", method="POST", now_ms=1) is not None
    has = store.belongings(found.id)
    assert (has.state, has.children, [found.dedupe_id for found in has.delivered]) == (
        "waiting",
        (child.id,),
        ["callback h d"],
    )
    assert list(has.inbox) == store.inbox(found.id) and has.inbox[0].kind == "callback"
    (kept,) = has.callbacks
    assert kept.new == NewCallback(found.id, "h", TOKEN, None) and kept.used_by is not None and kept.used_at_ms == 1


# -- arriving


def test_an_arrival_is_as_it_was_there(world: World, store: EventStore) -> None:
    start(store)  # so that it gets another number
    new = job("x", key="k", name="n", tags_json='{"a":"b"}', is_detached=True)
    address = KeptCallback(NewCallback(9, "h", TOKEN, None, ("PUT",), True), "used", 7)
    others: list[Piece] = [
        Snapshot(3, '{"s":1}'), KeptBlob("b", b"data", 3), Delivered("d", 6), address,
        InboxRow(7, 9, 8, "callback", '{"b":2}'),
    ]  # fmt: skip
    found = store.move_in(arrival(new), iter([*others, *pieces()]))
    assert list(store.verify()) == []
    assert (found.uid, found.key, found.name, found.is_detached) == ("x", "k", "n", True)
    assert (found.state, found.wake_at_ms, found.head, found.epoch, found.owner_id) == ("waiting", 50, 3, 2, None)
    assert found == store.job_by_uid("x") == row(store, 2) and store.program("p1") == PROGRAM
    events = list(world.open().events(found.id))
    assert [(event.job_id, event.seq, event.epoch) for event in events] == [(2, 1, 1), (2, 2, 1), (2, 3, 2)]
    assert store.snapshot(found.id) == Snapshot(3, '{"s":1}') and store.blob("b") == b"data"
    has = store.belongings(found.id)
    assert has.delivered == (Delivered("d", 6),) and has.callbacks == (
        KeptCallback(address.new.replace(job_id=2), "used", 7),
    )
    (taken,) = has.inbox
    assert (taken.job_id, taken.at_ms, taken.kind, taken.data_json) == (2, 8, "callback", '{"b":2}')
    assert store.due(0, limit=9) == [found.id]  # for its inbox
    lease = store.acquire(found.id)
    assert lease is not None and (lease.epoch, lease.head) == (3, 3)
    commit(store, lease, "InboxTaken", taken=[taken.id])
    assert len(list(store.events(found.id))) == 4


def test_an_arrival_that_has_ended_is_sealed(store: EventStore) -> None:
    found = store.move_in(arrival(summary=SUCCEEDED), iter(pieces()))
    assert (found.state, found.value_json, found.ended_at_ms) == ("succeeded", "1", 99)
    assert row(store, found.id) == found and store.acquire(found.id) is None


def test_an_arrival_may_be_trimmed(store: EventStore) -> None:
    snapshots = [Snapshot(5, '{"s":1}'), Snapshot(6, '{"s":2}')]
    blobs = [KeptBlob("env", b"1", None), KeptBlob("b", b"2", 5), BlobUse("b", 7), KeptBlob("c", b"3", 5)]
    arrived = arrival(head=7, epoch=4, trimmed_seq=5)
    found = store.move_in(arrived, iter([*snapshots, *blobs, *pieces(5, 6, 7)]))
    assert (found.head, found.trimmed_seq) == (7, 5)
    assert [event.seq for event in store.events(found.id)] == [5, 6, 7]
    assert [event.seq for event in store.events(found.id, after=6)] == [7]
    assert store.snapshot(found.id) == snapshots[1] and store.snapshot(found.id, at=5) == snapshots[0]
    store.trim(found.id, before_ms=99, now_ms=100)
    assert [event.seq for event in store.events(found.id)] == [6, 7]
    assert (store.blob("env"), store.blob("b")) == (b"1", b"2")
    with pytest.raises(StoreMissing):
        store.blob("c")


def test_values_that_came_back_are_used_once(store: EventStore) -> None:
    blobs: list[Piece] = [KeptBlob("b", b"data", 3), KeptBlob("c", b"old", 3)]
    found = store.move_in(arrival(), iter([*blobs, *pieces()]))
    leave(store, found)
    back = store.move_in(arrival(), iter([blobs[0], *pieces()]))
    assert store.blob("b") == b"data"
    with pytest.raises(StoreMissing):
        store.blob("c")
    leave(store, back)
    store.remove_jobs([back.id], now_ms=1)
    with pytest.raises(StoreMissing):
        store.blob("b")


def test_what_fails_on_the_way_in_leaves_nothing(store: EventStore) -> None:
    def cut() -> Iterator[Piece]:
        yield KeptBlob("b", b"data", 3)
        yield from pieces(1, 2)
        raise StoreError("cut short")

    with pytest.raises(StoreError, match="cut short"):
        store.move_in(arrival(), cut())
    assert store.job_by_uid("x") is None and ids(store) == []
    with pytest.raises(StoreError):
        store.blob("b")


def test_a_job_is_not_taken_in_twice_nor_beside_another_with_its_key(store: EventStore) -> None:
    found = store.move_in(arrival(job("x", key="k")), iter(pieces()))
    with pytest.raises(StoreError, match=f"it is job {found.id}"):
        store.move_in(arrival(job("x", key="k")), iter(pieces()))
    with pytest.raises(StoreError, match="'k'"):
        store.move_in(arrival(job("y", key="k")), iter(pieces()))
    assert ids(store) == [found.id]


def test_a_job_that_was_moved_from_here_comes_back_under_its_number(store: EventStore) -> None:
    found = store.move_in(arrival(job("x", key="k")), iter(pieces()))
    child, _, _ = store.create_job(job("c", parent_id=found.id), [event()], RUNNING, lease=False)
    leave(store, found)
    back = store.move_in(arrival(job("x", key="k"), head=5, epoch=3), iter(pieces(1, 2, 3, 4, 5)))
    assert (back.id, back.state, back.head, back.epoch) == (found.id, "waiting", 5, 3)
    assert store.belongings(back.id).children == (child.id,)
    assert len(list(store.events(back.id))) == 5 and store.acquire(back.id) is not None


def test_a_job_does_not_go_back_in_time_nor_becomes_another(store: EventStore) -> None:
    found = store.move_in(arrival(), iter(pieces()))
    leave(store, found)
    with pytest.raises(StoreError, match="had 3 events"):
        store.move_in(arrival(head=2), iter(pieces(1, 2)))
    with pytest.raises(StoreError, match="since it was moved from here"):
        store.move_in(arrival(head=4), iter(pieces(1, 2, 3, 4, at_ms=6)))
    assert row(store, found.id).state == "moved" and len(list(store.events(found.id))) == 3
