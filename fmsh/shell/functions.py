"""The functions that a session can call: its own, and those of the modules that it uses."""

from __future__ import annotations

from fmsh.errors import SourceError
from fmsh.lang import syntax as s
from fmsh.lang.modules import module_name, path_of
from fmsh.lang.parser import parse
from fmsh.machine.signature import Parameter, Signature
from fmsh.spans import Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

UNTYPED = {"flag": "bool"}  # and what else has no type may be a file


def functions_of(definitions: Mapping[str, str]) -> dict[str, Signature]:
    """Gives them by how they are called, `name` or `module name`. A module that cannot be read has none."""
    found: dict[str, Signature] = {}
    for text in definitions.values():
        for node in parse(Source("session", text)).body.statements:
            if isinstance(node, s.Def):
                found[node.name] = _signature(node.name, node)
            elif isinstance(node, s.Use):
                found |= _of_module(path_of(node) or "", "" if node.is_open else f"{module_name(path_of(node) or '')} ")
    return found


def _of_module(path: str, prefix: str) -> dict[str, Signature]:
    try:
        with open(path, encoding="utf-8") as file:
            statements = parse(Source(path, file.read())).body.statements
    except (OSError, UnicodeDecodeError, SourceError):
        return {}
    nodes = [node for node in statements if isinstance(node, s.Def) and not node.name.startswith("_")]
    return {prefix + node.name: _signature(prefix + node.name, node) for node in nodes}


def _signature(name: str, node: s.Def) -> Signature:
    """As far as completion needs it."""
    parameters = [
        Parameter(
            each.name, each.kind, each.type_name or UNTYPED.get(each.kind, "path"), short=each.short, help=each.help
        )
        for each in node.parameters
    ]
    return Signature(name, tuple(parameters), "any", False, node.help)
