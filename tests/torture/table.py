"""All rows, in the order of the table."""

from __future__ import annotations

from tests.torture import (
    callbacks,
    canary,
    clocks,
    crowds,
    daemons,
    damage,
    disks,
    fuzz,
    kills,
    stops,
    strangers,
    terminals,
    writers,
)

ROWS = (
    *kills.ROWS,
    *writers.ROWS,
    *damage.ROWS,
    *disks.ROWS,
    *stops.ROWS,
    *clocks.ROWS,
    *callbacks.ROWS,
    *daemons.ROWS,
    *crowds.ROWS,
    *terminals.ROWS,
    *strangers.ROWS,
    *fuzz.ROWS,
    *canary.ROWS,
)
BY_NAME = {row.name: row for row in ROWS}
