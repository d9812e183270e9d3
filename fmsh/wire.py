"""The wire form: values as JSON text, so that people and other programs can read the store.

A kind that JSON lacks is an object with the one key `$kind` and its data: `{"$duration": 1500000000}`. Tags are never
reused. A user's record whose first key could be mistaken for a tag is wrapped: `{"$record": {…}}`.

    $int      hexadecimal digits: an int beyond 64 bits         $float    "nan", "inf", "-inf"
    $text     a string with lone surrogates, as base64 of its bytes (surrogatepass)
    $bytes    base64                                            $duration nanoseconds
    $datetime RFC 3339                                          $secret   [part, …]: strings and {"secret": name}
    $error    the fields                                        $handle   [kind, id, fields]
    $range    [start, end exclusive, step]                      $record   a record with a key that begins with $

    $block    [code id, scope id]: in snapshots only, whose reader puts code and scope in
    $blob_text  the hash of a text that is kept beside: in events only, whose reader puts the text in

Why a writer of our own beside msgspec: importing msgspec or json costs 13 to 35 ms of the budget of `fmsh -c true`; and
msgspec writes nan as null, and json ints beyond 64 bits as they are, where other readers would lose digits.
Small values are written here; `decode` reads with json (msgspec where it is already loaded).
"""

from __future__ import annotations

import sys
from _json import encode_basestring

from fmsh.record import Record
from fmsh.values import Block, Duration, ErrorValue, Handle, Secret, SecretReference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from fmsh.values import Value

INT_MAX = 2**63 - 1
INT_MIN = -(2**63)


class Aside(Record):
    """Stands for a text that is kept beside what is written, by its hash."""

    hash: str


def encode(value: Value) -> str:
    """Writes a value as compact JSON text with tags. Raises: TypeError for what is not a value."""
    kind = type(value)
    if kind is str:
        return encode_basestring(value) if value.isascii() else _encode_text(value)
    writer = _WRITERS.get(kind)
    if writer is not None:
        return writer(value)
    if hasattr(value, "isoformat"):
        return f'{{"$datetime":"{value.isoformat()}"}}'
    raise TypeError(f"{kind.__name__} has no wire form")


def encode_plain(data: Any) -> str:
    """Writes plain JSON data (None, bool, int, float, str, list, dict) as compact JSON, without tags."""
    kind = type(data)
    if kind is str:
        return encode_basestring(data)
    if kind is list:
        return "[" + ",".join(map(encode_plain, data)) + "]"
    if kind is dict:
        return "{" + ",".join([f"{encode_basestring(key)}:{encode_plain(item)}" for key, item in data.items()]) + "}"
    return _WRITERS[kind](data)


def decode(text: str) -> Value:
    """Reads a value back. Raises: ValueError when the text is not JSON or holds an unknown tag."""
    value = _load(text)
    return untag(value) if '"$' in text else value


def _load(text: str) -> Value:
    if "msgspec" in sys.modules:
        from msgspec import DecodeError
        from msgspec.json import decode as msgspec_decode

        try:
            return msgspec_decode(text)
        except DecodeError as error:
            raise ValueError(str(error)) from None
    import json

    return json.loads(text)


def untag(value: Value) -> Value:
    """Turns tagged objects, at any depth, into the values that they stand for."""
    if type(value) is list:
        return [untag(item) for item in value]
    if type(value) is not dict:
        return value
    if len(value) == 1:
        (key,) = value
        if key[:1] == "$":
            reader = _READERS.get(key)
            if reader is None:
                raise ValueError(f"{key} is not a tag that this version of fmsh knows")
            return reader(value[key])
    return {key: untag(item) for key, item in value.items()}


def _encode_text(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        return f'{{"$text":"{_base64(text.encode("utf-8", "surrogatepass"))}"}}'
    return encode_basestring(text)


def _encode_int(value: int) -> str:
    return str(value) if INT_MIN <= value <= INT_MAX else f'{{"$int":"{value:x}"}}'


def _encode_float(value: float) -> str:
    if value != value or value in (float("inf"), float("-inf")):
        return f'{{"$float":"{value}"}}'
    return repr(value)


def _encode_list(value: list[Value]) -> str:
    return "[" + ",".join(map(encode, value)) + "]"


def _encode_record(value: dict[str, Value]) -> str:
    if len(value) == 1 and next(iter(value))[:1] == "$":
        return f'{{"$record":{_encode_list([list(pair) for pair in value.items()])}}}'
    parts = []
    for key, item in value.items():  # what most fields hold is written here: this is the hottest loop of a step
        if type(item) is str and item.isascii():
            text = encode_basestring(item)
        elif item is None:
            text = "null"
        else:
            text = encode(item)
        parts.append(f"{encode_basestring(key) if key.isascii() else _encode_key(key)}:{text}")
    return "{" + ",".join(parts) + "}"


def _encode_key(key: str) -> str:
    """A key with lone surrogates cannot be tagged; they are written as JSON escapes, which json reads back."""
    try:
        key.encode()
    except UnicodeEncodeError:
        from _json import encode_basestring_ascii

        return encode_basestring_ascii(key)
    return encode_basestring(key)


def _encode_secret(value: Secret) -> str:
    parts = [part if isinstance(part, str) else {"secret": part.name} for part in value.parts]
    return f'{{"$secret":{_encode_list(parts)}}}'


def _decode_secret(parts: list[Any]) -> Secret:
    return Secret(tuple(part if isinstance(part, str) else SecretReference(part["secret"]) for part in parts))


def _base64(data: bytes) -> str:
    from binascii import b2a_base64

    return b2a_base64(data, newline=False).decode()


def _unbase64(text: str) -> bytes:
    from binascii import a2b_base64

    return a2b_base64(text)


def _decode_datetime(text: str) -> Value:
    from datetime import datetime

    return datetime.fromisoformat(text)


_WRITERS: dict[type, Callable[[Any], str]] = {
    type(None): lambda value: "null",
    bool: lambda value: "true" if value else "false",
    int: _encode_int,
    float: _encode_float,
    list: _encode_list,
    tuple: _encode_list,
    dict: _encode_record,
    bytes: lambda value: f'{{"$bytes":"{_base64(value)}"}}',
    Duration: lambda value: f'{{"$duration":{value.nanoseconds}}}',
    Secret: _encode_secret,
    ErrorValue: lambda value: f'{{"$error":{_encode_record(value.fields)}}}',
    Handle: lambda value: f'{{"$handle":{_encode_list([value.kind, value.id, value.fields_])}}}',
    Block: lambda value: f'{{"$block":[{value.code.id},{value.scope.id}]}}',
    Aside: lambda value: f'{{"$blob_text":"{value.hash}"}}',
    range: lambda value: f'{{"$range":[{value.start},{value.stop},{value.step}]}}',
}

_READERS: dict[str, Callable[[Any], Value]] = {
    "$int": lambda digits: int(digits, 16),
    "$float": float,
    "$text": lambda text: _unbase64(text).decode("utf-8", "surrogatepass"),
    "$bytes": _unbase64,
    "$duration": Duration,
    "$datetime": _decode_datetime,
    "$secret": _decode_secret,
    "$error": lambda fields: ErrorValue(untag(fields)),
    "$handle": lambda parts: Handle(parts[0], parts[1], untag(parts[2])),
    "$range": lambda parts: range(*parts),
    "$block": lambda parts: Block(parts[0], parts[1]),
    "$record": lambda pairs: {key: untag(item) for key, item in pairs},
}
