"""A few tries of every row; `python -m tests.torture --full` makes as many as the table of the guarantees says."""

from __future__ import annotations

import pytest

from tests.torture import rows
from tests.torture.table import ROWS


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_no_violation(row: rows.Row) -> None:
    ran = rows.run(row, row.counts.suite)
    print(f"{ran.verdict.count} tries in {ran.seconds:.1f} s: {ran.verdict.worst} {ran.verdict.late}")
    assert not ran.verdict.violations, f"seed {ran.seed}: {ran.verdict.violations[:5]}"
