"""Sources that are read in the engine's thread, of which nothing runs anywhere: a file that is followed, times.

Nothing is left behind by them: an attempt that another process began goes on at its last position. Something is done
only while somebody waits for items. Most never end by themselves, but when their stages want no more.
"""

from __future__ import annotations

from fmsh.connectors.base import Cancelled, Done, Failed, Items
from fmsh.connectors.streaming import FOLD
from fmsh.connectors.ticking import Ticker
from fmsh.values import Raised

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from fmsh.connectors.base import Attempt, AttemptId, Outcome, Post
    from fmsh.values import Value

    Give = Callable[[Outcome | Items], None]


class ReadingConnector:
    """`make(attempt, give)` makes the reading of an attempt; what it gives that are not items ends it."""

    def __init__(self, operation: str, make: Callable[[Attempt, Give], Reading]) -> None:
        self._operation = operation
        self._make = make
        self._running: dict[AttemptId, Reading] = {}

    def start(self, attempt: Attempt, post: Post) -> None:
        assert attempt.operation == self._operation, attempt.operation

        def give(answer: Outcome | Items) -> None:
            if not isinstance(answer, Items):
                self.forget(attempt.id)
            post(attempt.id, answer)

        reading = self._running[attempt.id] = self._make(attempt, give)
        reading.begin()

    def read(self, id: AttemptId, position: Value) -> None:
        """Asks for the next items."""
        if id in self._running:
            self._running[id].ask()

    def cancel(self, id: AttemptId) -> None:
        if id in self._running:
            self._running[id].give(Cancelled())

    def forget(self, id: AttemptId) -> None:
        reading = self._running.pop(id, None)
        if reading is not None:
            reading.close()

    def close(self) -> None:
        for id in list(self._running):
            self.forget(id)


class Reading:
    """One attempt: its stages, what is wanted of them, and where it stands. `advance` and `place` are the source's own.

    `pauses_s` are the first and the longest between two looks for something new.
    """

    def __init__(
        self,
        attempt: Attempt,
        give: Give,
        after: Callable[[float, Callable[[], None]], object],
        pauses_s: tuple[float, float],
    ) -> None:
        assert attempt.make_chain is not None
        self.give = give
        self.is_fold = attempt.arguments["output"] == FOLD
        self.is_asked = self.is_fold
        self.ticker = Ticker(after, self._look, pauses_s)
        self._make_chain: Callable[[], Any] = attempt.make_chain
        self.chain = self._make_chain()
        self._is_over = False
        if attempt.position is not None:
            self.chain.restore(attempt.position["stages"])
            self._is_over = attempt.position.get("over", False)
        self._collected: list[Value] = []

    def advance(self) -> bool | None:
        """Takes what has come, which is wanted now; says whether something has, or None: `ticker` is told of the next.

        Raises: Raised.
        """
        raise NotImplementedError

    def place(self) -> dict[str, Value]:
        """Where the source goes on."""
        raise NotImplementedError

    def leave(self) -> None:
        """Lets go of what it holds."""

    def begin(self) -> None:
        self.ticker.soon()

    def ask(self) -> None:
        self.is_asked = True
        self.ticker.soon()

    def close(self) -> None:
        self.ticker.stop()
        self.leave()

    def _look(self) -> bool | None:
        """Reads on as long as items are wanted."""
        has_come: bool | None = False
        try:
            if self._is_over or self.chain.is_done:
                self.finish()
            elif self.is_asked:
                has_come = self.advance()
        except Raised as problem:
            self.give(Failed(problem.error))
        return has_come if self.is_asked else None

    def restore(self, state: Any) -> None:
        """Begins again with stages in a state that they were in."""
        self.chain = self._make_chain()
        self.chain.restore(state)

    def pass_on(self, made: list[Value]) -> None:
        """Takes what the stages made of the items up to the place. Raises: Raised."""
        if self.chain.is_done:
            self.finish(made)
        else:
            self._hand_over(made)

    def _hand_over(self, made: list[Value]) -> None:
        if self.is_fold:
            self._collected += made
        elif made:
            self.is_asked = False
            self.give(Items(made, {**self.place(), "stages": self.chain.state(), "over": self._is_over}))

    def finish(self, made: Sequence[Value] = ()) -> None:
        """No more is wanted, or no more comes: the last of it, and the outcome. Raises: Raised."""
        rest = [] if self._is_over else self.chain.finish()
        self._is_over = True
        self._hand_over([*made, *rest])
        value: dict[str, Value] = {"statuses": []}
        if self.is_fold:
            value["value"] = self.chain.value() if self.chain.is_fold else self._collected
        self.give(Done(value))
