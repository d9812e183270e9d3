"""Looking for more, again and again: at once while something comes, else after pauses that grow."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    After = Callable[[float, Callable[[], None]], object]


class Ticker:
    """Calls `look` by `after`, never inside another call. `pauses_s`: the first and the longest pause.

    `look` tells whether something came; None where nothing is wanted any more, until `soon` is called again.
    """

    __slots__ = ("_after", "_look", "_pause_s", "_pauses_s", "_ticks")

    def __init__(self, after: After, look: Callable[[], bool | None], pauses_s: tuple[float, float]) -> None:
        self._after = after
        self._look = look
        self._pauses_s = pauses_s
        self._pause_s = 0.0
        self._ticks = 0

    def soon(self) -> None:
        """Looks at once, whatever the next look was planned for."""
        self._plan(0.0)

    def stop(self) -> None:
        """Looks no more."""
        self._ticks += 1

    def _plan(self, pause_s: float) -> None:
        self._pause_s = pause_s
        self._ticks += 1
        number = self._ticks
        self._after(pause_s, lambda: self._tick(number))

    def _tick(self, number: int) -> None:
        if number != self._ticks:
            return
        has_come = self._look()
        if has_come is not None and number == self._ticks:  # else it was stopped, or is to look at once
            self._plan(0.0 if has_come else min(max(self._pause_s * 2, self._pauses_s[0]), self._pauses_s[1]))
