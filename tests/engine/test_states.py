"""The state of a job after any event that is kept, rebuilt from a snapshot before it."""

from __future__ import annotations

import pytest

from fmsh.engine import snapshots, states
from fmsh.errors import StoreMissing
from fmsh.machine.code import Program
from fmsh.store.base import Append, EventStore, Job, Summary
from tests.engine import programs as p
from tests.engine.world import Process, World


def steps(count: int) -> Program:
    """Requests one after another, each with what the one before it gave."""
    lines = [p.request("done", value=0)]
    lines += [p.request_with("done", lambda scope: {"value": scope.slots[1] + 1}) for _ in range(count - 1)]
    return p.Assembler().program(*lines, p.request("hold"))


def job_of(store: EventStore, job_id: int) -> Job:
    job = store.job(job_id)
    assert job is not None
    return job


def numbered(state_json: str) -> str:
    """A first turn runs before the job has its number."""
    return state_json.replace('"job_id":0,', '"job_id":1,')


def run_recording(process: Process, job_id: int) -> dict[int, str]:
    """Runs until the job waits; gives the state that it had after each commit, by the last event of that."""
    seen = {}
    worker = process.engine.workers[job_id]
    while 1 not in {flight.request.operation == "hold" for flight in worker.flights.values()}:
        process.engine.step(0)
        if worker.is_quiescent and worker.lease is not None:
            seen[worker.lease.head] = numbered(worker.machine.snapshot())
    return seen


@pytest.mark.parametrize("interval", [1, 3, 1000])
def test_every_event_that_is_kept_has_the_state_that_it_had(interval: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "INTERVAL_EVENTS", interval)
    monkeypatch.setattr(snapshots, "SAVE_SHARE", 0)
    world = World()
    process = world.process()
    program = steps(10)
    job_id = process.submit(program)
    seen = run_recording(process, job_id)
    assert len(seen) >= 5
    store = process.store
    store.trim(job_id, before_ms=10**15, now_ms=1)
    job = job_of(store, job_id)
    first = max(job.trimmed_seq, 1)
    assert (first > 1) == (interval < 1000) and len(list(store.events(job_id))) == job.head - first + 1
    for seq in range(first, job.head + 1):
        worker = states.state_at(store, job, seq, program=program)
        if seq in seen:
            assert numbered(worker.machine.snapshot()) == seen[seq]
    attempts = len(world.effects.attempts)
    assert attempts == 11, "looking did something"
    for seq in (first - 1, job.head + 1):
        with pytest.raises(
            StoreMissing, match=f"there is no event {seq} of job {job_id}: events {first} to {job.head}"
        ):
            states.state_at(store, job, seq, program=program)


def test_an_ended_job_can_be_looked_at_to_its_end() -> None:
    world = World()
    process = world.process()
    program = p.Assembler().program(p.request("done", value=1))
    job_id = process.submit(program)
    process.engine.run_until_ended(job_id, timeout_s=10)
    job = job_of(process.store, job_id)
    for seq in range(1, job.head + 1):
        worker = states.state_at(process.store, job, seq, program=program)
        assert worker.steps == (0 if seq == 1 and job.head > 3 else 1)


def test_what_has_expired_is_refused_with_the_reason() -> None:
    world = World()
    process = world.process()
    program = p.Assembler().program(p.request("done", value="x" * 100_000), p.request("done", value=2))
    job_id = process.submit(program)
    process.engine.run_until_ended(job_id, timeout_s=10)
    job = job_of(process.store, job_id)
    assert states.state_at(process.store, job, job.head, program=program).steps == 2
    process.store.remove_outputs([job_id], now_ms=1)
    with pytest.raises(StoreMissing, match="a large value that it needs was removed") as caught:
        states.state_at(process.store, job_of(process.store, job_id), job.head, program=program)
    assert "retention.output" in caught.value.hint


def test_a_holder_trims_behind_its_snapshots_when_it_is_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "INTERVAL_EVENTS", 2)
    monkeypatch.setattr(snapshots, "SAVE_SHARE", 0)
    asked: list[int] = []
    world = World()

    def trim(job_id: int, now_ms: int) -> int:
        asked.append(job_id)
        if len(asked) < 3:
            process.store.trim(job_id, before_ms=now_ms + 1, now_ms=now_ms)
            return 0
        return 1 << 62

    process = world.process(trim=trim)
    job_id = process.submit(steps(10))
    run_recording(process, job_id)
    job = job_of(process.store, job_id)
    assert asked == [job_id] * 3 and job.trimmed_seq > 1
    process.kill()
    heir = world.process()
    assert heir.engine.adopt(job_id)
    heir.settle()
    assert job_of(heir.store, job_id).state == "running"


def test_a_trim_that_fails_does_not_end_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "INTERVAL_EVENTS", 2)
    monkeypatch.setattr(snapshots, "SAVE_SHARE", 0)
    world = World()

    def trim(job_id: int, now_ms: int) -> int:
        raise StoreMissing("no")

    process = world.process(trim=trim)
    job_id = process.submit(steps(5))
    run_recording(process, job_id)
    assert world.reports and job_of(process.store, job_id).state == "running"


def test_trimming_needs_no_lease_and_harms_no_holder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "INTERVAL_EVENTS", 1)
    monkeypatch.setattr(snapshots, "SAVE_SHARE", 0)
    world = World()
    process, other = world.process(), world.process()
    job_id = process.submit(steps(6))
    for _ in range(4):
        process.engine.step(0)
        other.store.trim(job_id, before_ms=10**15, now_ms=1)
    run_recording(process, job_id)
    job = job_of(process.store, job_id)
    late = Append(process.engine.workers[job_id].lease, [], Summary("running"))  # type: ignore[arg-type]
    assert process.store.commit([late]) == [None] and 1 < job.trimmed_seq <= job.head


def test_snapshots_take_no_more_room_than_events(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those of a job that leaves the memory at each wait, and of one whose state is large."""
    monkeypatch.setattr(snapshots, "INTERVAL_EVENTS", 1)
    monkeypatch.setattr(snapshots, "SAVE_SHARE", 0)
    world = World()
    process = world.process()
    job_id = process.submit(steps(60), is_foreground=False)
    for _ in range(60):
        process.engine.step(0)
        if process.engine.workers:
            process.engine.leave(process.engine.workers[job_id])
            process.settle()
        assert process.engine.adopt(job_id)
    store = process.store
    job = job_of(store, job_id)
    kept = [seq for seq in range(1, job.head + 1) if (found := store.snapshot(job_id, at=seq)) and found.seq == seq]
    sizes = [len(found.state_json) for seq in kept if (found := store.snapshot(job_id, at=seq))]
    assert len(kept) > 2 and sum(sizes[:-1]) <= job.head * snapshots.EVENT_BYTES, (kept, sizes)
    assert store.snapshot(job_id) is not None and kept[-1] >= job.head - 3
