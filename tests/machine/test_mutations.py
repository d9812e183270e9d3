"""No program, however wrong, makes the compiler or the machine raise."""

from __future__ import annotations

import pytest

from tests.machine import mutations

PROGRAMS = 2500  # a part; `python -m tests.machine.mutations FIRST COUNT` runs as many as there is time for


@pytest.mark.parametrize("first", [0, 1_000_000])
def test_no_program_is_a_fault_of_ours(first: int) -> None:
    found = mutations.failures(first, PROGRAMS)
    assert not found, f"python -m tests.machine.mutations SEED shows one of {list(found)}: {next(iter(found.values()))}"
