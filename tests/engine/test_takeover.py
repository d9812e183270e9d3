"""What a process that takes over must not get wrong, nor one from which something was nearly taken."""

from __future__ import annotations

import pytest

from fmsh.connectors.base import Done
from fmsh.engine import replay, snapshots
from fmsh.errors import StoreFull
from fmsh.store.base import RENEWAL_TTL_S
from tests.engine import programs as p
from tests.engine.test_holding import Clock
from tests.engine.world import DyingStore, Killed, SystemClock, World, failed, types


def test_an_attempt_begun_after_a_snapshot_counts_as_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    """The snapshot is of the same commit as the request, so it was taken before the attempt started."""
    monkeypatch.setattr(snapshots, "INTERVAL_EVENTS", 1)
    world = World()
    process = world.process()
    job_id = process.submit(p.Assembler().program(p.request("done"), p.request("hold")))
    process.settle()
    snapshot = process.store.snapshot(job_id)
    job = process.store.job(job_id)
    assert snapshot is not None and job is not None and snapshot.seq == job.head
    process.kill()
    heir = world.process()
    assert heir.engine.adopt(job_id)
    heir.settle()
    assert [(attempt.id.step, attempt.is_resumed) for attempt in world.effects.attempts][-1] == (2, True)


@pytest.mark.parametrize("every", [1, 1000])
def test_an_intent_says_by_whom_and_in_which_boot_it_was_to_be_begun(
    monkeypatch: pytest.MonkeyPatch, every: int
) -> None:
    """Also from a snapshot, and for an attempt that follows after a takeover."""
    monkeypatch.setattr(snapshots, "INTERVAL_EVENTS", every)
    world = World()
    process = world.process()
    job_id = process.submit(p.Assembler().program(p.request("hold"), p.request("hold")), is_foreground=False)
    process.settle()
    process.kill()
    heir = world.process("daemon")
    heir.store.owner = heir.store.owner.replace(boot_id="second")
    heir.engine.owner = {**heir.engine.owner, "boot": "second"}
    assert heir.engine.adopt(job_id)
    heir.settle()
    assert world.effects.attempts[-1].begun_by == "shell boot" and world.effects.attempts[-1].is_resumed
    heir.connector.finish(1, Done(1))
    heir.settle()
    assert world.effects.attempts[-1].begun_by == "daemon second"
    heir.kill()
    third = world.process()
    assert third.engine.adopt(job_id)
    third.settle()
    assert world.effects.attempts[-1].begun_by == "daemon second" and world.effects.attempts[-1].is_resumed


def left_with_its_last_outcome(world: World) -> int:
    """A job whose last outcome was recorded while it was leaving, and is fed by whoever loads it."""
    process = world.process()
    job_id = process.submit(p.Assembler().program(p.request("hold", method="POST")), is_foreground=False)
    process.settle()
    process.engine.leave(process.engine.workers[job_id])
    process.connector.finish(1, Done(1))
    process.settle()
    assert not process.engine.workers and types(process.store, job_id)[-1] == "RequestCompleted"
    return job_id


def test_a_job_that_ends_as_it_is_loaded_is_handed_over_before_its_end() -> None:
    world = World()
    job_id = left_with_its_last_outcome(world)
    heir = world.process("daemon")
    heir.run_on(job_id)
    assert types(heir.store, job_id)[-2:] == ["HandedOver", "JobEnded"]


def test_what_comes_after_the_end_is_not_taken() -> None:
    world = World()
    job_id = left_with_its_last_outcome(world)
    heir = world.process("daemon")
    heir.store.deliver(job_id, "signal", "{}", dedupe_id="late")
    heir.run_on(job_id)
    assert types(heir.store, job_id)[-1] == "JobEnded" and not world.reports


def two_branches() -> p.Program:
    a = p.Assembler()
    body = a.body(p.request("hold"), parameters=(3,))
    return a.program(p.parallel(body, [1, 2]))


def test_what_comes_while_a_commit_is_refused_is_taken_after_it() -> None:
    world = World()
    process = world.process()
    job_id = process.submit(two_branches())
    process.settle()
    world.disk.fault = StoreFull("no room")
    process.connector.finish(1, Done(1))
    process.settle()
    process.connector.finish(2, Done(2))
    process.settle()
    world.disk.fault = None
    ended = process.engine.run_until_ended(job_id, timeout_s=5)
    assert ended is not None and ended.state == "succeeded"


def test_a_cancel_that_comes_while_a_commit_is_refused_is_taken_after_it() -> None:
    world = World()
    process = world.process()
    job_id = process.submit(two_branches())
    process.settle()
    world.disk.fault = StoreFull("no room")
    process.connector.finish(1, Done(1))
    process.settle()
    world.disk.fault = None
    process.deliver(job_id, "cancel")
    ended = process.engine.run_until_ended(job_id, timeout_s=5)
    assert ended is not None and ended.state == "cancelled"


def test_a_job_that_is_to_leave_while_a_commit_is_refused_leaves_after_it() -> None:
    world = World()
    process = world.process()
    job_id = process.submit(two_branches(), is_foreground=False)
    process.settle()
    world.disk.fault = StoreFull("no room")
    process.connector.finish(1, Done(1))
    process.settle()
    process.engine.leave(process.engine.workers[job_id])
    world.disk.fault = None
    process.step_until(lambda: not process.engine.workers, within_s=5)
    assert process.state(job_id) == "running"


def test_the_next_job_of_a_process_that_was_idle_is_not_taken_from_it() -> None:
    """Without jobs it does not renew, and others have seen its renewals stand still."""
    clock = Clock()
    world = World(lambda kind: DyingStore(world.disk, kind=kind, now_s=clock))
    process, other = world.process(now_s=clock), world.process("daemon", now_s=clock)
    process.run(p.steps(1))
    process.engine._holding.listen()
    other.store.reap()
    clock.now_s += RENEWAL_TTL_S + 1
    job_id = process.submit(p.Assembler().program(p.request("hold")))
    assert other.store.reap() == [] and not other.engine.adopt(job_id)


def test_after_a_lapse_of_renewals_a_job_acts_only_once_it_is_proven_to_be_ours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world, clock = World(), Clock()
    process = world.process(now_s=clock)
    job_id = process.submit(p.Assembler().program(p.request("hold"), p.request("hold")))
    process.engine._holding.listen()

    def refuse() -> None:
        raise StoreFull("no room")

    monkeypatch.setattr(process.store, "renew", refuse)
    for _ in range(3):
        clock.now_s += RENEWAL_TTL_S / 3
        process.engine.step(0)
    process.connector.finish(1, Done(1))
    process.settle()  # it commits the next request, and waits for a renewal before it acts
    world.disk.alive.discard(process.store.owner.id)  # the others take it for stopped
    heir = world.process()
    assert heir.engine.adopt(job_id)
    heir.settle()
    heir.connector.finish(2, Done(2))
    heir.settle()
    monkeypatch.undo()
    clock.now_s += RENEWAL_TTL_S / 3
    process.settle()
    assert world.effects.steps == [1, 2] and not process.engine.workers


def test_a_cancel_ends_the_wait_for_another_attempt_also_after_a_takeover() -> None:
    world = World()
    process = world.process()
    world.effects.script = [failed(retry=True, retry_after_ms=3_600_000)]
    job_id = process.submit(p.Assembler().program(p.request("fail")))
    process.settle()
    process.kill()
    heir = world.process()
    heir.store.deliver(job_id, "cancel", "{}", dedupe_id="1")
    heir.run_on(job_id)
    assert heir.state(job_id) == "cancelled" and world.effects.steps == [1]


def test_a_sleeping_job_whose_holder_dies_when_it_has_taken_a_cancel_is_due_at_once() -> None:
    world = World()
    process = world.process()
    job_id = process.submit(p.Assembler().program(p.sleep(3_600_000)))
    process.settle()
    assert isinstance(process.store, DyingStore)
    process.store.dies_at = process.store.commits + 1
    with pytest.raises(Killed):
        process.deliver(job_id, "cancel")
    process.kill()
    heir = world.process()
    heir.store.reap()
    assert heir.store.due(SystemClock().wall_ms(), limit=9) == [job_id]
    heir.run_on(job_id)
    assert heir.state(job_id) == "cancelled"


def test_who_was_stopped_before_it_loaded_a_job_finds_no_fault_in_what_others_made_of_it() -> None:
    world = World()
    process = world.process()
    program = p.Assembler().program(p.request("done", value=1), p.request("hold"))
    job_id = process.submit(program)
    process.settle()
    process.kill()
    stopped = world.process()
    lease = stopped.store.acquire(job_id)
    assert lease is not None
    head = lease.head
    stopped.kill()
    heir = world.process()
    assert heir.engine.adopt(job_id)
    heir.settle()
    heir.connector.finish(2, Done(2))
    heir.settle()
    job = heir.store.job(job_id)
    assert job is not None and job.state == "succeeded" and job.head > head
    surroundings = heir.engine.surroundings
    worker = replay.load(heir.store, job, lease, program=program, surroundings=surroundings)
    assert worker.end is None and worker.steps == 2 and list(worker.flights) == [2]


def test_a_job_that_was_taken_and_comes_back_is_held_once() -> None:
    """Its holder stood still, another took it and died; the old worker has not learnt of it yet."""
    world = World()
    process = world.process()
    job_id = process.submit(p.steps(3), is_foreground=False)
    stale = process.engine.workers[job_id]
    assert stale.lease is not None
    process.store.release(stale.lease, wake_at_ms=None)
    heir = world.process()
    assert heir.engine.adopt(job_id)
    heir.kill()
    process.engine.make_ready(stale)
    assert process.engine.adopt(job_id)
    process.step_until(lambda: process.state(job_id) == "succeeded")
