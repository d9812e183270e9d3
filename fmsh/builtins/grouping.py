"""Commands that compare the items of a list with one another: sorting, grouping, leaving out repeats, and sums.

Items are ordered as `<` orders them, and false before true; lists item by item. Different kinds in one list are an
error, never an arbitrary order. Equal items are found as `==` finds them, at any depth.
"""

from __future__ import annotations

from fmsh.builtins.access import get_path, parse_path
from fmsh.builtins.arithmetic import add, divide
from fmsh.builtins.comparison import ORDERED, comparable_kind, conversion_of, less
from fmsh.builtins.complaints import found, mismatch
from fmsh.builtins.declare import builtin, flag, required, rest, switch
from fmsh.machine.signature import KEY
from fmsh.values import Duration, a_kind, kind_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence
    from typing import Any

    from fmsh.builtins.builtin import Builtin
    from fmsh.values import Value

    Items = list[Value] | range
    Key = Callable[[Value], Value]

_SORTED_BY_PYTHON = ({str}, {int}, {float}, {int, float}, {bool}, {bytes}, {Duration})


def sort_by(items: Items, *keys: Value, desc: bool = False) -> Value:
    """Sorts by fields or by what a block gives; without any, by the items themselves. Equal items keep their order.

    > [{n: 2}, {n: 1}] | sort-by n
    {"n":1}
    {"n":2}

    > [bb, a, ccc] | sort-by { $it | str length } --desc
    ccc
    bb
    a

    > [3, 1, 2] | sort-by
    1
    2
    3
    """
    result = list(items)
    for key in reversed([key_of(each) for each in keys] or [_itself]):
        made = [key(item) for item in result]
        order = sorted(range(len(result)), key=_ordering(made), reverse=desc)
        result = [result[place] for place in order]
    return result


def group_by(items: Items, key: Value) -> Value:
    """Groups items by a field or by what a block gives: a list of `{key, values}` in order of first appearance.

    > [1, 2, 3] | group-by { $it % 2 }
    {"key":1,"values":[1,3]}
    {"key":0,"values":[2]}
    """
    groups: dict[Hashable, dict[str, Any]] = {}
    make = key_of(key)
    for item in items:
        made = make(item)
        group = groups.setdefault(identity(made), {"key": made, "values": []})
        group["values"].append(item)
    return list(groups.values())


def count_by(items: Items, key: Value) -> Value:
    """Counts items by a field or by what a block gives: a list of `{key, count}`, most first.

    > [a, b, a] | count-by { $it }
    {"key":"a","count":2}
    {"key":"b","count":1}
    """
    counts = [{"key": group["key"], "count": len(group["values"])} for group in group_by(items, key)]
    return sorted(counts, key=lambda each: -each["count"])


def unique(items: Items, *, by: Value = None) -> Value:
    """Leaves out items that came before; with `--by`, those whose field, or what a block gives, came before.

    > [a, b, a] | unique
    a
    b

    > [{n: 1, m: 1}, {n: 1, m: 2}] | unique --by n
    {"n":1,"m":1}
    """
    make = _itself if by is None else key_of(by)
    seen: dict[Hashable, Value] = {}
    for item in items:
        seen.setdefault(identity(make(item)), item)
    return list(seen.values())


def sum_(items: Items) -> Value:
    """Adds up numbers or durations; of an empty list it is 0.

    > [1, 2, 3] | sum
    6
    """
    if type(items) is range:
        return (items[0] + items[-1]) * len(items) // 2 if items else 0
    if set(map(type, items)) == {int}:
        return sum(items)
    total: Value = 0
    for number, item in enumerate(measures(items, "sum")):
        total = item if number == 0 else add(total, item)
    return total


def avg(items: Items) -> Value:
    """Gives the mean of numbers or durations; null for an empty list.

    > [1, 2] | avg
    1.5
    """
    return divide(sum_(measures(items, "avg")), len(items)) if items else None


def median(items: Items) -> Value:
    """Gives the middle of numbers or durations; null for an empty list.

    > [9, 1, 2] | median
    2

    > [1, 2] | median
    1.5
    """
    if not items:
        return None
    ordered = items if type(items) is range else sort_by(measures(items, "median"))
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else divide(add(ordered[middle - 1], ordered[middle]), 2)


def min_(items: Items) -> Value:
    """Gives the least item; null for an empty list.

    > [3, 1, 2] | min
    1
    """
    if type(items) is range and items:
        return min(items[0], items[-1])
    return min(items, key=_by_item(items)) if items else None


def max_(items: Items) -> Value:
    """Gives the greatest item; null for an empty list.

    > [3, 1, 2] | max
    3
    """
    if type(items) is range and items:
        return max(items[0], items[-1])
    return max(items, key=_by_item(items)) if items else None


def identity(value: Value) -> Hashable:
    """Gives something hashable that is equal for equal values and only for these; true is not 1, but 1 is 1.0."""
    kind = type(value)
    if kind in (str, int, float, bytes, type(None), Duration):
        return value  # type: ignore[no-any-return]
    if kind is bool:
        return ("bool", value)
    if kind is list or kind is range:
        return ("list", *map(identity, value))
    if kind is dict:
        return ("record", frozenset((key, identity(item)) for key, item in value.items()))
    return (kind_of(value), value)


class Ordered:
    """A value that Python can sort: by the order of the language, with its errors."""

    __slots__ = ("value",)

    def __init__(self, value: Value) -> None:
        self.value = value

    def __lt__(self, other: Ordered) -> bool:
        return _is_before(self.value, other.value)

    def __gt__(self, other: Ordered) -> bool:
        return _is_before(other.value, self.value)


def _is_before(left: Value, right: Value) -> bool:
    if type(left) is list and type(right) is list:
        for one, other in zip(left, right, strict=False):
            if _is_before(one, other):
                return True
            if _is_before(other, one):
                return False
        return len(left) < len(right)
    if type(left) is bool and type(right) is bool:
        return left < right
    kinds = comparable_kind(left), comparable_kind(right)
    if kinds[0] != kinds[1]:
        advice = conversion_of((kind_of(left), kind_of(right)))
        hint = "`where { $it != null }` leaves out what is not there" if "null" in kinds else advice
        raise mismatch(f"values of different kinds have no order: {found(left)} and {found(right)}", hint=hint)
    if kinds[0] not in ORDERED:
        hint = "name a field of it: `sort-by FIELD`" if kinds[0] == "record" else ""
        raise mismatch(f"{a_kind(kinds[0])} has no order", hint=hint)
    return less(left, right)


def _by_item(items: Items) -> Callable[[Value], Any]:
    return (lambda item: item) if _is_plain(items) else Ordered


def _ordering(keys: list[Value]) -> Callable[[int], Any]:
    if _is_plain(keys) or _is_table(keys):
        return keys.__getitem__
    return lambda place: Ordered(keys[place])


def _is_table(keys: list[Value]) -> bool:
    """Whether all are lists of one length, and each column of them is of one kind: Python compares these as we do."""
    if {type(key) for key in keys} != {list} or len({len(key) for key in keys}) != 1:
        return False
    return all(map(_is_plain, zip(*keys, strict=True)))


def _is_plain(items: Sequence[Value]) -> bool:
    return type(items) is range or {type(item) for item in items} in _SORTED_BY_PYTHON


def key_of(key: Value) -> Key:
    if callable(key):
        return key  # type: ignore[no-any-return]
    steps = parse_path(key)
    return lambda item: get_path(item, steps)


def _itself(item: Value) -> Value:
    return item


def measures(items: Items, name: str) -> Items:
    for item in items if type(items) is list else ():
        if type(item) not in (int, float, Duration):
            kind = kind_of(item)
            hints = {
                "string": f"convert with `| each {{ $it | int }} | {name}`",
                "record": f"`| get FIELD | {name}`",
            }
            raise mismatch(f"`{name}` takes numbers or durations, not {a_kind(kind)}", hint=hints.get(kind, ""))
    return items


_KEY = required("key", KEY)

BUILTINS: tuple[Builtin, ...] = (
    builtin("sort-by", sort_by, rest("keys", KEY), switch("desc"), input="list"),
    builtin("group-by", group_by, _KEY, input="list"),
    builtin("count-by", count_by, _KEY, input="list"),
    builtin("unique", unique, flag("by", KEY), input="list"),
    builtin("sum", sum_, input="list"),
    builtin("avg", avg, input="list"),
    builtin("median", median, input="list"),
    builtin("min", min_, input="list"),
    builtin("max", max_, input="list"),
)
