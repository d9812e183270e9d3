"""Times as a stream: each at its time, as a schedule says, and after a crash from the last one that was recorded."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from fmsh.builtins.streaming import STAGES, Chain
from fmsh.connectors.base import Attempt, AttemptId, Cancelled, Done, Items
from fmsh.connectors.reading import ReadingConnector
from fmsh.connectors.timer import WAIT_S_MAX
from fmsh.connectors.times import Times
from fmsh.schedule import plan
from fmsh.values import Duration

BEGIN = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


class World:
    """A clock that jumps to the next call."""

    def __init__(self) -> None:
        self._wall_ms = self._boot_ms = int(BEGIN.timestamp() * 1000)
        self._calls: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self.longest_s = 0.0
        self.answers: list[Any] = []
        self.connector = ReadingConnector("read", lambda *given: Times(*given, self.after, self))

    def wall_ms(self) -> int:
        return self._wall_ms

    def boot_ms(self) -> int:
        return self._boot_ms

    def after(self, seconds: float, callback: Callable[[], None]) -> None:
        self._count += 1
        self.longest_s = max(self.longest_s, seconds)
        heapq.heappush(self._calls, (self._boot_ms + seconds * 1000, self._count, callback))

    def pass_time(self, span: timedelta) -> None:
        self._wall_ms += int(span.total_seconds() * 1000)
        self._boot_ms += int(span.total_seconds() * 1000)

    def set_clock(self, span: timedelta) -> None:
        self._wall_ms += int(span.total_seconds() * 1000)

    def start(self, *stages: Any, output: str = "stream", position: Any = None, **schedule: Any) -> Attempt:
        given = {"zone": "UTC", "overlap": "skip", "missed": "once"} | schedule
        arguments = {"output": output, "schedule": given, "turn": plan(given, None, self.now)}
        made = lambda: Chain([STAGES[name](*given) for name, *given in stages], [0] * len(stages), [])  # noqa: E731
        attempt = Attempt(AttemptId(1, 1, 1), "uid", "read", arguments, {}, "/", "key", 0, make_chain=made)
        self.begin(attempt)
        return attempt

    def begin(self, attempt: Attempt) -> None:
        self.connector.start(attempt, lambda _id, answer: self.answers.append(answer))

    @property
    def now(self) -> datetime:
        return datetime.fromtimestamp(self._wall_ms / 1000, UTC)

    def answer(self) -> Any:
        while not self.answers:
            at_ms, _, callback = heapq.heappop(self._calls)
            self._wall_ms += max(0, int(at_ms + 0.999) - self._boot_ms)
            self._boot_ms = max(self._boot_ms, int(at_ms + 0.999))
            callback()
        return self.answers.pop(0)

    def read(self, attempt: Attempt) -> Items:
        self.connector.read(attempt.id, None)
        answer = self.answer()
        assert isinstance(answer, Items)
        return answer

    def read_minutes(self, attempt: Attempt) -> float:
        """How many minutes after the beginning the next time is, which does not come before it."""
        (item,) = self.read(attempt).items
        assert timedelta() <= self.now - item
        return float((item - BEGIN) / MINUTE)


def test_each_time_comes_when_it_is_there() -> None:
    world = World()
    attempt = world.start(every=Duration(60 * 10**9))
    assert [world.read_minutes(attempt) for _ in range(3)] == [1, 2, 3]
    assert timedelta() <= world.now - (BEGIN + 3 * MINUTE) <= timedelta(milliseconds=5)
    assert world.longest_s <= WAIT_S_MAX
    world.connector.read(attempt.id, None)
    world.connector.cancel(attempt.id)
    assert isinstance(world.answer(), Cancelled)


def test_what_passes_while_the_one_before_is_dealt_with() -> None:
    for overlap, following in (("skip", 5), ("queue", 2)):
        world = World()
        attempt = world.start(every=Duration(60 * 10**9), overlap=overlap)
        assert world.read_minutes(attempt) == 1
        world.pass_time(3.5 * MINUTE)
        assert world.read_minutes(attempt) == following, overlap


def test_what_passes_while_nothing_runs_is_missed() -> None:
    for missed, following in (("once", 40), ("skip", 50), ("all", 20)):
        world = World()
        attempt = world.start(cron="*/10 * * * *", missed=missed)
        position = world.read(attempt).position
        world.connector.forget(attempt.id)
        world.pass_time(35 * MINUTE)
        again = attempt.replace(position=position, is_resumed=True)
        world.begin(again)
        assert world.read_minutes(again) == following, missed


def test_a_clock_that_is_set_moves_cron_and_not_every() -> None:
    for schedule, minutes in (({"every": Duration(60 * 10**9)}, 1), ({"cron": "0 13 * * *"}, 60)):
        world = World()
        attempt = world.start(**schedule)
        world.connector.read(attempt.id, None)
        world.set_clock(timedelta(hours=1) if "cron" in schedule else timedelta(hours=-1))
        (item,) = world.answer().items
        assert (world.boot_ms() - BEGIN.timestamp() * 1000) / 60_000 < minutes + 0.01, (schedule, item)


def test_stages_decide_when_it_ends() -> None:
    world = World()
    attempt = world.start(("first", 2), ("count",), output="fold", every=Duration(10**9))
    assert world.answer() == Done({"statuses": [], "value": 2})
    attempt = world.start(("first", 2), every=Duration(10**9))
    assert [len(world.read(attempt).items) for _ in range(2)] == [1, 1]
    world.connector.read(attempt.id, None)
    assert world.answer() == Done({"statuses": []})
