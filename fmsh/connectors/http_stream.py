"""An answer as a stream of values: `--stream`.

A *stream* reads from its connection only when it is asked for items, and hands over one batch at a time with the
position after it. The server waits as long as nobody asks. A *fold* reads on as fast as it can and puts everything
through a chain of stages that ends in one value. When the chain wants no more, the connection is closed.

Events that have ids are asked for again where they broke off, with `Last-Event-ID`, by this process or, after a crash,
by another one: also when the server ended the answer well, until it answers with 204 or with nothing new. What has no
ids ends with its answer. Where that breaks off it is read from its beginning again, and goes on if all that was taken
of it is still the same.
"""

from __future__ import annotations

import time
from threading import Condition

from fmsh.connectors import http_answer
from fmsh.connectors.base import Done, Failed, Items
from fmsh.connectors.http_answer import REPEATABLE_METHODS, RESPONSE_BYTES_MAX, too_large
from fmsh.connectors.http_events import ACCEPT, Differs, Place, reader_for
from fmsh.connectors.http_transport import Enough
from fmsh.values import ErrorValue, Raised

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from fmsh.connectors.base import Attempt, Outcome
    from fmsh.connectors.http_answer import Policy
    from fmsh.connectors.http_events import Event, Lines, ServerSentEvents
    from fmsh.connectors.http_message import Outgoing
    from fmsh.connectors.http_transport import Line
    from fmsh.values import Value

FOLD = "fold"
RECONNECT_MS = 1000  # unless the server says `retry:`; browsers wait some seconds
RECONNECT_MS_MAX = 60_000
SILENCE_S_MAX = 14 * 86400.0  # where no --timeout says less; a system call waits 24 days at most
BATCH_ITEMS = 1024  # ARCHITECTURE 8.9


class ValueStream:
    """One attempt whose answer is a stream: what the transport hands the pieces to (`begin`, `write`).

    `hand_over` posts items. `is_wanted` says whether anybody still waits for the outcome. All but `ask` and `wake` runs
    in the thread that reads.
    """

    is_live = True  # for the transport: pieces are wanted as they come

    def __init__(
        self,
        attempt: Attempt,
        outgoing: Outgoing,
        policy: Policy,
        line: Line,
        *,
        hand_over: Callable[[Items], None],
        is_wanted: Callable[[], bool],
    ) -> None:
        assert attempt.make_chain is not None
        timeout = attempt.arguments.get("timeout")
        self._make_chain: Callable[[], Any] = attempt.make_chain
        self._is_fold = attempt.arguments["output"] == FOLD
        self._outgoing = outgoing
        self._policy = policy
        self._line = line
        self._hand_over = hand_over
        self._is_wanted = is_wanted
        self._silence_s = SILENCE_S_MAX if timeout is None else timeout.seconds
        self._changed = Condition()
        self._is_asked = False
        self._collected: list[Value] = []
        self._collected_bytes = 0
        self._failure: ErrorValue | None = None  # of a stage, or of what came again and was not the same
        self._reader: ServerSentEvents | Lines | None = None
        self._retry_ms = RECONNECT_MS
        self._failures = 0  # in a row
        position: Any = attempt.position or {}
        self._was_begun = bool(position)  # before this attempt, so that nobody knows what became of it
        self._place = Place(position)
        self._is_over: bool = position.get("over", False)
        self._chain = self._make_chain()
        if position:
            self._chain.restore(position["stages"])

    # -- what the connector says

    def ask(self) -> None:
        """Asks for the next items."""
        with self._changed:
            self._is_asked = True
            self._changed.notify_all()

    def wake(self) -> None:
        """Perhaps nobody wants anything any more."""
        with self._changed:
            self._changed.notify_all()

    def before_all(self) -> Outcome | None:
        """The outcome of a stream that needs no connection, or may have none."""
        if self._is_over:
            return self._done()
        if self._place.at and not self._may_repeat:
            return self._unlike()
        return self._finished() if self._chain.is_done else None

    def next_request(self) -> Outgoing:
        """The request for what is still to come."""
        self._place.begin()
        self._reader = None
        own = {**self._outgoing.own, "Accept": ACCEPT, "Accept-Encoding": "identity"}
        if self._place.last_id is not None:
            own["Last-Event-ID"] = self._place.last_id
        return self._outgoing.replace(own=own)  # type: ignore[no-any-return]

    def ended(self, outcome: Outcome | None, status: int | None) -> Outcome | None:
        """What an answer that is over comes to. None: it is to be asked for again, now that it is time for that.

        `outcome`: what it would come to without a stream; None where nobody wanted more of it.
        """
        if outcome is None or self._is_over or not self._is_wanted():
            return self._done()
        if isinstance(outcome, Failed):
            return self._broken_off(outcome, status)
        try:
            if self._reader is not None:
                self._take(self._reader.finish())
        except Enough:
            return self._done()
        except Raised as problem:
            return Failed(problem.error)
        if self._place.is_behind:
            return self._unlike()
        is_whole = status == 204 or self._place.is_new or self._place.last_id is None or not self._may_repeat
        if is_whole or not self._pause(self._retry_ms):
            return self._finished()
        self._place.has_ended_well = True
        return None

    # -- what the transport says

    def begin(self, headers: Mapping[str, str]) -> None:
        """Raises: Raised for what cannot be read."""
        self._reader = reader_for(headers, is_full=self._policy.is_full, last_id=self._place.last_id)
        self._await_data()

    def write(self, data: bytes) -> None:
        """Takes a piece of the answer. Raises: Enough; Raised for what cannot be read."""
        assert self._reader is not None
        self._take(self._reader.feed(data))
        if self._is_fold and not self._chain.is_fold:
            self._collected_bytes += len(data)
            if self._collected_bytes > RESPONSE_BYTES_MAX:
                raise too_large()
        if self._reader.retry_ms is not None:
            self._retry_ms = min(self._reader.retry_ms, RECONNECT_MS_MAX)
        self._await_data()

    # -- events

    def _take(self, events: list[Event]) -> None:
        """Raises: Enough."""
        try:
            new = self._place.unknown(events)
        except Differs:
            self._failure = self._unlike().error
            raise Enough from None
        if new is None:
            self._finish()
            raise Enough
        for begin in range(0, len(new), BATCH_ITEMS):
            self._await_demand()
            self._pass_on(new[begin : begin + BATCH_ITEMS])
        if not self._is_wanted():
            raise Enough

    def _pass_on(self, events: list[Event]) -> None:
        """Puts a batch through the chain, and hands over what comes of it. Raises: Enough."""
        before = None if self._is_fold else self._chain.state()
        try:
            made = self._chain.feed([value for value, _ in events])
        except Raised as problem:
            self._failure = problem.error
            made, events = ([], []) if before is None else self._made_before(before, events)
        self._place.note(events)
        self._failures = 0
        if self._failure is None and self._chain.is_done:
            made = [*made, *self._rest_of_chain()]
        self._give(made)
        if self._is_over or self._failure is not None:
            raise Enough

    def _made_before(self, state: Any, events: list[Event]) -> tuple[list[Value], list[Event]]:
        """What the events before a failing one give, and these events."""
        made: list[Value] = []
        self._chain = self._make_chain()
        self._chain.restore(state)
        for index, (value, _) in enumerate(events):
            state = self._chain.state()
            try:
                made += self._chain.feed([value])
            except Raised:
                self._chain = self._make_chain()
                self._chain.restore(state)
                return made, events[:index]
        return made, events

    def _rest_of_chain(self) -> list[Value]:
        """No more comes: what the stages still hold."""
        self._is_over = True
        try:
            return list(self._chain.finish())
        except Raised as problem:
            self._failure = problem.error
            return []

    def _give(self, made: list[Value]) -> None:
        """Keeps what is made for the one value of a fold, or hands it over."""
        if self._is_fold:
            self._collected += made
        elif made:
            self._is_asked = False
            is_over = self._is_over and self._failure is None
            self._hand_over(Items(made, {**self._place.position(), "stages": self._chain.state(), "over": is_over}))

    def _finish(self) -> None:
        """Gives the last of it. Raises: Enough where nobody wants that."""
        rest = self._rest_of_chain()
        if rest:
            self._await_demand()
        self._give(rest)

    def _finished(self) -> Outcome:
        try:
            self._finish()
        except Enough:
            pass
        return self._done()

    def _done(self) -> Outcome:
        if self._failure is not None:
            return Failed(self._failure)
        if not self._is_fold:
            return Done({"statuses": []})
        try:
            return Done({"statuses": [], "value": self._chain.value() if self._chain.is_fold else self._collected})
        except Raised as problem:
            return Failed(problem.error)

    # -- going on

    @property
    def _may_repeat(self) -> bool:
        return self._outgoing.method in REPEATABLE_METHODS and not self._policy.is_once

    def _broken_off(self, failed: Failed, status: int | None) -> Outcome | None:
        if not self._place.at:
            return failed  # it has not begun, and is tried again as any request is
        if self._place.has_ended_well and status is not None and not failed.should_retry:
            return self._finished()  # the refusal says that there is nothing more
        self._failures += 1
        if not self._may_repeat or not failed.error.fields["retryable"] or self._failures > self._policy.retries:
            return failed.replace(should_retry=False)  # type: ignore[no-any-return]
        wait_ms = failed.retry_after_ms
        if wait_ms is None:
            wait_ms = min(self._retry_ms << min(self._failures - 1, 10), RECONNECT_MS_MAX)
        return None if self._pause(wait_ms) else self._done()

    def _unlike(self) -> Failed:
        """The outcome of a stream that cannot go on where it was."""
        kind, why = "network", "it broke off"
        if self._was_begun:
            kind, why = "lost", "fmsh ended"
        reason = f"{why} after {self._place.at} values without ids, and "
        reason += "what it gives now begins otherwise" if self._may_repeat else "it may not be asked for again"
        return http_answer.failed_for_good(self._outgoing, kind, reason)

    def _pause(self, wait_ms: int) -> bool:
        """Waits until more is wanted, and then so long; False where nobody wants it any more."""
        try:
            self._await_demand()
        except Enough:
            return False
        until = time.monotonic() + wait_ms / 1000
        with self._changed:
            while self._is_wanted() and (rest := until - time.monotonic()) > 0:
                self._changed.wait(rest)
        return self._is_wanted()

    def _await_demand(self) -> None:
        """Waits until items are wanted. Raises: Enough where none are any more."""
        self._line.deadline = time.monotonic() + SILENCE_S_MAX
        with self._changed:
            while self._is_wanted() and not (self._is_fold or self._is_asked):
                self._changed.wait()
        if not self._is_wanted():
            raise Enough

    def _await_data(self) -> None:
        """From here on the server has its time."""
        self._line.silence_s = self._silence_s
        self._line.moved()
