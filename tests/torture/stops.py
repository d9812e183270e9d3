"""Owners that are stopped for longer than their lease lasts: a second, here."""

from __future__ import annotations

import signal
import time
from itertools import pairwise

from fmsh.store.gate import holder_of
from tests.cli.shell import until
from tests.torture.rows import Counts, Row, Trial, Verdict
from tests.torture.stage import Stage

TTL_S = 0.8
AT_ONCE = 4
TAKEOVER_S_MAX = 10.0  # on a machine with other things to do

STEPS = """
let url = $args[0]
for i in 1..400 {
  POST "$url/$i" {n: $i}
  sleep 250ms
}
"""


def stopped(trial: Trial) -> Verdict:
    """Stops shells in the middle of their work for twice the time that their leases last, and lets them go on."""
    stage = Stage(trial, ttl_s=TTL_S)
    violations: list[str] = []
    stops = taken = 0
    try:
        stage.shell.script(STEPS, "steps.fmsh")
        stage.start_daemon()
        while stops < trial.count:
            names = [f"stop-{stops + index}" for index in range(min(AT_ONCE, trial.count - stops))]
            taken += _stop_together(stage, names, trial.choose.random() * 0.2)
            stops += len(names)
            for name in names:
                violations += judge_stop(stage, name)
    finally:
        stage.close()
    too_few = [f"only {taken} of {stops} stopped shells lost their jobs"] if taken < trial.count / 2 else []
    worst = f"{len(violations)} stale appends or effects; {taken} taken over, the others were stopped in a commit"
    return Verdict(stops, worst, violations, too_few)


def _stop_together(stage: Stage, names: list[str], delay_s: float) -> int:
    """Gives how many of the jobs were taken over. Who is stopped in the middle of a commit keeps everybody out."""
    shells = [stage.zygote.start("--name", name, "steps.fmsh", f"{stage.witness.url}/{name}") for name in names]
    for name in names:
        until(lambda name=name: len(stage.witness.of(name)) > 1, f"the work of {name}")  # type: ignore[misc]
    time.sleep(delay_s)
    for shell in shells:
        shell.signal(signal.SIGSTOP)
    time.sleep(2 * TTL_S)
    pids = {str(shell.pid) for shell in shells}
    until(
        lambda: all(_is_taken(stage, name) for name in names) or _gate_holder(stage) in pids,
        f"the takeover of {names}", timeout_s=TAKEOVER_S_MAX,
    )  # fmt: skip
    taken = sum(_is_taken(stage, name) for name in names)
    for shell in shells:
        shell.signal(signal.SIGCONT)
    for name, shell in zip(names, shells, strict=True):
        stage.store.deliver(stage.job_named(name).id, "cancel", "{}", dedupe_id=name)
        shell.wait()
    return taken


def _is_taken(stage: Stage, name: str) -> bool:
    return stage.job_named(name).epoch > 1


def _gate_holder(stage: Stage) -> str:
    """The number of the process in whose commit the store is locked."""
    return [*holder_of(str(stage.shell.state / "store.gate")).split(), "", ""][1]


def judge_stop(stage: Stage, name: str) -> list[str]:
    """What of a job that was taken from a stopped owner breaks the promise."""
    events = stage.history(name)
    asked = stage.witness.of(name)
    found = [
        f"{name}: event {now.seq} of epoch {now.epoch} follows one of epoch {before.epoch}"
        for before, now in pairwise(events)
        if now.epoch < before.epoch or now.seq != before.seq + 1
    ]
    found += [f"{name}: {each.path} was asked for without a record" for each in asked if not each.was_recorded]
    handovers = sum(event.type == "HandedOver" for event in events)
    repeats = len(asked) - len({each.key for each in asked})
    if repeats > handovers:
        found.append(f"{name}: {repeats} requests were repeated over {handovers} takeovers")
    return found


ROWS = (Row("stopped", "0 stale appends", Counts(4, 40, 200), stopped),)
