"""Loading: snapshots, the comparison with the history, and hand-overs in the middle of things."""

from __future__ import annotations

import itertools
import time

from fmsh.connectors.base import Done
from fmsh.engine import snapshots
from fmsh.engine.engine import NewRun
from fmsh.store.base import NewJob
from tests.engine import programs
from tests.engine import programs as p
from tests.engine.world import World, failed, history, last_event, types


def test_a_replay_that_asks_for_something_else_parks_the_job_with_a_report() -> None:
    world = World()
    process = world.process()
    job_id = process.submit(p.Assembler().program(p.request("done", value=1), p.request("hold", value="old")))
    process.settle()
    process.kill()
    world.programs["main"] = p.Assembler().program(p.request("done", value=1), p.request("hold", value="new"))
    before = len(world.effects.attempts)
    heir = world.process()
    assert not heir.engine.adopt(job_id)
    job = heir.store.job(job_id)
    assert job is not None and job.state == "parked" and job.error_json is not None
    assert "step 2" in job.error_json and "old" in job.error_json and "new" in job.error_json
    assert len(world.effects.attempts) == before


def test_a_snapshot_is_taken_every_thousand_events_and_loading_reads_nothing_older() -> None:
    world = World()
    process = world.process()
    job_id = process.submit(long_program())
    process.step_until(lambda: process.connector.held)
    process.kill()
    seqs = sorted(world.disk.jobs[job_id].snapshots)
    assert len(seqs) >= 4 and all(later - earlier >= 1000 for earlier, later in itertools.pairwise(seqs))
    for seq in range(2, seqs[-1]):
        del world.disk.jobs[job_id].events[seq]
    heir = world.process()
    assert heir.engine.adopt(job_id)
    heir.settle()
    heir.connector.finish(2498, Done(None))
    heir.settle()
    assert heir.state(job_id) == "succeeded"


def long_program() -> p.Program:
    a = p.Assembler()
    turn = a.body(p.request("done"))
    return a.program(
        p.evaluate(1, lambda scope: range(2497)), (p.op.FOR, 2, 1, turn, 2, p.op.NO_VALUES, None), p.request("hold")
    )


def test_a_snapshot_of_another_version_is_passed_over_for_the_history() -> None:
    world = World()
    process = world.process()
    job_id = process.submit(p.Assembler().program(p.request("done"), p.request("hold")))
    process.settle()
    assert process.engine.release(job_id)
    kept = world.disk.jobs[job_id]
    ((seq, (snapshot, link)),) = kept.snapshots.items()
    newer = snapshot.state_json.replace('{"version":1', '{"version":99')
    kept.snapshots[seq] = (snapshot.replace(state_json=newer), link)
    heir = world.process()
    assert heir.engine.adopt(job_id)
    heir.settle()
    assert list(heir.connector.held) == [2]


def test_a_snapshot_says_all_that_the_history_before_it_said() -> None:
    world = World()
    process = world.process()
    world.effects.script = [failed(retry=True, retry_after_ms=3_600_000)]
    a = p.Assembler()
    body = a.body(p.request_with("hold", lambda scope: {}))
    retried = a.body(p.request("fail"))
    job_id = process.submit(
        a.program(
            (p.op.SPAWN, 1, body, "drop"),
            (p.op.SPAWN, 2, retried, "drop"),
            p.await_(lambda scope: [scope.slots[1]]),
        )
    )
    process.settle()
    worker = process.engine.workers[job_id]
    saved = snapshots.decode(snapshots.encode(worker), epoch=None)
    assert [(flight.request.step, flight.attempt) for flight in saved.flights] == [(1, 1), (2, 2)]
    assert saved.flights[1].next_at_ms == worker.flights[2].next_at_ms
    assert (saved.steps, saved.owner) == (2, process.engine.owner)


def test_what_a_connector_has_a_job_keep_outlives_a_crash_and_a_hand_over() -> None:
    world = World()
    process = world.process()
    kept = Done(1, kept=lambda: {"a": "1", "b": "2"}), Done(2, kept=lambda: {"b": None, "c": "3"})
    world.effects.script = [*kept]
    job_id = process.submit(p.Assembler().program(p.request("fail"), p.request("fail"), p.request("hold")))
    process.settle()
    wanted = {"a": "1", "c": "3"}
    worker = process.engine.workers[job_id]
    assert list(worker.kept.values()) == [wanted] and world.effects.attempts[2].kept == wanted
    assert snapshots.decode(snapshots.encode(worker), epoch=None).kept == worker.kept
    process.kill()
    heir = world.process()
    assert heir.engine.adopt(job_id)
    heir.settle()
    assert heir.engine.workers[job_id].kept == worker.kept and world.effects.attempts[-1].kept == wanted


def test_inputs_recorded_while_leaving_are_fed_by_whoever_loads_the_job() -> None:
    world = World()
    process = world.process()
    a = p.Assembler()
    body = a.body(p.request_with("hold", lambda scope: {"method": scope.slots[1]}), p.request("done"), parameters=(1,))
    job_id = process.submit(a.program(p.parallel(body, ["GET", "POST"])))
    worker = process.engine.workers[job_id]
    process.engine.leave(worker)
    process.connector.finish(1, Done("got"))
    process.settle()
    assert not worker.is_dropped and world.effects.steps == [1, 2]
    process.connector.finish(2, Done("posted"))
    process.settle()
    assert worker.is_dropped and world.effects.steps == [1, 2]
    assert types(process.store, job_id)[-2:] == ["RequestCompleted", "RequestCompleted"]
    heir = world.process()
    heir.run_on(job_id)
    assert world.effects.steps == [1, 2, 3, 4]
    assert not any(attempt.is_resumed for attempt in world.effects.attempts)


def test_a_hand_over_waits_for_a_post_only_so_long() -> None:
    world = World()
    process = world.process()
    job_id = process.submit(p.Assembler().program(p.request("hold", method="POST")))
    started_s = time.monotonic()
    assert process.engine.release(job_id, within_s=0.1, detach=True)
    assert time.monotonic() - started_s >= 0.1
    job = process.store.job(job_id)
    assert job is not None and job.is_detached and job.owner_id is None and job.wake_at_ms == 0
    heir = world.process()
    assert heir.engine.adopt(job_id)
    heir.settle()
    assert [attempt.is_resumed for attempt in world.effects.attempts] == [False, True]
    heir.connector.finish(1, Done(1))
    heir.settle()
    assert heir.state(job_id) == "succeeded"


def test_a_job_in_the_middle_of_a_long_run_can_be_handed_over() -> None:
    world = World()
    process = world.process()
    job_id = process.submit(p.Assembler().program(*p.count_to(20_000, at=0), p.request("done")))
    assert "RequestMade" not in types(process.store, job_id)
    assert process.engine.release(job_id)
    heir = world.process()
    assert heir.run_on(job_id).state == "succeeded"


def test_a_cancel_in_the_middle_of_a_long_run_replays_at_the_same_instruction() -> None:
    a = p.Assembler()
    turn = a.body(p.evaluate(1, lambda scope: None))
    cleanup = a.body(p.request("hold"))
    program = a.program(
        p.defer(cleanup), p.evaluate(1, lambda scope: range(10**9)), (p.op.FOR, 2, 1, turn, 99, p.op.NO_VALUES, None)
    )
    world = World()
    process = world.process()
    job_id = process.submit(program)
    process.deliver(job_id, "cancel")
    process.step_until(lambda: process.connector.held)
    assert '"instruction":' in last_event(process.store, job_id, "InboxTaken").data_json
    process.kill()
    heir = world.process()
    assert heir.engine.adopt(job_id)
    heir.settle()
    assert list(heir.connector.held) == [1]
    heir.connector.finish(1, Done(None))
    heir.settle()
    assert heir.state(job_id) == "cancelled"


def test_all_inputs_in_the_middle_of_a_long_run_replay_at_the_same_instruction() -> None:
    """Also where it was paused there, was handed over there, and where a run that never ends follows."""
    a = p.Assembler()
    turn = a.body(p.evaluate(1, lambda scope: None))
    looping = a.body(p.evaluate(1, lambda scope: range(10**9)), (p.op.FOR, 2, 1, turn, 99, p.op.NO_VALUES, None))
    asking = a.body(p.request("hold"), p.observe("now", 2), p.request("hold"), p.finish(3))
    body = a.body((p.op.BRANCH, 3, 3), (p.op.BODY, 0, looping, "drop"), p.finish(0), (p.op.BODY, 0, asking, "drop"),
                  parameters=(3,))  # fmt: skip
    program = a.program(p.parallel(body, [True, False]))
    world = World()
    process = world.process()
    job_id = process.submit(program, is_foreground=False)
    process.step_until(lambda: process.connector.held)
    process.deliver(job_id, "pause")
    process.deliver(job_id, "resume")
    process.connector.finish(1, Done(1))
    process.step_until(lambda: process.connector.held)
    process.engine.leave(process.engine.workers[job_id])
    process.connector.finish(2, Done(2))
    process.step_until(lambda: job_id not in process.engine.workers)
    assert types(process.store, job_id)[-4:] == ["RequestCompleted", "Observed", "RequestMade", "RequestCompleted"]
    heir = world.process()
    assert heir.engine.adopt(job_id)
    heir.step_until(lambda: heir.state(job_id) == "failed")
    assert world.effects.steps == [1, 2]


def test_text_that_was_recorded_is_not_recorded_again() -> None:
    world = World()
    process = world.process()
    job_id = process.submit(p.Assembler().program(p.show("one\n"), p.request("hold"), p.show("two\n")))
    process.kill()
    heir = world.process()
    assert heir.engine.adopt(job_id)
    heir.settle()
    heir.connector.finish(1, Done(1))
    heir.settle()
    shown = [data for type, _, data in history(heir.store, job_id) if type == "Displayed"]
    assert shown == ['{"text":"one\\n"}', '{"text":"two\\n"}']


def test_a_cancelled_effect_of_a_killed_process_is_taken_up_and_cancelled() -> None:
    world = World()
    process = world.process()
    job_id = process.submit(p.Assembler().program(p.request("hold")))
    process.connector.cancel = lambda id: None  # type: ignore[method-assign]  # it dies before it is heard
    process.deliver(job_id, "cancel")
    process.kill()
    heir = world.process()
    assert heir.run_on(job_id).state == "cancelled"
    assert [id.step for id in world.effects.cancelled] == [1]


def test_an_attempt_that_never_started_is_not_resumed_by_the_next_owner_but_by_the_one_after() -> None:
    world = World()
    process = world.process()
    a = p.Assembler()
    world.effects.script = [failed(retry=True, retry_after_ms=100)]
    job_id = process.submit(a.program(p.once(a.body(p.request("fail")))))
    process.settle()
    assert process.engine.release(job_id)
    second = world.process()
    world.effects.script = [failed(retry=True, retry_after_ms=0), failed(retry=True, retry_after_ms=3_600_000)]
    assert second.engine.adopt(job_id)
    second.step_until(lambda: len(world.effects.attempts) == 3)
    second.settle()
    second.kill()
    assert [attempt.is_resumed for attempt in world.effects.attempts] == [False, False, False]
    third = world.process()
    assert third.engine.adopt(job_id)
    assert third.engine.workers[job_id].flights[1].is_resumed


def test_saving_takes_at_most_a_twentieth_of_the_time() -> None:
    world = World()
    now_s = [0.0]
    process = world.process(now_s=lambda: now_s[0])
    job_id = process.submit(long_program())
    worker = process.engine.workers[job_id]
    save = worker.machine.snapshot

    def slow() -> str:
        now_s[0] += 1.0  # a large state
        return save()

    worker.machine.snapshot = slow  # type: ignore[method-assign]
    while not process.connector.held:
        process.engine.step(0)
        now_s[0] += 0.01
    saved = len(world.disk.jobs[job_id].snapshots)
    assert 1 <= saved <= 1 + now_s[0] / 20


def test_what_a_detached_job_shows_before_its_first_request_is_recorded_before_it() -> None:
    world = World()
    process = world.process()
    program = p.Assembler().program(p.show("first\n"), p.request("done"), p.show("second\n"))
    world.programs[program.hash] = program
    new = NewJob("uid-detached", "test.fmsh", "test.fmsh", 1, programs.stored(program), is_detached=True)
    job, _ = process.engine.submit_elsewhere(NewRun(new, program, [], {}, "/", "UTC", {}))
    assert process.run_on(job.id).state == "succeeded"
    shown = ["JobStarted", "Displayed", "RequestMade", "RequestCompleted", "Displayed", "JobEnded"]
    assert types(process.store, job.id) == shown


def test_a_job_in_a_run_without_end_is_loaded_and_can_be_cancelled() -> None:
    world = World()
    process = world.process()
    a = p.Assembler()
    program = a.program(p.show("begun\n"), (p.op.WHILE, a.body(), 3), (p.op.JUMP, 1))
    world.programs[program.hash] = program
    new = NewJob("uid-endless", "test.fmsh", "test.fmsh", 1, programs.stored(program), is_detached=True)
    job, _ = process.engine.submit_elsewhere(NewRun(new, program, [], {}, "/", "UTC", {}))
    assert process.engine.adopt(job.id)
    process.step_until(lambda: "Displayed" in types(process.store, job.id))
    process.kill()
    other = world.process()
    assert other.engine.adopt(job.id)
    other.deliver(job.id, "cancel")
    other.step_until(lambda: other.state(job.id) == "cancelled")
    assert types(other.store, job.id).count("Displayed") == 1


def test_an_answer_recorded_after_a_pause_is_not_asked_for_again() -> None:
    world = World()
    process = world.process()
    a = p.Assembler()
    program = a.program(p.request("hold"), p.observe("now", 2), (p.op.WHILE, a.body(), 3), (p.op.JUMP, 2))
    job_id = process.submit(program, is_foreground=False)
    process.step_until(lambda: process.connector.held)
    process.deliver(job_id, "pause")
    process.connector.finish(1, Done(1))
    process.step_until(lambda: types(process.store, job_id)[-1] == "RequestCompleted")
    process.deliver(job_id, "resume")
    process.step_until(lambda: types(process.store, job_id)[-1] == "Observed")
    process.kill()
    other = world.process()
    assert other.engine.adopt(job_id)
    other.deliver(job_id, "cancel")
    other.step_until(lambda: other.state(job_id) in ("cancelled", "parked"))
    assert other.state(job_id) == "cancelled"
    assert types(other.store, job_id).count("Observed") == 1
