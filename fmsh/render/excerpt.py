"""An excerpt of a source for an error: its place, its line with the number before it, and carets below what is meant.

Nothing of the source reaches the terminal raw: control characters, and those that turn the direction of text, are
written as escapes. Carets are placed by columns of the screen; the column in the place counts characters, from 1.
"""

from __future__ import annotations

from fmsh.errors import SourceError
from fmsh.render.cells import ELLIPSIS, visible, width
from fmsh.render.style import paint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fmsh.spans import Place, Source, Span

MARGIN = 5  # cells for the line number
TAB_WIDTH = 4
LINE_WIDTH_MAX = 160  # a longer line is cut around the carets


def named(place: Place, *, color: bool) -> str:
    """Names a place, on a line of its own."""
    return f"  {paint('-->', 'blue', color=color)} {visible(str(place))}\n"


def draw(source: Source, span: Span, *, style: str = "bold red", color: bool) -> str:
    """Draws the line of a source in which a span begins, with carets in `style` under what of the span is in it."""
    place = source.place(span[0])
    bar = paint("|", "blue", color=color)
    number = paint(str(place.line).rjust(MARGIN), "blue", color=color)
    line, before, marked = _line_and_carets(source.line_at(span[0]), place.column - 1, span[1] - span[0])
    carets = " " * before + paint("^" * marked, style, color=color)
    return f"{number} {bar} {line}".rstrip() + f"\n{' ' * MARGIN} {bar} {carets}\n"


def _line_and_carets(line: str, before: int, length: int) -> tuple[str, int, int]:
    """Gives a line as it is shown, and the columns before and under its carets; those count characters of the line."""
    length = max(min(length, len(line) - before), 0)
    skipped = max(before - 2 * LINE_WIDTH_MAX, 0)
    line, before = line[skipped : before + 2 * LINE_WIDTH_MAX], before - skipped
    if line.isascii() and line.isprintable():
        return _cut([(c, 1) for c in line], before, length)
    shown: list[tuple[str, int]] = []
    column = 0
    for character in line:
        piece = " " * (TAB_WIDTH - column % TAB_WIDTH) if character == "\t" else visible(character)
        shown.append((piece, width(piece)))
        column += shown[-1][1]
    return _cut(shown, before, length)


def _cut(shown: list[tuple[str, int]], before: int, length: int) -> tuple[str, int, int]:
    """Leaves of a long line what stands around the carets."""
    first, last = 0, len(shown)
    if len(shown) > LINE_WIDTH_MAX or sum(cells for _, cells in shown) > LINE_WIDTH_MAX:
        first = max(before - LINE_WIDTH_MAX // 2, 0)
        last = min(first + LINE_WIDTH_MAX, len(shown))
        length = min(length, last - before)
    start = ELLIPSIS if first else ""
    text = start + "".join(piece for piece, _ in shown[first:last]) + (ELLIPSIS if last < len(shown) else "")
    columns_before = len(start) + sum(cells for _, cells in shown[first:before])
    columns_marked = sum(cells for _, cells in shown[before : before + length])
    return text, columns_before, max(columns_marked, 1)


def span_at(source: Source, line: int, column: int, *, missing: str = "") -> Span | None:
    """Says from where to where what stands at a place reaches: the whole command or expression that begins there.

    Where something is `missing`, only its name: that of a "command", or of a "field". None if the source has no such
    line. An error keeps where it happened, and not for which part of the tree. Of those that begin at one place the
    outermost is it: the inner ones are names and literals, which cannot fail in another way.
    """
    from fmsh.lang import syntax as s
    from fmsh.lang.parser import parse
    from fmsh.lang.tree import walk

    lines = source.text.split("\n")
    if not 0 < line <= len(lines):
        return None
    start = sum(len(each) + 1 for each in lines[: line - 1]) + min(max(column - 1, 0), len(lines[line - 1]))
    try:
        nodes = [node for node in walk(parse(source)) if node.span[0] == start]
    except SourceError:  # another version's
        return start, start + 1
    if missing == "command":
        nodes = [node.name for node in nodes if isinstance(node, s.Command)] or nodes
    elif missing == "field":
        nodes = [node for node in nodes if isinstance(node, s.Step)] or nodes
    around = (s.Program, s.Body, s.Chain, s.Pipeline, s.ExpressionStage, s.Let, s.Assign, s.While, s.For, s.Def, s.If)
    return start, max((node.span[1] for node in nodes if not isinstance(node, around)), default=start + 1)
