"""Paths into values: reading a field, an index or a slice, and the changed copy that an assignment makes.

A missing field or index is an error, with `?` it is null; reading from null is an error without `?` and null with it.
A value of a kind that has no fields is an error either way. Records keep their order; a new field comes last.
"""

from __future__ import annotations

from fmsh.builtins.complaints import did_you_mean, mismatch, need_int, need_text, too_much, unknown, unreadable
from fmsh.values import ErrorValue, Handle, a_kind, kind_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fmsh.values import Raised, Value

    Change = Callable[[Value], Value]

RANGE_ITEMS_MAX = 2**63 - 1  # the most that Python counts


def get_field(value: Value, key: str, is_optional: bool = False) -> Value:
    """Reads `value.key`. Raises: Raised with kind `name` for a missing field, `type` for what has no fields."""
    if type(value) is not dict:
        if value is None and is_optional:
            return None
        value = _fields_of(value, key)
    if key in value:
        return value[key]
    if is_optional:
        return None
    raise _missing(key, value)


def get_variable(value: Value, key: str, is_optional: bool = False) -> Value:
    """Reads a variable of the environment. Raises: Raised for one that is not there."""
    if type(value) is dict and key not in value and not is_optional:
        hint = did_you_mean(key, value)
        if not hint.startswith("did you"):
            hint = f'set it with `export {key}=…`, or give another value: `($env.{key} ?? "")`'
        raise unknown(f"there is no environment variable {key}", hint=hint)
    return get_field(value, key, is_optional)


def get_index(value: Value, index: Value, is_optional: bool = False) -> Value:
    """Reads `value[index]`: an item of a list (negative from the end), a character, a byte, or a field by its name."""
    if type(index) is str and type(value) not in (list, range, str):
        return get_field(value, index, is_optional)
    if type(index) is range:
        return get_slice(value, index.start, index.stop, True)
    if value is None and is_optional:
        return None
    _need_sequence(value)
    need_int(index, "an index")
    try:
        item = value[index]
    except IndexError:
        if is_optional:
            return None
        raise _outside(index, value) from None
    return bytes((item,)) if type(value) is bytes else item


def get_slice(value: Value, start: Value, end: Value, is_exclusive: bool = False) -> Value:
    """Reads `value[start..end]` (end included) or `value[start..<end]`; None is an open end."""
    _need_sequence(value)
    if start is not None:
        need_int(start, "the start of a slice")
    if end is not None:
        need_int(end, "the end of a slice")
        if not is_exclusive:
            end = None if end == -1 else end + 1
    return value[start:end]


def make_range(start: Value, end: Value, is_exclusive: bool = False) -> range:
    """Makes `start..end` (end included) or `start..<end`; empty if the end is before the start."""
    first = need_int(start, "the start of a range")
    last = need_int(end, "the end of a range")
    behind = max(first, last if is_exclusive else last + 1)
    if behind - first > RANGE_ITEMS_MAX:
        raise too_much(f"a range has at most {RANGE_ITEMS_MAX} numbers")
    return range(first, behind)


def get_path(value: Value, steps: Sequence[str | int | tuple[str | int, bool]]) -> Value:
    """Follows a whole path: a string is a field, an int an index, `(step, True)` an optional one."""
    for step in steps:
        key, is_optional = step if type(step) is tuple else (step, False)
        value = get_field(value, key, is_optional) if type(key) is str else get_index(value, key, is_optional)
    return value


def set_path(value: Value, steps: Sequence[str | int], new: Value) -> Value:
    """Gives a copy of a value with another value at the end of the path: what `$x.a[0] = 2` puts into `$x`.

    The last field may be new; everything before it must be there, and an index must exist.
    """
    return change_path(value, steps, lambda old: new, is_new_allowed=True)


def change_path(value: Value, steps: Sequence[str | int], change: Change, *, is_new_allowed: bool = False) -> Value:
    """Gives a copy in which `change` was applied to what stands at the path (None for a new field)."""
    if not steps:
        return change(value)
    step, rest = steps[0], steps[1:]
    if type(value) is dict:
        need_text(step, "the name of a field")
        if step in value:
            return {**value, step: change_path(value[step], rest, change, is_new_allowed=is_new_allowed)}
        if rest or not is_new_allowed:
            raise _missing(str(step), value)
        return {**value, step: change(None)}
    if type(value) is list or type(value) is range:
        return _changed_list(list(value), step, rest, change, is_new_allowed)
    raise mismatch(f"{a_kind(kind_of(value))} has no fields or items to assign to")


def without_path(value: Value, steps: Sequence[str | int]) -> Value:
    """Gives a copy without what stands at the path. Raises: Raised when it is not there."""
    step, rest = steps[0], steps[1:]
    if rest:
        return change_path(value, [step], lambda old: without_path(old, rest))
    if type(value) is dict and type(step) is str:
        if step not in value:
            raise _missing(step, value)
        return {key: item for key, item in value.items() if key != step}
    place = need_int(step, "an index") if type(value) is list else 0
    get_index(value, step)
    return [item for index, item in enumerate(value) if index != place % len(value)]


def parse_path(path: Value) -> list[str | int | tuple[str | int, bool]]:
    """Reads a path as commands take it: `a.b`, `.a[0]`, `a?.b`, `a."odd key"`, an index, or a list of steps."""
    if type(path) is int:
        return [path]
    if type(path) is list:
        for step in path:
            if type(step) not in (str, int):
                raise mismatch(f"a step of a path must be a string or an int, not {a_kind(kind_of(step))}")
        return list(path)
    text = need_text(path, "a field path")
    steps: list[str | int | tuple[str | int, bool]] = []
    position = 0
    while position < len(text):
        is_optional = text[position] == "?"
        position += is_optional
        step, position = _read_step(text, position)
        steps.append((step, True) if is_optional else step)
    if not steps:
        raise _bad_path(text)
    return steps


def plain_steps(path: Value) -> list[str | int]:
    """Reads a path for changing something, where `?` has no meaning."""
    steps = parse_path(path)
    if any(type(step) is tuple for step in steps):
        raise unreadable("`?` in a path is only for reading")
    return steps  # type: ignore[return-value]  # no tuple is left


def _read_step(text: str, position: int) -> tuple[str | int, int]:
    if text[position : position + 1] == "[":
        end = text.find("]", position)
        inside = text[position + 1 : end]
        if end < 0 or not inside.removeprefix("-").isascii() or not inside.removeprefix("-").isdigit():
            raise _bad_path(text)
        return int(inside), end + 1
    if text[position : position + 1] == ".":
        position += 1
    if text[position : position + 1] == '"':
        end = text.find('"', position + 1)
        if end < 0:
            raise _bad_path(text)
        return text[position + 1 : end], end + 1
    end = min((place for mark in ".[?" if (place := text.find(mark, position)) >= 0), default=len(text))
    if end == position:
        raise _bad_path(text)
    return text[position:end], end


def _bad_path(text: str) -> Raised:
    hint = "`?` stands before a step: `?a`, `a?.b`" if text.endswith("?") else ""
    return unreadable(
        f"{text[:40]!r} is not a field path", hint=hint or 'write `a`, `a.b`, `a[0]` or `["a key with. dots", b]`'
    )


def _changed_list(
    items: list[Value],
    step: str | int,
    rest: Sequence[str | int],
    change: Callable[[Value], Value],
    is_new_allowed: bool,
) -> list[Value]:
    index = need_int(step, "an index")
    if not -len(items) <= index < len(items):
        raise _outside(index, items)
    items[index] = change_path(items[index], rest, change, is_new_allowed=is_new_allowed)
    return items


def _fields_of(value: Value, key: str) -> dict[str, Value]:
    if type(value) is ErrorValue:
        return value.fields
    if type(value) is Handle:
        return {"kind": value.kind, "id": value.id} | value.fields_
    kind = kind_of(value)
    after_variable = f"only records have fields; to write text after a variable, write `${{name}}.{key}`"
    hints = {
        **dict.fromkeys(("string", "secret", "int", "float", "bool", "duration"), after_variable),
        "list": f"`| get {key}` reads it from every record of a list, `[0]` takes one item",
        "null": "`?` before the step gives null instead of this error",
        "datetime": "`| datetime parts` gives its year, month, …",
    }
    raise mismatch(f"{a_kind(kind)} has no field `{key}`", hint=hints.get(kind, ""))


def _need_sequence(value: Value) -> None:
    if type(value) in (list, range, str, bytes):
        return
    kind = kind_of(value)
    hint = {"null": "`?` before the step gives null instead of this error", "record": "`.name` reads a field"}.get(
        kind, ""
    )
    raise mismatch(f"{a_kind(kind)} has no items", hint=hint)


def _missing(key: str, record: dict[str, Value]) -> Raised:
    return unknown(f"there is no field `{key}`", hint=did_you_mean(key, record))


def _outside(index: int, value: Value) -> Raised:
    count = len(value)
    items = "no items" if count == 0 else f"{count} item{'s' if count > 1 else ''}"
    return unknown(f"there is no item [{index}]: it has {items}")
