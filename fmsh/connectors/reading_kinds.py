"""The sources of values that nothing runs for, by the names of their connectors."""

from __future__ import annotations

from fmsh.connectors.reading import ReadingConnector

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from fmsh.connectors.ticking import After
    from fmsh.connectors.timer import Clock


def make(name: str, after: After, clock: Clock) -> ReadingConnector:
    """Makes a connector, with no more than it needs. `after(seconds, callback)` calls back once."""
    return _MAKERS[name](after, clock)


def _follow(after: After, _clock: Clock) -> ReadingConnector:
    from fmsh.connectors.following import Following

    return ReadingConnector("lines", lambda attempt, give: Following(attempt, give, after))


def _times(after: After, clock: Clock) -> ReadingConnector:
    from fmsh.connectors.times import Times

    return ReadingConnector("read", lambda attempt, give: Times(attempt, give, after, clock))


def _range(after: After, _clock: Clock) -> ReadingConnector:
    from fmsh.connectors.counting import Counting

    return ReadingConnector("read", lambda attempt, give: Counting(attempt, give, after))


_MAKERS: dict[str, Callable[[After, Clock], ReadingConnector]] = {
    "follow": _follow,
    "times": _times,
    "range": _range,
}
