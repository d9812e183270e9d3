"""What holds when several processes use one store and die or stop at any moment. Every seed is printed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from fmsh.store.base import Summary
from fmsh.store.sqlite import SqliteStore
from tests.conformance.worlds import event, history, job
from tests.store.started import Processes, line, tell

ENGINES = 5
JOBS = 3
TTL_S = 0.1  # fifteen seconds in earnest; the protocol does not depend on it
CHAOS_S = 6.0


@pytest.fixture
def choose() -> random.Random:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    return random.Random(seed)


def test_processes_that_make_the_store_at_once_make_one(tmp_path: Path, processes: Processes) -> None:
    started = [processes.start("opener", tmp_path / "state", f"u{number}") for number in range(6)]
    assert [line(process) for process in started] == ["ready"] * 6
    for process in started:
        tell(process)
    assert [line(process) for process in started] == ["done"] * 6
    store = SqliteStore.open(str(tmp_path / "state"), kind="shell")
    assert store.count_by_state()["running"] == 6 and len(store.owners()) == 6
    store.close()


class Fight:
    """Engines that fight over a few jobs while they are killed, stopped and continued."""

    def __init__(self, directory: Path, processes: Processes, choose: random.Random, fence: str) -> None:
        self.directory = directory
        self.fence = fence
        self.choose = choose
        self.processes = processes
        self.refused = 0
        store = SqliteStore.open(str(directory / "state"), kind="shell")
        for number in range(JOBS):
            store.create_job(job(f"u{number}"), [event("JobStarted")], Summary("running", wake_at_ms=0), lease=False)
        store.close()

    def run(self, seconds: float) -> None:
        engines = [self._engine() for _ in range(ENGINES)]
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.choose.random() < 0.3:
                number = self.choose.randrange(ENGINES)
                self._end(engines[number])
                engines[number] = self._engine()
            else:
                self._stop(self.choose.sample(engines, 2), TTL_S * self.choose.choice((0.5, 2.5, 2.5)))
            time.sleep(self.choose.random() * TTL_S)
        for process in engines:
            self._end(process)

    def _stop(self, engines: list[subprocess.Popen[bytes]], seconds: float) -> None:
        for process in engines:
            os.kill(process.pid, signal.SIGSTOP)
        time.sleep(seconds)
        for process in engines:
            os.kill(process.pid, signal.SIGCONT)

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        process.kill()
        output, _ = process.communicate()
        self.refused += output.count(b"fenced")

    def _engine(self) -> subprocess.Popen[bytes]:
        seed = self.choose.randrange(2**32)
        state, effects = self.directory / "state", self.directory / "effects"
        process = self.processes.start("engine", state, effects, seed, TTL_S, self.fence)
        assert line(process) == "ready"
        return process

    def violations(self) -> list[str]:
        """Tells what of the histories and effects breaks the promise."""
        store = SqliteStore.open(str(self.directory / "state"), kind="shell")
        found: list[str] = []
        intents: set[tuple[int, int]] = set()
        leases = steps = 0
        for job_id in range(1, JOBS + 1):
            events = history(store, job_id)
            leases += events[-1].epoch
            wanted = ("Intent", 1)
            for before, now in pairwise(events):
                count, is_intent = int(now.data_json), now.type == "Intent"
                if now.epoch < before.epoch:
                    found.append(f"job {job_id}, event {now.seq}: epoch {now.epoch} after {before.epoch}")
                if (now.type, count) != wanted:
                    found.append(f"job {job_id}, event {now.seq}: {now.type} {count}, not {wanted}")
                wanted = ("Result", count) if is_intent else ("Intent", count + 1)
                intents |= {(job_id, count)} if is_intent else set()
            steps += len(events) // 2
        done = Counter(self._effects())
        found += [f"job {job_id}: effect {count} without an intent" for job_id, count in set(done) - intents]
        repeated = sum(times - 1 for times in done.values())
        print(
            f"{self.fence}: {steps} steps, {leases} leases, {self.refused} stale appends refused, "
            f"{repeated} effects repeated, {len(found)} violations {found[:2]}"
        )
        store.close()
        return found

    def _effects(self) -> Iterator[tuple[int, int]]:
        for text in (self.directory / "effects").read_text().splitlines():
            job_id, count, _ = map(int, text.split())
            yield job_id, count


@pytest.mark.slow
def test_engines_that_are_killed_and_stopped_never_break_a_history(
    tmp_path: Path, processes: Processes, choose: random.Random
) -> None:
    fight = Fight(tmp_path, processes, choose, "fenced")
    fight.run(CHAOS_S)
    assert fight.violations() == [] and fight.refused > 0


@pytest.mark.slow
def test_without_the_fence_the_same_fight_breaks_histories(
    tmp_path: Path, processes: Processes, choose: random.Random
) -> None:
    fight = Fight(tmp_path, processes, choose, "unfenced")
    for _ in range(12):
        fight.run(CHAOS_S / 4)
        if fight.violations():
            return
    pytest.fail("taking out the fence was not noticed: the other test proves nothing")
