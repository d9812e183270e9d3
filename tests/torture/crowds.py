"""A thousand shells at once: each is a process that runs a job of some steps, all on one store.

They begin in waves of a few, as many as two cores can carry, and stay: the first ones hold their jobs, renew their
leases and listen while the last ones begin. What each write to the store took is written down by the process itself. At
the end all are ended with SIGTERM in the same instant: each then appends the end of its job, and none may be refused.
"""

from __future__ import annotations

import signal
from pathlib import Path

from tests.cli.shell import Shell, until
from tests.torture.processes import Process, Zygote
from tests.torture.rows import Counts, Row, Trial, Verdict, over, percentile

TEXT = "let x = sh -c 'true'\nlet y = now\nsleep 10ms\nlet z = sh -c 'true'\necho done\nsleep 1h"
WAVE = 10
P99_S_MAX = 1.0
WAIT_S = 600.0
CANCELLED = 130


def run(trial: Trial) -> Verdict:
    shell = Shell(trial.directory)
    zygote = Zygote(trial.directory, shell.environment | {"FMSH_NO_DAEMON": "1"})
    times = trial.directory / "times"
    violations: list[str] = []
    shells: list[Process] = []
    try:
        while len(shells) < trial.count:
            wave = [zygote.start("-c", TEXT, TORTURE_TIMES=str(times)) for _ in range(min(WAVE, trial.count))]
            for process in wave:
                until(lambda process=process: process.is_over or process.said() == "done\n", "a shell", timeout_s=60)  # type: ignore
            shells += wave
        begun = _writes(times)
        alive = sum(not process.is_over for process in shells)
        for process in shells:
            process.signal(signal.SIGTERM)
        for process in shells:
            if (status := process.wait(WAIT_S)) != CANCELLED or process.said() != "done\ncancelled\n":
                violations.append(f"a shell ended with {status}: {process.said()[-300:]!r}")
    finally:
        zygote.close()
        shell.end()
    ended = _writes(times)[len(begun) :]
    refused = [outcome for outcome, _ in begun + ended if outcome not in ("create_job", "commit")]
    if refused:
        violations.append(f"{len(refused)} writes were refused: {sorted(set(refused))}")
    if alive < trial.count:
        violations.append(f"only {alive} of {trial.count} shells were alive at once")
    p99_s, worst_s = percentile([took_s for _, took_s in begun], 99), max(took_s for _, took_s in begun)
    at_once_s = max(took_s for _, took_s in ended)
    worst = (
        f"{len(refused)} BUSY; append p99 {p99_s:.2f} s, worst {worst_s:.2f} s of {len(begun):,}; "
        f"{at_once_s:.1f} s when all end at once"
    )
    return Verdict(trial.count, worst, violations, over(P99_S_MAX, p99_s, "append p99"))


def _writes(times: Path) -> list[tuple[str, float]]:
    """Each write to the store, or what it was refused with, and what it took in seconds."""
    lines = [line.split() for line in times.read_text().splitlines()]
    return [(outcome, float(took_ms) / 1000) for outcome, took_ms in lines]


ROWS = (Row("shells", "0 BUSY, append p99 1 s", Counts(20, 200, 1000), run),)
