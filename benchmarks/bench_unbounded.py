"""A job that never ends: a million events in constant memory, in a bounded store, and live again at once.

An endless loop, which keeps two variables, runs in a process of its own that trims behind its snapshots, as a holder
does when no daemon does it. `--over` says what it is a loop over: a channel that a branch of the job fills (`channel`),
the deliveries to its address, which another process makes (`deliveries`), or nothing (`steps`); each turn has a durable
step, and so has each item of the branch. Prints the memory at 10 % and at 100 % of the events, the size of the store,
and how long another process takes until the job is live again, beside the limits; looks at the state
of the job at some of its kept events, and asks for one that is trimmed. Exits with 1 above a limit.

With `--keep` the events that old are kept (0s: only those behind the last snapshot); without a limit on the store then.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from base64 import urlsafe_b64encode
from functools import partial
from typing import Any

from bench_engine_steps import Nothing, make_engine, submit
from bench_restore import load

from fmsh import retention
from fmsh.connectors.callback import CallbackConnector
from fmsh.engine import states
from fmsh.errors import StoreMissing
from fmsh.store.base import JobFilter, NewCallback
from fmsh.store.sqlite import SqliteStore
from fmsh.values import duration_of

EVENTS = 1_000_000
LOADS = 5
RSS_GROWTH_MAX_KIB = 2048  # between 10 % and 100 %: what an allocator may do; a leak of 3 bytes an event is more
STORE_MAX_BYTES = 8 << 20  # two intervals between snapshots with their indexes, the spare pages, and the log
LIVE_MAX_MS = 50.0
LOOKED_AT = 20  # kept events, evenly
BACKLOG_MAX = 2000  # deliveries that wait in the inbox before the sender waits too
TOKEN = b"a" * 32

KEPT = "let n = 0\nlet turn = {}\n"
PROGRAMS = {
    "steps": "while true { $n = $n + 1; $turn = {number: $n, said: $(^step)} }",
    "channel": """let found = channel 16
spawn { while true { send $found $(^look) } }
for item in $found { $n = $n + 1; $turn = {number: $n, item: $item, said: $(^step)} }""",
    "deliveries": """let address = callback --many
for item in $address { $n = $n + 1; $turn = {number: $n, item: $item, said: $(^step)} }""",
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("events", nargs="?", type=int, default=EVENTS)
    parser.add_argument("--over", choices=PROGRAMS, default="channel", help="what is looped over (default: channel)")
    parser.add_argument("--keep", default="0s", help="how long events are kept, such as 30d (default: 0s)")
    parser.add_argument("--directory", help="where to make the store (default: the temporary directory)")
    parser.add_argument("--run", metavar="STATE", help=argparse.SUPPRESS)
    parser.add_argument("--send", metavar="STATE", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        return run(arguments.run, arguments)
    if arguments.send:
        return send(arguments.send)
    with tempfile.TemporaryDirectory(dir=arguments.directory) as directory:
        return measure(directory + "/state", arguments)


def measure(state: str, arguments: argparse.Namespace) -> int:
    command = [sys.executable, __file__, str(arguments.events), "--keep", arguments.keep, "--over", arguments.over]
    begin = time.perf_counter()
    done = subprocess.run([*command, "--run", state], check=True, stdout=subprocess.PIPE, text=True)
    early_kib, late_kib = map(int, done.stdout.split())
    took_s = time.perf_counter() - begin
    speed = arguments.events / took_s
    print(f"{arguments.events} events in {took_s:.0f} s, {speed:.0f} a second; events are kept for {arguments.keep}")
    is_good = judge("memory grew from 10 % to 100 % by", late_kib - early_kib, RSS_GROWTH_MAX_KIB, "KiB")
    print(f"      resident: {early_kib} KiB at 10 %, {late_kib} KiB at 100 %")
    store = SqliteStore.open(state, kind="shell")
    if arguments.over == "deliveries":
        forget_deliveries(store)
    is_good &= judge_store(state, is_bounded=arguments.keep == "0s")
    (job,) = store.jobs(JobFilter())
    is_good &= inspect(store, job.id)
    store.close()
    live_ms = statistics.median(load(state, job.id) for _ in range(LOADS))
    is_good &= judge("live again after", live_ms, LIVE_MAX_MS, "ms")
    return 0 if is_good else 1


def forget_deliveries(store: SqliteStore) -> None:
    """Does what the daemon does each hour, where `retention.deliveries` is 0s."""
    freed = store.forget_deliveries(before_ms=time.time_ns() // 10**6)
    store.shrink()
    print(f"      what was remembered of its deliveries took {freed >> 10} KiB")


def judge_store(state: str, *, is_bounded: bool) -> bool:
    sizes = {name: os.path.getsize(f"{state}/{name}") for name in ("store.db", "store.db-wal")}
    print(f"      store: {sizes['store.db'] >> 10} KiB, its log {sizes['store.db-wal'] >> 10} KiB")
    return not is_bounded or judge("the store takes", sum(sizes.values()) / 1024, STORE_MAX_BYTES / 1024, "KiB")


def inspect(store: SqliteStore, job_id: int) -> bool:
    """Looks at the state at some of the events that are kept, the first and the last among them, and at one before."""
    job = store.job(job_id)
    newest = store.snapshot(job_id)
    assert job is not None and newest is not None
    print(
        f"      its newest snapshot has {len(newest.state_json)} characters, {len(store.inbox(job_id))} deliveries wait"
    )
    engine = make_engine(store)
    first = max(job.trimmed_seq, 1)
    took_ms = []
    for part in range(LOOKED_AT):
        seq = first + (job.head - first) * part // (LOOKED_AT - 1)
        begin = time.perf_counter()
        worker = states.state_at(store, job, seq, program=engine.program(job.program_hash))
        took_ms.append((time.perf_counter() - begin) * 1000)
        assert abs(worker.machine.steps - worker.steps) <= 2, (seq, worker.steps)
    print(f"      {LOOKED_AT} of the events {first} to {job.head}: states rebuilt in at most {max(took_ms):.1f} ms")
    if first == 1:
        return True
    try:
        states.state_at(store, job, first - 1, program=engine.program(job.program_hash))
    except StoreMissing as refusal:
        print(f"      of event {first - 1}: {refusal.message}. {refusal.hint}")
        return True
    print(f"BAD   a state at event {first - 1}, which is trimmed")
    return False


def run(state: str, arguments: argparse.Namespace) -> int:
    """Makes the events, and writes the memory in KiB at a tenth of them and at their end. Leaves as a crash would."""
    found = duration_of(arguments.keep)
    assert found is not None
    store = SqliteStore.open(state, kind="shell")
    engine = make_engine(
        store,
        connectors={
            "process": Nothing(),
            "callback": CallbackConnector(partial(open_in, store), str, lambda size: TOKEN),
        },
        trim=lambda job_id, now_ms: retention.trim_behind(
            store, state + "/fx", job_id, found.milliseconds, now_ms=now_ms
        ),
    )
    job_id = submit(engine, KEPT + PROGRAMS[arguments.over], 0)
    sender = None
    if arguments.over == "deliveries":
        sender = subprocess.Popen([sys.executable, __file__, "--send", state])
    seen = []
    for until in (arguments.events // 10, arguments.events):
        while engine.workers[job_id].lease.head < until:
            engine.step(0 if sender is None else 1)
        seen.append(resident_kib())
    if sender is not None:
        sender.kill()
        sender.wait()
    print(*seen)
    store.close()
    return 0


def open_in(store: SqliteStore, *values: Any) -> None:
    """Opens an address, as the callback connector asks for it."""
    job_id, id, token_hash, expires_at_ms, methods, is_many = values
    store.open_callback(NewCallback(job_id, id, token_hash, expires_at_ms, methods, is_many))


def send(state: str) -> int:
    """Calls the address of the job for ever, as the daemon does for those who call it over HTTP."""
    store = SqliteStore.open(state, kind="shell")
    (job,) = store.jobs(JobFilter())
    token_hash = hashlib.sha256(urlsafe_b64encode(TOKEN).rstrip(b"=")).digest()
    number = 0
    while True:
        number += 1
        data_json = f'{{"body":{{"number":{number},"text":"{"x" * 20}"}}}}'
        found = store.deliver_callback(token_hash, data_json, dedupe_id=f"{number}", method="POST", now_ms=number)
        if found is None:  # the address is not open yet
            number -= 1
            time.sleep(0.01)
        elif number % 100 == 0:
            while len(store.inbox(job.id)) > BACKLOG_MAX:
                time.sleep(0.01)


def resident_kib() -> int:
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def judge(what: str, figure: float, limit: float, unit: str) -> bool:
    is_good = figure <= limit
    print(f"{'good' if is_good else 'BAD '}  {what} {figure:.1f} {unit} (limit {limit:.0f})")
    return is_good


if __name__ == "__main__":
    sys.exit(main())
