"""The plain form of a displayed value: what is shown when the output is not a terminal, and what `print` records.

A string is as it is, a list one element a line, null nothing, anything else one line of compact JSON; a duration is
`1h30m`, a datetime RFC 3339, bytes are as they are. What is shown ends in a newline. It never fails: a secret is `•••`.
"""

from __future__ import annotations

from fmsh.builtins.text import display_json, int_text, scalar_text
from fmsh.values import Raised, Secret

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fmsh.values import Value


def plain_display(value: Value) -> str:
    """Gives the text to write for a value; lone surrogates in it stand for bytes that were not UTF-8."""
    if value is None:
        return ""
    if type(value) is list:
        return "".join(element_text(item) + "\n" for item in value)
    if type(value) is range:
        return "".join(int_text(item) + "\n" for item in value)
    text = element_text(value)
    if text == "" and type(value) in (str, bytes):
        return "\n"
    return text if text.endswith("\n") and type(value) in (str, bytes) else text + "\n"


def shown(value: Value) -> tuple[str, str, Value]:
    """What the display of a value is made of: its text, the stream, and the value for whoever draws it."""
    return plain_display(value), "out", value


def printed(values: list[Value], stream: str) -> tuple[str, str, Value]:
    """The same for `print`: its values with a blank between them."""
    text = " ".join(plain_display(value).removesuffix("\n") for value in values) + "\n"
    return text, stream, values[0] if len(values) == 1 else None


def element_text(value: Value) -> str:
    """Gives a value as one element of a list."""
    if type(value) is Secret:
        return str(value)
    text = scalar_text(value)
    if text is not None:
        return text
    try:
        return display_json(value)
    except Raised as failure:  # nested beyond what a writer can do
        return f"({failure.error.message})"
