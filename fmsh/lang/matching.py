"""What generated code calls to match a value against a pattern, which is plain data (`destructuring`)."""

from __future__ import annotations

from fmsh.values import ErrorValue, kind_of, raised

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
        raise raised("type", f"the {kind_of(value)} does not have the shape that is asked for here")
    return bound


FUNCTIONS: dict[str, Any] = {"match_pattern": match_pattern, "destructure": destructure}
