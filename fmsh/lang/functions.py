"""Functions and parameters: `def`, and the `param`s of a script. Imported by programs that have any."""

from __future__ import annotations

from fmsh.errors import Diagnostic
from fmsh.lang import generated as g
from fmsh.lang import syntax as s
from fmsh.lang.bodies import Body, FunctionInfo, Label
from fmsh.lang.calls import literal_kind
from fmsh.lang.expressions import expression
from fmsh.lang.runtime import accepts
from fmsh.lang.statements import compile_body, says_emit
from fmsh.machine import code as op
from fmsh.machine.signature import TYPE_NAMES, Parameter, Signature
from fmsh.values import a_kind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from fmsh.lang.context import Compiler


def announce(c: Compiler, b: Body, node: s.Def) -> None:
    """Makes a function known before the statements of its body are compiled."""
    if node.name in b.functions:
        c.problem(node, f"`{node.name}` is defined twice", "give one of them another name")
    parameters = tuple(_parameter(c, parameter) for parameter in node.parameters)
    _check_order(c, node.parameters)
    signature = Signature(node.name, parameters, "any", False, node.help)
    info = FunctionInfo(node, signature, b, streams_input=c.note_streamed_input(node.body))
    b.functions[node.name] = b.own_functions[node.name] = info


def _parameter(c: Compiler, node: s.Parameter) -> Parameter:
    check_type_name(c, node)
    is_switch = node.kind == "flag" and not node.type_name and node.default is None
    type_name = "bool" if is_switch else node.type_name if node.type_name in TYPE_NAMES else "any"
    is_required = node.kind == "positional" and node.default is None
    given = None if node.default is None else literal_kind(node.default)
    if given is not None and given != "null" and not accepts(type_name, given):
        c.problem(node.default or node, f"{node.name} must be {a_kind(type_name)}, its default is {a_kind(given)}")
    return Parameter(node.name, node.kind, type_name, is_required, _literal_default(node), node.short, node.help)


def _literal_default(node: s.Parameter) -> str | None:
    """The default as it is written, for the help, if it is a literal."""
    is_word = isinstance(node.default, s.Word) and len(node.default.parts) == 1
    literal = node.default.parts[0] if is_word and isinstance(node.default, s.Word) else node.default
    if not isinstance(literal, s.Literal):
        return None
    return literal.value if isinstance(literal.value, str) else literal.spelling


def _check_order(c: Compiler, nodes: Sequence[s.Parameter]) -> None:
    positionals = [node for node in nodes if node.kind == "positional"]
    for index, node in enumerate(positionals[1:]):
        before = positionals[index]
        if before.default is not None and node.default is None:
            hint = f"put it before {before.name}, or give it a default"
            c.problem(node, f"{node.name} must be given, but {before.name} before it need not be", hint)
    for index, node in enumerate(nodes):
        if node.kind == "rest" and any(other.kind != "flag" for other in nodes[index + 1 :]):
            c.problem(node, f"...{node.name} takes all that is left: no parameter but flags can follow it")


_FOREIGN_TYPES = {
    "text": "string", "integer": "int", "boolean": "bool", "array": "list", "object": "record", "dict": "record",
    "map": "record", "time": "datetime", "date": "datetime", "function": "block",
}  # fmt: skip


def check_type_name(c: Compiler, node: s.Parameter) -> None:
    if node.type_name and node.type_name not in TYPE_NAMES:
        from difflib import get_close_matches

        close = [_FOREIGN_TYPES.get(node.type_name, ""), *get_close_matches(node.type_name, TYPE_NAMES, 1)]
        meant = next(filter(None, close), "")
        hint = f"did you mean {meant}?" if meant else "types are " + ", ".join(TYPE_NAMES)
        start = c.source.text.index(node.type_name, c.source.text.index(":", node.span[0]))
        span = start, start + len(node.type_name)
        c.problems.append(Diagnostic(c.source, span, f"there is no type {node.type_name}", hint, "error", "check"))


def define(c: Compiler, b: Body, node: s.Def) -> None:
    """Compiles a function."""
    body = Body(node.id, "def", b, node.name)
    body.code.emits = says_emit(node.body)
    slots = [body.declare(parameter.name, parameter) for parameter in node.parameters]
    slots.append(body.declare("in", node))
    body.code.parameters = slots
    for parameter, slot in zip(node.parameters, slots, strict=False):
        if parameter.kind != "rest":
            body.kinds[slot] = parameter.type_name
        _default(c, body, parameter, slot)
    compile_body(c, body, node.body)
    c.add(body)


def _default(c: Compiler, b: Body, parameter: s.Parameter, slot: int) -> None:
    """Computes the value of a parameter that was not given."""
    given = Label()
    b.emit(op.UNLESS_SET, parameter, slot, given)
    is_switch = parameter.kind == "flag" and not parameter.type_name
    value = g.constant(False if is_switch else None, parameter.id)
    if parameter.kind == "rest":
        value = g.list_of([], parameter.id)
    if parameter.default is not None:
        value = expression(c, b, parameter.default)
    b.emit(op.EVAL, parameter, slot, c.generator.function(value, parameter.id))
    b.mark(given)


def script_parameters(c: Compiler, b: Body, tree: s.Program) -> list[Parameter]:
    """Declares the `param`s of a script, which must stand before its other statements."""
    found: list[Parameter] = []
    for statement in tree.body.statements:
        if isinstance(statement, s.Param):
            node = statement.parameter
            slot = b.declare(node.name, node)
            b.kinds[slot] = node.type_name if node.kind != "rest" else ""
            _default(c, b, node, slot)
            found.append(_parameter(c, node))
    _check_order(c, [statement.parameter for statement in tree.body.statements if isinstance(statement, s.Param)])
    return found
