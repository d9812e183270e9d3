"""How long a job with a long history takes to be live again in another process. Exits with 1 above the limit."""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time

from bench_engine_steps import make_engine, submit

from fmsh.store.sqlite import SqliteStore

EVENTS = 100_000
LOADS = 5
MS_MAX = 50.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=EVENTS)
    events = parser.parse_args().events
    with tempfile.TemporaryDirectory() as directory:
        job_id = make_history(directory + "/state", events)
        took_ms = [load(directory + "/state", job_id) for _ in range(LOADS)]
    median_ms = statistics.median(took_ms)
    verdict = "good" if median_ms <= MS_MAX else "BAD"
    print(f"{verdict:<5} a job of {events} events is live again after {median_ms:.1f} ms (limit {MS_MAX:.0f})")
    return 0 if median_ms <= MS_MAX else 1


def make_history(directory: str, events: int) -> int:
    """Makes a job of that many events and leaves it between two snapshots, as a crash would."""
    store = SqliteStore.open(directory, kind="shell")
    engine = make_engine(store)
    job_id = submit(engine, f"for i in 1..{events} {{ ^true }}", 0)
    while engine.workers[job_id].lease.head < events:
        engine.step(0)
    store.close()
    return job_id


def load(directory: str, job_id: int) -> float:
    store = SqliteStore.open(directory, kind="shell")
    engine = make_engine(store)
    begin = time.perf_counter()
    assert engine.adopt(job_id)
    took_ms = (time.perf_counter() - begin) * 1000
    store.close()
    return took_ms


if __name__ == "__main__":
    sys.exit(main())
