"""What generated code calls to match a value against a pattern, which is plain data (`destructuring`)."""

from __future__ import annotations

from fmsh.values import ErrorValue, a_kind, kind_of, raised

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from fmsh.values import Value


def match_pattern(pattern: tuple[Any, ...], value: Value, equal: Callable[[Value, Value], bool]) -> list[Value] | None:
    """Matches a value: gives what the pattern's names bind, in the order of the names; None if it does not match."""
    kind = pattern[0]
    if kind == "name":
        return [value]
    if kind == "ignore":
        return []
    if kind == "literal":
        return [] if _is_same(pattern[1], value, equal) else None
    if kind == "any":
        return next(
            (found for option in pattern[1] if (found := match_pattern(option, value, equal)) is not None), None
        )
    if kind == "list":
        return _match_list(pattern, value, equal)
    return _match_record(pattern, value, equal)


def _is_same(wanted: Value, value: Value, equal: Callable[[Value, Value], bool]) -> bool:
    if isinstance(wanted, range):
        return type(value) is int and value in wanted
    return kind_of(wanted) == kind_of(value) and equal(wanted, value)


def _match_list(pattern: tuple[Any, ...], value: Value, equal: Callable[[Value, Value], bool]) -> list[Value] | None:
    _kind, items, rest = pattern
    if not isinstance(value, list | range) or len(value) < len(items) or (len(value) > len(items) and not rest):
        return None
    bound: list[Value] = []
    for option, item in zip(items, value, strict=False):
        found = match_pattern(option, item, equal)
        if found is None:
            return None
        bound += found
    return [*bound, list(value[len(items) :])] if rest else bound


def _match_record(pattern: tuple[Any, ...], value: Value, equal: Callable[[Value, Value], bool]) -> list[Value] | None:
    _kind, fields, rest = pattern
    if isinstance(value, ErrorValue):
        value = value.fields
    if not isinstance(value, dict):
        return None
    bound: list[Value] = []
    for key, option in fields:
        found = match_pattern(option, value[key], equal) if key in value else None
        if found is None:
            return None
        bound += found
    taken = {key for key, _option in fields}
    return [*bound, {key: item for key, item in value.items() if key not in taken}] if rest else bound


def destructure(pattern: tuple[Any, ...], value: Value, equal: Callable[[Value, Value], bool]) -> list[Value]:
    """Like `match_pattern`, where it must match (`let`, `for`, parameters)."""
    bound = match_pattern(pattern, value, equal)
    if bound is None:
        raise raised("type", _mismatch(pattern, value))
    return bound


def _mismatch(pattern: tuple[Any, ...], value: Value) -> str:
    """Why a value is not taken apart by a pattern: its outermost part that does not fit."""
    kind, parts = pattern[:2] if pattern[0] in ("list", "record") else ("", ())
    value = value.fields if isinstance(value, ErrorValue) else value
    inner: list[tuple[tuple[Any, ...], Value]] = []
    if kind == "list":
        wanted = f"a list of {len(parts)}{' or more' if pattern[2] else ''} is taken apart here"
        if not isinstance(value, list | range):
            return f"{wanted}, this is {a_kind(kind_of(value))}"
        if len(value) < len(parts) or (len(value) > len(parts) and not pattern[2]):
            return f"{wanted}, this one has {len(value)}"
        inner = list(zip(parts, value, strict=False))
    elif kind == "record":
        if not isinstance(value, dict):
            return f"a record is taken apart here, this is {a_kind(kind_of(value))}"
        if missing := [key for key, _option in parts if key not in value]:
            return f"the record that is taken apart here has no field `{missing[0]}`"
        inner = [(option, value[key]) for key, option in parts]
    found = (message for option, item in inner if (message := _mismatch(option, item)))
    return next(found, "" if pattern[0] in ("name", "ignore") else "the value does not fit the pattern here")


FUNCTIONS: dict[str, Any] = {"match_pattern": match_pattern, "destructure": destructure}
