"""Patterns of `let`, `for`, block parameters and `match`, as plain data for `runtime.match_pattern`.

A name binds; the names of a pattern are in the order in which the match gives their values.
"""

from __future__ import annotations

from fmsh.lang import syntax as s

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from fmsh.lang.context import Compiler
    from fmsh.lang.syntax import Node


def pattern_data(c: Compiler, pattern: Node) -> tuple[tuple[Any, ...], list[str]]:
    """Gives the data of a pattern and the names that it binds."""
    names: list[str] = []
    data = _data(c, pattern, names)
    for name in {name for name in names if names.count(name) > 1}:
        c.problem(pattern, f"the pattern binds ${name} twice", "use another name for one of them")
    return data, names


def _data(c: Compiler, pattern: Node, names: list[str]) -> tuple[Any, ...]:
    if isinstance(pattern, s.NamePattern):
        if pattern.name == "_":
            return ("ignore",)
        names.append(pattern.name)
        return ("name",)
    if isinstance(pattern, s.LiteralPattern):
        return ("literal", _literal(c, pattern.value))
    if isinstance(pattern, s.AlternativePattern):
        return ("any", tuple(_alternative(c, option) for option in pattern.alternatives))
    if isinstance(pattern, s.ListPattern):
        items = tuple(_data(c, item, names) for item in pattern.items if not isinstance(item, s.RestPattern))
        return ("list", items, _rest(pattern.items, names))
    if isinstance(pattern, s.RecordPattern):
        fields = [field for field in pattern.fields_ if isinstance(field, s.FieldPattern)]
        data = tuple((field.key, _data(c, field.pattern, names)) for field in fields)
        return ("record", data, _rest(pattern.fields_, names))
    raise AssertionError(type(pattern))


def _alternative(c: Compiler, option: Node) -> tuple[Any, ...]:
    bound: list[str] = []
    data = _data(c, option, bound)
    if bound:
        c.problem(option, "an alternative of a pattern cannot bind a name", "write an arm of its own for it")
    return data


def _rest(items: tuple[Any, ...], names: list[str]) -> bool:
    rest = [item for item in items if isinstance(item, s.RestPattern)]
    if rest:
        names.append(rest[0].name)
    return bool(rest)


def _literal(c: Compiler, value: Node) -> Any:
    if isinstance(value, s.Range):
        start, end = value.start, value.end
        ends = [end.value for end in (start, end) if isinstance(end, s.Literal) and type(end.value) is int]
        if len(ends) == 2:
            return range(ends[0], ends[1] + (0 if value.is_exclusive else 1))
        c.problem(value, "a range in a pattern needs two whole numbers", "such as 200..299")
        return None
    assert isinstance(value, s.Literal)
    if getattr(value.value, "tzinfo", "none needed") is None:
        c.problem(value, "a date in a pattern needs its offset", "such as 2026-12-24T18:00Z")
    return value.value
