"""Moments and spans of time for people."""

from __future__ import annotations

import time

DAY_MS = 86_400_000
UNITS = (("d", DAY_MS), ("h", 3_600_000), ("m", 60_000), ("s", 1000))


def local_time(at_ms: int, now_ms: int) -> str:
    """Writes a moment by the clock of this machine: the time of day, and the day too unless it is this one."""
    moment = time.localtime(at_ms // 1000)
    is_today = time.strftime("%Y%m%d", moment) == time.strftime("%Y%m%d", time.localtime(now_ms // 1000))
    return time.strftime("%H:%M:%S" if is_today else "%Y-%m-%d %H:%M:%S", moment)


def span_text(ms: int) -> str:
    """Writes a span of time with two of its units: `340ms`, `3.4s`, `2m 5s`, `3h 20m`, `2d 4h`."""
    ms = max(0, ms)
    if ms < 1000:
        return f"{ms}ms"
    if ms < 60_000:
        return f"{ms // 100 / 10:.1f}".removesuffix(".0") + "s"
    place = next(place for place, (_, size) in enumerate(UNITS) if ms >= size)
    unit, size = UNITS[place]
    below, below_size = UNITS[place + 1]
    rest = ms % size // below_size
    return f"{ms // size}{unit}" + (f" {rest}{below}" if rest else "")
