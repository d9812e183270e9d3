"""Processes that append to one store at the same time, and that are killed in the middle of it."""

from __future__ import annotations

import json
import time
from collections import Counter
from itertools import repeat

from fmsh.store.sqlite import SqliteStore
from tests.conformance.worlds import history
from tests.store.processes import BATCH
from tests.store.started import Processes, line, tell
from tests.torture.rows import Counts, Row, Trial, Verdict, over

WRITERS = 16
COMMITS = 40
WAIT_S_MAX = 0.5


def at_once(trial: Trial) -> Verdict:
    """Lets `count` rounds of writers commit as fast as they can. A BusyError would end one without its line."""
    worst_ms, violations = 0.0, list[str]()
    for number in range(trial.count):
        state = trial.directory / f"state-{number}"
        processes = Processes()
        try:
            writers = [processes.start("appender", state, f"u{writer}", COMMITS) for writer in range(WRITERS)]
            assert [line(process) for process in writers] == ["ready"] * WRITERS
            for process in writers:
                tell(process)
            told = [line(process) for process in writers]
            if "" in told:
                violations.append(f"{told.count('')} of {WRITERS} writers were refused")
            times = [each_ms for text in told if text for each_ms in json.loads(text)]
            worst_ms = max(worst_ms, *times)
        finally:
            processes.end()
        store = SqliteStore.open(str(state), kind="shell")
        found = [len(history(store, job_id)) for job_id in range(1, WRITERS + 1)]
        store.close()
        if found != list(repeat(1 + 2 * COMMITS, WRITERS)):
            violations.append(f"histories have {found} events")
    return Verdict(
        trial.count * WRITERS * COMMITS, f"worst wait {worst_ms / 1000:.2f} s", violations,
        over(WAIT_S_MAX, worst_ms / 1000, "worst wait"),
    )  # fmt: skip


def in_mid_commit(trial: Trial) -> Verdict:
    """Kills a process that does nothing but commit, again and again, on one store."""
    state = str(trial.directory / "state")
    acknowledged: dict[int, int] = {}
    processes = Processes()
    try:
        for _ in range(trial.count):
            process = processes.start("acknowledger", state)
            first = line(process)
            time.sleep(trial.choose.random() * 0.02)  # where in a commit the kill falls is what is tried here
            process.kill()
            output, _ = process.communicate()
            for text in (first, *output.decode().splitlines()):
                job_id, head = map(int, text.split())
                acknowledged[job_id] = head
    finally:
        processes.end()
    store = SqliteStore.open(state, kind="shell")
    lost, torn, commits = 0, 0, 0
    for job_id, head in acknowledged.items():
        found = store.job(job_id)
        types = Counter(event.type for event in history(store, job_id))
        lost += found is None or found.head < head
        is_whole = types.pop("JobStarted") == 1 and set(types.values()) <= {BATCH}
        torn += not is_whole or found is None or found.steps != len(types)
        commits += len(types)
    freed = set(store.reap())
    store.close()
    violations = [f"{lost} jobs lost acknowledged events"] if lost else []
    violations += [f"{torn} jobs hold a part of a commit"] if torn else []
    violations += [] if len(acknowledged) == trial.count and freed >= set(acknowledged) else ["a job was not freed"]
    return Verdict(trial.count, f"{lost} lost, {torn} torn of {commits} commits", violations)


ROWS = (
    Row("writers", "0 BUSY, worst wait 0.5 s", Counts(1, 4, 20), at_once),
    Row("mid-commit", "0 acknowledged lost, 0 partial", Counts(15, 100, 500), in_mid_commit),
)
