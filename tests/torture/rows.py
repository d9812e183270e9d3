"""What a row is: a trial that is repeated, a limit, and a verdict with the worst figure that was seen."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple


class Counts(NamedTuple):
    """How often a row is tried: in the suite, in some minutes for all rows, and as the table demands."""

    suite: int
    short: int
    full: int


class Trial:
    """One run of a row: how often, where, and with which chances."""

    def __init__(self, directory: Path, count: int, seed: int) -> None:
        self.directory = directory
        self.count = count
        self.seed = seed
        self.choose = random.Random(seed)


class Verdict:
    """`count` tries were made; `worst` is the figure to be shown; `violations` broke a promise, `late` only a time."""

    def __init__(self, count: int, worst: str, violations: Sequence[str] = (), late: Sequence[str] = ()) -> None:
        self.count = count
        self.worst = worst
        self.violations = list(violations)
        self.late = list(late)


class Row(NamedTuple):
    name: str
    limit: str
    counts: Counts
    run: Callable[[Trial], Verdict]


class Ran(NamedTuple):
    """A row that was run, as the table shows it."""

    row: Row
    verdict: Verdict
    seed: int
    seconds: float


def run(row: Row, count: int, seed: int | None = None) -> Ran:
    """Runs a row in a short directory of its own (the path of a socket is limited), which is then removed."""
    seed = new_seed() if seed is None else seed
    print(f"{row.name}: seed {seed}", flush=True)
    directory = Path(tempfile.mkdtemp(prefix="fmsh-"))
    began_s = time.monotonic()
    try:
        verdict = row.run(Trial(directory, count, seed))
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return Ran(row, verdict, seed, time.monotonic() - began_s)


def new_seed() -> int:
    return int(os.environ.get("FMSH_TEST_SEED", time.time_ns() % 1_000_000))


def percentile(values: Sequence[float], percent: float) -> float:
    """Gives the value that `percent` of them do not exceed; 0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] if ordered else 0.0


def over(limit_s: float, found_s: float, what: str) -> list[str]:
    """Says that a time is over its limit, if it is."""
    return [] if found_s <= limit_s else [f"{what}: {found_s:.2f} s, at most {limit_s:g} s"]
