"""Keeping leases: a process that was stopped, or cannot renew, starts nothing before it knows that the job is its."""

from __future__ import annotations

import pytest

from fmsh.connectors.base import Done
from fmsh.errors import StoreFull
from fmsh.store.base import RENEWAL_TTL_S
from tests.engine import programs as p
from tests.engine.world import World, failed, types


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def test_a_process_that_was_stopped_looks_before_it_acts() -> None:
    world, clock = World(), Clock()
    process = world.process(now_s=clock)
    world.effects.script = [failed(retry=True, retry_after_ms=20)]
    process.submit(p.Assembler().program(p.request("fail")))
    process.settle()
    assert process.state(1) == "waiting" and len(world.effects.attempts) == 1
    world.disk.alive.discard(process.store.owner.id)  # it is stopped, and the others take it for dead
    heir = world.process()
    heir.run_on(1)
    clock.now_s += RENEWAL_TTL_S + 1
    process.settle()
    assert len(world.effects.attempts) == 2 and not process.engine.workers


def test_after_two_failed_renewals_no_effect_starts_until_one_succeeds(monkeypatch: pytest.MonkeyPatch) -> None:
    world, clock = World(), Clock()
    process = world.process(now_s=clock)
    job_id = process.submit(p.Assembler().program(p.request("hold"), p.request("done")))
    process.engine._holding.listen()

    def refuse() -> None:
        raise StoreFull("no room")

    monkeypatch.setattr(process.store, "renew", refuse)
    for _ in range(2):
        clock.now_s += RENEWAL_TTL_S / 3
        process.engine.step(0)
    process.connector.finish(1, Done(1))
    process.settle()
    assert world.effects.steps == [1] and types(process.store, job_id)[-1] == "RequestMade"
    monkeypatch.undo()
    clock.now_s += RENEWAL_TTL_S / 3
    process.settle()
    assert world.effects.steps == [1, 2] and process.state(job_id) == "succeeded"


def test_what_another_process_puts_into_the_inbox_is_taken_at_once() -> None:
    world = World()
    process = world.process()
    job_id = process.submit(p.Assembler().program(p.request("hold")))
    other = world.process()
    other.store.deliver(job_id, "cancel", "{}", dedupe_id="1")  # before anybody listens
    process.step_until(lambda: process.state(job_id) == "cancelled", within_s=1)
    again = process.submit(p.Assembler().program(p.request("hold")))
    other.store.deliver(again, "cancel", "{}", dedupe_id="1")
    process.step_until(lambda: process.state(again) == "cancelled", within_s=1)


def test_the_end_of_a_child_reaches_its_parent() -> None:
    world = World()
    process = world.process()
    handle = p.Handle("job", "2", {"id": 2})
    parent = process.submit(p.Assembler().program(p.await_(lambda scope: handle), name="parent"))
    child = process.submit(p.Assembler().program(p.evaluate(0, lambda scope: 42), name="child"), parent_id=parent)
    assert (parent, child) == (1, 2)
    ended = process.engine.run_until_ended(parent, timeout_s=2)
    assert ended is not None and (ended.state, ended.value) == ("succeeded", 42)


def test_a_process_that_cannot_listen_yet_tries_again(monkeypatch: pytest.MonkeyPatch) -> None:
    world, clock = World(), Clock()
    process = world.process(now_s=clock)
    job_id = process.submit(p.Assembler().program(p.request("hold")))

    def refuse() -> None:
        raise StoreFull("no room")

    monkeypatch.setattr(process.store, "wake_fileno", refuse)
    clock.now_s += 1
    process.settle()
    monkeypatch.undo()
    other = world.process()
    other.store.deliver(job_id, "cancel", "{}", dedupe_id="1")
    clock.now_s += 2
    process.settle()
    assert process.state(job_id) == "cancelled"
