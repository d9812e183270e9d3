"""The forms `load` and `save`: a file as a value, by its extension. Imported by programs that use them.

What a file holds is observed and recorded; it is written as by `>`, in one move.
"""

from __future__ import annotations

import posixpath

from fmsh.lang import generated as g
from fmsh.lang.expressions import spill
from fmsh.lang.given import Given, nothing, observation, request
from fmsh.lang.piped import Piped
from fmsh.values import ErrorValue, Raised, Secret, raised

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from fmsh.lang import syntax as s
    from fmsh.lang.bodies import Body
    from fmsh.lang.context import Compiler
    from fmsh.machine.library import PureCommand
    from fmsh.machine.signature import Signature
    from fmsh.values import Value

    Forms = Mapping[str, PureCommand]

_NAMES = {
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".yaml": "yaml",
    ".yml": "yaml",
    ".toml": "toml",
    ".env": "dotenv",
}


def compile_load(c: Compiler, b: Body, node: s.Command, piped: Piped | None, form: Signature) -> Piped:
    given = Given(c, b, form, node, piped)
    values = given.values("file")
    if "file" not in values:
        return nothing(node)
    line = node.id
    path = spill(c, b, node, _path(values["file"], line))
    text = observation(c, b, node, "read", {"path": path})
    if given.has("raw"):
        return Piped(text.value, node)
    return Piped(_call(c, line, _decoded, text.value, path, _forms(c, "from", line)), node)


def compile_save(c: Compiler, b: Body, node: s.Command, piped: Piped | None, form: Signature) -> Piped:
    value = None if piped is None else spill(c, b, piped.node, piped.value)
    values = Given(c, b, form, node, piped).values("file")
    if "file" not in values or value is None:
        return nothing(node)
    line = node.id
    path = spill(c, b, node, _path(values["file"], line))
    data = spill(c, b, node, _call(c, line, _encoded, value, path, _forms(c, "to", line)))
    request(c, b, node, "file", "write", {"path": path, "data": data, "append": g.constant(False, line)})
    return nothing(node)


def _path(value: Any, line: int) -> Any:
    return g.call("redirected_path", [value, g.name("to_text", line)], line)


def _forms(c: Compiler, direction: str, line: int) -> Any:
    found = {extension: c.library.find(f"{direction} {name}") for extension, name in _NAMES.items()}
    return g.name(c.generator.bind("k", found), line)


def _call(c: Compiler, line: int, function: Callable[..., Value], value: Any, path: Any, forms: Any) -> Any:
    return g.call(c.generator.bind("b", function), [value, path, forms, g.name("fit", line)], line)


def _form_of(path: str, forms: Forms) -> PureCommand | None:
    base = posixpath.basename(path)
    return forms.get(base if base == ".env" else posixpath.splitext(base)[1].lower())


def is_json(path: str) -> bool:
    """Whether `load` reads a file as JSON."""
    return _NAMES.get(posixpath.splitext(posixpath.basename(path))[1].lower()) == "json"


def _decoded(text: str, path: str, forms: Forms, fit: Callable[..., Value]) -> Value:
    """What a file holds, as its extension says. Raises: Raised: it is not of that form."""
    form = _form_of(path, forms)
    if form is None:
        return text
    try:
        return form.function(fit(text, form.signature, is_output=False))
    except Raised as problem:
        fields = problem.error.fields
        raise Raised(ErrorValue({**fields, "message": f"{path}: {fields['message']}", "path": path})) from None


def _encoded(value: Value, path: str, forms: Forms, fit: Callable[..., Value]) -> Value:
    """What a file is to hold. Raises: Raised: the value has no such form, or the extension names none."""
    if isinstance(value, str | bytes | Secret):
        return value
    form = _form_of(path, forms)
    if form is None:
        known = " ".join(_NAMES)
        hint = f"write it as text first, such as `… | to json | save {path}`; extensions with a form are {known}"
        raise raised("type", f"the extension of {path} does not say how to write this value", hint=hint)
    text = form.function(fit(value, form.signature, is_output=False))
    return text if text.endswith("\n") else text + "\n"
