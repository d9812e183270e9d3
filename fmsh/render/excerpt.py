"""An excerpt of a source for an error at run time: its line with the number before it, and a caret below.

The line and the carets are those of `lang.diagnostics`, so a program's errors look the same before and while it runs.
"""

from __future__ import annotations

from fmsh.errors import Diagnostic
from fmsh.lang.diagnostics import render
from fmsh.render.style import paint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fmsh.spans import Source

MARGIN = 5  # cells for the line number
INDENT = 2  # of the lines that `lang.diagnostics` gives


def draw(source: Source, line: int, column: int, length: int, *, color: bool) -> str:
    """Draws a line of a source with carets under `length` characters from `column`; both count from 1.

    Nothing, if the source has no such line.
    """
    lines = source.text.split("\n")
    if not 0 < line <= len(lines):
        return ""
    start = sum(len(each) + 1 for each in lines[: line - 1]) + min(max(column - 1, 0), len(lines[line - 1]))
    _, shown, carets = render(Diagnostic(source, (start, start + length), "")).split("\n")
    bar = paint("|", "blue", color=color)
    number = paint(str(line).rjust(MARGIN), "blue", color=color)
    marked = carets[INDENT : len(carets) - len(carets.lstrip())] + paint(carets.lstrip(), "red", color=color)
    return f"{number} {bar} {shown[INDENT:]}".rstrip() + f"\n{' ' * MARGIN} {bar} {marked}\n"
