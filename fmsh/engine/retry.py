"""When a failed attempt is followed by another: exponential backoff with jitter.

The wait is durable: the next attempt's time is committed before the wait begins, and a job that waits for it can be
released and loaded elsewhere. The random source is a constructor argument, so that a simulation can own it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from fmsh.connectors.base import Failed

BASE_MS = 1000
FACTOR = 2
DELAY_MAX_MS = 60_000  # what curl --retry has come to after six doublings
DOUBLINGS_MAX = 10  # beyond this the delay is at its maximum anyway


class Backoff:
    """Decides on further attempts. `random()` gives a float in [0, 1)."""

    __slots__ = ("_random",)

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random

    def delay_ms(self, failed: Failed, attempt: int) -> int | None:
        """How long to wait after the failure of attempt number `attempt`; None if it was the last.

        What the world asked for (`Retry-After`) is taken as it is. Otherwise half of the delay is random, so that jobs
        that failed together do not come back together.
        """
        if not failed.should_retry or (failed.attempts_max is not None and attempt >= failed.attempts_max):
            return None
        if failed.retry_after_ms is not None:
            return failed.retry_after_ms
        delay_ms = min(DELAY_MAX_MS, BASE_MS * FACTOR ** min(attempt - 1, DOUBLINGS_MAX))
        return int(delay_ms * (0.5 + self._random() / 2))
