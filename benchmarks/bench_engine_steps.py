"""How many durable steps the engine takes, with effects that cost nothing, beside the limits it must keep.

*One job, step by step*: a step is complete, recorded and followed by the next, against raw one-row commits on the same
disk. *Many jobs together*: 1000 jobs of 5 steps in one process. Exits with 1 below a limit.
"""

from __future__ import annotations

import argparse
import hashlib
import statistics
import sys
import tempfile
import time
from functools import cache
from typing import TYPE_CHECKING, Any

from fmsh.assembly import load_program, make_program
from fmsh.connectors.base import Attempt, AttemptId, Done
from fmsh.engine.engine import Engine, NewRun
from fmsh.engine.loop import Loop
from fmsh.spans import Source
from fmsh.store.base import NewJob
from fmsh.store.raw_commits import RawCommits
from fmsh.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fmsh.connectors.base import Connector, Post
    from fmsh.machine.code import Program
    from fmsh.store.base import NewProgram

SEQUENTIAL_STEPS = 1000
JOBS = 1000
STEPS = 5
RATIO_MIN = 0.8  # durable steps per second, one after the other, to raw one-row commits per second
STEPS_PER_S_MIN = 20_000


class Nothing:
    """A connector whose effects happen at once and do nothing."""

    def start(self, attempt: Attempt, post: Post) -> None:
        post(attempt.id, Done({"statuses": [0], "output": "", "stderr": ""}))

    def cancel(self, id: AttemptId) -> None:
        """It is over already."""

    def close(self) -> None:
        """Nothing is held."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--directory", help="where to make the stores (default: the temporary directory)")
    with tempfile.TemporaryDirectory(dir=parser.parse_args().directory) as directory:
        store = SqliteStore.open(directory + "/state", kind="shell")
        is_good = report_sequential(store, RawCommits(directory)) & report_grouped(store)
        store.close()
    return 0 if is_good else 1


def report_sequential(store: SqliteStore, raw: RawCommits) -> bool:
    engine = make_engine(store)
    job_id = submit(engine, f"for i in 1..{SEQUENTIAL_STEPS} {{ ^true }}", 0)
    raw_s, step_s = [], []
    while job_id in engine.workers:
        begin = time.perf_counter()
        raw.commit("{}" * 50)
        middle = time.perf_counter()
        engine.step(0)
        step_s.append(time.perf_counter() - middle)
        raw_s.append(middle - begin)
    raw.close()
    raw_us, step_us = statistics.median(raw_s) * 1e6, statistics.median(step_s) * 1e6
    print(f"one job: a step {step_us:.0f} us, a raw commit {raw_us:.0f} us (medians of {len(step_s)})")
    ratio = raw_us / step_us
    print(f"{'good' if ratio >= RATIO_MIN else 'BAD '}  steps per raw commit: {ratio:.2f} (limit {RATIO_MIN})")
    return ratio >= RATIO_MIN


def report_grouped(store: SqliteStore) -> bool:
    engine = make_engine(store)
    text = "\n".join(["^true"] * STEPS)
    jobs = [submit(engine, text, number) for number in range(1, JOBS + 1)]
    begin, begin_cpu = time.perf_counter(), time.process_time()
    while engine.workers:
        engine.step(0)
    spent_s, cpu_s = time.perf_counter() - begin, time.process_time() - begin_cpu
    assert all((job := store.job(job_id)) is not None and job.state == "succeeded" for job_id in jobs)
    steps_per_s = JOBS * STEPS / spent_s
    print(f"{JOBS} jobs, {STEPS} steps each: {spent_s:.2f} s, of it {cpu_s:.2f} s of this processor")
    return judge("steps per second", steps_per_s, steps_per_s >= STEPS_PER_S_MIN, STEPS_PER_S_MIN)


def make_engine(store: SqliteStore, connectors: Mapping[str, Connector] | None = None, **options: Any) -> Engine:
    return Engine(
        store,
        connectors or {"process": Nothing()},
        Loop(),
        load_program=load_program,
        observe=lambda operation, arguments: None,
        clock_ms=lambda: time.time_ns() // 10**6,
        report=print,
        **options,
    )


@cache
def program_of(text: str) -> tuple[NewProgram, Program]:
    return make_program(Source("bench.fmsh", text))


def submit(engine: Engine, text: str, number: int) -> int:
    stored, program = program_of(text)
    uid = hashlib.blake2b(f"{number} {text}".encode(), digest_size=16).hexdigest()
    new = NewJob(uid, "bench.fmsh", "bench.fmsh", 1, stored)
    return engine.submit(NewRun(new, program, [], {}, "/", "UTC", {}), is_foreground=False)[0].id


def judge(what: str, figure: float, is_good: bool, limit: float) -> bool:
    print(f"{'good' if is_good else 'BAD '}  {what}: {figure:.0f} (limit {limit:.0f})")
    return is_good


if __name__ == "__main__":
    sys.exit(main())
