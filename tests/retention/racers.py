"""Real processes that run jobs, end jobs and remove them, to be killed by the test: `python -m tests.retention.racers`.

The limits of sizes and intervals are small here, so that a second holds what is else a month: an event of 200
characters is a blob, and a snapshot comes every 20 events.
"""

from __future__ import annotations

import os
import random
import sys
import time

from fmsh import retention
from fmsh.assembly import load_program, make_program
from fmsh.connectors.base import Attempt, AttemptId, Done
from fmsh.engine import recording, snapshots
from fmsh.engine.engine import Engine, NewRun
from fmsh.engine.loop import Loop
from fmsh.errors import StoreBusy, StoreError
from fmsh.spans import Source
from fmsh.store.base import NewJob
from fmsh.store.sqlite import SqliteStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fmsh.connectors.base import Post

TTL_S = 0.3
AT_ONCE = retention.Limits(0, 0, 0)
ENDLESS = """
let n = 0
let turn = {number: 0, said: ""}
while true {
  if $turn.number != $n or ($n > 0 and $turn.said == "") { fail "job $job.id has lost turn $n" }
  $n = $n + 1
  let said = $(^say $n)
  $turn = {number: $n, said: $said}
}
"""
CHANNEL = """
let n = 0
let turn = {number: 0, item: "", said: ""}
let found = channel 8
spawn { let m = 0; while true { $m = $m + 1; send $found {number: $m, text: $(^say $m)} } }
for item in $found {
  $n = $n + 1
  if $item.number != $n { fail "job $job.id has lost item $n" }
  $turn = {number: $n, item: $item, said: $(^say $n)}
}
"""
SHORT = "let a = $(^say 1)\nlet b = $(^say 2)\necho $a\n"


class Saying:
    """A connector whose answers are large, and the same for every seventh number: jobs share them as blobs."""

    def start(self, attempt: Attempt, post: Post) -> None:
        number = int(attempt.arguments["stages"][0]["argv"][1])
        post(attempt.id, Done({"statuses": [0], "output": f"{number % 7} " * 200, "stderr": ""}))

    def cancel(self, id: AttemptId) -> None:
        """It is over already."""

    def close(self) -> None:
        """Nothing is held."""


def hasten() -> None:
    recording.INLINE_MAX = 200  # type: ignore[misc]
    snapshots.INTERVAL_EVENTS = 20  # type: ignore[misc]
    snapshots.SAVE_SHARE = 0  # type: ignore[misc]


def make_engine(store: SqliteStore, fx: str, connector: Saying | None = None) -> Engine:
    def trim(job_id: int, now_ms: int) -> int:
        return retention.trim_behind(store, fx, job_id, 0, now_ms=now_ms)

    return Engine(
        store,
        {"process": connector or Saying()},
        Loop(),
        load_program=load_program,
        observe=lambda operation, arguments: None,
        clock_ms=lambda: time.time_ns() // 10**6,
        report=lambda text: print(text, flush=True),
        trim=trim,
    )


def new_run(text: str, uid: str) -> NewRun:
    stored, program = make_program(Source("race.fmsh", text))
    environment = {"NAME": "value " * 100}
    return NewRun(NewJob(uid, "race.fmsh", "race.fmsh", 1, stored), program, [], environment, "/", "UTC", {})


def holder(state: str) -> None:
    """Runs whatever job it can get, a second's worth of steps of each, and gives it back."""
    store = SqliteStore.open(state, kind="shell", ttl_s=TTL_S)
    engine = make_engine(store, state + "/fx")
    print("ready", flush=True)
    while True:
        store.reap()
        due = store.due(2**60, limit=10)
        if due:
            engine.adopt(random.choice(due))
        for _ in range(60):
            engine.step(0)
        for job_id in list(engine.workers):
            engine.release(job_id, within_s=0)
        if not engine.workers:
            time.sleep(0.001)


def ender(state: str) -> None:
    """Runs one short job after another, whose values are those of the endless ones."""
    store = SqliteStore.open(state, kind="shell", ttl_s=TTL_S)
    engine = make_engine(store, state + "/fx")
    print("ready", flush=True)
    while True:
        engine.submit(new_run(SHORT, os.urandom(16).hex()))
        while engine.workers:
            engine.step(0)


def sweeper(state: str) -> None:
    """Removes whatever may be removed, as the daemon, `gc` and `rm` do, without a pause."""
    store = SqliteStore.open(state, kind="shell", ttl_s=TTL_S)
    print("ready", flush=True)
    while True:
        try:
            retention.Sweep(store, state + "/fx", AT_ONCE).run()
            for age in store.ages(after=0, limit=10):
                try:
                    store.remove_jobs([age.id], now_ms=1)
                except StoreError as error:
                    assert isinstance(error, StoreBusy) or "is active" in error.message, error
        except StoreBusy:
            continue


def runner(state: str, events: str, text: str) -> None:
    """Runs an endless job for that many events, and says how much memory it takes at a tenth of them and at the end."""
    store = SqliteStore.open(state, kind="shell")
    engine = make_engine(store, state + "/fx")
    job, _ = engine.submit(new_run(text, "unbounded"), is_foreground=False)
    for until in (int(events) // 10, int(events)):
        while (lease := engine.workers[job.id].lease) is not None and lease.head < until:
            engine.step(0)
        with open("/proc/self/status") as lines:
            print(next(line.split()[1] for line in lines if line.startswith("VmRSS")))


def begin(state: str, jobs: int) -> None:
    """Makes the endless jobs, due at once."""
    store = SqliteStore.open(state, kind="shell")
    engine = make_engine(store, state + "/fx")
    for number in range(jobs):
        engine.submit_elsewhere(new_run(ENDLESS, f"endless-{number}"))
    store.close()


MODES = {mode.__name__: mode for mode in (holder, ender, sweeper, runner)}

if __name__ == "__main__":
    if sys.argv[1] != "runner":
        hasten()
    MODES[sys.argv[1]](*sys.argv[2:])
