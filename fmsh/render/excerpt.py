"""An excerpt of a source: the place, the line, and a caret under the exact span."""

from __future__ import annotations

from fmsh.render.cells import visible, width
from fmsh.render.style import paint

LINE_CHARACTERS_MAX = 160  # longer lines are cut to the part around the caret
BEFORE_CARET_MAX = 100


def draw(line: str, column: int, length: int, *, line_number: int, color: bool, margin: int = 0) -> str:
    """Draws a source line with carets under `length` characters from `column` (from 1), with its number before it."""
    start = max(0, min(column - 1, len(line)))
    length = max(1, min(length, len(line) - start))
    line, start, mark = _cut(line, start)
    before = visible(line[:start].replace("\t", "    "))
    marked = visible(line[start : start + length].replace("\t", "    "))
    after = visible(line[start + length :].replace("\t", "    "))
    number = str(line_number).rjust(margin)
    bar = paint("|", "blue", color=color)
    shown = f"{paint(number, 'blue', color=color)} {bar} {mark}{before}{marked}{after}".rstrip()
    carets = " " * width(mark + before) + paint("^" * max(1, width(marked)), "red", color=color)
    return f"{shown}\n{' ' * len(number)} {bar} {carets}\n"


def _cut(line: str, start: int) -> tuple[str, int, str]:
    """Cuts a long line to the part around the caret; gives it, the caret's place in it, and what marks the cut."""
    if len(line) <= LINE_CHARACTERS_MAX:
        return line, start, ""
    first = max(0, start - BEFORE_CARET_MAX)
    return line[first : first + LINE_CHARACTERS_MAX], start - first, "…" if first else ""
