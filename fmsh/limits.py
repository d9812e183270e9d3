"""The limits of a running program: generous, in counts and never in time. Each has a unit in its name."""

from __future__ import annotations

FRAMES_MAX = 10_000  # bodies within bodies and calls within calls of one task; CPython's own limit for calls is 1,000
INSTRUCTIONS_WITHOUT_EFFECT_MAX = 1_000_000_000  # about an hour of a busy loop
TASKS_MAX = 100_000  # tasks of one job that live at the same time
