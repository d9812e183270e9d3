"""Values for people (at a terminal), for pipes, and as the one JSON document of `--json`.

At a terminal a list of records is a table, a record its fields one below the other, another list one element a line.
Nothing that a value holds reaches the terminal raw.
"""

from __future__ import annotations

from fmsh.builtins.display import element_text, plain_display
from fmsh.builtins.text import plain_json
from fmsh.render.cells import visible, width
from fmsh.render.style import paint
from fmsh.render.tables import Column, draw
from fmsh.values import Duration, ErrorValue, Handle, Raised

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fmsh.values import Value

INDENT = "  "
CELL_CHARACTERS_MAX = 1000  # what can be worth looking at in one cell; cut before it is measured
DEPTH_MAX = 20  # records in records that are drawn as a tree; below that they are JSON


def display_text(value: Value, *, is_terminal: bool, width: int, color: bool = False) -> str:
    """Gives what is shown for a value, with its last newline; nothing for null. `width`: the terminal's cells.

    With `color` titles and the names of fields are bold.
    """
    if not is_terminal:
        return plain_display(value)
    if type(value) is ErrorValue:
        value = {name: item for name, item in value.fields.items() if item is not None}
    if type(value) is Handle:
        value = {"kind": value.kind, "id": value.id} | value.fields_
    if type(value) is dict and value:
        return _record(value, "", width, 0, color=color)
    if type(value) is list and value and all(type(item) is dict for item in value) and any(value):
        return _table(value, width, color=color)
    if type(value) is list and not value:
        return "[]\n"
    return visible(plain_display(value), keep="\n\t")


def to_plain_json(value: Value) -> str:
    """Gives the final value as one JSON document with a newline: for programs, so nothing is cut or refused."""
    try:
        return plain_json(value) + "\n"
    except Raised as failure:  # nested beyond what JSON readers take
        return plain_json({"error": failure.error}) + "\n"


def cell_text(value: Value) -> str:
    """Gives a value as visible text on one line."""
    return "" if value is None else visible(element_text(value)[:CELL_CHARACTERS_MAX])


def _table(rows: list[dict[str, Value]], cells_max: int, *, color: bool) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = []
    for name in names:
        values = [row.get(name) for row in rows]
        is_number = all(type(item) in (int, float, Duration, type(None)) for item in values)
        columns.append(Column(visible(name), [cell_text(item) for item in values], is_number))
    return draw(columns, cells_max=cells_max, color=color)


def _record(record: dict[str, Value], indent: str, cells_max: int, depth: int, *, color: bool) -> str:
    names = [visible(name) for name in record]
    key_cells = min(max(map(width, names)), cells_max // 2)
    text = ""
    for name, value in zip(names, record.values(), strict=True):
        label = indent + name + " " * max(0, key_cells - width(name))
        field = _field(label, value, indent, cells_max, depth, color=color)
        text += indent + paint(name, "bold", color=color) + field[len(indent + name) :]
    return text


def _field(label: str, value: Value, indent: str, cells_max: int, depth: int, *, color: bool) -> str:
    """Writes a field on one line, or below its name when it is a record or a list that does not fit there."""
    if type(value) is ErrorValue:
        value = {name: item for name, item in value.fields.items() if item is not None}
    if type(value) is str and "\n" in value.rstrip("\n"):
        lines = visible(value, keep="\n\t").rstrip("\n").split("\n")
        return label.rstrip() + "\n" + "".join(f"{indent}{INDENT}{line}\n" for line in lines)
    inline = visible(element_text(value)) if value is not None else "null"
    is_long = width(label) + len(INDENT) + len(inline) > cells_max
    if is_long and depth < DEPTH_MAX:
        if type(value) is dict and value:
            return label.rstrip() + "\n" + _record(value, indent + INDENT, cells_max, depth + 1, color=color)
        if type(value) is list and all(type(item) is dict for item in value) and any(value):
            table = _table(value, max(20, cells_max - len(indent) - len(INDENT)), color=color)
            return label.rstrip() + "\n" + "".join(f"{indent}{INDENT}{line}\n" for line in table.splitlines())
        if type(value) is list:
            return label.rstrip() + "\n" + "".join(f"{indent}{INDENT}{cell_text(item)}\n" for item in value)
    return f"{label}{INDENT}{inline}\n"
