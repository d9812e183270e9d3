"""How late a timer wakes with many others waiting, beside its limit.

*Jobs*: that many sleeping jobs lie in the store of a daemon, and some more sleep until moments that are close together;
each tells how late it was when it went on.
*One process*: that many sleepers wait in one timer. Exits with 1 above a limit.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time

from bench_daemon import Daemon, report

from fmsh.clock import SystemClock
from fmsh.connectors.base import Attempt, AttemptId, Done
from fmsh.connectors.timer import TimerConnector
from fmsh.engine.loop import Loop
from fmsh.store.base import NewEvent, NewJob, NewProgram, Summary
from fmsh.store.sqlite import SqliteStore
from fmsh.values import Duration

WAITING = 100_000
TIMERS = 200
APART_MS = 50
LATE_MS_MAX = 50.0
EARLY_MS_MAX = 2.0  # two clocks are read in whole milliseconds
HOUR_MS = 3_600_000

SLEEPERS = """
let begin = (now) + %dms
for number in range 1 %d {
  let at = $begin + $number * %dms
  start --detach --tag bench=timer { sleep --until $at; ((now) - $at) / 1ms }
}
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--waiting", type=int, default=WAITING)
    arguments = parser.parse_args()
    is_good = measure_process(arguments.waiting)
    with tempfile.TemporaryDirectory(prefix="fmsh-") as directory:
        daemon = Daemon(directory)
        make_sleeping(daemon.state, arguments.waiting)
        daemon.start()
        try:
            is_good &= measure_jobs(daemon, arguments.waiting)
        finally:
            daemon.stop()
    return 0 if is_good else 1


def make_sleeping(state: str, count: int) -> None:
    """Makes jobs that sleep for an hour or so."""
    store = SqliteStore.open(state, kind="shell")
    program = NewProgram("0" * 64, "bench.fmsh", "sleep 1h", "{}")
    later_ms = time.time_ns() // 10**6 + HOUR_MS
    for number in range(count):
        new = NewJob(f"waiting {number}", "bench.fmsh", "bench.fmsh", 1, program, is_detached=True)
        waiting = Summary("waiting", later_ms + number * 37 % HOUR_MS, 1, '[{"kind":"timer","label":"1h"}]')
        store.create_job(new, [NewEvent("JobStarted", 1, "{}")], waiting, lease=False)
    store.close()


def measure_jobs(daemon: Daemon, waiting: int) -> bool:
    begin_in_ms = 8000  # what it takes to start them all, and to unload the first
    daemon.run("-c", SLEEPERS % (begin_in_ms, TIMERS, APART_MS))
    give_up_s = time.monotonic() + 120
    while len(ended := ended_values(daemon)) < TIMERS:
        assert time.monotonic() < give_up_s, f"only {len(ended)} of {TIMERS} timers came"
        time.sleep(1)
    return tell(f"jobs, {waiting} others waiting", ended)


def ended_values(daemon: Daemon) -> list[float]:
    """How late the jobs were that have ended, in milliseconds."""
    jobs = json.loads(
        daemon.run("jobs", "list", "--tag", "bench=timer", "--state", "succeeded", "--limit", "1000", "--json")
    )
    return [float(job["value"]) for job in jobs]


def measure_process(waiting: int) -> bool:
    """The timer itself, in a real loop."""
    loop, clock = Loop(), SystemClock()
    connector = TimerConnector(loop.after, clock)
    late_ms: list[float] = []

    def sleep(number: int, duration_ms: int) -> None:
        due_s = time.monotonic() + duration_ms / 1000
        asked_ms = clock.wall_ms()
        arguments = {"duration": Duration(duration_ms * 10**6)}
        attempt = Attempt(AttemptId(1, number, 1), "uid", "sleep", arguments, {}, "/", "key", asked_ms)

        def ended(_id: AttemptId, outcome: object) -> None:
            assert isinstance(outcome, Done)
            late_ms.append((time.monotonic() - due_s) * 1000)

        connector.start(attempt, ended)

    for number in range(waiting):
        sleep(number, HOUR_MS + number * 37 % HOUR_MS)
    for number in range(TIMERS):
        sleep(waiting + number, 1000 + number * 5)
    while len(late_ms) < TIMERS:
        loop.run_once(None)
    connector.close()
    loop.close()
    return tell(f"one process, {waiting} others waiting", late_ms)


def tell(what: str, late_ms: list[float]) -> bool:
    assert min(late_ms) > -EARLY_MS_MAX, f"a timer was {-min(late_ms):.1f} ms early"
    p50, p95 = statistics.median(late_ms), statistics.quantiles(late_ms, n=100)[94]
    print(f"{what}, late, at most: {max(late_ms):.2f} ms", flush=True)  # one wait for a busy disk makes many late
    report(f"{what}, late, p50", p50, "ms", LATE_MS_MAX)
    return report(f"{what}, late, p95", p95, "ms", LATE_MS_MAX)


if __name__ == "__main__":
    sys.exit(main())
