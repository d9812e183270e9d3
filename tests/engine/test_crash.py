"""A kill at any commit changes neither the history nor the result, and no effect happens without its intent."""

from __future__ import annotations

import pytest

from fmsh.machine.code import Program
from fmsh.values import error_value
from tests.engine import programs as p
from tests.engine.world import DyingStore, Killed, World, history


def sequence() -> Program:
    a = p.Assembler()
    return a.program(
        p.observe("now", 2),
        p.request_with("done", lambda scope: {"value": scope.slots[2]}),
        p.show("hello\n"),
        p.request("done", value=2),
        p.evaluate(0, lambda scope: scope.slots[1]),
    )


def branches() -> Program:
    a = p.Assembler()
    body = a.body(p.request("done", value=1), p.observe("uuid", 2), p.request("done", value=2), parameters=(3,))
    return a.program(p.parallel(body, [1, 2, 3], limit=2), p.request("done", value=3))


def unwinding() -> Program:
    a = p.Assembler()
    cleanup = a.body(p.request("done", value="cleanup"))
    undo = a.body(p.request("done", value="undo"))
    body = a.body(p.defer(cleanup), p.undo(undo), p.request("done", value=1), p.fail(error_value("fail", "on purpose")))
    catch = a.body(p.request("done", value="caught"))
    return a.program(p.try_(body, catch), p.request("done", value="after"))


PROGRAMS = {"sequence": sequence, "branches": branches, "unwinding": unwinding}


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("dies_before", [True, False])
def test_a_job_killed_at_any_commit_has_the_history_of_one_that_was_not(name: str, dies_before: bool) -> None:
    straight = World()
    process = straight.process()
    assert process.run(PROGRAMS[name]()).state == "succeeded"
    expected = history(process.store, 1)
    assert isinstance(process.store, DyingStore)
    commits = process.store.commits
    assert commits >= 3
    for dies_at in range(1, commits + 1):
        world = World()
        victim = world.process()
        assert isinstance(victim.store, DyingStore)
        victim.store.dies_at, victim.store.dies_before = dies_at, dies_before
        with pytest.raises(Killed):
            victim.run(PROGRAMS[name]())
        victim.kill()
        heir = world.process()
        if heir.store.job(1) is None:
            assert dies_at == 1 and dies_before and not world.effects.attempts
            continue
        if heir.state(1) != "succeeded":
            assert heir.run_on(1).state == "succeeded"
        if name == "branches":  # the order in which branches end is the world's, and a kill may change it
            assert sorted(map(repr, history(heir.store, 1))) == sorted(map(repr, expected)), dies_at
        else:
            assert history(heir.store, 1) == expected, dies_at
        assert not world.reports


def test_pairs_of_kills_change_nothing_either() -> None:
    straight = World()
    process = straight.process()
    process.run(unwinding())
    expected = history(process.store, 1)
    assert isinstance(process.store, DyingStore)
    for first in range(1, process.store.commits):
        for second in range(1, process.store.commits - first):
            world = World()
            for dies_at in (first, second, None):
                process = world.process()
                assert isinstance(process.store, DyingStore)
                process.store.dies_at = dies_at
                try:
                    process.run(unwinding()) if process.store.job(1) is None else process.run_on(1)
                except Killed:
                    process.kill()
            assert history(process.store, 1) == expected, (first, second)


@pytest.mark.parametrize("dies_before", [True, False])
def test_a_job_with_a_key_that_is_killed_at_any_commit_is_resumed(dies_before: bool) -> None:
    for dies_at in range(1, 5):
        world = World()
        victim = world.process()
        assert isinstance(victim.store, DyingStore)
        victim.store.dies_at, victim.store.dies_before = dies_at, dies_before
        with pytest.raises(Killed):
            victim.submit(sequence(), key="k")
            victim.settle()
        victim.kill()
        heir = world.process()
        job = heir.store.job_by_key("k")
        if job is None:
            assert dies_at == 1 and dies_before
        elif job.state != "succeeded":
            assert heir.run_on(job.id).state == "succeeded", (dies_at, dies_before)
