"""The limits of a running program: generous, in counts and never in time. Each has a unit in its name."""

from __future__ import annotations

FRAMES_MAX = 10_000  # bodies within bodies and calls within calls of one task; CPython's own limit for calls is 1,000
