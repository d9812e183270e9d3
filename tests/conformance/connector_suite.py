"""What every connector guarantees: the rules of `fmsh.connectors.base`, one test each.

A connector takes part by a `ConnectorWorld` and a subclass of `ConnectorSuite` whose fixture `world` makes one.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

from fmsh.connectors.base import Cancelled, Done, Failed

if TYPE_CHECKING:
    from fmsh.connectors.base import Attempt, Connector
    from tests.connectors.loop import Loop

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
