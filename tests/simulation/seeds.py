"""Running seeds, over a disk in memory or, for every fiftieth, over a real database in a temporary directory."""

from __future__ import annotations

import tempfile
from collections.abc import Callable

from tests.simulation.world import World

DATABASE_EVERY = 50


def run(seed: int, *, trace: list[str] | None = None) -> list[str]:
    """Runs a seed; gives what is wrong."""
    if seed % DATABASE_EVERY != DATABASE_EVERY - 1:
        return World(seed, trace=trace).run()
    with tempfile.TemporaryDirectory() as directory:
        return World(seed, directory=directory, trace=trace).run()


def failures(
    first: int, count: int, *, limit: int = 10**9, progress: Callable[[int, str], None] | None = None
) -> dict[int, str]:
    """Runs many seeds; gives the first thing that is wrong with each that fails."""
    found: dict[int, str] = {}
    for seed in range(first, first + count):
        violations = run(seed)
        if violations:
            found[seed] = violations[0]
            if progress is not None:
                progress(seed, violations[0])
            if len(found) >= limit:
                break
    return found
