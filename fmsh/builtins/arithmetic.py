"""`+ - * / // % **` and unary `-` on values.

Numbers come first and fast; every other pair of kinds is looked up in a table, and a pair that is not there is an
error that names both kinds. Nothing is converted but int with float. A bool is not a number. Datetimes have a fixed
offset, so their arithmetic is on instants; they keep microseconds, finer parts of a duration are dropped there.
"""

from __future__ import annotations

from fmsh.builtins.complaints import mismatch, too_much, wrong_value
from fmsh.values import Duration, a_kind, kind_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from fmsh.values import Raised, Value

    Operation = Callable[[Any, Any], Value]
    Table = Mapping[tuple[str, str], Operation]

INT_BITS_MAX = 8 * 2**20  # 1 MiB; Python computes far larger numbers, but nobody waits for that
_NUMBERS = frozenset((int, float))


def add(left: Value, right: Value) -> Value:
    """`+`: numbers; two strings or two lists joined; datetime and duration; two durations."""
    if type(left) in _NUMBERS and type(right) in _NUMBERS:
        try:
            return _finite(left + right)
        except OverflowError:
            raise _beyond_float() from None
    return _look_up(_ADD, "+", left, right)


def subtract(left: Value, right: Value) -> Value:
    """`-`: numbers, durations, datetime minus datetime or duration."""
    if type(left) in _NUMBERS and type(right) in _NUMBERS:
        try:
            return _finite(left - right)
        except OverflowError:
            raise _beyond_float() from None
    return _look_up(_SUBTRACT, "-", left, right)


def multiply(left: Value, right: Value) -> Value:
    """`*`: numbers, or a duration and a number."""
    if type(left) in _NUMBERS and type(right) in _NUMBERS:
        try:
            product = left * right
        except OverflowError:
            raise _beyond_float() from None
        return _finite(product) if type(product) is float else _bounded(product)
    return _look_up(_MULTIPLY, "*", left, right)


def divide(left: Value, right: Value) -> Value:
    """`/`: numbers give a float; duration by number a duration, duration by duration a float."""
    return _divided(_DIVIDE, "/", left, right)


def floor_divide(left: Value, right: Value) -> Value:
    """`//`: rounds down; the duration forms as for `/`, with whole results."""
    return _divided(_FLOOR_DIVIDE, "//", left, right)


def modulo(left: Value, right: Value) -> Value:
    """`%`: the rest that `//` leaves, with the sign of the right side."""
    return _divided(_MODULO, "%", left, right)


def power(left: Value, right: Value) -> Value:
    """`**`: numbers only."""
    if type(left) not in _NUMBERS or type(right) not in _NUMBERS:
        raise _no_such_pair("**", left, right)
    if type(left) is int and type(right) is int and right > 0 and left.bit_length() * right > INT_BITS_MAX + right:
        raise _beyond_int()
    try:
        result = left**right
    except OverflowError:
        raise _beyond_float() from None
    except ZeroDivisionError:
        raise wrong_value("0 has no negative power") from None
    if type(result) is complex:
        raise wrong_value("a negative number has no fractional power")
    return _finite(result)


def negate(value: Value) -> Value:
    """Unary `-`: a number or a duration."""
    if type(value) in _NUMBERS:
        return -value
    if type(value) is Duration:
        return Duration(-value.nanoseconds)
    raise mismatch(f"`-` takes a number or a duration, not {a_kind(kind_of(value))}")


def _divided(table: Table, sign: str, left: Value, right: Value) -> Value:
    try:
        return _look_up(table, sign, left, right)
    except ZeroDivisionError:
        raise wrong_value(f"division by zero (`{sign}`)") from None


def _look_up(table: Table, sign: str, left: Value, right: Value) -> Value:
    operation = table.get((kind_of(left), kind_of(right)))
    if operation is None:
        raise _no_such_pair(sign, left, right)
    try:
        return _finite(operation(left, right))
    except OverflowError:
        if "datetime" in (kind_of(left), kind_of(right)):
            raise too_much("the datetime is outside the years 1 to 9999") from None
        raise _beyond_float() from None


def _no_such_pair(sign: str, left: Value, right: Value) -> Raised:
    kinds = (kind_of(left), kind_of(right))
    message = f"`{sign}` does not take {a_kind(kinds[0])} and {a_kind(kinds[1])}"
    return mismatch(message, hint=_advice(sign, kinds))


def _advice(sign: str, kinds: tuple[str, str]) -> str:
    if "secret" in kinds:
        return '"$a$b" joins a secret and text to a secret'
    if "string" in kinds and kinds[0] != kinds[1]:
        other = kinds[1] if kinds[0] == "string" else kinds[0]
        if other in ("int", "float"):
            return "to calculate, convert the text with `| int` or `| float`" + (
                '; to join text, write "$a$b"' if sign == "+" else ""
            )
        return 'to join text, write "$a$b"' if sign == "+" and other != "list" else ""
    if "duration" in kinds and ("int" in kinds or "float" in kinds):
        return "give the number a unit, as in `10s`, or divide the duration by one (`$d / 1s` is its seconds)"
    if "list" in kinds and sign == "+":
        return "`[...$list, $item]` adds an item"
    if kinds == ("record", "record"):
        return "`{...$a, ...$b}` joins two records"
    if "null" in kinds:
        return "`$x ?? 0` gives a value where there is none"
    return ""


def _bounded(number: int) -> int:
    if number.bit_length() > INT_BITS_MAX:
        raise _beyond_int()
    return number


def _beyond_int() -> Raised:
    return too_much(f"the number has more than {INT_BITS_MAX} bits")


def _finite(result: Any) -> Any:
    """Gives a result that is a number or anything else: there are no infinities, as JSON has none."""
    if type(result) is float and result - result != 0:
        raise _beyond_float()
    return result


def _beyond_float() -> Raised:
    return too_much("the number is too large for a float")


def _delta(duration: Duration) -> Any:
    from datetime import timedelta

    return timedelta(microseconds=duration.nanoseconds // 1000)


def _between(later: Any, earlier: Any) -> Duration:
    delta = later - earlier
    return Duration((delta.days * 86400 + delta.seconds) * 10**9 + delta.microseconds * 1000)


def _scaled(duration: Duration, factor: float) -> Duration:
    if type(factor) is int:
        return Duration(duration.nanoseconds * factor)
    return Duration(_whole(duration.nanoseconds * factor))


def _whole(nanoseconds: float) -> int:
    if nanoseconds != nanoseconds:
        raise wrong_value("a duration cannot be nan")
    return round(nanoseconds)


def _part(duration: Duration, divisor: float) -> Duration:
    return Duration(_whole(duration.nanoseconds / divisor))


def _pairs(left: tuple[str, ...], right: tuple[str, ...], operation: Operation) -> dict[tuple[str, str], Operation]:
    return {(one, other): operation for one in left for other in right}


_NUMBER = ("int", "float")
_DURATION = ("duration",)
_ADD: Table = {
    ("string", "string"): lambda a, b: a + b,
    ("list", "list"): lambda a, b: [*a, *b],
    ("bytes", "bytes"): lambda a, b: a + b,
    ("duration", "duration"): lambda a, b: Duration(a.nanoseconds + b.nanoseconds),
    ("datetime", "duration"): lambda a, b: a + _delta(b),
    ("duration", "datetime"): lambda a, b: b + _delta(a),
}
_SUBTRACT: Table = {
    ("duration", "duration"): lambda a, b: Duration(a.nanoseconds - b.nanoseconds),
    ("datetime", "duration"): lambda a, b: a - _delta(b),
    ("datetime", "datetime"): _between,
}
_MULTIPLY: Table = _pairs(_DURATION, _NUMBER, _scaled) | _pairs(_NUMBER, _DURATION, lambda a, b: _scaled(b, a))
_DIVIDE: Table = {
    **_pairs(_NUMBER, _NUMBER, lambda a, b: a / b),
    **_pairs(_DURATION, _NUMBER, _part),
    **_pairs(_DURATION, _DURATION, lambda a, b: a.nanoseconds / b.nanoseconds),
}
_FLOOR_DIVIDE: Table = {
    **_pairs(_NUMBER, _NUMBER, lambda a, b: a // b),
    **_pairs(_DURATION, ("int",), lambda a, b: Duration(a.nanoseconds // b)),
    **_pairs(_DURATION, _DURATION, lambda a, b: a.nanoseconds // b.nanoseconds),
}
_MODULO: Table = {
    **_pairs(_NUMBER, _NUMBER, lambda a, b: a % b),
    **_pairs(_DURATION, _DURATION, lambda a, b: Duration(a.nanoseconds % b.nanoseconds)),
}
