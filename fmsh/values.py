"""The values of the language, and what is common to all of them: kind, equality, conversion to text.

| kind | Python |
| --- | --- |
| null bool int float string bytes | None bool int float str bytes (a str may hold bytes that are not UTF-8) |
| duration | `Duration`, whole nanoseconds |
| datetime | an aware `datetime.datetime` |
| list, record | `list`, `dict` with string keys, in order |
| range | `range` (a list that is not written out) |
| block | `Block` |
| error | `ErrorValue` |
| handle | `Handle`: callback, task, job, channel, api |
| secret | `Secret`: text in which the secret parts are references |

Values are immutable by agreement: a list or dict is never changed after it became a value.
This module knows nothing of scopes, requests or the store.
"""

from __future__ import annotations

from fmsh.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    Value = Any  # any of the table above; a checked union would have to be repeated in every generated expression

REDACTED = "•••"

NANOSECONDS = {"ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9, "d": 86400 * 10**9, "w": 604800 * 10**9}


class Duration:
    """A span of time in whole nanoseconds; negative ones are legal."""

    __slots__ = ("nanoseconds",)

    def __init__(self, nanoseconds: int) -> None:
        self.nanoseconds = nanoseconds

    @property
    def seconds(self) -> float:
        return self.nanoseconds / 10**9

    @property
    def milliseconds(self) -> int:
        return self.nanoseconds // 10**6

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Duration) and other.nanoseconds == self.nanoseconds

    def __lt__(self, other: Duration) -> bool:
        return self.nanoseconds < other.nanoseconds

    def __hash__(self) -> int:
        return hash((Duration, self.nanoseconds))

    def __repr__(self) -> str:
        return f"Duration({self})"

    def __str__(self) -> str:
        """Writes it as the language reads it: `1h30m`, `1.5s` as `1s500ms`, zero as `0s`; below 1 ms as `0.25ms`."""
        if self.nanoseconds == 0:
            return "0s"
        rest = abs(self.nanoseconds)
        written = "-" if self.nanoseconds < 0 else ""
        for unit in ("w", "d", "h", "m", "s"):
            count, rest = divmod(rest, NANOSECONDS[unit])
            if count:
                written += f"{count}{unit}"
        if rest:
            whole, fraction = divmod(rest, 10**6)
            written += f"{whole}" + (f".{fraction:06}".rstrip("0") if fraction else "") + "ms"
        return written


def duration_of(text: str) -> Duration | None:
    """Reads `1h30m`, `-5s`, `1.5h`, `500ms`, as `str` of a duration writes it; None if it is none."""
    rest = text.strip()
    is_negative = rest.startswith("-")
    rest = rest.removeprefix("-")
    total = 0
    last_size: int | None = None
    while rest or last_size is None:
        number = rest[: len(rest) - len(rest.lstrip("0123456789."))]
        rest = rest[len(number) :]
        unit = "ms" if rest.startswith("ms") else rest[:1]
        size = NANOSECONDS.get(unit)
        if size is None or not number.replace(".", "", 1).isdigit() or (last_size is not None and size >= last_size):
            return None
        whole, _, fraction = number.partition(".")
        total += int(whole or "0") * size + (int(fraction) * size // 10 ** len(fraction) if fraction else 0)
        rest, last_size = rest[len(unit) :], size
    return Duration(-total if is_negative else total)


def text_bytes(text: str) -> bytes:
    """Turns any string into bytes: surrogates that stand for bytes become these, others are written as they are."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # surrogates that never were bytes
        return text.encode("utf-8", "surrogatepass")


ENVIRONMENT, SEALED = "env", "sealed"  # how the names of references begin that nobody chose: fmsh.secrets


class SecretReference(Record):
    """Where a text that is not here can be found: see fmsh.secrets."""

    name: str

    @property
    def label(self) -> str:
        """What people call it: its name, that of the variable, or that it is sealed in the history."""
        kind, _, rest = self.name.partition(" ")
        if kind == ENVIRONMENT and rest:
            return rest.partition(" ")[0]
        return SEALED if kind == SEALED and rest else self.name


class Secret(Record):
    """Text with parts that are not here. Shows as `•••`; only a connector, or `reveal`, puts the text in."""

    parts: tuple[str | SecretReference, ...]

    def __str__(self) -> str:
        return "".join(part if isinstance(part, str) else REDACTED for part in self.parts)


class Handle(Record):
    """A name for something that lives elsewhere. `fields` are what a path can read, such as a callback's `url`."""

    kind: str  # callback, task, job, channel, api
    id: str
    fields_: dict[str, Value]


class ErrorValue:
    """An error as a value: reads like a record with at least kind, message, command, where, retryable.

    `fields["where"]` is `{file, line, column}` or null; `trace` holds the places of the calls that led there, innermost
    first, as `{function, file, line, column}`.
    """

    __slots__ = ("fields",)

    def __init__(self, fields: Mapping[str, Value]) -> None:
        self.fields = dict(fields)

    @property
    def kind(self) -> str:
        return str(self.fields["kind"])

    @property
    def message(self) -> str:
        return str(self.fields["message"])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ErrorValue) and other.fields == self.fields

    def __hash__(self) -> int:
        return hash((self.kind, self.message))

    def __repr__(self) -> str:
        return f"ErrorValue({self.kind}: {self.message})"


def error_value(kind: str, message: str, *, retryable: bool = False, **extra: Value) -> ErrorValue:
    """Makes an error with the fields that every error has; `where` and `command` are put in where it is raised."""
    return ErrorValue(
        {"kind": kind, "message": message, "command": None, "where": None, "retryable": retryable} | extra
    )


class Block:
    """A block held as a value: its code and the scope that it closes over (types of the machine, opaque here)."""

    __slots__ = ("code", "scope")

    def __init__(self, code: Any, scope: Any) -> None:
        self.code = code
        self.scope = scope

    def __repr__(self) -> str:
        return "Block()"


_KINDS: dict[type, str] = {
    type(None): "null",
    bool: "bool",
    int: "int",
    float: "float",
    str: "string",
    bytes: "bytes",
    Duration: "duration",
    list: "list",
    range: "list",
    dict: "record",
    Block: "block",
    ErrorValue: "error",
    Secret: "secret",
}


def kind_of(value: Value) -> str:
    """Names the kind of a value, as `kind` and error messages say it."""
    kind = _KINDS.get(type(value))
    if kind is not None:
        return kind
    if isinstance(value, Handle):
        return value.kind
    if type(value).__name__ == "datetime":
        return "datetime"
    raise TypeError(f"not a value of the language: {type(value).__name__}")


def a_kind(kind: str) -> str:
    """Puts the article before the name of a kind: `an int`, `a string`; `null`, `text` and `bytes` stay alone."""
    if kind in ("null", "text", "bytes"):
        return kind
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"


def are_equal(left: Value, right: Value) -> bool:
    """Whether two values are the same. Unlike Python, true is not 1; int and float compare by amount."""
    if isinstance(left, range) and isinstance(right, range):  # without going through them
        return left == right
    if isinstance(left, list | range) and isinstance(right, list | range):
        return len(left) == len(right) and all(map(are_equal, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(are_equal(item, right[key]) for key, item in left.items())
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    return bool(left == right)


class Raised(Exception):
    """How a pure function tells the machine that the user's program failed: the error value travels in it."""

    def __init__(self, error: ErrorValue) -> None:
        super().__init__(error.message)
        self.error = error


def raised(kind: str, message: str, **extra: Value) -> Raised:
    """Makes the exception for an error value: `raise raised("type", "…")`."""
    return Raised(error_value(kind, message, **extra))
