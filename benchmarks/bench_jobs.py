"""How long it takes to look at jobs: a list over many, and one with a long history. Exits with 1 above a limit.

Each figure is the median time of a whole process, from its start to its end, as a person waits for it.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time

from bench_engine_steps import judge, program_of
from bench_restore import make_history

from fmsh.machine import events
from fmsh.store.base import NewEvent, NewJob, Summary
from fmsh.store.sqlite import SqliteStore

JOBS = 100_000
EVENTS = 100_000
RUNS = 5
LIST_MS_MAX = 150.0
LOOK_MS_MAX = 300.0
ACTIVE = 20  # of the jobs


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=JOBS)
    parser.add_argument("--events", type=int, default=EVENTS)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        many, long = f"{directory}/many", f"{directory}/long"
        make_jobs(many, arguments.jobs)
        make_history(long, arguments.events)
        middle = str(arguments.events // 2)
        is_good = report(many, LIST_MS_MAX, "list")
        for verb in (["show", "1"], ["why", "1"], ["trace", "1"], ["inspect", "1"], ["inspect", "1", "--at", middle]):
            is_good &= report(long, LOOK_MS_MAX, *verb)
    return 0 if is_good else 1


def make_jobs(directory: str, count: int) -> None:
    """Makes ended jobs, and the last ones waiting."""
    store = SqliteStore.open(directory, kind="shell")
    stored, _ = program_of("^true")
    started = events.encode(events.JobStarted(stored.hash, [], "", "/", "UTC", {}))
    ended = events.encode(events.JobEnded())
    for number in range(count):
        new = NewJob(f"uid-{number}", "bench.fmsh", f"bench.fmsh {number}", number, stored)
        history = [NewEvent("JobStarted", number, started)]
        if number < count - ACTIVE:
            history.append(NewEvent("JobEnded", number, ended))
            row = Summary("succeeded", None, 1, value_json="null", exit_status=0, ended_at_ms=number)
        else:
            row = Summary("waiting", None)
        store.create_job(new, history, row, lease=False)
    store.close()


def report(directory: str, ms_max: float, *words: str) -> bool:
    environment = os.environ | {"FMSH_STATE_DIR": directory, "FMSH_NO_DAEMON": "1"}
    took_ms = []
    for _ in range(RUNS):
        begin = time.perf_counter()
        command = [sys.executable, "-m", "fmsh", "jobs", *words]
        subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
        took_ms.append((time.perf_counter() - begin) * 1000)
    median_ms = statistics.median(took_ms)
    return judge(f"ms for `fmsh jobs {' '.join(words)}`", median_ms, median_ms <= ms_max, ms_max)


if __name__ == "__main__":
    sys.exit(main())
