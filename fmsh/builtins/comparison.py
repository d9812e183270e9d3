"""`== != < <= > >= =~ !~ in` on values, and what counts as true.

Values of different kinds are not compared: that is an error that says both, because it is nearly always a forgotten
conversion. Int and float are one kind here; null may be compared with anything by `==` and `!=`. Inside lists and
records items of different kinds are simply not equal.
"""

from __future__ import annotations

from fmsh.builtins.complaints import mismatch, need_text
from fmsh.values import Duration, a_kind, are_equal, kind_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fmsh.values import Raised, Value

_NUMBERS = frozenset((int, float))
_ORDERED = ("string", "bytes", "datetime")
ORDERED = (*_ORDERED, "number", "duration")  # the kinds that have an order, as `comparable_kind` names them


def equal(left: Value, right: Value) -> bool:
    """`==`. Raises: Raised for different kinds."""
    if left is None or right is None:
        return left is right
    if type(left) is not type(right) and comparable_kind(left) != comparable_kind(right):
        raise _not_comparable("==", left, right)
    return are_equal(left, right)


def not_equal(left: Value, right: Value) -> bool:
    """`!=`. Raises: Raised for different kinds."""
    if left is None or right is None:
        return left is not right
    if type(left) is not type(right) and comparable_kind(left) != comparable_kind(right):
        raise _not_comparable("!=", left, right)
    return not are_equal(left, right)


def less(left: Value, right: Value) -> bool:
    """`<`: numbers, strings (by code point), bytes, durations, datetimes."""
    if type(left) in _NUMBERS and type(right) in _NUMBERS:
        return bool(left < right)
    left, right = _in_order("<", left, right)
    return bool(left < right)


def less_equal(left: Value, right: Value) -> bool:
    """`<=`."""
    if type(left) in _NUMBERS and type(right) in _NUMBERS:
        return bool(left <= right)
    left, right = _in_order("<=", left, right)
    return bool(left <= right)


def greater(left: Value, right: Value) -> bool:
    """`>`."""
    if type(left) in _NUMBERS and type(right) in _NUMBERS:
        return bool(left > right)
    left, right = _in_order(">", left, right)
    return bool(left > right)


def greater_equal(left: Value, right: Value) -> bool:
    """`>=`."""
    if type(left) in _NUMBERS and type(right) in _NUMBERS:
        return bool(left >= right)
    left, right = _in_order(">=", left, right)
    return bool(left >= right)


def matches(text: Value, pattern: Value) -> bool:
    """`=~`: whether the regular expression is found anywhere in the text."""
    from fmsh.builtins import regular

    need_text(text, "the left side of `=~`")
    return regular.is_found(need_text(pattern, "the right side of `=~`"), text)


def not_matches(text: Value, pattern: Value) -> bool:
    """`!~`."""
    return not matches(text, pattern)


def contains_in(item: Value, container: Value) -> bool:
    """`in`: an item of a list, text in a text, a key of a record.

    Raises: Raised where it can never be so: text is asked for an int, or a list that holds nothing of the item's kind.
    """
    kind = kind_of(container)
    if kind == "list":
        return _is_item(item, container)
    if kind in ("string", "record"):
        if type(item) is not str:
            raise _not_comparable("in", item, container)
        return item in container
    if kind == "bytes" and type(item) is bytes:
        return item in container
    raise mismatch(f"the right side of `in` must be a list, a record or a string, not {a_kind(kind)}")


def not_in(item: Value, container: Value) -> bool:
    """`not in`."""
    return not contains_in(item, container)


def truth(value: Value) -> bool:
    """Gives back a bool. There is no truthiness. Raises: Raised for any other kind."""
    if value is True or value is False:
        return value
    kind = kind_of(value)
    raise mismatch(f"a condition must be a bool, not {a_kind(kind)}", hint=_as_condition(kind))


def _as_condition(kind: str) -> str:
    tests = {
        "null": "`$x != null` tests for a value",
        "int": "`$x != 0` tests for zero",
        "float": "`$x != 0` tests for zero",
        "string": '`$x != ""` tests for text, `{ if test … { true } else { false } }` goes by an exit status',
        "list": "`($x | count) > 0` tests for items",
    }
    return tests.get(kind, "compare it with something")


def _is_item(item: Value, container: list[Value] | range) -> bool:
    if type(container) is range:
        if type(item) in _NUMBERS:
            return item in container
        found = False
    else:
        found = any(are_equal(item, each) for each in container)
    if not found and item is not None and len(container) > 0:
        kind = comparable_kind(item)
        if not any(comparable_kind(each) == kind for each in container):
            wanted, held = kind_of(item), kind_of(container[0])
            raise mismatch(
                f"`in` looks for {a_kind(wanted)}, and the list holds none: its first item is {a_kind(held)}",
                hint=conversion_of((wanted, held)),
            )
    return found


def _in_order(sign: str, left: Value, right: Value) -> tuple[Value, Value]:
    """Gives two values that Python orders as the language does."""
    if type(left) is Duration and type(right) is Duration:
        return left.nanoseconds, right.nanoseconds
    kind = kind_of(left)
    if kind != kind_of(right):
        raise _not_comparable(sign, left, right)
    if kind not in _ORDERED:
        raise mismatch(f"`{sign}` orders numbers, strings, bytes, durations and datetimes, not {a_kind(kind)}")
    return left, right


def comparable_kind(value: Value) -> str:
    """The kind of a value, where int and float are one."""
    kind = kind_of(value)
    return "number" if kind in ("int", "float") else kind


def _not_comparable(sign: str, left: Value, right: Value) -> Raised:
    kinds = (kind_of(left), kind_of(right))
    message = f"`{sign}` does not compare {a_kind(kinds[0])} with {a_kind(kinds[1])}"
    return mismatch(message, hint=conversion_of(kinds))


def conversion_of(kinds: tuple[str, str]) -> str:
    """Says how to make values of two kinds comparable, or nothing."""
    if "secret" in kinds:
        return "`(reveal $s)` is the plain text of a secret, which is then recorded"
    if "null" in kinds:
        return "`$x ?? 0` gives a value where there is none"
    if "string" in kinds:
        other = kinds[1] if kinds[0] == "string" else kinds[0]
        if other in ("int", "float", "bool", "duration", "datetime", "bytes"):
            return f"convert the text with `| {other}`, or the other side with `| str`"
    if "duration" in kinds and ("int" in kinds or "float" in kinds):
        return "give the number a unit, as in `10s`"
    if "bool" in kinds and ("int" in kinds or "float" in kinds):
        return "a bool is not a number: write `true` or `false`"
    return ""
