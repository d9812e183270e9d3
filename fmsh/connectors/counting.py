"""The numbers of a range, as a stream for a program: as many as it reads, and no more.

Operation "read". Arguments: `range`. A position is how many of them were given.
"""

from __future__ import annotations

from fmsh.connectors.reading import Reading
from fmsh.values import Raised

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from fmsh.connectors.base import Attempt
    from fmsh.connectors.reading import Give
    from fmsh.connectors.ticking import After
    from fmsh.values import Value

BATCH_ITEMS = 8192  # some milliseconds of work, so that others have their turn
PAUSES_S = (0.0, 0.0)  # it never waits for more


class Counting(Reading):
    """One attempt."""

    def __init__(self, attempt: Attempt, give: Give, after: After) -> None:
        super().__init__(attempt, give, after, PAUSES_S)
        position: Any = attempt.position or {"at": 0}
        self._range: range = attempt.arguments["range"]
        self._at: int = position["at"]

    def place(self) -> dict[str, Value]:
        return {"at": self._at}

    def advance(self) -> bool:
        items = list(self._range[self._at : self._at + BATCH_ITEMS])
        if not items:
            self.finish()
            return True
        before = self.chain.state()
        try:
            made = self.chain.feed(items)
            self._at += len(items)
        except Raised:
            self.restore(before)
            made = self._made_before(items)
            if not made:
                raise
        self.pass_on(made)
        return True

    def _made_before(self, items: list[int]) -> list[Value]:
        """What the items before a failing one give; that one is next."""
        made: list[Value] = []
        for item in items:
            state = self.chain.state()
            try:
                made += self.chain.feed([item])
            except Raised:
                self.restore(state)
                break
            self._at += 1
        return made
