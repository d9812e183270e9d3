"""What a job in the foreground is at, on one line: what it asked for, since when or until when, and how much is done.

GET https://ci.local/builds/7  12s
GET https://ci.local/builds/7 was answered with 503 Service Unavailable; try 3 in 8s
4 of 60 done, 8 at once  GET https://ci.local/builds/7  2s
"""

from __future__ import annotations

from fmsh.record import Record
from fmsh.render.cells import cut, visible, width
from fmsh.render.times import span_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

GAP = "  "
LABEL_CELLS_MIN = 10


class Doing(Record):
    """One thing that a job waits for. `due_ms`: when it is over, or when the next try, `attempt`, begins.

    Moments are milliseconds since 1970.
    """

    label: str
    since_ms: int
    due_ms: int | None = None
    attempt: int = 1


class Count(Record):
    """Work on many items: how many are done, and of how many, if that is known."""

    done: int
    total: int | None


def doing_text(doing: Sequence[Doing], count: Count | None, now_ms: int, *, columns: int) -> str:
    """Writes a line of at most `columns` cells about the oldest of what is done, or nothing."""
    amounts = []
    if count is not None:
        amounts.append(f"{count.done} done" if count.total is None else f"{count.done} of {count.total} done")
    if len(doing) > 1:
        amounts.append(f"{len(doing)} at once")
    begin = ", ".join(amounts)
    if not doing:
        return cut(begin, columns)
    begin = begin + GAP if begin else ""
    oldest = min(doing, key=lambda one: one.since_ms)
    label, end = visible(oldest.label), _time(oldest, now_ms)
    room = columns - width(begin) - width(end)
    return begin + cut(label, room) + end if room >= LABEL_CELLS_MIN else cut(begin + label + end, columns)


def _time(one: Doing, now_ms: int) -> str:
    if one.due_ms is None:
        return GAP + _span(now_ms - one.since_ms) if now_ms - one.since_ms >= 1000 else ""
    left = _span(one.due_ms - now_ms + 999)  # it says 1s until it is due
    if one.attempt == 1:
        return f"{GAP}{left} left"
    return f"; try {one.attempt} in {left}"


def _span(ms: int) -> str:
    """In whole seconds: tenths would only flicker."""
    return span_text(max(ms, 0) // 1000 * 1000) if ms >= 1000 else "0s"
