"""What every connector guarantees: the rules of `fmsh.connectors.base`, one test each, and the loop to run them in.

The connectors that fmsh brings pass this suite, and so must those that are plugged in. The author of one writes a
`ConnectorWorld`, and a subclass of `ConnectorSuite` with a pytest fixture `world` that makes one; `World` has what most
worlds have in common. `docs/plugins.md` shows it. It needs nothing but pytest, which it does not import itself.
"""

from __future__ import annotations

import heapq
import itertools
import os
import selectors
import threading
import time
from typing import TYPE_CHECKING, Any, Protocol

from fmsh.connectors.base import Attempt, AttemptId, Cancelled, Done, Failed

if TYPE_CHECKING:
    from collections.abc import Callable

    from fmsh.connectors.base import Connector, Items, Outcome

START_S_MAX = 0.5  # generous: what is meant is that `start` waits for nothing
CANCEL_S_MAX = 3.0


class ConnectorWorld(Protocol):
    """A connector and requests for it. Each call of `quick`, `slow` and `bad` gives attempts with new ids."""

    loop: Loop

    def open(self) -> Connector:
        """A connector on the same world; several may be open, as in several processes."""

    def quick(self) -> Attempt:
        """Ends by itself, at once, as Done."""

    def slow(self) -> Attempt:
        """Does not end by itself."""

    def bad(self) -> list[Attempt]:
        """Arguments that a user could give and the world could have, and that cannot work."""

    def await_begun(self, attempt: Attempt) -> None:
        """Waits until a started slow attempt has reached the world."""

    def is_unknowable(self) -> bool:
        """Whether what a dead process began may stay unknown."""

    def close(self) -> None: ...


class ConnectorSuite:
    def test_start_returns_at_once_whatever_it_is_asked(self, world: ConnectorWorld) -> None:
        connector = world.open()
        attempts = (world.quick(), world.slow(), *world.bad())
        for attempt in attempts:
            started = time.monotonic()
            connector.start(attempt, world.loop.post)
            assert time.monotonic() - started < START_S_MAX, attempt
        for attempt in attempts:
            connector.cancel(attempt.id)
            world.loop.outcome_of(attempt.id, timeout_s=CANCEL_S_MAX)
        connector.close()

    def test_what_cannot_work_fails_with_an_error_that_says_why(self, world: ConnectorWorld) -> None:
        connector = world.open()
        for attempt in world.bad():
            connector.start(attempt, world.loop.post)
            outcome = world.loop.outcome_of(attempt.id)
            assert isinstance(outcome, Failed) and outcome.error.kind and outcome.error.message, attempt
        connector.close()

    def test_each_attempt_is_answered_once(self, world: ConnectorWorld) -> None:
        connector = world.open()
        attempts = [world.quick() for _ in range(8)]
        for attempt in attempts:
            connector.start(attempt, world.loop.post)
        for attempt in attempts:
            assert isinstance(world.loop.outcome_of(attempt.id), Done)
        connector.close()

    def test_a_cancelled_attempt_is_answered_once_and_soon(self, world: ConnectorWorld) -> None:
        connector = world.open()
        attempt = world.slow()
        connector.start(attempt, world.loop.post)
        world.await_begun(attempt)
        connector.cancel(attempt.id)
        connector.cancel(attempt.id)
        assert world.loop.outcome_of(attempt.id, timeout_s=CANCEL_S_MAX) == Cancelled()
        connector.cancel(attempt.id)
        _settle(world)
        assert len(world.loop.outcomes_of(attempt.id)) == 1
        connector.close()

    def test_a_cancel_at_once_is_answered_once(self, world: ConnectorWorld) -> None:
        connector = world.open()
        for attempt in (world.quick(), world.slow(), *world.bad()):
            connector.start(attempt, world.loop.post)
            connector.cancel(attempt.id)
            world.loop.outcome_of(attempt.id, timeout_s=CANCEL_S_MAX)
        connector.close()

    def test_cancel_of_what_does_not_run_does_nothing(self, world: ConnectorWorld) -> None:
        connector = world.open()
        attempt = world.quick()
        connector.cancel(attempt.id)
        connector.start(attempt, world.loop.post)
        outcome = world.loop.outcome_of(attempt.id)
        assert isinstance(outcome, Done)
        connector.cancel(attempt.id)
        _settle(world)
        assert world.loop.outcomes_of(attempt.id) == [outcome]
        connector.close()

    def test_one_cancel_leaves_the_others_alone(self, world: ConnectorWorld) -> None:
        connector = world.open()
        kept, cancelled = world.slow(), world.slow()
        for attempt in (kept, cancelled):
            connector.start(attempt, world.loop.post)
            world.await_begun(attempt)
        connector.cancel(cancelled.id)
        world.loop.outcome_of(cancelled.id, timeout_s=CANCEL_S_MAX)
        assert world.loop.outcomes_of(kept.id) == []
        connector.cancel(kept.id)
        assert world.loop.outcome_of(kept.id, timeout_s=CANCEL_S_MAX) == Cancelled()
        connector.close()

    def test_a_closed_connector_is_silent(self, world: ConnectorWorld) -> None:
        connector = world.open()
        attempt = world.slow()
        connector.start(attempt, world.loop.post)
        world.await_begun(attempt)
        connector.close()
        _settle(world)
        assert world.loop.outcomes_of(attempt.id) == []
        _end(world, attempt)

    def test_another_connector_takes_over_what_a_closed_one_began(self, world: ConnectorWorld) -> None:
        attempt = world.slow()
        first = world.open()
        first.start(attempt, world.loop.post)
        world.await_begun(attempt)
        first.close()
        _end(world, attempt)
        assert world.loop.outcomes_of(attempt.id) == [Cancelled()]

    def test_in_once_what_cannot_be_known_is_lost(self, world: ConnectorWorld) -> None:
        if not world.is_unknowable():
            return
        connector = world.open()
        attempt = world.quick().replace(is_resumed=True, is_once=True)
        connector.start(attempt, world.loop.post)
        outcome = world.loop.outcome_of(attempt.id)
        assert isinstance(outcome, Failed) and outcome.error.kind == "lost" and not outcome.should_retry
        connector.close()


def _end(world: ConnectorWorld, attempt: Attempt) -> None:
    """Takes over an attempt that nobody waits for, and cancels it."""
    connector = world.open()
    connector.start(attempt.replace(is_resumed=True), world.loop.post)
    connector.cancel(attempt.id)
    world.loop.outcome_of(attempt.id, timeout_s=CANCEL_S_MAX)
    connector.close()


def _settle(world: ConnectorWorld) -> None:
    """Gives a second outcome the time to come, if there were one."""
    for _ in range(3):
        world.loop.turn(0.02)


# ---- Where connectors run --------------------------------------------------------------------------------------------


class Loop:
    """The smallest engine loop that a connector can live in: descriptors, timers, and outcomes from any thread.

    `run_until` turns the loop; `outcomes` holds all that was posted, in order, so that a second one shows."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._lock = threading.Lock()  # a thread may still be on its way out of `post` when a test is over
        self._is_closed = False
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        self._selector.register(self._wake_read, selectors.EVENT_READ, lambda: os.read(self._wake_read, 4096))
        self.outcomes: list[tuple[AttemptId, Outcome | Items]] = []

    def watch(self, fd: int, callback: Callable[[], None]) -> None:
        self._selector.register(fd, selectors.EVENT_READ, callback)

    def unwatch(self, fd: int) -> None:
        self._selector.unregister(fd)

    def after(self, seconds: float, callback: Callable[[], None]) -> None:
        """Calls `callback` once, in the thread that turns the loop. From any thread."""
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._numbers), callback))
        self._wake()

    def post(self, id: AttemptId, outcome: Outcome | Items) -> None:
        self.outcomes.append((id, outcome))
        self._wake()

    def outcomes_of(self, id: AttemptId) -> list[Any]:
        return [outcome for other, outcome in self.outcomes if other == id]

    def turn(self, timeout_s: float) -> None:
        now = time.monotonic()
        if self._timers:
            timeout_s = max(0.0, min(timeout_s, self._timers[0][0] - now))
        for key, _ in self._selector.select(timeout_s):
            key.data()
        while self._timers and self._timers[0][0] <= time.monotonic():
            heapq.heappop(self._timers)[2]()

    def run_until(self, is_done: Callable[[], bool], *, timeout_s: float = 15.0, poll_s: float = 0.25) -> None:
        """`poll_s`: how often to ask when nothing happens. Raises: TimeoutError when it takes longer."""
        deadline = time.monotonic() + timeout_s
        while not is_done():
            rest = deadline - time.monotonic()
            if rest <= 0:
                raise TimeoutError(f"not done after {timeout_s} s; outcomes so far: {self.outcomes}")
            self.turn(min(rest, poll_s))

    def outcome_of(self, id: AttemptId, *, timeout_s: float = 15.0) -> Any:
        """Waits for the outcome of an attempt. Raises: AssertionError when there is more than one."""
        self.run_until(lambda: bool(self.outcomes_of(id)), timeout_s=timeout_s)
        found = self.outcomes_of(id)
        assert len(found) == 1, found
        return found[0]

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            self._selector.close()
            os.close(self._wake_read)
            os.close(self._wake_write)

    def _wake(self) -> None:
        with self._lock:
            if not self._is_closed:
                os.write(self._wake_write, b".")


def attempt_of(operation: str, arguments: dict[str, object], **changes: object) -> Attempt:
    """An attempt with what most tests do not care about filled in."""
    fields: dict[str, object] = {
        "id": AttemptId(1, 1, 1),
        "job_uid": "0a1b2c",
        "operation": operation,
        "arguments": arguments,
        "environment": {},
        "directory": "/",
        "idempotency_key": "key-1",
        "requested_at_ms": int(time.time() * 1000),
    }
    return Attempt(**(fields | changes))  # type: ignore[arg-type]  # whoever writes a test names the fields


class World:
    """What most worlds have in common: a loop, and ids. To be made for each test, and closed after it."""

    def __init__(self) -> None:
        self.loop = Loop()
        self._steps = itertools.count(1)

    def next_id(self) -> AttemptId:
        return AttemptId(1, next(self._steps), 1)

    def await_begun(self, attempt: Attempt) -> None:
        """Nothing has to reach the world before a cancel."""

    def is_unknowable(self) -> bool:
        return False

    def close(self) -> None:
        self.loop.close()
