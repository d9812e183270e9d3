"""What a check gives."""

from __future__ import annotations

from fmsh.record import Record

OK, NOTE, WARNING, ERROR = LEVELS = ("ok", "note", "warning", "error")


class Finding(Record):
    """`advice`: what to do about it, in one sentence. `repaired`: what was done about it; then it is at most a note."""

    level: str
    text: str
    advice: str = ""
    repaired: str = ""


def ok(text: str) -> Finding:
    return Finding(OK, text)


def note(text: str, advice: str = "") -> Finding:
    return Finding(NOTE, text, advice)


def warning(text: str, advice: str) -> Finding:
    return Finding(WARNING, text, advice)


def error(text: str, advice: str) -> Finding:
    return Finding(ERROR, text, advice)


def count(number: int, noun: str, plural: str = "") -> str:
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def size(number: int) -> str:
    """Writes a number of bytes in a unit in which it is short."""
    for unit, shift in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if number >= 1 << shift:
            return f"{number / (1 << shift):.1f} {unit}"
    return f"{number} bytes"
