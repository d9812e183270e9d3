"""An excerpt of a source for an error at run time: its line with the number before it, and a caret below.

The line and the carets are those of `lang.diagnostics`, so a program's errors look the same before and while it runs.
"""

from __future__ import annotations

from fmsh.errors import Diagnostic, SourceError
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
    start = _offset(lines, line, column)
    _, shown, carets = render(Diagnostic(source, (start, start + length), "")).split("\n")
    bar = paint("|", "blue", color=color)
    number = paint(str(line).rjust(MARGIN), "blue", color=color)
    marked = carets[INDENT : len(carets) - len(carets.lstrip())] + paint(carets.lstrip(), "red", color=color)
    return f"{number} {bar} {shown[INDENT:]}".rstrip() + f"\n{' ' * MARGIN} {bar} {marked}\n"


def length_at(source: Source, line: int, column: int) -> int:
    """Says how far what stands at a place reaches: the whole command or expression that begins there.

    An error keeps where it happened, and not for which part of the tree. Of those that begin at one place the outermost
    is it: the inner ones are names and literals, which cannot fail.
    """
    from fmsh.lang import syntax as s
    from fmsh.lang.parser import parse
    from fmsh.lang.tree import walk

    lines = source.text.split("\n")
    if not 0 < line <= len(lines):
        return 1
    start = _offset(lines, line, column)
    try:
        nodes = list(walk(parse(source)))
    except SourceError:  # another version's
        return 1
    around = (s.Program, s.Body, s.Chain, s.Pipeline, s.ExpressionStage, s.Let, s.Assign, s.While, s.For, s.Def, s.If)
    ends = [node.span[1] for node in nodes if node.span[0] == start and not isinstance(node, around)]
    return max(ends, default=start + 1) - start


def _offset(lines: list[str], line: int, column: int) -> int:
    return sum(len(each) + 1 for each in lines[: line - 1]) + min(max(column - 1, 0), len(lines[line - 1]))
