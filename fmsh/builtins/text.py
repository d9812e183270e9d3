"""Values as text: interpolation, and compact JSON.

Three readers want JSON of a value, and differ in what JSON cannot say. `json_text` is for programs and refuses what
would be lost. `display_json` is for people and never fails. `plain_json` is for `--json`: valid JSON for every value.
In all three a duration is `1h30m`, a datetime RFC 3339, bytes base64, an error its fields, a handle its fields.
"""

from __future__ import annotations

from fmsh.builtins.complaints import mismatch, too_much, wrong_value
from fmsh.values import Block, Duration, ErrorValue, Handle, Secret, a_kind, kind_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from fmsh.values import Value

DIGITS_AT_ONCE = 4000  # Python refuses to write more than 4300 digits in one go


def to_text(value: Value) -> str | Secret:
    """Writes a value as interpolation and words do: strings as they are, null as nothing, lists and records as JSON.

    A secret stays one. A callback is its address, another handle its id. Raises: Raised for what has no text (a block).
    """
    if type(value) is str or type(value) is Secret:
        return value
    if value is None:
        return ""
    if type(value) is Handle:
        return str(value.fields_.get("url", value.id))
    text = scalar_text(value)
    return json_text(value) if text is None else text


def join_text(parts: Iterable[Value]) -> str | Secret:
    """Joins values to one text. With a secret among them it is a secret."""
    texts = [to_text(part) for part in parts]
    if not any(type(text) is Secret for text in texts):
        return "".join(texts)  # type: ignore[arg-type]  # all are strings here
    joined: list[Any] = []
    for text in texts:
        for part in text.parts if isinstance(text, Secret) else (text,):
            if isinstance(part, str) and joined and isinstance(joined[-1], str):
                joined[-1] += part
            elif part != "":
                joined.append(part)
    return Secret(tuple(joined))


def scalar_text(value: Value) -> str | None:
    """Writes a value that is neither list nor record, or gives None for the kinds that have no text of their own."""
    kind = type(value)
    if kind is str:
        return str(value)
    if kind is bool:
        return "true" if value else "false"
    if kind is int:
        return int_text(value)
    if kind is float:
        return repr(value)
    if kind is bytes:
        return str(value.decode("utf-8", "surrogateescape"))
    if kind is Duration:
        return str(value)
    if hasattr(value, "isoformat"):
        return datetime_text(value)
    return None


def int_text(number: int) -> str:
    """Writes an int of any length."""
    if number.bit_length() < 3 * DIGITS_AT_ONCE:
        return str(number)
    if number < 0:
        return "-" + int_text(-number)
    digits = number.bit_length() * 3 // 20  # about half of the digits that it has
    high, low = divmod(number, 10**digits)
    return int_text(high) + int_text(low).rjust(digits, "0")


def datetime_text(value: Any) -> str:
    """Writes a datetime as RFC 3339, UTC as `Z`."""
    text: str = value.isoformat()
    return text[:-6] + "Z" if text.endswith("+00:00") else text


def json_text(value: Value, *, indent: int | None = None) -> str:
    """Writes JSON for programs. Raises: Raised for a secret, a block, and numbers that JSON does not have."""
    return _written(value, _strict, _no_number, indent)


def display_json(value: Value, *, indent: int | None = None) -> str:
    """Writes JSON for people: a secret is `•••`, a block `{ … }`, nan is `nan`."""
    return _written(value, _shown, repr, indent)


def plain_json(value: Value, *, indent: int | None = None) -> str:
    """Writes valid JSON for any value: a secret is `{"secret": NAME}`, a block and nan are null."""
    return _written(value, _plain, lambda number: None, indent)


def _written(value: Value, convert: Callable[[Any], Any], special: Callable[[float], Any], indent: int | None) -> str:
    try:
        try:
            return _dump(value, convert, indent)
        except ValueError:  # nan, an infinity, or an int of more digits than Python writes at once
            return _dump_special(value, convert, special, indent)
    except RecursionError:
        raise too_much("the value is nested too deeply for JSON") from None


def _dump(value: Any, convert: Callable[[Any], Any], indent: int | None, is_ascii: bool = False) -> str:
    from json import dumps

    text = dumps(
        value,
        default=convert,
        allow_nan=False,
        ensure_ascii=is_ascii,
        indent=indent,
        separators=(",", ":") if indent is None else (",", ": "),
    )
    try:
        text.encode()
    except UnicodeEncodeError:  # bytes that were not UTF-8: only escapes can hold them
        return _dump(value, convert, indent, is_ascii=True)
    return text


def _dump_special(
    value: Value, convert: Callable[[Any], Any], special: Callable[[float], Any], indent: int | None
) -> str:
    """Writes a value with numbers that the JSON writer refuses: a mark stands in for each until the text is there."""
    numbers: dict[str, str] = {}
    mark = "number#"
    while mark in (text := _dump(_marked(value, convert, lambda number: None), convert, None)):
        mark += "#"

    def put(number: float) -> Any:
        written = int_text(number) if type(number) is int else special(number)
        if written is None:
            return None
        name = f"{mark}{len(numbers)}"
        numbers[name] = written
        return name

    text = _dump(_marked(value, convert, put), convert, indent)
    for name, written in numbers.items():
        text = text.replace(f'"{name}"', written, 1)
    return text


def _marked(value: Any, convert: Callable[[Any], Any], put: Callable[[float], Any]) -> Any:
    kind = type(value)
    if kind is dict:
        return {key: _marked(item, convert, put) for key, item in value.items()}
    if kind is list:
        return [_marked(item, convert, put) for item in value]
    if kind is float and value - value != 0:
        return put(value)
    if kind is int and value.bit_length() >= 3 * DIGITS_AT_ONCE:
        return put(value)
    if kind in (str, int, float, bool, type(None)):
        return value
    return _marked(convert(value), convert, put)


def _common(value: Any) -> Any:
    """Gives what stands for a value in JSON, for the kinds where all three readers agree; else the value itself."""
    if type(value) is bytes:
        from binascii import b2a_base64

        return b2a_base64(value, newline=False).decode()
    if type(value) is Duration:
        return str(value)
    if type(value) is range:
        return list(value)
    if type(value) is ErrorValue:
        return value.fields
    if type(value) is Handle:
        return {"kind": value.kind, "id": value.id} | value.fields_
    if hasattr(value, "isoformat"):
        return datetime_text(value)
    return value


def _strict(value: Any) -> Any:
    if type(value) is Secret:
        raise mismatch(
            "a secret cannot be part of JSON text",
            hint="hand the record to the request itself, or make plain text of the secret with `reveal`",
        )
    if type(value) is Block:
        raise mismatch(f"{a_kind(kind_of(value))} has no text", hint="`call $f` runs a block and gives its value")
    return _common(value)


def _shown(value: Any) -> Any:
    if type(value) is Secret:
        return str(value)
    return "{ … }" if type(value) is Block else _common(value)


def _plain(value: Any) -> Any:
    if type(value) is Secret:
        only = value.parts[0] if len(value.parts) == 1 else ""
        return str(value) if isinstance(only, str) else {"secret": only.label}
    return None if type(value) is Block else _common(value)


def _no_number(number: float) -> Any:
    raise wrong_value(f"JSON has no number for {number!r}")
