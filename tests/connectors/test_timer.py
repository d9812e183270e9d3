from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from fmsh.connectors.base import Attempt, AttemptId, Cancelled, Done, Outcome
from fmsh.connectors.timer import TimerConnector, due_ms
from fmsh.values import Duration
from tests.connectors.loop import attempt_of

START_MS = 1_800_000_000_000


class World:
    """Time that only passes in `pass_ms`. The loop's own clock stops in suspend, as the system's monotonic one does."""

    def __init__(self) -> None:
        self.wall = START_MS
        self.boot = 5_000_000
        self.loop_ms = 0.0
        self._callbacks: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self.outcomes: list[tuple[int, Outcome]] = []
        self.calls = 0
        self.timers = TimerConnector(self.after, self)

    def wall_ms(self) -> int:
        return self.wall

    def boot_ms(self) -> int:
        return self.boot

    def after(self, seconds: float, callback: Callable[[], None]) -> None:
        heapq.heappush(self._callbacks, (self.loop_ms + seconds * 1000, next(self._numbers), callback))

    def post(self, id: AttemptId, outcome: Outcome) -> None:
        self.outcomes.append((id.step, outcome))

    def sleep(self, step: int, *, for_ms: int = 0, until: datetime | None = None, requested_at_ms: int = 0) -> Attempt:
        arguments: dict[str, object] = {"until": until} if until else {"duration": Duration(for_ms * 10**6)}
        attempt = attempt_of("sleep", arguments, id=AttemptId(1, step, 1), requested_at_ms=requested_at_ms or self.wall)
        self.timers.start(attempt, self.post)
        return attempt

    def pass_ms(self, span: int) -> None:
        for _ in range(span):
            self.wall += 1
            self.boot += 1
            self.loop_ms += 1
            while self._callbacks and self._callbacks[0][0] <= self.loop_ms:
                self.calls += 1
                heapq.heappop(self._callbacks)[2]()

    def suspend_ms(self, span: int) -> None:
        self.wall += span
        self.boot += span


@pytest.fixture
def world() -> World:
    return World()


def at(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def test_a_sleep_ends_when_its_time_is_over_and_not_before(world: World) -> None:
    world.sleep(1, for_ms=5000)
    world.pass_ms(4999)
    assert world.outcomes == []
    world.pass_ms(1)
    assert world.outcomes == [(1, Done(None))]
    world.pass_ms(5000)
    assert len(world.outcomes) == 1


def test_sleeps_end_in_order_of_their_due_times(world: World) -> None:
    for step, span in enumerate([300, 100, 200, 100, 0, -5], 1):
        world.sleep(step, for_ms=span)
    assert [step for step, _ in world.outcomes] == [5, 6]
    world.pass_ms(300)
    assert [step for step, _ in world.outcomes] == [5, 6, 2, 4, 3, 1]


def test_until_is_wall_time(world: World) -> None:
    world.sleep(1, until=at(START_MS + 500))
    world.sleep(2, until=at(START_MS - 500))
    assert [step for step, _ in world.outcomes] == [2]
    world.pass_ms(500)
    assert [step for step, _ in world.outcomes] == [2, 1]


def test_a_duration_counts_from_the_request_even_in_another_process(world: World) -> None:
    world.sleep(1, for_ms=1000, requested_at_ms=START_MS - 400)
    world.pass_ms(599)
    assert world.outcomes == []
    world.pass_ms(1)
    assert world.outcomes == [(1, Done(None))]
    world.sleep(2, for_ms=1000, requested_at_ms=START_MS - 3_600_000)
    assert world.outcomes[-1] == (2, Done(None))


@pytest.mark.parametrize("step_ms", [3_600_000, -3_600_000, 86_400_000, -86_400_000])
def test_setting_the_clock_moves_no_duration(world: World, step_ms: int) -> None:
    world.sleep(1, for_ms=5000)
    world.pass_ms(1000)
    world.wall += step_ms
    world.pass_ms(3999)
    assert world.outcomes == []
    world.pass_ms(1)
    assert world.outcomes == [(1, Done(None))]


def test_setting_the_clock_moves_until_at_most_2_s_late(world: World) -> None:
    world.sleep(1, until=at(START_MS + 3_600_000))
    world.sleep(2, until=at(START_MS + 7_300_000))
    world.pass_ms(1000)
    world.wall += 3_600_000
    world.pass_ms(2000)
    assert world.outcomes == [(1, Done(None))]
    world.wall -= 3_600_000
    world.pass_ms(5000)
    assert len(world.outcomes) == 1


def test_after_a_suspend_sleeps_end_at_most_2_s_late(world: World) -> None:
    world.sleep(1, for_ms=3_600_000)
    world.sleep(2, until=at(START_MS + 3_600_000))
    world.pass_ms(1000)
    world.suspend_ms(4_000_000)
    world.pass_ms(2000)
    assert sorted(world.outcomes, key=lambda pair: pair[0]) == [(1, Done(None)), (2, Done(None))]


def test_a_cancelled_sleep_is_answered_once_and_at_once(world: World) -> None:
    attempt = world.sleep(1, for_ms=100)
    world.timers.cancel(attempt.id)
    world.timers.cancel(attempt.id)
    assert world.outcomes == [(1, Cancelled())]
    world.pass_ms(200)
    assert len(world.outcomes) == 1
    world.timers.cancel(world.sleep(2).id)
    assert world.outcomes[1:] == [(2, Done(None))]


def test_many_sleeps_wake_the_loop_seldom(world: World) -> None:
    for step in range(1000):
        world.sleep(step, for_ms=10_000)
    world.pass_ms(10_000)
    assert len(world.outcomes) == 1000 and world.calls <= 6


def test_the_due_time_is_rounded_up() -> None:
    until = datetime(2026, 1, 1, 0, 0, 0, 1500, UTC)
    assert due_ms(attempt_of("sleep", {"until": until})) == int(until.timestamp() * 1000) + 1
    assert due_ms(attempt_of("sleep", {"duration": Duration(1)}, requested_at_ms=10)) == 11
    assert due_ms(attempt_of("sleep", {"duration": Duration(-(10**6))}, requested_at_ms=10)) == 9
