"""Commands that turn a value into another kind, or fail; and the readers of numbers and durations behind them."""

from __future__ import annotations

from fmsh.builtins.complaints import conversion, mismatch, unreadable
from fmsh.builtins.declare import builtin
from fmsh.values import Duration, a_kind, duration_of, kind_of, text_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fmsh.builtins.builtin import Builtin
    from fmsh.values import Raised, Value

DIGITS_AT_ONCE = 4000  # Python refuses to read more than 4300 digits in one go
SIZES = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


def kind(value: Value) -> Value:
    """Names the kind of a value.

    > [1, 2] | kind
    list
    """
    return kind_of(value)


def int_(value: Value) -> Value:
    """Makes an int: of text (`42`, `0xff`, `1_000`, `10KB`), of a float (towards zero), of a bool (0 or 1).

    > "0xff" | int
    255

    > 3.9 | int
    3
    """
    if type(value) in (int, bool):
        return int(value)
    if type(value) is float:
        if value - value != 0:
            raise unreadable(f"there is no int for {value!r}")
        return int(value)
    if type(value) is str:
        return read_int(value)
    raise _no_way(value, "int")


def float_(value: Value) -> Value:
    """Makes a float: of text or of an int.

    > "1e3" | float
    1000.0
    """
    if type(value) in (int, float):
        try:
            return float(value)
        except OverflowError:
            raise unreadable("the number is too large for a float") from None
    if type(value) is str:
        try:
            number = float(value)
        except ValueError:
            raise _not_a("number", value) from None
        if number - number != 0:  # an infinity or none at all
            raise _not_a("number", value)
        return number
    raise _no_way(value, "float")


def bool_(value: Value) -> Value:
    """Makes a bool of the text `true` or `false`, or of the numbers 1 and 0.

    > "true" | bool
    true
    """
    if type(value) is bool:
        return value
    if type(value) is int and value in (0, 1):
        return value == 1
    if type(value) is str:
        text = value.strip()
        if text in ("true", "false"):
            return text == "true"
        raise unreadable("a bool is written `true` or `false`", hint="`== yes` compares with another word")
    raise _no_way(value, "bool")


def duration(value: Value) -> Value:
    """Makes a duration of text such as `1h30m`, or of a number of seconds.

    > "90m" | duration
    1h30m

    > 1.5 | duration
    1s500ms
    """
    if type(value) is Duration:
        return value
    if type(value) is int:
        return Duration(value * 10**9)
    if type(value) is float:
        if value - value != 0:
            raise unreadable(f"there is no duration for {value!r}")
        return Duration(round(value * 10**9))
    if type(value) is str:
        return read_duration(value)
    raise _no_way(value, "duration")


def bytes_(value: Value) -> Value:
    """Makes bytes: of text (as UTF-8), or of a list of numbers from 0 to 255.

    > "é" | bytes | digest sha256 | str slice 0 8
    4a99557e
    """
    if type(value) is bytes:
        return value
    if type(value) is str:
        return text_bytes(value)
    if type(value) in (list, range):
        if all(type(item) is int and 0 <= item < 256 for item in value):
            return bytes(value)
        raise unreadable("bytes are made of a list of numbers from 0 to 255")
    raise _no_way(value, "bytes")


def read_int(text: str) -> int:
    """Reads an int or a size as programs write them. Raises: Raised with kind `parse`."""
    stripped = text.strip()
    digits = stripped.lstrip("+-")
    if len(digits) > DIGITS_AT_ONCE and digits.isascii() and digits.isdigit() and len(stripped) - len(digits) < 2:
        number = _read_long(digits)
        return -number if stripped[0] == "-" else number
    for unit, size in SIZES.items():
        if stripped.endswith(unit) and not stripped.startswith("0x"):
            return _size(stripped[: -len(unit)], size)
    if stripped.isascii() and digits[:1].isdigit():
        try:
            return int(stripped, 0 if digits[:2].lower() in ("0x", "0o", "0b") else 10)
        except ValueError:
            pass
    raise _not_a("whole number", text)


def read_duration(text: str) -> Duration:
    """Reads `1h30m`, `-5s`, `1.5h`, `500ms`; units from large to small. Raises: Raised with kind `parse`."""
    found = duration_of(text)
    if found is None:
        raise _not_a("duration such as `1h30m`", text)
    return found


def _size(number: str, unit: int) -> int:
    amount: float = float_(number) if "." in number else read_int(number)
    return round(amount * unit)


def _read_long(digits: str) -> int:
    if len(digits) <= DIGITS_AT_ONCE:
        return int(digits)
    half = len(digits) // 2
    shift: int = 10 ** (len(digits) - half)
    return _read_long(digits[:half]) * shift + _read_long(digits[half:])


def _not_a(what: str, text: str) -> Raised:
    return unreadable(f"the text is not a {what}", hint=f"it begins with {text[:20]!r}" if text else "it is empty")


def _no_way(value: Value, wanted: str) -> Raised:
    kind = kind_of(value)
    hint = "divide it by a unit: `$d / 1s`" if kind == "duration" else conversion(kind, wanted)
    return mismatch(f"{a_kind(kind)} cannot become {a_kind(wanted)}", hint=hint)


BUILTINS: tuple[Builtin, ...] = (
    builtin("kind", kind),
    builtin("int", int_),
    builtin("float", float_),
    builtin("bool", bool_),
    builtin("duration", duration),
    builtin("bytes", bytes_),
)
