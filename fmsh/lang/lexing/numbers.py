"""Words that begin with a digit: numbers, durations, sizes and dates (rule 16 of the language).

A run is a number, duration, size or date only if it is one as a whole; otherwise it is a string (`10.0.0.1`, `2to3`).
"""

from __future__ import annotations

from fmsh.lang.tokens import DIGITS
from fmsh.values import NANOSECONDS, Duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

RUN_CHARS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_:@")
DATE_SHAPE = "dddd-dd-dd"
DIGITS_MAX = 4300  # Python's own bound for reading a decimal number; what it reads it can also print

SIZES = {"B": 1} | {
    letter + suffix: base**power
    for power, letter in enumerate("KMGTP", 1)
    for suffix, base in (("B", 1000), ("iB", 1024))
}
BASES = {"0x": 16, "0b": 2, "0o": 8}
UNITS = ("w", "d", "h", "m", "s", "ms")  # the order in which a compound names them


class NotANumber:
    """The answer for a run that is none; `None` is a value."""


NOT_A_NUMBER = NotANumber()


def run_end(text: str, pos: int) -> int:
    """Gives where the run that begins with the digit at `pos` ends."""
    if _has_shape(text, pos, DATE_SHAPE):
        return _date_end(text, pos)
    start, size = pos, len(text)
    while pos < size:
        c = text[pos]
        if (
            c in RUN_CHARS
            or (c == "." and text[pos + 1 : pos + 2] in _AFTER_DOT and text[pos + 1 : pos + 2])
            or (
                c in "+-"
                and text[pos - 1] in "eE"
                and text[pos + 1 : pos + 2].isdigit()
                and _is_mantissa(text[start : pos - 1])
            )
        ):
            pos += 1
        else:
            break
    return pos


def read_run(run: str) -> Any:
    """Gives the value of a whole run: an int, float, Duration, datetime, or NOT_A_NUMBER. A run has no sign."""
    if run.isdigit() and run.isascii():
        return _decimal(run)
    if run[:2] in BASES:
        return _based(run[2:], BASES[run[:2]])
    if _has_shape(run, 0, DATE_SHAPE):
        return _date(run)
    last = run[-1]
    if last in DIGITS:
        return _plain(run)
    if last == "B":
        return _size(run)
    return _duration(run)


_AFTER_DOT = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")


def _has_shape(text: str, pos: int, shape: str) -> bool:
    part = text[pos : pos + len(shape)]
    return len(part) == len(shape) and all(
        c in DIGITS if wanted == "d" else c == wanted for c, wanted in zip(part, shape, strict=True)
    )


def _date_end(text: str, pos: int) -> int:
    pos += len(DATE_SHAPE)
    if text[pos : pos + 1] == "T":
        pos += 1
        while text[pos : pos + 1] in DIGITS or text[pos : pos + 1] in (":", ".", "Z"):
            pos += 1
        if text[pos : pos + 1] in ("+", "-") and _has_shape(text, pos + 1, "dd:dd"):
            pos += 6
    while text[pos : pos + 1] in RUN_CHARS:
        pos += 1
    return pos


def _is_mantissa(run: str) -> bool:
    whole, dot, fraction = run.partition(".")
    return _is_digits(whole) and (not dot or _is_digits(fraction))


def _is_digits(run: str) -> bool:
    """Digits with single `_` between them."""
    return run.replace("_", "").isdecimal() and run.isascii() and all(run.split("_"))


def _decimal(run: str) -> Any:
    if len(run) > DIGITS_MAX or (run[0] == "0" and len(run) > 1):
        return NOT_A_NUMBER
    return int(run)


def _based(digits: str, base: int) -> Any:
    try:
        return int(digits, base) if digits[:1] not in ("_", "+", "-") else NOT_A_NUMBER
    except ValueError:
        return NOT_A_NUMBER


def _plain(run: str) -> Any:
    if "." not in run and "e" not in run and "E" not in run:
        return _decimal(run.replace("_", "")) if _is_digits(run) else NOT_A_NUMBER
    mantissa, _, exponent = run.replace("E", "e").partition("e")
    if not _is_mantissa(mantissa) or (mantissa[0] == "0" and mantissa[1:2] not in ("", ".")):
        return NOT_A_NUMBER
    if exponent and not _is_digits(exponent.lstrip("+-")):
        return NOT_A_NUMBER
    return float(run.replace("_", ""))


def _quantity(number: str, unit: int) -> int | None:
    """`number * unit` as a whole number, cut off below one; exact, so 0.1 is a tenth."""
    whole, dot, fraction = number.partition(".")
    if not _is_digits(whole) or (dot and not _is_digits(fraction)) or len(number) > DIGITS_MAX:
        return None
    fraction = fraction.replace("_", "")
    scale: int = 10 ** len(fraction)
    return int(whole.replace("_", "") + fraction) * unit // scale


def _size(run: str) -> Any:
    number = run.rstrip("KMGTPiB")
    unit = SIZES.get(run[len(number) :])
    amount = None if unit is None else _quantity(number, unit)
    return NOT_A_NUMBER if amount is None else amount


def _duration(run: str) -> Any:
    total, order, pos, size = 0, -1, 0, len(run)
    while pos < size:
        start = pos
        while pos < size and (run[pos] in DIGITS or run[pos] in "._"):
            pos += 1
        number, start = run[start:pos], pos
        while pos < size and run[pos] in "wdhms":
            pos += 1
        unit = run[start:pos]
        amount = _quantity(number, NANOSECONDS[unit]) if unit in NANOSECONDS else None
        if amount is None or UNITS.index(unit) <= order:
            return NOT_A_NUMBER
        order = UNITS.index(unit)
        total += amount
    return Duration(total)


def _date(run: str) -> Any:
    """A date is its midnight; without an offset it is left naive, for the time zone of the job."""
    from datetime import datetime

    rest = run[len(DATE_SHAPE) + 1 :]
    if rest and (not _has_shape(rest, 0, "dd:dd") or "Z" in rest[:-1]):
        return NOT_A_NUMBER
    try:
        return datetime.fromisoformat(run)
    except ValueError:
        return NOT_A_NUMBER
