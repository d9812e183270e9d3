"""Clocks that are set, and machines that are suspended, under jobs that sleep: real shells and a real daemon.

A sleep that is in the memory of the process that began it counts on the boot clock, which nobody sets. Once it is in
the store only, as in a daemon that has unloaded its job, it counts in wall time; so it may end by either clock here.

A suspend is what it looks like to a process: the wall clock and the boot clock jump, and the clock that stops in
suspend does not. Leases last a second here, so that a takeover that a jump could cause would be seen.
"""

from __future__ import annotations

import os
import time
from typing import NamedTuple

from tests.cli.shell import until
from tests.torture.rows import Counts, Row, Trial, Verdict, over
from tests.torture.stage import Stage
from tests.torture.stops import TTL_S

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
SLEEP_S = 4.0
LATE_S_MAX = 2.0
EARLY_S = 0.05  # a timer counts in milliseconds, and so do we
SCRIPT = """
let url = $args[0]
let at = now
POST $url/before {}
SLEEP
POST $url/after {}
"""
SLEEPS = {"relative": "sleep 4s", "until": "sleep --until ($at + 4s)"}


class Jump(NamedTuple):
    """By how much the wall clock jumps, and with it the boot clock (a suspend)."""

    by_ms: int
    is_suspend: bool = False

    def __str__(self) -> str:
        return f"{'suspend of' if self.is_suspend else 'clock'} {self.by_ms // HOUR_MS:+} h"


JUMPS = (Jump(HOUR_MS), Jump(-HOUR_MS), Jump(DAY_MS), Jump(-DAY_MS), Jump(HOUR_MS, True), Jump(DAY_MS, True))


class Clock:
    """The offsets of the clocks of some processes."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.set(0, 0)

    def set(self, wall_ms: int, boot_ms: int) -> None:
        with open(self.path + ".new", "w") as file:
            file.write(f"{wall_ms} {boot_ms}")
        os.rename(self.path + ".new", self.path)


class Sleeper(NamedTuple):
    name: str
    kind: str
    is_detached: bool

    @property
    def counts_on_boot_clock(self) -> bool:
        return self.kind == "relative" and not self.is_detached


def run(trial: Trial) -> Verdict:
    stage = Stage(trial, ttl_s=TTL_S)
    clock = Clock(str(trial.directory / "clock"))
    first = trial.choose.randrange(len(JUMPS))
    violations: list[str] = []
    late_s = [0.0]
    try:
        for kind, sleep in SLEEPS.items():
            stage.shell.script(SCRIPT.replace("SLEEP", sleep), f"{kind}.fmsh")
        for number in range(trial.count):
            clock.set(0, 0)
            daemon = stage.start_daemon(TORTURE_CLOCK=clock.path)
            found, lateness_s = _jump(stage, clock, number, JUMPS[(first + number) % len(JUMPS)])
            daemon.kill()
            violations += found
            late_s += lateness_s
    finally:
        stage.close()
    worst = f"{len(violations)} broken; timers at most {max(late_s):.2f} s late"
    return Verdict(trial.count, worst, violations, over(LATE_S_MAX, max(late_s), "a timer was late"))


def _jump(stage: Stage, clock: Clock, number: int, jump: Jump) -> tuple[list[str], list[float]]:
    """Lets four jobs sleep, moves the clocks, and looks when they wake and who has them."""
    sleepers = [
        Sleeper(f"{number}-{kind}-{'daemon' if is_detached else 'shell'}", kind, is_detached)
        for kind in SLEEPS
        for is_detached in (False, True)
    ]
    for sleeper in sleepers:
        options = ["-d"] if sleeper.is_detached else []
        stage.zygote.start(
            *options, "--name", sleeper.name, f"{sleeper.kind}.fmsh", f"{stage.witness.url}/{sleeper.name}",
            TORTURE_CLOCK=clock.path,
        )  # fmt: skip
    for sleeper in sleepers:
        until(lambda sleeper=sleeper: stage.witness.of(sleeper.name), f"the sleep of {sleeper.name}")  # type: ignore
    time.sleep(2.2)  # by now the daemon keeps its jobs in the store only
    jumped_s = time.monotonic()
    clock.set(jump.by_ms, jump.by_ms if jump.is_suspend else 0)
    waiting = [each for each in sleepers if jump.by_ms > 0 or each.counts_on_boot_clock]
    _await_end(stage, waiting)
    if len(waiting) < len(sleepers):  # it is an hour until then: none may have fired
        early = [
            f"{jump}: {each.name} did not wait" for each in sleepers if each.kind == "until" and _woke(stage, each)
        ]
        jumped_s = time.monotonic()
        clock.set(0, 0)
        _await_end(stage, sleepers)
    else:
        early = []
    found, late_s = early, []
    for sleeper in sleepers:
        problems, lateness_s = _judge(stage, sleeper, jump, jumped_s)
        found += problems
        late_s += lateness_s
    return found, late_s


def _woke(stage: Stage, sleeper: Sleeper) -> list[float]:
    return [each.at_s for each in stage.witness.of(sleeper.name) if each.path == "after"]


def _await_end(stage: Stage, sleepers: list[Sleeper]) -> None:
    """Waits until all have woken, or should have long ago."""
    give_up_s = time.monotonic() + SLEEP_S + LATE_S_MAX + TTL_S
    while time.monotonic() < give_up_s and not all(_woke(stage, each) for each in sleepers):
        time.sleep(0.02)


def _judge(stage: Stage, sleeper: Sleeper, jump: Jump, jumped_s: float) -> tuple[list[str], list[float]]:
    by_boot_s = jumped_s if jump.is_suspend else stage.witness.of(sleeper.name)[0].at_s + SLEEP_S
    by_wall_s = jumped_s if jump.by_ms > 0 else max(by_boot_s, jumped_s)
    may_be_s = {by_boot_s} if sleeper.counts_on_boot_clock else {by_wall_s}
    if sleeper.kind == "relative" and sleeper.is_detached:
        may_be_s = {by_boot_s, by_wall_s}
    woke_s = _woke(stage, sleeper)
    if len(woke_s) != 1:
        return [f"{jump}: {sleeper.name} woke {len(woke_s)} times"], []
    found = []
    if woke_s[0] < min(may_be_s) - EARLY_S:
        found.append(f"{jump}: {sleeper.name} woke {min(may_be_s) - woke_s[0]:.2f} s early")
    epochs = {event.epoch for event in stage.history(sleeper.name)}
    if not sleeper.is_detached and epochs != {1}:
        found.append(f"{jump}: {sleeper.name} was taken from its shell")
    return found, [woke_s[0] - max(may_be_s)]


ROWS = (Row("clocks", "0 early takeovers, timers once, 2 s late", Counts(1, 6, 18), run),)
