"""What others may do to a job: cancel, pause, resume, deliver; and what a person says of a lost outcome."""

from __future__ import annotations

import json

import pytest

from fmsh.assembly import make_program
from fmsh.connectors.base import Done
from fmsh.engine.intake import FULL
from fmsh.engine.starting import NewRun
from fmsh.exchange import signal_data
from fmsh.machine.code import Program
from fmsh.spans import Source
from fmsh.store.base import NewJob
from fmsh.values import Handle, error_value
from tests.engine import programs as p
from tests.engine.world import World, history, last_event, lost, types

BACKLOG = """
let go = (inbox go)
let last = await $go
let sum = 0
for n in (inbox many) { $sum += $n; if $n == $last { break } }
$sum
"""


def test_a_cancel_runs_cleanup_and_cancels_what_is_in_flight() -> None:
    a = p.Assembler()
    cleanup = a.body(p.request("done", value="cleanup"))
    world = World()
    process = world.process()
    job_id = process.submit(a.program(p.defer(cleanup), p.request("hold")))
    process.engine.cancel(job_id)
    ended = process.engine.run_until_ended(job_id, timeout_s=5)
    assert ended is not None and (ended.state, ended.exit_status) == ("cancelled", 130)
    assert [id.step for id in world.effects.cancelled] == [1] and world.effects.steps == [1, 2]


def test_a_cancel_ends_the_wait_for_an_attempt_at_once() -> None:
    from tests.engine.world import failed

    world = World()
    process = world.process()
    world.effects.script = [failed(retry=True, retry_after_ms=60_000)]
    job_id = process.submit(p.Assembler().program(p.request("fail")))
    process.settle()
    process.deliver(job_id, "cancel")
    assert process.state(job_id) == "cancelled" and world.effects.cancelled == []


@pytest.mark.parametrize(
    ("answer", "statuses", "output"),
    [
        ("null", [0, 0], ""),
        ("3", [0, 3], ""),
        ('"text"', [0, 0], "text"),
        ('{"a":1}', [0, 0], '{"a":1}'),
        ('{"statuses":[1,2],"output":"x"}', [1, 2], "x"),
        ('{"statuses":"x"}', [0, 0], '{"statuses":"x"}'),
    ],
)
def test_whatever_is_said_of_lost_commands_is_an_outcome_of_commands(
    answer: str, statuses: list[int], output: str
) -> None:
    process = World().process()
    lose = p.request("fail", connector="process", stages=[{}, {}], output="capture")
    process.world.effects.script = [lost()]
    job_id = process.submit(p.Assembler().program(lose))
    process.settle()
    assert process.state(job_id) == "parked"
    process.deliver(job_id, "answer", f'{{"value":{answer}}}')
    completed = last_event(process.store, job_id, "RequestCompleted")
    assert json.loads(completed.data_json)["value"] == {"statuses": statuses, "output": output, "stderr": ""}


def test_a_paused_job_records_what_comes_and_feeds_it_when_resumed() -> None:
    world = World()
    process = world.process()
    job_id = process.submit(p.Assembler().program(p.request("hold"), p.request("done")))
    process.deliver(job_id, "pause")
    assert process.state(job_id) == "paused"
    process.connector.finish(1, Done(1))
    process.settle()
    assert types(process.store, job_id)[-2:] == ["Paused", "RequestCompleted"] and world.effects.steps == [1]
    process.deliver(job_id, "resume")
    assert process.state(job_id) == "succeeded" and world.effects.steps == [1, 2]


def test_a_job_paused_and_killed_goes_on_as_if_it_had_not_been_killed() -> None:
    world = World()
    process = world.process()
    a = p.Assembler()
    body = a.body(p.request("hold"), p.request("done"), parameters=(1,))
    job_id = process.submit(a.program(p.parallel(body, [1, 2])))
    process.deliver(job_id, "pause")
    process.connector.finish(1, Done(1))
    process.settle()
    process.kill()
    heir = world.process()
    assert heir.engine.adopt(job_id)
    heir.settle()
    assert heir.state(job_id) == "paused" and world.effects.steps == [1, 2, 2]
    heir.connector.finish(2, Done(2))
    heir.settle()
    assert world.effects.steps == [1, 2, 2]
    heir.deliver(job_id, "resume")
    assert heir.state(job_id) == "succeeded" and world.effects.steps == [1, 2, 2, 3, 4]


def test_a_delivery_reaches_the_job_that_waits_for_it() -> None:
    process = World().process()
    handle = Handle("callback", "c1", {})
    job_id = process.submit(p.Assembler().program(p.request("hold"), p.await_(lambda scope: handle)))
    process.connector.finish(1, Done(None))
    process.settle()
    job = process.store.job(job_id)
    assert job is not None and job.state == "waiting" and job.wake_at_ms is None
    waits = json.loads(job.waiting_for_json)
    assert [(wait["kind"], wait["label"], wait["until"]) for wait in waits] == [("callback", "c1", None)]
    assert waits[0]["where"]["file"] == "test.fmsh"
    process.deliver(job_id, "callback", '{"handle":"c1","delivery":{"body":{"status":"passed"}}}')
    job = process.store.job(job_id)
    assert job is not None and (job.state, job.value_json) == ("succeeded", '{"status":"passed"}')


def test_a_sleeping_job_says_until_when() -> None:
    process = World().process()
    job_id = process.submit(p.Assembler().program(p.sleep(60_000)))
    job = process.store.job(job_id)
    assert job is not None and job.state == "waiting" and job.wake_at_ms is not None
    (wait,) = json.loads(job.waiting_for_json)
    assert wait["kind"] == "timer" and wait["until"].endswith("Z") and wait["since"] < wait["until"]


# -- a lost outcome


def lost_step() -> Program:
    a = p.Assembler()
    cleanup = a.body(p.request("done", value="cleanup"))
    return a.program(p.defer(cleanup), p.request("hold", slot=0), p.show("went on\n"))


def parked(world: World) -> int:
    process = world.process()
    job_id = process.submit(lost_step())
    process.connector.finish(1, lost())
    ended = process.engine.run_until_ended(job_id, timeout_s=5)
    assert ended is not None and ended.error is not None and (ended.state, ended.error.kind) == ("parked", "lost")
    job = process.store.job(job_id)
    assert job is not None and job.owner_id is None and job.error_json is not None
    assert types(process.store, job_id)[-1] == "Parked" and world.effects.steps == [1]
    assert last_event(process.store, job_id, "Parked").step == 1
    process.kill()
    heir = world.process()
    assert heir.engine.adopt(job_id)
    heir.settle()
    assert world.effects.steps == [1] and heir.state(job_id) == "parked"
    assert heir.engine.release(job_id)
    return job_id


def test_a_lost_outcome_parks_the_job_before_anything_unwinds_and_retry_does_the_step_again() -> None:
    world = World()
    job_id = parked(world)
    heir = world.process()
    heir.store.deliver(job_id, "retry", "{}", dedupe_id="1")
    assert heir.engine.adopt(job_id)
    heir.settle()
    assert types(heir.store, job_id)[-2:] == ["Resumed", "AttemptFailed"]
    assert [(attempt.id.step, attempt.id.attempt) for attempt in world.effects.attempts] == [(1, 1), (1, 2)]
    heir.connector.finish(1, Done("fine"))
    heir.settle()
    job = heir.store.job(job_id)
    assert job is not None and (job.state, job.value_json, job.error_json) == ("succeeded", '"fine"', None)


def test_an_answer_is_the_outcome_of_a_parked_step() -> None:
    world = World()
    job_id = parked(world)
    heir = world.process()
    heir.store.deliver(job_id, "answer", '{"value":"it was done"}', dedupe_id="1")
    assert heir.run_on(job_id).state == "succeeded"
    job = heir.store.job(job_id)
    assert job is not None and job.value_json == '"it was done"' and world.effects.steps == [1, 2]


def test_a_cancel_unwinds_a_parked_job() -> None:
    world = World()
    job_id = parked(world)
    heir = world.process()
    heir.store.deliver(job_id, "cancel", "{}", dedupe_id="1")
    assert heir.run_on(job_id).state == "cancelled"
    assert world.effects.steps == [1, 2]  # the cleanup
    assert [type for type, _, _ in history(heir.store, job_id)][-6:] == [
        "Resumed", "InboxTaken", "RequestCompleted", "RequestMade", "RequestCompleted", "JobEnded",
    ]  # fmt: skip


def test_a_lost_outcome_under_a_handler_is_an_error_like_another() -> None:
    a = p.Assembler()
    body = a.body(p.request("hold"))
    catch = a.body(p.evaluate(0, lambda scope: scope.slots[1].kind))
    process = World().process()
    job_id = process.submit(a.program(p.try_(body, catch)))
    process.connector.finish(1, lost())
    ended = process.engine.run_until_ended(job_id, timeout_s=5)
    assert ended is not None and ended.state == "succeeded"


def test_two_lost_outcomes_are_settled_one_after_the_other() -> None:
    a = p.Assembler()
    body = a.body(p.request("hold", slot=0), parameters=(1,))
    world = World()
    process = world.process()
    job_id = process.submit(a.program(p.parallel(body, [1, 2])), is_foreground=False)
    process.connector.finish(1, lost())
    process.connector.finish(2, lost())
    process.settle()
    assert process.state(job_id) == "parked"
    process.deliver(job_id, "answer", '{"value":"a"}')
    assert process.state(job_id) == "parked"
    process.deliver(job_id, "answer", '{"value":"b"}')
    job = process.store.job(job_id)
    assert job is not None and (job.state, job.value_json) == ("succeeded", '["a","b"]')


def test_what_is_no_longer_wanted_of_lost_steps_needs_no_person() -> None:
    """The first one's answer makes the program give up on the others: none of them is done again, or asked about."""
    a = p.Assembler()
    body = a.body(p.request("hold", slot=0), (p.op.BRANCH, 1, 3), p.fail(error_value("x", "no")), parameters=(1,))
    world = World()
    process = world.process()
    job_id = process.submit(a.program(p.parallel(body, [True, False, False])), is_foreground=False)
    for step in (1, 2, 3):
        process.connector.finish(step, lost())
    process.settle()
    process.deliver(job_id, "answer", '{"value":"a"}')
    assert process.state(job_id) == "parked"
    process.kill()
    heir = world.process()
    heir.store.deliver(job_id, "retry", "{}", dedupe_id="1")
    assert heir.run_on(job_id).state == "failed"
    assert [attempt.id.step for attempt in world.effects.attempts if not attempt.is_resumed] == [1, 2, 3]
    outcomes = types(heir.store, job_id).count("RequestCompleted")
    assert outcomes == 3


def test_a_lost_step_that_the_program_gives_up_on_does_not_keep_the_job_parked() -> None:
    a = p.Assembler()
    body = a.body(p.request("hold", slot=0), (p.op.BRANCH, 1, 3), p.fail(error_value("x", "no")), parameters=(1,))
    world = World()
    process = world.process()
    job_id = process.submit(a.program(p.parallel(body, [True, False])), is_foreground=False)
    for step in (1, 2):
        process.connector.finish(step, lost())
    process.settle()
    process.deliver(job_id, "answer", '{"value":"a"}')
    process.kill()
    heir = world.process()
    assert heir.run_on(job_id).state == "failed"
    assert world.effects.steps == [1, 2]


def test_a_failed_undo_parks_the_ended_job_until_somebody_has_looked() -> None:
    from tests.engine.world import failed

    a = p.Assembler()
    undo = a.body(p.request("fail"))
    world = World()
    world.effects.script = [failed()]
    process = world.process()
    job_id = process.submit(a.program(p.undo(undo), p.request("hold")))
    process.connector.finish(1, failed("http"))
    ended = process.engine.run_until_ended(job_id, timeout_s=5)
    assert ended is not None and ended.error is not None and (ended.state, ended.error.kind) == ("parked", "undo")
    heir = world.process()
    heir.store.deliver(job_id, "cancel", "{}", dedupe_id="1")
    assert heir.run_on(job_id).state == "failed"
    assert types(heir.store, job_id)[-2:] == ["Resumed", "JobEnded"]


def test_an_undo_whose_step_was_cancelled_has_failed() -> None:
    a = p.Assembler()
    first, second = a.body(p.request("done", value="the other")), a.body(p.request("hold"))
    process = World().process()
    job_id = process.submit(a.program(p.undo(first), p.undo(second), p.request("hold")), is_foreground=False)
    process.deliver(job_id, "cancel")
    process.connector.finish(2, lost())
    process.settle()
    assert process.state(job_id) == "parked"
    process.deliver(job_id, "cancel")
    job = process.store.job(job_id)
    assert job is not None and job.state == "parked" and '"kind":"undo"' in (job.error_json or "")
    assert process.world.effects.steps == [1, 2, 3]
    process.deliver(job_id, "cancel")
    assert process.state(job_id) == "cancelled"


def test_a_backlog_stays_in_the_inbox_and_what_steers_the_job_passes_it() -> None:
    """More than a job has room for comes before it begins to take any; a process dies in the middle of that."""
    world, count = World(), 3 * FULL
    stored, program = make_program(Source("test.fmsh", BACKLOG))
    process = world.process()
    world.programs[program.hash] = program
    job = NewJob("backlog", "test.fmsh", "test.fmsh", 1, stored)
    job_id = process.engine.submit(NewRun(job, program, [], {}, "/", "UTC", {}))[0].id
    process.settle()
    for n in range(1, count + 1):
        process.store.deliver(job_id, "signal", signal_data("many", n, {}), dedupe_id=f"{n}")
    process.engine.look()
    process.settle()
    assert len(process.store.inbox(job_id)) == count - FULL
    assert len(process.engine.workers[job_id].machine.mailboxes["inbox:many"]) == FULL
    for kind, state in (("pause", "paused"), ("resume", "waiting")):
        process.deliver(job_id, kind)
        assert process.state(job_id) == state
    process.kill()
    heir = world.process()
    assert heir.engine.adopt(job_id)
    heir.settle()
    assert len(heir.store.inbox(job_id)) == count - FULL
    heir.store.deliver(job_id, "signal", signal_data("go", count, {}), dedupe_id="go")
    heir.engine.look()
    heir.step_until(lambda: heir.state(job_id) == "succeeded")
    job_then = heir.store.job(job_id)
    assert job_then is not None and job_then.value_json == str(count * (count + 1) // 2)
