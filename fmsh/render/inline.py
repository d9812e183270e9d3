"""A value on one line, as the language writes it, as far as it is worth looking at."""

from __future__ import annotations

from fmsh.builtins.text import scalar_text
from fmsh.render.cells import ELLIPSIS, visible
from fmsh.values import Block, ErrorValue, Handle, Secret

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from fmsh.values import Value

CHARACTERS_MAX = 1000  # of a value on one line
DEPTH_MAX = 20  # lists in lists that are written
OTHER_LITERALS = frozenset(["true", "false", "null"])
WORD_CHARACTERS = frozenset("_/.@%+-")


def inline(value: Value) -> str:
    """Gives a value as visible text on one line; a text in a list or record has quotes if it is not one plain word."""
    if type(value) is str:
        return visible(value if len(value) <= CHARACTERS_MAX else value[:CHARACTERS_MAX] + ELLIPSIS)
    written, room = "", CHARACTERS_MAX
    for piece in _pieces(value, 0):
        written += piece[:room]
        room -= len(piece)
        if room < 0:
            return visible(written + ELLIPSIS)
    return visible(written)


def as_record(value: Value) -> Value:
    """Gives as a record what has fields: an error without those that are empty, a handle with more than its number.

    Others stay.
    """
    if type(value) is ErrorValue:
        return {name: item for name, item in value.fields.items() if item is not None}
    if type(value) is Handle and value.fields_.keys() - {"id"}:
        return {"kind": value.kind, "id": value.id} | value.fields_
    return value


def _pieces(value: Value, depth: int) -> Iterator[str]:
    value = as_record(value)
    if type(value) in (list, range, dict) and depth > DEPTH_MAX:
        yield ELLIPSIS
    elif type(value) is dict:
        yield from _joined("{", ((f"{_word(name)}: ", item) for name, item in value.items()), "}", depth)
    elif type(value) in (list, range):
        yield from _joined("[", (("", item) for item in value), "]", depth)
    elif type(value) is str:
        yield _word(value)
    elif value is None:
        yield "null"
    elif type(value) is Handle:
        yield f"{value.kind} {value.id}"
    elif type(value) is Block:
        yield "(a block)"
    else:
        yield str(value) if type(value) is Secret else scalar_text(value) or ""


def _joined(start: str, items: Iterator[tuple[str, Value]], end: str, depth: int) -> Iterator[str]:
    separator = start
    for label, item in items:
        yield separator + label
        yield from _pieces(item, depth + 1)
        separator = ", "
    yield start + end if separator == start else end


def _word(text: str) -> str:
    """A text as it may stand in a list: quoted if it is not one word, or would be read as something else."""
    start = text[:CHARACTERS_MAX]
    is_plain = all(each.isalnum() or each in WORD_CHARACTERS for each in start)
    if start and is_plain and not start[0].isdigit() and start[0] not in "+-%" and start not in OTHER_LITERALS:
        return start
    quoted = "".join(f"\\{each}" if each in '"\\$' else each for each in start)
    return f'"{quoted}"'
