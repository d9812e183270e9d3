"""How fast the store commits, beside the limits it must keep. Run it on the disk that matters: `--directory`.

Two figures. *One job, step by step*: each commit holds the two events of a step, against raw one-row commits, in turns.
*Many jobs together*: each commit holds a step of many jobs. Exits with 1 below a limit.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time

from fmsh.store.base import Append, Lease, NewEvent, NewJob, NewProgram, Summary
from fmsh.store.raw_commits import RawCommits
from fmsh.store.sqlite import SqliteStore

COMMITS = 1000
JOBS = 1000
STEPS = 5
JOBS_PER_COMMIT = 300
RATIO_MIN = 0.8  # of raw commits: what a durable step may cost over the disk's own time
APPENDS_PER_S_MIN = 30_000  # the whole system must reach 20,000 steps/s, and the store may take two thirds of it

PROGRAM = NewProgram("0" * 64, "bench.fmsh", "echo hello\n" * 20, "{}")
ARGUMENTS = '{"connector":"http","operation":"request","arguments":{"url":"http://127.0.0.1/","number":1}}'


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--directory", help="where to make the stores (default: the temporary directory)")
    with tempfile.TemporaryDirectory(dir=parser.parse_args().directory) as directory:
        store = SqliteStore.open(directory + "/state", kind="shell")
        is_good = report_sequential(store, RawCommits(directory)) & report_grouped(store)
        store.close()
    return 0 if is_good else 1


def report_sequential(store: SqliteStore, raw: RawCommits) -> bool:
    lease = start(store, "sequential")
    raw_s, store_s = [], []
    for number in range(COMMITS):
        begin = time.perf_counter()
        raw.commit(ARGUMENTS)
        middle = time.perf_counter()
        answers = store.commit([step(lease, number)])
        store_s.append(time.perf_counter() - middle)
        raw_s.append(middle - begin)
        assert answers == [None]
    raw.close()
    raw_us, store_us = statistics.median(raw_s) * 1e6, statistics.median(store_s) * 1e6
    print(f"one job: a step {store_us:.0f} us, a raw commit {raw_us:.0f} us (medians of {COMMITS})")
    return judge("ratio of raw to step", raw_us / store_us, RATIO_MIN)


def report_grouped(store: SqliteStore) -> bool:
    leases = [start(store, f"grouped-{number}") for number in range(JOBS)]
    spent_s = 0.0
    for number in range(STEPS):
        appends = [step(lease, number) for lease in leases]
        begin = time.perf_counter()
        for first in range(0, JOBS, JOBS_PER_COMMIT):
            assert not any(store.commit(appends[first : first + JOBS_PER_COMMIT]))
        spent_s += time.perf_counter() - begin
    print(f"{JOBS} jobs, {STEPS} steps each, {JOBS_PER_COMMIT} jobs a commit: {spent_s:.2f} s")
    return judge("appends of two events per second", JOBS * STEPS / spent_s, APPENDS_PER_S_MIN)


def start(store: SqliteStore, uid: str) -> Lease:
    new = NewJob(uid, "bench.fmsh", "bench.fmsh", 0, PROGRAM)
    _, lease, _ = store.create_job(new, [NewEvent("JobStarted", 0, "{}")], Summary("running"), lease=True)
    assert lease is not None
    return lease


def step(lease: Lease, number: int) -> Append:
    made = NewEvent("RequestMade", 1_700_000_000_000, ARGUMENTS, number)
    completed = NewEvent("RequestCompleted", 1_700_000_000_000, '{"value":{"status":200}}', number)
    return Append(lease, (made, completed), Summary("running", steps=number))


def judge(what: str, measured: float, least: float) -> bool:
    is_good = measured >= least
    print(f"  {what}: {measured:,.2f} (at least {least:,.2f}) {'ok' if is_good else 'TOO SLOW'}")
    return is_good


if __name__ == "__main__":
    sys.exit(main())
