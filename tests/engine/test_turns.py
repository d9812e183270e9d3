"""Append, then act: what a turn records, in which order, and when its effects start."""

from __future__ import annotations

import time

import pytest

from fmsh.connectors.base import Done
from fmsh.engine import recording
from fmsh.machine.events import JobEnded
from fmsh.values import error_value
from tests.engine import programs as p
from tests.engine.world import DyingStore, World, failed, history, last_event, types


def test_the_start_and_the_first_requests_of_a_job_are_one_commit() -> None:
    process = World().process()
    assert isinstance(process.store, DyingStore)
    job_id = process.submit(p.Assembler().program(p.observe("now", 2), p.show("a"), p.request("hold")))
    assert process.store.commits == 1
    assert types(process.store, job_id) == ["JobStarted", "Observed", "Displayed", "RequestMade"]
    assert list(process.connector.held) == [1]


def test_a_job_without_effects_is_one_commit_and_needs_no_lease() -> None:
    world = World()
    process = world.process()
    assert isinstance(process.store, DyingStore)
    ended = process.run(p.Assembler().program(p.show("hello\n"), p.evaluate(0, lambda scope: 7)))
    assert (ended.state, ended.value, ended.exit_status) == ("succeeded", 7, 0)
    assert process.store.commits == 1
    assert world.shown == [("hello\n", "out")]
    job = process.store.job(1)
    assert job is not None and (job.state, job.value_json, job.owner_id) == ("succeeded", "7", None)


def test_a_job_with_a_key_is_started_once() -> None:
    world = World()
    process = world.process()
    program = p.steps(2)
    first = process.submit(program, key="deploy")
    again = process.submit(program, key="deploy")
    assert first == again and len(process.store.jobs_by_name("x")) == 0
    assert world.effects.steps == [1]
    ended = process.engine.run_until_ended(first)
    assert ended is not None and ended.state == "succeeded"


def test_inputs_and_outputs_stand_in_the_order_in_which_they_happened() -> None:
    process = World().process()
    process.run(
        p.Assembler().program(p.request("done"), p.show("a"), p.show("b"), p.request("done"), p.show("c", "err"))
    )
    assert [(type, step) for type, step, _ in history(process.store, 1)] == [
        ("JobStarted", None),
        ("RequestMade", 1),
        ("RequestCompleted", 1),
        ("Displayed", None),
        ("RequestMade", 2),
        ("RequestCompleted", 2),
        ("Displayed", None),
        ("JobEnded", None),
    ]
    assert '"text":"ab"' in history(process.store, 1)[3][2]


def test_completions_that_come_together_are_one_commit() -> None:
    a = p.Assembler()
    body = a.body(p.request("hold"), parameters=(1,))
    process = World().process()
    process.submit(a.program(p.parallel(body, list(range(10)))))
    assert isinstance(process.store, DyingStore)
    before = process.store.commits
    for step in range(1, 11):
        process.connector.finish(step, Done(step))
    process.engine.step(0)
    assert process.store.commits == before + 1
    assert process.state(1) == "succeeded"


def test_turns_of_many_jobs_are_one_commit() -> None:
    process = World().process()
    program = p.steps(5)
    jobs = [process.submit(program, is_foreground=False) for _ in range(50)]
    assert isinstance(process.store, DyingStore)
    before = process.store.commits
    process.step_until(lambda: not process.engine.workers)
    assert process.store.commits == before + 5
    assert all(process.state(job_id) == "succeeded" for job_id in jobs)


def test_a_long_run_yields_to_other_jobs_and_to_a_cancel() -> None:
    a = p.Assembler()
    endless = a.program(*p.count_to(10**12, at=0))
    process = World().process()
    first = process.submit(endless)
    second = process.submit(p.steps(3))
    process.step_until(lambda: process.state(second) == "succeeded")
    body = p.Assembler()
    turn = body.body(p.evaluate(1, lambda scope: None))
    looping = process.submit(
        body.program(p.evaluate(1, lambda scope: range(10**9)), (8, 2, 1, turn, 99, p.op.NO_VALUES, None), name="for")
    )
    process.engine.cancel(looping)
    ended = process.engine.run_until_ended(looping, timeout_s=5)
    assert ended is not None and (ended.state, ended.exit_status) == ("cancelled", 130)
    assert '"instruction":' in last_event(process.store, looping, "InboxTaken").data_json
    assert process.state(first) == "running"


def endless(a: p.Assembler) -> int:
    """A body that computes for ever and never asks for an effect."""
    turn = a.body(p.evaluate(1, lambda scope: None))
    return a.body(p.evaluate(1, lambda scope: range(10**9)), (p.op.FOR, 2, 1, turn, 99, p.op.NO_VALUES, None))


def test_a_time_out_ends_what_only_computes() -> None:
    a = p.Assembler()
    process = World().process()
    ended = process.run(a.program(p.within(endless(a), 30)))
    assert ended.error is not None and (ended.state, ended.error.kind) == ("failed", "timeout")
    assert '"instruction":' in last_event(process.store, 1, "RequestCompleted").data_json


def test_a_task_that_only_computes_keeps_none_of_the_others_from_going_on() -> None:
    a = p.Assembler()
    other = a.body(p.request("done"), p.observe("now", 2), *p.count_to(20_000, at=2), p.request("fail"))
    body = a.body((p.op.BRANCH, 3, 3), (p.op.BODY, 0, endless(a), "drop"), p.finish(0), (p.op.BODY, 0, other, "drop"),
                  parameters=(3,))  # fmt: skip
    world = World()
    world.effects.script = [failed("type")]
    process = world.process()
    ended = process.run(a.program(p.parallel(body, [True, False])))
    assert ended.error is not None and (ended.state, ended.error.kind) == ("failed", "type")


def test_what_was_held_reaches_a_job_that_then_only_computes() -> None:
    a = p.Assembler()
    looping = endless(a)
    body = a.body(p.request("hold", slot=4), (p.op.BODY, 0, looping, "drop"), parameters=(3,))
    world = World()
    process = world.process()
    job_id = process.submit(a.program(p.parallel(body, [1, 2])), is_foreground=False)
    process.deliver(job_id, "pause")
    process.connector.finish(1, Done(1))
    process.connector.finish(2, failed("type"))
    process.settle()
    process.deliver(job_id, "resume")
    process.step_until(lambda: process.state(job_id) == "failed")
    events = types(process.store, job_id)
    assert events[-6:] == ["Paused", "RequestCompleted", "RequestCompleted", "Resumed", "Resumed", "JobEnded"]


def test_text_of_a_long_run_is_recorded_while_it_runs() -> None:
    a = p.Assembler()
    process = World().process()
    job_id = process.submit(a.program(p.show("at once\n"), *p.count_to(10**12, at=1)))
    assert process.world.shown == [("at once\n", "out")]
    process.step_until(lambda: "Displayed" in types(process.store, job_id), within_s=2)


def test_an_uncaught_error_is_the_exit_status() -> None:
    process = World().process()
    cases = [
        (error_value("exit", "no", status=7), 7),
        (error_value("exit", "killed", status=None, signal=9), 137),
        (error_value("type", "no"), 1),
    ]
    for error, status in cases:
        ended = process.run(p.Assembler().program(p.fail(error), name=str(status)))
        assert (ended.state, ended.exit_status) == ("failed", status)
    assert process.run(p.Assembler().program(p.finish(0), name="exit 0")).state == "succeeded"
    ended = process.run(p.Assembler().program(p.finish(3), name="exit 3"))
    assert (ended.state, ended.exit_status) == ("failed", 3)


def test_an_unknown_connector_is_an_error_of_the_program() -> None:
    process = World().process()
    ended = process.run(p.Assembler().program(p.request("x", connector="nowhere")))
    assert ended.error is not None and (ended.state, ended.error.kind) == ("failed", "unsupported")


def test_a_connector_that_raises_costs_its_own_step_only() -> None:
    world = World()
    process = world.process()
    ended = process.run(p.Assembler().program(p.request("explode")))
    assert ended.error is not None and (ended.state, ended.error.kind) == ("failed", "internal")
    assert "RuntimeError" in world.reports[0]


def test_a_fault_of_the_machine_parks_its_job_and_no_other() -> None:
    def broken(scope: object) -> object:
        raise ZeroDivisionError("a bug")

    world = World()
    process = world.process()
    bad = process.submit(p.Assembler().program(p.request("done"), p.evaluate(0, broken), name="bad"))
    good = process.submit(p.steps(3))
    ended = process.engine.run_until_ended(bad, timeout_s=5)
    assert ended is not None and ended.error is not None
    assert (ended.state, ended.error.kind) == ("parked", "internal")
    assert types(process.store, bad)[-1] == "Parked"
    process.step_until(lambda: process.state(good) == "succeeded")
    assert "ZeroDivisionError" in world.reports[0]
    process.store.deliver(bad, "retry", "{}", dedupe_id="1")  # the same again, with the same fault
    assert process.engine.adopt(bad)
    process.step_until(lambda: bad not in process.engine.workers)
    assert types(process.store, bad)[-2:] == ["Resumed", "Parked"]
    process.store.deliver(bad, "cancel", "{}", dedupe_id="2")
    assert process.engine.adopt(bad)
    process.step_until(lambda: process.state(bad) == "cancelled")


@pytest.mark.parametrize(
    ("large", "stands_for_it"),
    [
        ("x" * 100_000 + '"\\\n\x00é{"$blob_text":"', '{"$blob_text":"'),
        (["x" * 100_000, '{"$blob":"'], '{"$blob":"'),
        ({"out": "x" * 100_000, "of": {"deep": 1}, "other": "y" * 100_000}, '{"$blob_text":"'),
        ({"out": "x" * 100_000, "deep": ["y" * 100_000]}, '{"$blob":"'),
        ("\udcff" * 100_000, '{"$blob":"'),
        ({"$blob_text": "x" * 100_000, "more": None}, '{"$blob_text":"'),
    ],
)
def test_large_values_are_blobs_and_come_back(large: object, stands_for_it: str) -> None:
    world = World()
    process = world.process()
    a = p.Assembler()
    program = a.program(p.request("done", value=large), p.request("hold"), p.evaluate(0, lambda scope: scope.slots[1]))
    job_id = process.submit(program)
    process.settle()
    assert '{"$blob' in history(process.store, job_id)[1][2]
    process.kill()
    heir = world.process()
    assert heir.engine.adopt(job_id)
    heir.settle()
    assert world.effects.attempts[0].arguments["value"] == large
    heir.connector.finish(2, Done(large))
    heir.settle()
    job = heir.store.job(job_id)
    assert job is not None and job.state == "succeeded" and job.value_json is None
    ended = last_event(heir.store, job_id, "JobEnded")
    assert stands_for_it in ended.data_json and len(ended.data_json) < 1000
    event = recording.read(heir.store, ended)
    assert isinstance(event, JobEnded) and event.value == large


def test_what_is_kept_as_a_whole_is_not_kept_in_parts_too() -> None:
    recorded = recording.Recording()
    recorded.add(JobEnded({"out": "x" * 100_000, "deep": ["y" * 100_000]}), at_ms=0)
    (event,) = recorded.events
    assert [hash for hash, _ in recorded.blobs] == recording.blobs_named(event.data_json)


def test_a_failure_is_retried_with_growing_waits_and_the_same_key() -> None:
    world = World()
    process = world.process()
    network = failed(retry=True, attempts_max=3, retry_after_ms=10)
    world.effects.script = [network, network]
    ended = process.run(p.Assembler().program(p.request("fail", slot=0)))
    assert (ended.state, ended.value) == ("succeeded", "at last")
    assert [attempt.id.attempt for attempt in world.effects.attempts] == [1, 2, 3]
    assert len({attempt.idempotency_key for attempt in world.effects.attempts}) == 1
    assert types(process.store, 1).count("AttemptFailed") == 2


def test_the_last_attempt_fails_the_step() -> None:
    world = World()
    process = world.process()
    world.effects.script = [failed(retry=True, attempts_max=2, retry_after_ms=1)] * 2
    ended = process.run(p.Assembler().program(p.request("fail")))
    assert ended.error is not None and (ended.state, ended.error.kind) == ("failed", "network")


def test_the_wait_for_an_attempt_survives_a_kill() -> None:
    world = World()
    process = world.process()
    world.effects.script = [failed(retry=True, retry_after_ms=150)]
    job_id = process.submit(p.Assembler().program(p.request("fail")))
    process.settle()
    job = process.store.job(job_id)
    assert job is not None and job.state == "waiting" and job.wake_at_ms is not None
    due_ms = job.wake_at_ms
    process.kill()
    heir = world.process()
    assert heir.run_on(job_id).state == "succeeded"
    assert time.time_ns() // 10**6 >= due_ms
    assert [attempt.id.attempt for attempt in world.effects.attempts] == [1, 2]


def test_a_request_is_recorded_as_its_event_would_be() -> None:
    from fmsh.engine.recording import Recording
    from fmsh.machine.effects import Request
    from fmsh.machine.events import RequestMade

    assert Request.fields == RequestMade.fields and Request.defaults == RequestMade.defaults
    values = (3, "0.1", "http", "request", {"method": "POST"}, 12, True)
    one, other = Recording(), Recording()
    one.add_request(Request(*values), at_ms=5)
    other.add(RequestMade(*values), at_ms=5, step=3)
    assert one.events == other.events


def test_only_processes_of_the_main_task_of_a_foreground_job_have_the_terminal() -> None:
    from fmsh.connectors.base import Terminal

    world = World()
    terminal = Terminal(0, 1, 2, False)
    process = world.process(terminal=terminal)
    a = p.Assembler()
    branch = a.body(p.request_with("done", lambda scope: {"output": "display"}), parameters=(1,))
    shown = p.request("hold", output="display")
    foreground = process.submit(a.program(p.parallel(branch, [1]), p.request("done", output="capture"), shown))
    background = process.submit(p.Assembler().program(shown, name="background"), is_foreground=False)
    process.settle()
    given = [(attempt.id.job_id, attempt.id.step, attempt.terminal) for attempt in world.effects.attempts]
    assert sorted(given, key=lambda one: one[:2]) == [
        (foreground, 1, None), (foreground, 2, terminal), (foreground, 3, terminal), (background, 1, None),
    ]  # fmt: skip
    assert world.disk.jobs[foreground].at_terminal and not world.disk.jobs[background].at_terminal
    process.engine.leave(process.engine.workers[foreground])
    process.settle()
    assert foreground in process.engine.workers  # while a program has the terminal, the job stays with its shell


def test_a_program_that_died_of_an_interrupt_at_the_terminal_cancels_its_job() -> None:
    from fmsh.connectors.base import Terminal

    world = World()
    process = world.process(terminal=Terminal(0, 1, 2, False))
    job_id = process.submit(p.Assembler().program(p.request("hold", output="display"), p.request("done")))
    process.connector.finish(1, Done({"statuses": [130], "output": None, "stderr": ""}, is_interrupted=True))
    ended = process.engine.run_until_ended(job_id, timeout_s=2)
    assert ended is not None and ended.state == "cancelled" and world.effects.steps == [1]
