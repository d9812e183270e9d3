"""Telling a stopped owner from a slow one: by watching its renewals, with a clock that stops in suspend.

Only what this process itself has seen counts. A closed lid stops the clock for the watcher and the watched alike, so
that nothing is taken over when it opens.
"""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Watch:
    """Since when the renewals of each owner have stood still, as far as this process has seen it."""

    __slots__ = ("_now_s", "_seen", "ttl_s")

    def __init__(self, ttl_s: float, now_s: Callable[[], float] = time.monotonic) -> None:
        self.ttl_s = ttl_s
        self._now_s = now_s
        self._seen: dict[str, tuple[int, float]] = {}

    def has_stalled(self, owner_id: str, renewals: int) -> bool:
        """Says whether we have looked at this count of renewals for a whole TTL."""
        now_s = self._now_s()
        before = self._seen.get(owner_id)
        if before is None or before[0] != renewals:
            self._seen[owner_id] = (renewals, now_s)
            return False
        return now_s - before[1] >= self.ttl_s
