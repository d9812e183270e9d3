"""All rows, in the order of the table."""

from __future__ import annotations

from tests.torture import clocks, crowds, damage, disks, kills, stops, writers

ROWS = (*kills.ROWS, *writers.ROWS, *crowds.ROWS, *damage.ROWS, *disks.ROWS, *stops.ROWS, *clocks.ROWS)
BY_NAME = {row.name: row for row in ROWS}
