"""`every` and `cron` without a block: times, as a stream, each item at its time.

Operation "read". Arguments: `schedule`, and `turn`, the first one, as `fmsh.schedule` knows them. Items are the planned
times. The next one is planned when it is asked for, so that by default (`overlap: skip`) none comes for what passed
while the one before was dealt with. After a crash it is not known since when it was asked for; what passed meanwhile
counts as missed.

`every` waits by the boot clock, which nobody sets, `cron` by wall time, never longer than a timer does at once.
"""

from __future__ import annotations

from datetime import UTC, datetime

from fmsh import schedule
from fmsh.connectors.reading import Reading
from fmsh.connectors.timer import WAIT_S_MAX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from fmsh.connectors.base import Attempt
    from fmsh.connectors.reading import Give
    from fmsh.connectors.timer import Clock
    from fmsh.values import Value


class Times(Reading):
    """One attempt. `_turn` is the last one that came, `_planned` the next with the time on its clock when it comes."""

    def __init__(
        self, attempt: Attempt, give: Give, after: Callable[[float, Callable[[], None]], object], clock: Clock
    ) -> None:
        super().__init__(attempt, give, after, (0.0, 0.0))
        self._after = after
        self._clock = clock
        self._schedule: dict[str, Any] = attempt.arguments["schedule"]
        self._is_relative = "every" in self._schedule
        self._turn: dict[str, Any] | None = None
        self._planned: tuple[dict[str, Any], int] | None = None
        self._was_interrupted = attempt.is_resumed
        if attempt.position is None:
            first: dict[str, Any] = attempt.arguments["turn"]
            self._planned = first, self._due_ms(first)
        else:
            position: Any = attempt.position
            self._turn = position["turn"]

    def place(self) -> dict[str, Value]:
        return {"turn": self._turn}

    def ask(self) -> None:
        if self._planned is None and self._turn is not None and not self._was_interrupted:
            self._turn = {**self._turn, "free_at": self._now()}
        self._was_interrupted = False
        super().ask()

    def advance(self) -> bool | None:
        """Takes the next time, if it has come; else sees to it that it is looked for then."""
        turn, due_ms = self._planned or self._plan()
        wait_ms = due_ms - self._clock_ms()
        if wait_ms > 0:
            self._planned = turn, due_ms
            self._after(min(wait_ms / 1000, WAIT_S_MAX), self.ticker.soon)
            return None
        self._planned = None
        self._turn = schedule.check(self._schedule, turn, self._now())
        if self._turn["runs"]:
            self.pass_on(self.chain.feed([self._turn["at"]]))
        return True

    def _plan(self) -> tuple[dict[str, Any], int]:
        turn = schedule.plan(self._schedule, self._turn, self._now())
        return turn, self._due_ms(turn)

    def _due_ms(self, turn: dict[str, Any]) -> int:
        """When a turn comes, on the clock that it goes by; not a moment too early, however the clocks round."""
        rest = turn["at"].timestamp() * 1000 - self._clock.wall_ms()
        return self._clock_ms() + max(0, int(rest) + 2)

    def _clock_ms(self) -> int:
        return self._clock.boot_ms() if self._is_relative else self._clock.wall_ms()

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.wall_ms() / 1000, UTC)
