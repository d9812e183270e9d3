"""Fitting what the pipe brings to what a command takes, or the error that says both.

`fit` serves every command with a signature. The output of an external command arrives here as text or bytes and is told
apart by `is_output`: it reaches a command that takes a list as its lines. A string made by the language does not: a
list of its lines is `lines`.
"""

from __future__ import annotations

from fmsh.builtins.complaints import conversion, found, mismatch, wrong_kind
from fmsh.values import ErrorValue, kind_of, text_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fmsh.machine.signature import Signature
    from fmsh.values import Value


def fit(value: Value, signature: Signature, *, is_output: bool = False) -> Value:
    """Gives the value as the command takes it. Raises: Raised when it does not fit."""
    wanted = signature.input
    what = f"the input of `{signature.name}`"
    if wanted in ("any", "none"):
        return value
    if wanted == "list":
        return _as_list(value, what, is_output)
    if wanted == "text":
        return as_text(value, what)
    if wanted == "bytes":
        return as_bytes(value, what)
    if type(value) is ErrorValue:
        return value.fields
    if type(value) is not dict:
        raise wrong_kind(value, "record", what=what)
    return value


def as_text(value: Value, what: str) -> str:
    """Gives a string as it is and bytes as text; what is not UTF-8 survives as lone surrogates."""
    if type(value) is str:
        return value
    if type(value) is bytes:
        return value.decode("utf-8", "surrogateescape")
    raise wrong_kind(value, "text", what=what)


def as_bytes(value: Value, what: str) -> bytes:
    """Gives bytes as they are and a string as UTF-8; surrogates that stand for bytes become these."""
    if type(value) is bytes:
        return value
    if type(value) is not str:
        raise mismatch(f"{what} must be text or bytes, not {found(value)}", hint=conversion(kind_of(value), "bytes"))
    return text_bytes(value)


def document(value: Value, what: str) -> str:
    """Gives the text of a document that is made of lines: from text, bytes, or a list of its lines."""
    if type(value) is list:
        for line in value:
            if type(line) is not str:
                raise wrong_kind(line, "string", what=f"every line in {what}")
        return "".join(line + "\n" for line in value)
    return as_text(value, what)


def split_lines(text: str) -> list[str]:
    """Cuts text at line ends (LF or CR LF). A line end after the last line does not begin another."""
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    return [line[:-1] if line.endswith("\r") else line for line in lines]


def _as_list(value: Value, what: str, is_output: bool) -> Value:
    if type(value) is list or type(value) is range:
        return value
    if is_output and kind_of(value) in ("string", "bytes"):
        return split_lines(as_text(value, what))
    raise wrong_kind(value, "list", what=what)
