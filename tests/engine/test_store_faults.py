"""When the store refuses: nothing acts, nothing is lost, and one job's damage is no other's."""

from __future__ import annotations

import pytest

from fmsh.connectors.base import Done
from fmsh.errors import StoreBusy, StoreError, StoreFull
from tests.engine import programs as p
from tests.engine.world import World, history, types


@pytest.mark.parametrize("fault", [StoreFull("no room"), StoreBusy("somebody else")])
def test_with_a_full_disk_nothing_starts_and_it_goes_on_when_there_is_room(fault: StoreError) -> None:
    world = World()
    process = world.process()
    job_id = process.submit(p.Assembler().program(p.request("hold"), p.request("done")))
    before = history(process.store, job_id)
    world.disk.fault = fault
    process.connector.finish(1, Done(1))
    process.settle()
    assert world.effects.steps == [1] and world.stalls == [True]
    assert history(process.store, job_id) == before
    process.loop.submit(lambda: setattr(world.disk, "fault", None))
    ended = process.engine.run_until_ended(job_id, timeout_s=5)
    assert ended is not None and ended.state == "succeeded"
    assert world.effects.steps == [1, 2] and world.stalls == [True, False]


def test_a_job_that_cannot_be_created_does_nothing() -> None:
    world = World()
    process = world.process()
    world.disk.fault = StoreFull("no room")
    with pytest.raises(StoreFull):
        process.submit(p.steps(2))
    assert not world.effects.attempts and not process.engine.workers


def test_an_owner_that_was_fenced_forgets_the_job_and_starts_nothing() -> None:
    world = World()
    process = world.process()
    job_id = process.submit(p.Assembler().program(p.request("hold"), p.request("done")))
    world.disk.alive.discard(process.store.owner.id)  # the others take it for dead
    heir = world.process()
    assert heir.engine.adopt(job_id)
    heir.settle()
    before = history(heir.store, job_id)
    process.connector.finish(1, Done(1))
    ended = process.engine.run_until_ended(job_id, timeout_s=5)
    assert ended is not None and ended.state == "released"
    assert world.effects.steps == [1, 1] and history(heir.store, job_id) == before
    heir.connector.finish(1, Done(1))
    heir.settle()
    assert heir.state(job_id) == "succeeded"


def test_a_damaged_history_parks_its_job_and_no_other() -> None:
    world = World()
    process = world.process()
    damaged = process.submit(p.Assembler().program(p.request("hold"), name="damaged"))
    sound = process.submit(p.Assembler().program(p.request("hold"), p.request("done"), name="sound"))
    process.kill()
    world.disk.damage_event(damaged, 2)
    heir = world.process()
    assert not heir.engine.adopt(damaged)
    assert heir.state(damaged) == "parked"
    assert heir.engine.adopt(sound)
    heir.settle()
    heir.connector.finish(1, Done(1))
    heir.settle()
    assert heir.state(sound) == "succeeded"


def test_a_damaged_job_is_loaded_again_only_for_something_new_and_cancelled_without_its_machine() -> None:
    world = World()
    process = world.process()
    job_id = process.submit(p.Assembler().program(p.request("hold")))
    process.kill()
    world.disk.damage_event(job_id, 2)
    heir = world.process()
    assert not heir.engine.adopt(job_id) and heir.state(job_id) == "parked"
    before = world.disk.jobs[job_id].job.epoch
    assert not heir.engine.adopt(job_id) and world.disk.jobs[job_id].job.epoch == before, "it is not even looked at"
    heir.store.deliver(job_id, "cancel", "{}", dedupe_id="1")
    assert not heir.engine.adopt(job_id)
    assert heir.state(job_id) == "cancelled" and not heir.store.due(2**60, limit=9)


def test_a_retry_that_finds_the_history_as_it_was_goes_on() -> None:
    world = World()
    process = world.process()
    job_id = process.submit(p.Assembler().program(p.request("hold")))
    process.kill()
    kept = world.disk.jobs[job_id]
    sound = kept.events[2]
    world.disk.damage_event(job_id, 2)
    heir = world.process()
    assert not heir.engine.adopt(job_id)
    kept.events[2] = sound
    assert not heir.engine.adopt(job_id)
    heir.store.deliver(job_id, "retry", "null", dedupe_id="1")
    assert heir.engine.adopt(job_id)
    heir.settle()
    heir.connector.finish(1, Done(1))
    heir.settle()
    assert heir.state(job_id) == "succeeded"


def test_a_program_that_is_gone_parks_the_job_with_the_reason_until_it_is_cancelled() -> None:
    world = World()
    process = world.process()
    job_id = process.submit(p.Assembler().program(p.request("hold")))
    process.kill()
    del world.disk.programs["main"]
    heir = world.process()
    assert not heir.engine.adopt(job_id)
    job = heir.store.job(job_id)
    assert job is not None and job.state == "parked" and "no program" in str(job.error_json)
    heir.store.deliver(job_id, "cancel", "{}", dedupe_id="1")
    assert not heir.engine.adopt(job_id)
    assert heir.state(job_id) == "cancelled" and types(heir.store, job_id)[-1] == "JobEnded"
    assert not heir.store.due(2**60, limit=9)
