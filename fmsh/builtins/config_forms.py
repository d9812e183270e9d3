"""`from` and `to` forms of settings: yaml, toml, dotenv, and the fields of a URL.

YAML is read by the core schema of YAML 1.2: `yes`, `on` and dates are strings. Aliases may not make a document larger
than `YAML_NODES_MAX`, however small it was written.
"""

from __future__ import annotations

from fmsh.builtins.addresses import read_query, write_query
from fmsh.builtins.complaints import need_text, too_much, unreadable, wrong_value
from fmsh.builtins.declare import builtin, switch
from fmsh.builtins.fitting import as_text, document, split_lines
from fmsh.builtins.text import json_text, to_text
from fmsh.values import kind_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from fmsh.builtins.builtin import Builtin
    from fmsh.values import Raised, Value

YAML_NODES_MAX = 1_000_000
YAML_DEPTH_MAX = 200
PLAIN_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:@%+,-")


def from_yaml(data: bytes, *, all: bool = False) -> Value:
    """Reads a YAML document; with `--all` a list of all documents in it.

    > "a: 1\\nb: [yes, 2]\\n" | from yaml
    {"a":1,"b":["yes",2]}
    """
    from fmsh.builtins.yaml_core import YAMLError, load_all

    try:
        documents = load_all(as_text(data, "the input of `from yaml`"))
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
        raise unreadable(f"not YAML: {getattr(error, 'problem', None) or error}{place}") from None
    except RecursionError:
        raise too_much("the YAML document is nested too deeply") from None
    budget = [YAML_NODES_MAX]
    values = [_plain_yaml(each, budget, 0) for each in documents]
    if len(values) > 1 and not all:
        raise unreadable(f"there are {len(values)} YAML documents", hint="`from yaml --all` gives a list of them")
    return values if all else values[0] if values else None


def to_yaml(value: Value) -> Value:
    """Writes YAML.

    > {a: 1, b: ["yes", null]} | to yaml
    a: 1
    b:
    - 'yes'
    - null
    """
    from fmsh.builtins.yaml_core import dump

    try:
        return dump(_json_value(value))
    except RecursionError:
        raise too_much("the value is nested too deeply for YAML") from None


def from_toml(data: bytes) -> Value:
    """Reads a TOML document. Dates and times without an offset become strings.

    > "[a]\\nb = 1\\n" | from toml
    {"a":{"b":1}}
    """
    from tomllib import TOMLDecodeError, loads

    try:
        return _plain_toml(loads(as_text(data, "the input of `from toml`")))
    except TOMLDecodeError as error:
        raise unreadable(f"not TOML: {str(error)[:1].lower()}{str(error)[1:]}") from None
    except RecursionError:
        raise too_much("the TOML document is nested too deeply") from None


def to_toml(record: dict[str, Value]) -> Value:
    """Writes a record as TOML. TOML has no null: a null field is an error.

    > {a: 1, b: x} | to toml
    a = 1
    b = "x"
    """
    from importlib import import_module

    if (place := _null_in(record, "")) is not None:
        raise wrong_value(f"TOML has no null, and `{place}` is one", hint="`reject` drops a field")
    text: str = import_module("tomli_w").dumps(_toml_value(record))
    return text


def from_dotenv(value: Value) -> Value:
    """Reads lines `NAME=value`, as in `.env` files: comments, `export` and quotes are understood, `$` means nothing.

    > "A=1\\nexport B='x y' # why\\n" | from dotenv
    {"A":"1","B":"x y"}
    """
    fields: dict[str, Value] = {}
    for number, line in enumerate(split_lines(document(value, "the input of `from dotenv`")), 1):
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            name, equals, written = stripped.removeprefix("export ").partition("=")
            if not equals or not name.strip():
                raise unreadable(f"line {number} is not `NAME=value`")
            fields[name.strip()] = _unquoted(written.strip(), number)
    return fields


def to_dotenv(record: dict[str, Value]) -> Value:
    """Writes a record as lines `NAME=value`, quoted where that is needed.

    > {A: 1, B: "x y"} | to dotenv
    A=1
    B="x y"
    """
    lines = []
    for name, value in record.items():
        if not name.isidentifier():
            raise wrong_value("a name in a dotenv file has letters, digits and `_` only")
        lines.append(f"{name}={_quoted(need_text(to_text(value), f'`{name}`'))}\n")
    return "".join(lines)


def from_url(text: str) -> Value:
    """Reads the fields of a URL or a form: `a=1&b=2`. A name that occurs several times has a list.

    > "a=1&b=x+y" | from url
    {"a":"1","b":"x y"}
    """
    return read_query(text.strip().removeprefix("?"))


def to_url(record: dict[str, Value]) -> Value:
    """Writes a record as the fields of a URL or a form; a list gives its name several times, null leaves it out.

    > {a: 1, b: ["x y", z]} | to url
    a=1&b=x+y&b=z
    """
    return write_query(record)


def _plain_yaml(node: Any, budget: list[int], depth: int) -> Value:
    budget[0] -= 1
    if budget[0] < 0:
        raise too_much(f"with its aliases the YAML document has more than {YAML_NODES_MAX} values")
    if depth > YAML_DEPTH_MAX:
        raise too_much(f"the YAML document is nested more than {YAML_DEPTH_MAX} deep")
    if type(node) is dict:
        return {_yaml_key(key): _plain_yaml(item, budget, depth + 1) for key, item in node.items()}
    if type(node) is list:
        return [_plain_yaml(item, budget, depth + 1) for item in node]
    return _finite(node)


def _yaml_key(key: Any) -> str:
    if type(key) in (str, int, float, bool, type(None)):
        return key if type(key) is str else "null" if key is None else str(to_text(key))
    raise unreadable("a key of a YAML mapping must be a string or a number")


def _json_value(value: Value) -> Any:
    """Gives a value as YAML and TOML take it: what JSON has, with datetimes and durations as text."""
    from json import loads

    return loads(json_text(value))


def _toml_value(value: Value) -> Any:
    """Gives a value as TOML takes it: as JSON has it, but a datetime is one there too."""
    if type(value) is dict:
        return {key: _toml_value(item) for key, item in value.items()}
    if type(value) in (list, range):
        return [_toml_value(item) for item in value]
    return value if kind_of(value) == "datetime" else _json_value(value)


def _plain_toml(value: Any) -> Value:
    if type(value) is dict:
        return {key: _plain_toml(item) for key, item in value.items()}
    if type(value) is list:
        return [_plain_toml(item) for item in value]
    if hasattr(value, "isoformat") and getattr(value, "tzinfo", None) is None:
        return value.isoformat()
    return _finite(value)


def _finite(value: Any) -> Any:
    if type(value) is float and value - value != 0:
        raise unreadable(f"there is no number `{value}`", hint="write it as a string")
    return value


def _null_in(value: Value, place: str) -> str | None:
    if value is None:
        return place
    for key, item in value.items() if type(value) is dict else enumerate(value) if type(value) is list else ():
        step = f"[{key}]" if type(key) is int else f".{key}" if place else str(key)
        if (found := _null_in(item, place + step)) is not None:
            return found
    return None


def _unquoted(written: str, number: int) -> str:
    if written[:1] not in ("'", '"'):
        return written.split(" #")[0].rstrip() if not written.startswith("#") else ""
    quote, position, text = written[0], 1, ""
    while position < len(written) and written[position] != quote:
        character = written[position]
        if character == "\\" and quote == '"':
            position += 1
            character = {"n": "\n", "t": "\t", "r": "\r"}.get(
                written[position : position + 1], written[position : position + 1]
            )
        text += character
        position += 1
    after = written[position + 1 :].strip()
    if position >= len(written) or (after and not after.startswith("#")):
        raise _bad_quotes(number)
    return text


def _bad_quotes(number: int) -> Raised:
    return unreadable(f"the quotes in line {number} do not match")


def _quoted(text: str) -> str:
    if text and PLAIN_CHARACTERS.issuperset(text):
        return text
    for character, escape in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t")):
        text = text.replace(character, escape)
    return f'"{text}"'


BUILTINS: tuple[Builtin, ...] = (
    builtin("from yaml", from_yaml, switch("all"), input="bytes"),
    builtin("to yaml", to_yaml),
    builtin("from toml", from_toml, input="bytes"),
    builtin("to toml", to_toml, input="record"),
    builtin("from dotenv", from_dotenv),
    builtin("to dotenv", to_dotenv, input="record"),
    builtin("from url", from_url, input="text"),
    builtin("to url", to_url, input="record"),
)
