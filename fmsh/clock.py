"""The clocks. Everything that reads a clock is given one, so that a test can hold it."""

from __future__ import annotations

import time

_BOOT = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # goes on in suspend, where the system has it


class SystemClock:
    """Wall time, and the time since boot that nobody sets; both in milliseconds."""

    def wall_ms(self) -> int:
        return time.time_ns() // 10**6

    def boot_ms(self) -> int:
        return time.clock_gettime_ns(_BOOT) // 10**6
