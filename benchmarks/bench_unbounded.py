"""A job that never ends: a million events in constant memory, in a bounded store, and live again at once.

A loop of durable steps, which keeps two variables, runs in a process of its own that trims behind its snapshots, as a
holder does when no daemon does it. Prints the memory at 10 % and at 100 % of the events, the size of the store, and how
long another process takes until the job is live again, beside the limits. Exits with 1 above one.

With `--keep` the events that old are kept (0s: only those behind the last snapshot); without a limit on the store then.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time

from bench_engine_steps import make_engine, submit
from bench_restore import load

from fmsh import retention
from fmsh.engine import states
from fmsh.store.base import JobFilter
from fmsh.store.sqlite import SqliteStore
from fmsh.values import duration_of

EVENTS = 1_000_000
LOADS = 5
RSS_GROWTH_MAX_KIB = 2048  # between 10 % and 100 %: what an allocator may do; a leak of 3 bytes an event is more
STORE_MAX_BYTES = 8 << 20  # two intervals between snapshots with their indexes, the spare pages, and the log
LIVE_MAX_MS = 50.0
PROGRAM = "let n = 0\nlet turn = {}\nwhile true { $n = $n + 1; $turn = {number: $n, said: $(^step)} }"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("events", nargs="?", type=int, default=EVENTS)
    parser.add_argument("--keep", default="0s", help="how long events are kept, such as 30d (default: 0s)")
    parser.add_argument("--directory", help="where to make the store (default: the temporary directory)")
    parser.add_argument("--run", metavar="STATE", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        return run(arguments.run, arguments.events, arguments.keep)
    with tempfile.TemporaryDirectory(dir=arguments.directory) as directory:
        return measure(directory + "/state", arguments)


def measure(state: str, arguments: argparse.Namespace) -> int:
    command = [sys.executable, __file__, str(arguments.events), "--keep", arguments.keep, "--run", state]
    begin = time.perf_counter()
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    early_kib, late_kib = map(int, done.stdout.split())
    took_s = time.perf_counter() - begin
    speed = arguments.events / took_s
    print(f"{arguments.events} events in {took_s:.0f} s, {speed:.0f} a second; events are kept for {arguments.keep}")
    is_good = judge("memory grew from 10 % to 100 % by", late_kib - early_kib, RSS_GROWTH_MAX_KIB, "KiB")
    print(f"      resident: {early_kib} KiB at 10 %, {late_kib} KiB at 100 %")
    is_good &= judge_store(state, is_bounded=arguments.keep == "0s")
    store = SqliteStore.open(state, kind="shell")
    (job,) = store.jobs(JobFilter())
    is_good &= inspect(store, job.id)
    store.close()
    live_ms = statistics.median(load(state, job.id) for _ in range(LOADS))
    is_good &= judge("live again after", live_ms, LIVE_MAX_MS, "ms")
    return 0 if is_good else 1


def judge_store(state: str, *, is_bounded: bool) -> bool:
    sizes = {name: os.path.getsize(f"{state}/{name}") for name in ("store.db", "store.db-wal")}
    print(f"      store: {sizes['store.db'] >> 10} KiB, its log {sizes['store.db-wal'] >> 10} KiB")
    return not is_bounded or judge("the store takes", sum(sizes.values()) / 1024, STORE_MAX_BYTES / 1024, "KiB")


def inspect(store: SqliteStore, job_id: int) -> bool:
    """The state at the first event that is kept, in the middle, and at the last."""
    job = store.job(job_id)
    assert job is not None
    engine = make_engine(store)
    first = max(job.trimmed_seq, 1)
    for seq in (first, (first + job.head) // 2, job.head):
        begin = time.perf_counter()
        worker = states.state_at(store, job, seq, program=engine.program(job.program_hash))
        took_ms = (time.perf_counter() - begin) * 1000
        print(f"      at event {seq} of {first} to {job.head}: step {worker.steps}, rebuilt in {took_ms:.1f} ms")
    return True


def run(state: str, events: int, keep: str) -> int:
    """Makes the events, and writes the memory in KiB at a tenth of them and at their end. Leaves as a crash would."""
    found = duration_of(keep)
    assert found is not None
    store = SqliteStore.open(state, kind="shell")
    engine = make_engine(
        store,
        trim=lambda job_id, now_ms: retention.trim_behind(
            store, state + "/fx", job_id, found.milliseconds, now_ms=now_ms
        ),
    )
    job_id = submit(engine, PROGRAM, 0)
    seen = []
    for until in (events // 10, events):
        while engine.workers[job_id].lease.head < until:
            engine.step(0)
        seen.append(resident_kib())
    print(*seen)
    store.close()
    return 0


def resident_kib() -> int:
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def judge(what: str, figure: float, limit: float, unit: str) -> bool:
    is_good = figure <= limit
    print(f"{'good' if is_good else 'BAD '}  {what} {figure:.1f} {unit} (limit {limit:.0f})")
    return is_good


if __name__ == "__main__":
    sys.exit(main())
