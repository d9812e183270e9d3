"""Simulated time: three clocks that somebody moves, what is due at a moment of them, and a loop that never sleeps."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush

from fmsh.engine.loop import Loop

START_S = 1000.0
START_WALL_MS = 1_900_000_000_000
SLICE_S = 0.01  # what a slice of a long run takes, about as in life


class Time:
    """`now_s` is the clock that stops in suspend. The boot clock goes on in it, and people set the wall clock."""

    def __init__(self) -> None:
        self.now_s = START_S
        self.suspended_ms = 0
        self.set_ms = 0
        self._booted_ms = 0
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0

    def monotonic_s(self) -> float:
        return self.now_s

    def boot_ms(self) -> int:
        return self._passed_ms() - self._booted_ms

    def wall_ms(self) -> int:
        return START_WALL_MS + self._passed_ms() + self.set_ms

    def reboot(self) -> None:
        self._booted_ms = self._passed_ms()

    def _passed_ms(self) -> int:
        return int(self.now_s * 1000) + self.suspended_ms

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        """Something happens in the world, outside of all processes."""
        self._count += 1
        heappush(self._due, (self.now_s + seconds, self._count, call))

    def next_s(self) -> float | None:
        return self._due[0][0] if self._due else None

    def move_to(self, moment_s: float) -> None:
        """Lets time pass, and happen what is due by then."""
        while self._due and self._due[0][0] <= moment_s:
            due_s, _, call = heappop(self._due)
            self.now_s = max(self.now_s, due_s)
            call()
        self.now_s = max(self.now_s, moment_s)


class SimulatedLoop(Loop):
    """The real loop over a simulated clock. Driven from outside it never sleeps; if it `may_sleep`, time passes."""

    __slots__ = ("_time", "may_sleep")

    def __init__(self, time: Time) -> None:
        super().__init__(time.monotonic_s)
        self._time = time
        self.may_sleep = False

    def run_once(self, timeout_s: float | None) -> None:
        if self.may_sleep and timeout_s == 0:
            self._time.move_to(self.now_s() + SLICE_S)
        super().run_once(timeout_s)

    def _sleep(self, wait_s: float | None) -> None:
        if self.may_sleep:
            world_s = self._time.next_s()
            limits = [moment for moment in (world_s, None if wait_s is None else self.now_s() + wait_s) if moment]
            self._time.move_to(min(limits))
        if self._poll is not None:
            self._call_ready(self._poll.poll(0))

    @property
    def is_ready(self) -> bool:
        if not self._posted.empty():
            return True
        due_s = self.next_due_s()
        return due_s is not None and due_s <= self.now_s()

    def next_due_s(self) -> float | None:
        """When the first timer is due."""
        timers = self._timers
        while timers and timers[0][2].callback is None:
            heappop(timers)
        return timers[0][0] if timers else None
