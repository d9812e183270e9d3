"""Seeds of the simulator: whatever goes wrong, history exactly once, and never an effect without its recorded intent.

`make simulate SEEDS=1000000` runs more of them; `python -m tests.simulation SEED` shows what happens in one.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.simulation import planted, seeds

SEEDS = 5_000  # about 11 ms each
SHARE = 1250  # in one test, so that they spread over the workers
FAULT_SEEDS = 6000  # within which each fault that was put in on purpose has to be found


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, SEEDS, SHARE))
def test_no_seed_breaks_the_promise(first: int) -> None:
    found = seeds.failures(first, SHARE, limit=5)
    assert not found, f"of seeds {first} to {first + SHARE - 1}; `python -m tests.simulation SEED` shows one: {found}"


@pytest.mark.slow
@pytest.mark.parametrize("fault", planted.FAULTS)
def test_a_fault_put_in_on_purpose_is_found(fault: str) -> None:
    with planted.planted(fault):
        assert seeds.failures(0, FAULT_SEEDS, limit=1), f"not found in {FAULT_SEEDS} seeds: {fault}"


@pytest.mark.parametrize("seed", [3, 20, 49, 99])
def test_a_seed_gives_the_same_run_each_time(seed: int) -> None:
    first, second = list[str](), list[str]()
    seeds.run(seed, trace=first)
    seeds.run(seed, trace=second)
    assert len(first) > 5 and first == second


def test_a_seed_gives_the_same_run_in_another_process() -> None:
    """Where the order of a set of texts is another."""
    command = [sys.executable, "-m", "tests.simulation", "7"]
    traces = [
        subprocess.run(
            command, env={**os.environ, "PYTHONHASHSEED": hash_seed}, capture_output=True, check=False
        ).stdout
        for hash_seed in ("1", "2")
    ]
    assert traces[0] == traces[1] and b"seed 7: 0 violations" in traces[0]
