"""The smallest engine loop that a connector can live in: readable descriptors, timers, and outcomes from any thread."""

from __future__ import annotations

import heapq
import itertools
import os
import selectors
import time
from typing import TYPE_CHECKING

from fmsh.connectors.base import Attempt, AttemptId

if TYPE_CHECKING:
    from collections.abc import Callable

    from fmsh.connectors.base import Outcome, Terminal


class Loop:
    """`run_until` turns the loop; `outcomes` holds all that was posted, in order, so that a second one shows."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        self._selector.register(self._wake_read, selectors.EVENT_READ, lambda: os.read(self._wake_read, 4096))
        self.outcomes: list[tuple[AttemptId, Outcome]] = []

    def watch(self, fd: int, callback: Callable[[], None]) -> None:
        self._selector.register(fd, selectors.EVENT_READ, callback)

    def unwatch(self, fd: int) -> None:
        self._selector.unregister(fd)

    def after(self, seconds: float, callback: Callable[[], None]) -> None:
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._numbers), callback))

    def post(self, id: AttemptId, outcome: Outcome) -> None:
        self.outcomes.append((id, outcome))
        os.write(self._wake_write, b".")

    def outcomes_of(self, id: AttemptId) -> list[Outcome]:
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

    def outcome_of(self, id: AttemptId, *, timeout_s: float = 15.0) -> Outcome:
        """Waits for the outcome of an attempt. Raises: AssertionError when there is more than one."""
        self.run_until(lambda: bool(self.outcomes_of(id)), timeout_s=timeout_s)
        found = self.outcomes_of(id)
        assert len(found) == 1, found
        return found[0]

    def close(self) -> None:
        self._selector.close()
        os.close(self._wake_read)
        os.close(self._wake_write)


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
    return Attempt(**(fields | changes))


def process_attempt(
    *commands: list[str],
    output: str = "capture",
    input: object = None,
    environment: dict[str, object] | None = None,
    terminal: Terminal | None = None,
    **changes: object,
) -> Attempt:
    """A pipeline of commands, in one environment; a stage may be given variables of its own."""
    variables = {"PATH": os.environ["PATH"]} if environment is None else environment
    stages: list[dict[str, object]] = [{"argv": argv, "environment": {}} for argv in commands]
    arguments = {"stages": stages, "output": output, "input": input}
    return attempt_of("run", arguments, environment=variables, terminal=terminal, **changes)
