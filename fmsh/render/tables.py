"""Tables of text: columns side by side, fitted to a width."""

from __future__ import annotations

from fmsh.record import Record
from fmsh.render.cells import cut, width
from fmsh.render.style import paint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

GAP = "  "
COLUMN_CELLS_MIN = 6  # narrower than this a column says nothing, so whole columns are left out instead


class Column(Record):
    """A column: its title, its cells as visible text, and whether they are numbers (then they stand on the right).

    `styles`: that of each cell, if they have any.
    """

    title: str
    cells: list[str]
    is_number: bool = False
    styles: Sequence[str] = ()


def draw(columns: Sequence[Column], *, cells_max: int, color: bool = False) -> str:
    """Draws columns with a line of titles, with `color` a bold one.

    What does not fit is cut; columns beyond that are named below the table.
    """
    shown, left_out = _fitting(columns, cells_max)
    widths = _widths(shown, cells_max)
    lines = [_line([(column.title, "bold") for column in shown], shown, widths, color)]
    for row in range(len(shown[0].cells) if shown else 0):
        cells = [(column.cells[row], column.styles[row] if column.styles else "") for column in shown]
        lines.append(_line(cells, shown, widths, color))
    if left_out:
        lines.append(cut("… and " + ", ".join(column.title for column in left_out), cells_max))
    return "".join(line + "\n" for line in lines)


def _line(texts: Sequence[tuple[str, str]], columns: Sequence[Column], widths: Sequence[int], color: bool) -> str:
    """A line of cells, each a text and its style, without blanks at its end."""
    line, blanks = "", 0
    for (text, style), column, cells in zip(texts, columns, widths, strict=True):
        shown = cut(text, cells)
        left = cells - width(shown)
        if shown:
            line += " " * (blanks + left * column.is_number) + paint(shown, style, color=color)
            left, blanks = left * (not column.is_number), 0
        blanks += left + len(GAP)
    return line.rstrip()


def _natural(column: Column) -> int:
    return max(width(column.title), *map(width, column.cells), 1)


def _fitting(columns: Sequence[Column], cells_max: int) -> tuple[list[Column], list[Column]]:
    """Splits columns into those that fit at their least width, and the rest."""
    used = 0
    for count, column in enumerate(columns):
        used += min(_natural(column), COLUMN_CELLS_MIN) + (len(GAP) if count else 0)
        if used > cells_max and count > 0:
            return list(columns[:count]), list(columns[count:])
    return list(columns), []


def _widths(columns: Sequence[Column], cells_max: int) -> list[int]:
    """Gives every column its natural width, or takes from the widest until the table fits."""
    widths = [_natural(column) for column in columns]
    room = max(cells_max - len(GAP) * (len(columns) - 1), len(columns))
    while sum(widths) > room:
        widest = max(widths)
        following = max((cells for cells in widths if cells < widest), default=1)
        wide = [place for place, cells in enumerate(widths) if cells == widest]
        surplus = sum(widths) - room
        step = max(1, min(widest - following, -(-surplus // len(wide))))
        for place in wide:
            widths[place] -= min(step, max(0, sum(widths) - room))
    return widths
