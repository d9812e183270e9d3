"""`kill -9` of shells and daemons, at any moment.

The script of `tests.crash.world` has every kind of effect. A service on loopback and the processes that it starts keep
account of what happened; at the end each job is judged against that, as after the kills at each boundary. Most shells
and all daemons come from a zygote, so that the kills fall into what they do and not into their imports; a quarter of
the shells are started as a user starts them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from fmsh.store.base import StoredEvent
from tests.cli.shell import until
from tests.crash.service import job_of
from tests.crash.world import SCRIPT, World
from tests.torture.processes import Process, Zygote
from tests.torture.rows import Counts, Row, Trial, Verdict, over, percentile

AT_ONCE = 4
LIFE_S = 0.4  # in which a shell is killed; left alone it needs about that
LIFE_SLOW_S = 0.8
IMPORTS_S = 0.1
DAEMON_DIES = 0.35  # in so many waves
TAKEOVER_S_MAX = 1.0


class Wave:
    """Some shells and perhaps the daemon, with what happened to them."""

    def __init__(self, number: int) -> None:
        self.cases = [f"case-{number}-{index}" for index in range(AT_ONCE)]
        self.killed_ms: dict[str, int] = {}
        self.daemon_died = False


class Kills:
    def __init__(self, trial: Trial) -> None:
        self.trial = trial
        self.world = World(trial.directory, wakes=False)
        self.world.shell.script(SCRIPT.replace("sleep 30ms", "sleep 400ms"), "slow.fmsh")
        environment = self.world.shell.environment
        self.zygote = Zygote(trial.directory, environment)
        self.daemon = self.start_daemon()
        self.kills = self.jobs = 0
        self.takeovers_s: list[float] = []
        self.restarts_s: list[float] = []
        self.violations: list[str] = []
        self.parked: list[str] = []  # they ask a person; nothing is lost or repeated

    def close(self) -> None:
        self.zygote.close()
        self.world.close()

    def start_daemon(self) -> Process:
        daemon = self.zygote.start("daemon", "run")
        owners = self.world.store.owners
        until(lambda: daemon.is_over or daemon.pid in {owner.pid for owner in owners()}, "the daemon")
        return daemon

    def wave(self, number: int) -> None:
        wave, choose = Wave(number), self.trial.choose
        plan: list[tuple[float, Callable[[], None]]] = []
        for case in wave.cases:
            at_s = choose.random() * 0.1
            plan += self._plan_shell(wave, case, at_s)
        if choose.random() < DAEMON_DIES:
            plan.append((choose.random() * LIFE_SLOW_S, lambda: self._kill_daemon(wave)))
        began_s = time.monotonic()
        for at_s, act in sorted(plan, key=lambda entry: entry[0]):
            time.sleep(max(0.0, began_s + at_s - time.monotonic()))
            act()
        for case in wave.cases:
            try:
                found = self.world.finish(case)
                if found is not None and found.state == "parked" and '"kind":"lost"' in (found.error_json or ""):
                    self.parked.append(f"{case} is parked: it is not known how a program that it displayed ended")
                    continue
                self.jobs += self.world.judge(case)
            except AssertionError as broken:
                self.violations.append(str(broken)[:500])
            self._measure(wave, case)

    def _plan_shell(self, wave: Wave, case: str, start_s: float) -> list[tuple[float, Callable[[], None]]]:
        """When a shell starts, and when it is killed."""
        choose = self.trial.choose
        is_from_scratch, is_slow = choose.random() < 0.25, choose.random() < 0.5
        arguments = [choose.choice(["--key", "--name"]), case, "slow.fmsh" if is_slow else "script.fmsh"]
        arguments += [case, self.world.service.url]
        if choose.random() < 0.2:
            arguments.insert(0, "-d")
        life_s = choose.random() * (LIFE_SLOW_S if is_slow else LIFE_S) + (IMPORTS_S if is_from_scratch else 0)
        started: list[Callable[[], bool]] = []

        def start() -> None:
            if is_from_scratch:
                process = self.world.shell.start(*arguments)

                def kill() -> bool:
                    process.kill()
                    process.communicate()
                    return process.returncode < 0

                started.append(kill)
            else:
                started.append(self.zygote.start(*arguments).kill)

        def kill() -> None:
            now_ms = time.time_ns() // 10**6
            if started[0]():
                self.kills += 1
                wave.killed_ms[case] = now_ms

        return [(start_s, start), (start_s + life_s, kill)]

    def _kill_daemon(self, wave: Wave) -> None:
        began_s = time.monotonic()
        wave.daemon_died = True
        self.kills += self.daemon.kill()
        self.daemon = self.start_daemon()
        self.restarts_s.append(time.monotonic() - began_s)

    def _measure(self, wave: Wave, case: str) -> None:
        """Notes how long after the kill of a shell a daemon that was there took its job over."""
        job = job_of(self.world.store, case)
        if job is None or case not in wave.killed_ms or wave.daemon_died or job.is_detached:
            return
        history: list[StoredEvent] = list(self.world.store.events(job.id))
        own = [event for event in history if event.epoch == history[0].epoch]
        others = history[len(own) :]
        if others:
            self.takeovers_s.append((others[0].at_ms - wave.killed_ms[case]) / 1000)


def run(trial: Trial) -> Verdict:
    kills = Kills(trial)
    waves = 0
    try:
        while kills.kills < trial.count and not len(kills.violations) > 20:
            kills.wave(waves)
            waves += 1
            if os.environ.get("FMSH_TORTURE_PROGRESS") and waves % 20 == 0:
                print(f"{kills.kills} kills, takeover {sorted(kills.takeovers_s)[-5:]}", flush=True)
    finally:
        kills.close()
    p99_s = percentile(kills.takeovers_s, 99)
    worst = (
        f"takeover p50 {percentile(kills.takeovers_s, 50):.2f} s, p99 {p99_s:.2f} s of {len(kills.takeovers_s)}; "
        f"{kills.jobs} jobs, {len(kills.violations)} broken, {len(kills.parked)} parked as `lost`"
    )
    return Verdict(kills.kills, worst, kills.violations, kills.parked + over(TAKEOVER_S_MAX, p99_s, "takeover p99"))


ROWS = (Row("kills", "0 lost, 0 unrecorded, takeover p99 1 s", Counts(12, 100, 1000), run),)
