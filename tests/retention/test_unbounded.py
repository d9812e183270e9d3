"""A job that never ends, on the scale of a test; `benchmarks/bench_unbounded.py` makes the million events."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from fmsh.engine import snapshots, states
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
def test_an_endless_job_takes_constant_memory_and_a_bounded_part_of_the_store(state: str) -> None:
    command = [sys.executable, "-m", "tests.retention.racers", "runner", state, str(EVENTS)]
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
        turns = (worker.steps - 1, worker.steps)
        assert any(f'"number":{turn},' in worker.machine.snapshot() for turn in turns)
    newest = store.snapshot(job.id)
    assert newest is not None and job.head - newest.seq < 20 * snapshots.INTERVAL_EVENTS, "what is replayed is bounded"
    store.reap()
    assert engine.adopt(job.id)
    for _ in range(20):
        engine.step(0)
    assert engine.workers[job.id].steps >= worker.steps + 10, "it goes on from where it was"
    store.close()
