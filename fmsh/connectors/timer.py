"""The timer: operation "sleep" with `{"duration": Duration}` or `{"until": datetime}`. Its value is null.

A duration runs by the boot clock, which no one sets and which goes on in suspend; `until` runs by wall time. Across
processes and boots only wall time is left, so what is due then is `due_ms`: the request's time plus the duration.

The loop that calls us back counts a clock that stops in suspend and does not see wall time being set. So no single wait
is as long as 2 s: a timer is at most that late after a resume or a clock step, and never early by a whole millisecond.
"""

from __future__ import annotations

import heapq

from fmsh.connectors.base import Cancelled, Done, sleep_due_ms

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from fmsh.connectors.base import Attempt, AttemptId, Post
else:
    Protocol = object

WAIT_S_MAX = 1.8  # 2 s with what a busy machine adds


class Clock(Protocol):
    def wall_ms(self) -> int: ...

    def boot_ms(self) -> int: ...


def due_ms(attempt: Attempt) -> int:
    """When the sleep of an attempt ends, in wall time."""
    return sleep_due_ms(attempt.arguments, attempt.requested_at_ms)


class _Sleeper:
    """`due` counts on the boot clock for a duration, else on the wall clock."""

    __slots__ = ("due", "id", "is_relative", "post")

    def __init__(self, id: AttemptId, post: Post, due: int, is_relative: bool) -> None:
        self.id = id
        self.post = post
        self.due = due
        self.is_relative = is_relative


class TimerConnector:
    """All sleepers wait in two heaps, one per clock; one call of `after(seconds, callback)` is pending for them all."""

    def __init__(self, after: Callable[[float, Callable[[], None]], object], clock: Clock) -> None:
        self._after = after
        self._clock = clock
        self._sleepers: dict[AttemptId, _Sleeper] = {}
        self._heaps: dict[bool, list[tuple[int, int, _Sleeper]]] = {True: [], False: []}
        self._started = 0
        self._armed_until: float | None = None  # boot time at which the pending callback comes

    def start(self, attempt: Attempt, post: Post) -> None:
        assert attempt.operation == "sleep", attempt.operation
        due, is_relative = due_ms(attempt), attempt.arguments.get("until") is None
        if is_relative:
            due += self._clock.boot_ms() - self._clock.wall_ms()
        sleeper = _Sleeper(attempt.id, post, due, is_relative)
        self._sleepers[attempt.id] = sleeper
        self._started += 1
        heapq.heappush(self._heaps[is_relative], (due, self._started, sleeper))
        self._wake_due()

    def cancel(self, id: AttemptId) -> None:
        sleeper = self._sleepers.pop(id, None)
        if sleeper is not None:
            sleeper.post(id, Cancelled())

    def close(self) -> None:
        self._sleepers.clear()

    def _wake_due(self) -> None:
        """Answers who is due, and sees to it that we are called again for the next one."""
        for is_relative, heap in self._heaps.items():
            while heap and (heap[0][0] <= self._now(is_relative) or self._is_gone(heap[0][2])):
                sleeper = heapq.heappop(heap)[2]
                if not self._is_gone(sleeper):
                    del self._sleepers[sleeper.id]
                    sleeper.post(sleeper.id, Done(None))
        waits_s = [(heap[0][0] - self._now(is_relative)) / 1000 for is_relative, heap in self._heaps.items() if heap]
        if waits_s:
            self._arm(min(max(0.0, min(waits_s)), WAIT_S_MAX))

    def _arm(self, wait_s: float) -> None:
        callback_at = self._clock.boot_ms() + wait_s * 1000
        if self._armed_until is None or callback_at < self._armed_until:
            self._armed_until = callback_at
            self._after(wait_s, lambda: self._called(callback_at))

    def _called(self, callback_at: float) -> None:
        """A callback that an earlier one has overtaken does nothing."""
        if self._armed_until == callback_at:
            self._armed_until = None
            self._wake_due()

    def _is_gone(self, sleeper: _Sleeper) -> bool:
        return self._sleepers.get(sleeper.id) is not sleeper

    def _now(self, is_relative: bool) -> int:
        return self._clock.boot_ms() if is_relative else self._clock.wall_ms()
