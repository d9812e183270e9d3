"""`from` and `to` JSON, JSON lines and base64.

Large documents are read by msgspec, which is faster; small ones by json, which is quicker to import. Where msgspec
refuses (a very long int, a lone surrogate, bytes that are not UTF-8: all legal here) json decides, and writes the
message.
"""

from __future__ import annotations

import gc
import sys

from fmsh.builtins.complaints import need_int, too_much, unreadable
from fmsh.builtins.declare import builtin, flag, switch
from fmsh.builtins.fitting import document, split_lines
from fmsh.builtins.kinds import read_int
from fmsh.builtins.text import json_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from json import JSONDecodeError

    from fmsh.builtins.builtin import Builtin
    from fmsh.values import Raised, Value

INDENT_MAX = 64  # more is a mistake, and makes a page of a word
PARTS_BYTES_MIN = 1024 * 1024
PARTS_BLANKS_MAX = 1024  # so many may stand before the first bracket
PART_ITEMS = 1000
FAST_BYTES_MIN = 64 * 1024  # reading these with json takes longer than importing msgspec (59 ms)


def from_json(text: str) -> Value:
    """Reads one JSON document.

    > '{"a": [1, 2.5, null]}' | from json | get a | count
    3
    """
    text = text.removeprefix("\ufeff")
    if len(text) >= FAST_BYTES_MIN or "msgspec" in sys.modules:
        from msgspec import MsgspecError
        from msgspec.json import decode

        gc.disable()
        try:
            return decode(text)
        except (MsgspecError, UnicodeError, RecursionError):
            pass
        finally:  # a document has no cycles: looking for them in a large one would take as long as reading it
            gc.freeze()
            gc.unfreeze()  # it is among the old objects now
            gc.enable()
    return read_json(text)


def parts(text: str) -> Iterator[list[Value]] | None:
    """The items of a large JSON list, so many at a time; None where `from_json` is as good.

    Each part may be freed before the next is read, and its memory is used again: that takes half of the time.
    Raises, while it is read: ValueError: `from_json` is to say what is wrong, or to read it all the same.
    """
    if len(text) < PARTS_BYTES_MIN or not text[:PARTS_BLANKS_MAX].lstrip().startswith("["):
        return None
    return _parts(text)


def _parts(text: str) -> Iterator[list[Value]]:
    from msgspec import MsgspecError, Raw
    from msgspec.json import Decoder

    read = Decoder().decode
    try:
        items = Decoder(list[Raw]).decode(text)
        for start in range(0, len(items), PART_ITEMS):
            yield read(b"[" + b",".join(items[start : start + PART_ITEMS]) + b"]")
    except (MsgspecError, UnicodeError, RecursionError) as error:
        raise ValueError(str(error)) from None


def to_json(value: Value, *, indent: Value = None) -> Value:
    """Writes JSON, compact or with `--indent N`. A duration becomes `1h30m`, a datetime RFC 3339, bytes base64.

    > {a: 1, wait: 90s} | to json
    {"a":1,"wait":"1m30s"}
    """
    if indent is not None and need_int(indent, "`--indent`", least=0) > INDENT_MAX:
        raise too_much(f"`--indent` is at most {INDENT_MAX}")
    return json_text(value, indent=indent)


def from_jsonl(value: Value) -> Value:
    """Reads one JSON document a line; empty lines are passed over.

    > "1\\n[2]\\n" | from jsonl
    1
    [2]
    """
    text = document(value, "the input of `from jsonl`")
    return read_json_lines(split_lines(text), is_large=len(text) >= FAST_BYTES_MIN)


def read_json_lines(lines: list[str], *, first_line: int = 1, is_large: bool) -> list[Value]:
    """Reads a document of each line that is not empty. `is_large`: there is so much that msgspec is worth its import.

    Raises: Raised: `parse`, at a line counted from `first_line`.
    """
    if is_large or "msgspec" in sys.modules:
        from msgspec import MsgspecError
        from msgspec.json import Decoder

        read = Decoder().decode
        try:
            return [read(line) for line in lines if line and not line.isspace()]
        except (MsgspecError, UnicodeError, RecursionError):
            pass
    numbered = enumerate(lines, first_line)
    return [read_json(line, first_line=number) for number, line in numbered if line and not line.isspace()]


def to_jsonl(items: list[Value]) -> Value:
    """Writes every item of a list as a line of JSON.

    > [{a: 1}, 2] | to jsonl
    {"a":1}
    2
    """
    return "".join(json_text(item) + "\n" for item in items)


def from_base64(text: str) -> Value:
    """Reads base64, the usual or the URL form, to bytes. White space and missing `=` do no harm.

    > "aGk=" | from base64 | str
    hi
    """
    from base64 import b64decode

    letters = "".join(text.split()).rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return b64decode(letters + "=" * (-len(letters) % 4), validate=True)
    except ValueError:
        raise unreadable("the text is not base64") from None


def to_base64(data: bytes, *, url: bool = False) -> Value:
    """Writes bytes or text as base64; with `--url` in the form for URLs, without `=`.

    > "hi" | to base64
    aGk=
    """
    from base64 import b64encode, urlsafe_b64encode

    return urlsafe_b64encode(data).decode().rstrip("=") if url else b64encode(data).decode()


def read_json(text: str, *, first_line: int = 1) -> Value:
    """Reads JSON text. Raises: Raised with kind `parse` and the place; with kind `limit` for deep nesting."""
    from json import JSONDecodeError, loads

    try:
        return loads(text, parse_constant=_no_constant, parse_float=_finite)
    except JSONDecodeError as error:
        raise _malformed(error, first_line) from None
    except RecursionError:
        raise too_much("the JSON document is nested too deeply") from None
    except ValueError:  # an int of more digits than Python reads at once
        return loads(text, parse_constant=_no_constant, parse_float=_finite, parse_int=read_int)


def _malformed(error: JSONDecodeError, first_line: int) -> Raised:
    line = first_line + error.lineno - 1
    hint = ""
    if error.msg == "Extra data" and error.lineno > 1:
        hint = "`from jsonl` reads one document a line"
    elif not error.doc.strip():
        hint = "there is no text at all"
    elif error.doc[error.pos : error.pos + 1] == "'":
        hint = "JSON strings stand in double quotes"
    return unreadable(
        f"not JSON: {error.msg[:1].lower()}{error.msg[1:]} at line {line}, column {error.colno}", hint=hint
    )


def _no_constant(name: str) -> Value:
    raise unreadable(f"not JSON: it has no number `{name}`")


def _finite(text: str) -> float:
    number = float(text)
    if number - number != 0:
        raise too_much(f"the number {text[:20]} is too large for a float")
    return number


BUILTINS: tuple[Builtin, ...] = (
    builtin("from json", from_json, input="text"),
    builtin("to json", to_json, flag("indent", "int")),
    builtin("from jsonl", from_jsonl),
    builtin("to jsonl", to_jsonl, input="list"),
    builtin("from base64", from_base64, input="text"),
    builtin("to base64", to_base64, switch("url"), input="bytes"),
)
