"""A job that never ends, on the scale of a test; `benchmarks/bench_unbounded.py` makes the million events."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from fmsh.engine import snapshots, states
from fmsh.engine.worker import Worker
from fmsh.errors import StoreMissing
from fmsh.store.base import JobFilter
from fmsh.store.sqlite import SqliteStore
from tests.retention import racers
from tests.retention.test_race import ROOT

EVENTS = 20_000
RSS_GROWTH_MAX_KIB = 2048
STORE_BYTES_MAX = 8 << 20
IN_MEMORY = "/dev/shm"  # ten thousand commits, and what is asked here has nothing to do with the disk


@pytest.fixture
def state(tmp_path: Path) -> Iterator[str]:
    with TemporaryDirectory(dir=IN_MEMORY if os.path.isdir(IN_MEMORY) else tmp_path) as directory:
        yield directory + "/state"


@pytest.mark.slow
@pytest.mark.parametrize("text", [racers.ENDLESS, racers.CHANNEL], ids=["steps", "channel"])
def test_an_endless_job_takes_constant_memory_and_a_bounded_part_of_the_store(state: str, text: str) -> None:
    command = [sys.executable, "-m", "tests.retention.racers", "runner", state, str(EVENTS), text]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    early_kib, late_kib = map(int, done.stdout.split())
    assert late_kib - early_kib < RSS_GROWTH_MAX_KIB, done.stdout
    assert sum(os.path.getsize(f"{state}/{name}") for name in ("store.db", "store.db-wal")) < STORE_BYTES_MAX
    store = SqliteStore.open(state, kind="shell")
    (job,) = store.jobs(JobFilter())
    assert job.head >= EVENTS and job.trimmed_seq > EVENTS // 2
    engine = racers.make_engine(store, state + "/fx")
    for seq in (job.trimmed_seq, (job.trimmed_seq + job.head) // 2, job.head):
        worker = states.state_at(store, job, seq, program=engine.program(job.program_hash))
        assert any(f'"number":{turn},' in worker.machine.snapshot() for turn in last_turns(worker, text))
    newest = store.snapshot(job.id)
    assert newest is not None and job.head - newest.seq < 20 * snapshots.INTERVAL_EVENTS, "what is replayed is bounded"
    store.reap()
    assert engine.adopt(job.id)
    for _ in range(40):
        engine.step(0)
    assert engine.workers[job.id].steps >= worker.steps + 10, "it goes on from where it was"
    store.close()


def last_turns(worker: Worker, text: str) -> range:
    """Which turns the loop may be in after so many steps: one a turn, or one for the turn and one for its item."""
    return range(worker.steps - 1, worker.steps + 1) if text == racers.ENDLESS else range(1, worker.steps + 1)


def test_the_state_at_every_kept_event_of_a_loop_over_a_channel(state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "INTERVAL_EVENTS", 40)
    monkeypatch.setattr(snapshots, "SAVE_SHARE", 0)
    store = SqliteStore.open(state, kind="shell")
    engine = racers.make_engine(store, state + "/fx")
    started, _ = engine.submit(racers.new_run(racers.CHANNEL, "unbounded"), is_foreground=False)
    while (lease := engine.workers[started.id].lease) is not None and lease.head < 400:
        engine.step(0)
    job = store.job(started.id)
    assert job is not None and 300 < job.trimmed_seq <= job.head - 40
    turns = []
    for seq in range(job.trimmed_seq, job.head + 1):
        worker = states.state_at(store, job, seq, program=engine.program(job.program_hash))
        scope = worker.machine.tasks["0"].frames[0].scope
        kept = dict(zip(scope.code.slots, scope.slots, strict=True))
        (turn,) = [value for name, value in kept.items() if name.startswith("turn@")]
        turns.append(turn["number"])
    assert turns[0] > 50 and turns[-1] > turns[0] + 5
    assert all(later in (earlier, earlier + 1) for earlier, later in itertools.pairwise(turns))
    for seq in (1, job.trimmed_seq - 1, job.head + 1):
        with pytest.raises(StoreMissing, match=f"no event {seq} .* events {job.trimmed_seq} to {job.head} are kept"):
            states.state_at(store, job, seq, program=engine.program(job.program_hash))
    store.close()
