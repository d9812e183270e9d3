"""Retention against jobs that go on: processes that run, end and remove jobs, killed and stopped at any moment."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fmsh import retention
from fmsh.connectors import spool
from fmsh.engine import recording, states
from fmsh.engine.engine import Engine
from fmsh.store.base import ACTIVE_STATES, Append, EventStore, Job, JobFilter
from fmsh.store.sqlite import SqliteStore
from tests.conformance.worlds import RUNNING, SUCCEEDED, commit, event, start
from tests.retention import racers

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RACE_S = float(os.environ.get("FMSH_TEST_RACE_S", "3"))
JOBS = 3
RACERS = ("holder", "holder", "holder", "ender", "sweeper", "sweeper")


class Race:
    def __init__(self, state: str, choose: random.Random) -> None:
        self.state = state
        self._choose = choose
        self._racing: list[tuple[str, subprocess.Popen[str]]] = []
        self.said = ""

    def run(self, seconds: float) -> None:
        for mode in RACERS:
            self._start(mode)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(self._choose.random() * 0.2)
            place = self._choose.randrange(len(self._racing))
            mode, process = self._racing[place]
            if self._choose.random() < 0.7:
                self._end(place)
                self._start(mode)
            else:
                process.send_signal(signal.SIGSTOP)
                time.sleep(racers.TTL_S * self._choose.choice((0.1, 1.5)))
                process.send_signal(signal.SIGCONT)
        self.end()

    def _start(self, mode: str) -> None:
        command = [sys.executable, "-m", "tests.retention.racers", mode, self.state]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self._racing.append((mode, process))
        assert process.stdout is not None
        first = process.stdout.readline()
        assert first == "ready\n", first + process.stdout.read()

    def _end(self, place: int) -> None:
        _, process = self._racing.pop(place)
        process.kill()
        said, _ = process.communicate()
        self.said += said

    def end(self) -> None:
        while self._racing:
            self._end(0)


@pytest.fixture
def race(tmp_path: Path) -> Iterator[Race]:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    race = Race(str(tmp_path / "state"), random.Random(seed))
    yield race
    race.end()


def rebuilt_at(store: EventStore, engine: Engine, job: Job, seq: int) -> str:
    """The state of an endless job after an event, as the text of its snapshot; it must be what its steps say."""
    worker = states.state_at(store, job, seq, program=engine.program(job.program_hash))
    text = worker.machine.snapshot()
    turns = (worker.steps - 1, worker.steps)  # the step is made, or complete
    assert worker.steps == 0 or any(f'"number":{turn},' in text for turn in turns), (job.id, seq, worker.steps, text)
    return text


@pytest.mark.slow
def test_nothing_of_an_active_job_is_lost_whoever_removes_and_dies(race: Race, monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name, value in (
        (recording, "INLINE_MAX", 200),
        (racers.snapshots, "INTERVAL_EVENTS", 20),
    ):
        monkeypatch.setattr(module, name, value)
    racers.begin(race.state, JOBS)
    race.run(RACE_S)
    store = SqliteStore.open(race.state, kind="shell")
    try:
        assert race.said == "", "what a process complained of"
        assert list(store.verify()) == []
        endless = store.jobs(JobFilter(ACTIVE_STATES))
        found = {job.id: job for job in endless if job.uid.startswith("endless")}
        assert len(found) == JOBS and all(job.state == "running" for job in found.values()), endless
        engine = racers.make_engine(store, race.state + "/fx")
        for job in found.values():
            print(f"job {job.id}: {job.head} events, {job.trimmed_seq} trimmed, epoch {job.epoch}")
            assert job.trimmed_seq > 1 and job.epoch > 1, "the race was not one"
            for stored in store.events(job.id):
                recording.read(store, stored)  # its blob is there
                rebuilt_at(store, engine, job, stored.seq)
        store.reap()
        for job_id in found:
            assert engine.adopt(job_id)
        for _ in range(50):
            engine.step(0)
        assert all(engine.workers[job_id].lease.head > found[job_id].head + 50 for job_id in found)  # type: ignore[union-attr]
    finally:
        store.close()


@pytest.mark.slow
def test_a_sweep_that_is_killed_anywhere_is_finished_by_the_next(tmp_path: Path, race: Race) -> None:
    """One long job, so that its removal takes many transactions; the sweeper dies in the middle of them."""
    state = race.state
    store = SqliteStore.open(state, kind="shell")
    lease = start(store, "long")
    for number in range(12):
        events = [event(data_json='"' + "x" * 300 + '"')] * 1000
        blobs = [(f"{number} {blob}", b"b" * 3000) for blob in range(100)]
        assert store.commit([Append(lease, events, RUNNING, blobs=blobs)]) == [None]
    commit(store, lease, "JobEnded", summary=SUCCEEDED)
    os.makedirs(state + "/fx/long/1-1")
    (job,) = store.jobs(JobFilter())
    assert job.head > 12_000
    for _ in range(40):
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.retention.racers", "sweeper", state], cwd=ROOT, stdout=subprocess.PIPE
        )
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        until_started(store, job.id)
        process.kill()
        process.communicate()
        assert list(store.verify()) == []
        left = store.job(job.id)
        if left is None:
            break
        assert [found.seq for found in store.events(job.id)][-1] == job.head
    assert store.job(job.id) is None, "forty sweeps did not get through"
    retention.Sweep(store, state + "/fx", racers.AT_ONCE, now_ms=lambda: 10**14).run()
    assert not os.path.exists(spool.job_directory(state + "/fx", "long"))
    assert list(store.verify()) == []
    store.close()


def until_started(store: SqliteStore, job_id: int) -> None:
    """Waits until somebody has begun to remove the job, or has done it."""
    version = store.data_version()
    give_up_at = time.monotonic() + 30
    while store.data_version() == version and store.job(job_id) is not None:
        assert time.monotonic() < give_up_at, "nobody removes it"
        time.sleep(0.001)
