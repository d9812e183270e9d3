"""Values for people (at a terminal), for pipes, and as the one JSON document of `--json`.

At a terminal a list of records is a table, a record its fields one below the other, another list one element a line.
Nothing that a value holds reaches the terminal raw.
"""

from __future__ import annotations

from fmsh.builtins.display import plain_display
from fmsh.builtins.text import plain_json
from fmsh.record import Record
from fmsh.render.cells import visible, width
from fmsh.render.inline import as_record, inline
from fmsh.render.style import paint
from fmsh.render.tables import Column, draw
from fmsh.values import Duration, Handle, Raised, kind_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fmsh.values import Value

INDENT = "  "
DEPTH_MAX = 20  # records in records that are drawn as a tree; below that they are on one line
INNER_ITEMS_MAX = 20  # of a list inside a value that is cut
TABLE_CELLS_MIN = 20
STYLES = {  # by kind; a text has the terminal's own colour
    **dict.fromkeys(["int", "float", "duration"], "cyan"),
    **dict.fromkeys(["bool", "datetime"], "magenta"),
    **dict.fromkeys(["null", "block", "secret"], "dim"),
}


def display_text(
    value: Value, *, is_terminal: bool, width: int, color: bool = False, items_max: int | None = None
) -> str:
    """Gives what is shown for a value, with its last newline; nothing for null. `width`: the terminal's cells.

    With `color` titles and the names of fields are bold, and what is no text has a colour by its kind. Of a list that
    has more, `items_max` are shown, and of one inside a value fewer; how many are left is said.
    """
    if not is_terminal:
        return plain_display(value)
    return _Drawing(color, items_max).whole(value, width)


def to_plain_json(value: Value) -> str:
    """Gives the final value as one JSON document with a newline: for programs, so nothing is cut or refused."""
    try:
        return plain_json(value) + "\n"
    except Raised as failure:  # nested beyond what JSON readers take
        return plain_json({"error": failure.error}) + "\n"


def cell_text(value: Value) -> str:
    """Gives a value as visible text on one line; nothing for null."""
    return "" if value is None else inline(value)


class _Drawing(Record):
    """Draws a value: a list of records as a table, a record as its fields, a record in it indented below its name."""

    color: bool
    items_max: int | None

    def whole(self, value: Value, cells_max: int) -> str:
        value = as_record(value)
        if type(value) is dict and value:
            return self._record(value, "", cells_max, 0)
        if type(value) is Handle:
            return inline(value) + "\n"
        if type(value) not in (list, range):
            return visible(plain_display(value), keep="\n\t")
        if len(value) == 0:
            return "[]\n"
        shown, left = self._beginning(value, self.items_max)
        text = self._list(shown, "", cells_max)
        return text + (f"… and {left:,} more: `$last | skip {self.items_max}` shows them\n" if left else "")

    def _beginning(self, items: list[Value] | range, items_max: int | None) -> tuple[list[Value], int]:
        """The items that are shown, and how many are not."""
        if items_max is None or len(items) <= items_max:
            return list(items), 0
        return list(items[:items_max]), len(items) - items_max

    def _list(self, items: list[Value], indent: str, cells_max: int) -> str:
        if is_table(items):
            room = max(cells_max - len(indent), min(TABLE_CELLS_MIN, cells_max))
            lines = self._table(items, room).splitlines()
            return "".join(f"{indent}{line}\n" for line in lines)
        return "".join(f"{indent}{self._painted(item, element_line(item))}\n" for item in items)

    def _table(self, rows: list[dict[str, Value]], cells_max: int) -> str:
        names = list(dict.fromkeys(name for row in rows for name in row))
        columns = []
        for name in names:
            values = [row.get(name) for row in rows]
            is_number = all(type(item) in (int, float, Duration, type(None)) for item in values)
            styles = [style_of(item) for item in values]
            columns.append(Column(visible(name), [cell_text(item) for item in values], is_number, styles))
        return draw(columns, cells_max=cells_max, color=self.color)

    def _record(self, record: dict[str, Value], indent: str, cells_max: int, depth: int) -> str:
        names = [visible(name) for name in record]
        key_cells = min(max(map(width, names)), cells_max // 2)
        text = ""
        for name, value in zip(names, record.values(), strict=True):
            label = indent + paint(name, "bold", color=self.color)
            blanks = " " * max(0, key_cells - width(name)) + INDENT
            room = cells_max - len(indent) - max(key_cells, width(name)) - len(INDENT)
            below = self._below(as_record(value), indent + INDENT, cells_max, room, depth)
            text += f"{label}\n{below}" if below else f"{label}{blanks}{self._painted(value, inline(value))}\n"
        return text

    def _below(self, value: Value, indent: str, cells_max: int, room: int, depth: int) -> str:
        """What stands below the name of a field: a text of many lines, and what has parts that do not fit beside it.

        Nothing for the others.
        """
        if type(value) is str and "\n" in value.rstrip("\n"):
            lines = visible(value, keep="\n\t").rstrip("\n").split("\n")
            return "".join(f"{indent}{line}\n" for line in lines)
        if type(value) not in (dict, list, range) or not value or depth == DEPTH_MAX:
            return ""
        is_flat = type(value) is range or not any(map(has_parts, value.values() if type(value) is dict else value))
        if is_flat and len(inline(value)) <= room:
            return ""
        if type(value) is dict:
            return self._record(value, indent, cells_max, depth + 1)
        shown, left = self._beginning(value, None if self.items_max is None else INNER_ITEMS_MAX)
        return self._list(shown, indent, cells_max) + (f"{indent}… and {left:,} more\n" if left else "")

    def _painted(self, value: Value, text: str) -> str:
        return paint(text, style_of(value), color=self.color)


def style_of(value: Value) -> str:
    return STYLES.get(kind_of(value), "")


def is_table(items: list[Value]) -> bool:
    """Whether a list is one of records, of which one has a field."""
    return all(type(item) is dict for item in items) and any(items)


def has_parts(value: Value) -> bool:
    return type(as_record(value)) in (dict, list) and value != {} and value != []


def element_line(value: Value) -> str:
    """An element of a list that is shown one element a line: a text keeps its lines."""
    return visible(value, keep="\n\t") if type(value) is str else inline(value)
