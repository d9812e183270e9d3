"""How builtins and operators say that a value does not fit: one wording for all of them.

A message says what was found and what was expected; `hint` says what to write instead. Values themselves stay out of
messages: they may be long, and the text of one may be nobody's business.
"""

from __future__ import annotations

from fmsh.values import a_kind, kind_of, raised

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from fmsh.values import Raised, Value

NAMES_COMPARED_MAX = 1000  # a record with more fields is data with keys, where a near miss says nothing


def found(value: Value) -> str:
    """Says what a value is: `an int`."""
    return a_kind(kind_of(value))


def wrong_kind(value: Value, expected: str, *, what: str, hint: str = "") -> Raised:
    """Makes the error for a value of the wrong kind: `the argument of \\`first\\` must be an int, not a string`."""
    hint = hint or conversion(kind_of(value), expected)
    return raised("type", f"{what} must be {a_kind(expected)}, not {found(value)}", **_hinted(hint))


def mismatch(message: str, *, hint: str = "") -> Raised:
    """Makes the error for kinds that do not go together."""
    return raised("type", message, **_hinted(hint))


def unknown(message: str, *, hint: str = "") -> Raised:
    """Makes the error for a field, item or name that is not there."""
    return raised("name", message, **_hinted(hint))


def wrong_value(message: str, *, hint: str = "") -> Raised:
    """Makes the error for a value of the right kind that cannot be used: a division by zero, a negative count."""
    return raised("value", message, **_hinted(hint))


def unreadable(message: str, *, hint: str = "") -> Raised:
    """Makes the error for text that is not in the form that was asked for."""
    return raised("parse", message, **_hinted(hint))


def too_much(message: str, *, hint: str = "") -> Raised:
    """Makes the error for what goes over a limit."""
    return raised("limit", message, **_hinted(hint))


def conversion(kind: str, expected: str) -> str:
    """Says how to turn one kind into another, or nothing where there is no sensible way."""
    if kind == "secret":
        return "`(reveal $s)` is the plain text of a secret, which is then recorded"
    if expected in ("string", "text") and kind in ("int", "float", "bool", "bytes", "duration", "datetime"):
        return "convert with `| str`"
    if expected == "bytes" and kind in ("int", "float", "bool", "duration", "datetime"):
        return "make text of it first: `| str`"
    if expected == "bytes" and kind in ("list", "record"):
        lines = ', `| str join "\\n"` of lines' if kind == "list" else ""
        return f"`| to json` makes text of it{lines}"
    if expected in ("string", "text") and kind in ("list", "record"):
        return "`| to json` makes text of it, `| each { … }` works on every item"
    if kind == "string" and expected in ("int", "float", "number", "duration", "datetime", "bytes", "bool"):
        return f"convert with `| {'float' if expected == 'number' else expected}`"
    if kind == "string" and expected == "list":
        return "`| lines` makes a list of its lines, `| words` of its words"
    if kind == "string" and expected == "record":
        return "`| from json` reads one from text"
    if kind in ("int", "float") and expected == "duration":
        return "give a unit, as in `10s`, or convert with `| duration` (seconds)"
    return ""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Gives the hint for a misspelt name, or "" when nothing is near."""
    from difflib import get_close_matches
    from itertools import islice

    names = [each for each in islice(known, NAMES_COMPARED_MAX) if isinstance(each, str)]
    near = get_close_matches(name, names, n=1, cutoff=0.6)
    if near:
        return f"did you mean `{near[0]}`?"
    if 0 < len(names) <= 12:
        return "it has " + ", ".join(f"`{each}`" for each in names)
    return ""


def repeated(names: Iterable[str]) -> str | None:
    """Finds the first name that is there twice."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None


def need_int(value: Value, what: str, *, least: int | None = None) -> int:
    """Gives back an int. Raises: Raised for another kind, or for less than `least`."""
    if type(value) is not int:
        raise wrong_kind(value, "int", what=what)
    if least is not None and value < least:
        raise wrong_value(f"{what} must be at least {least}, not {value}")
    return value


def need_text(value: Value, what: str) -> str:
    """Gives back a string. Raises: Raised for another kind."""
    if type(value) is not str:
        raise wrong_kind(value, "string", what=what)
    return value


def need_list(value: Value, what: str) -> list[Value] | range:
    """Gives back a list (or a range, which is one that is not written out). Raises: Raised for another kind."""
    if type(value) is not list and type(value) is not range:
        raise wrong_kind(value, "list", what=what)
    return value


def need_record(value: Value, what: str) -> dict[str, Value]:
    """Gives back a record. Raises: Raised for another kind."""
    if type(value) is not dict:
        raise wrong_kind(value, "record", what=what)
    return value


def _hinted(hint: str) -> dict[str, Value]:
    return {"hint": hint} if hint else {}
