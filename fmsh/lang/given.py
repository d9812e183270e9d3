"""What the special forms have in common: a form's record, its bound arguments, and the request that many are."""

from __future__ import annotations

from fmsh.lang import generated as g
from fmsh.lang import syntax as s
from fmsh.lang.calls import bind_arguments, checked, literal_kind
from fmsh.lang.expressions import operands
from fmsh.lang.piped import Piped
from fmsh.machine import code as op
from fmsh.machine.signature import Parameter, Signature
from fmsh.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _ast
    from collections.abc import Callable

    from fmsh.lang.bodies import Body
    from fmsh.lang.context import Compiler
    from fmsh.lang.syntax import Node

    Compile = Callable[[Compiler, Body, s.Command, Piped | None, str], Piped]


class Form(Record):
    """`is_answer`: as a condition it says whether it succeeds, as an external command does."""

    signature: Signature
    compile: Compile
    is_answer: bool = False


def positional(name: str, type_name: str = "any", *, is_required: bool = True, help: str = "") -> Parameter:
    return Parameter(name, "positional", type_name, is_required, None, "", help)


def flag(name: str, type_name: str, help: str = "") -> Parameter:
    return Parameter(name, "flag", type_name, False, None, "", help)


def switch(name: str, help: str, short: str = "") -> Parameter:
    return Parameter(name, "flag", "bool", False, False, short, help)


class Given:
    """The bound arguments of one call of a form, compiled on demand in the order in which they are asked for."""

    def __init__(self, c: Compiler, b: Body, form: Signature, node: s.Command, piped: Piped | None) -> None:
        self.c = c
        self.b = b
        self.signature = form
        self.node = node
        self.bound = bind_arguments(c, form, node, node.arguments)
        if piped is not None and form.input == "none":
            c.problem(node, f"`{form.name}` takes nothing from the pipe", f"usage: {form.usage()}")
        if piped is None and form.is_input_required:
            c.problem(
                node, f"`{form.name}` takes its subject from the pipe", f"write `… | {form.name}`", code="missing-input"
            )

    def has(self, name: str) -> bool:
        return name in self.bound

    def node_of(self, name: str) -> Node | None:
        nodes = self.bound.get(name)
        return nodes[0] if nodes else None

    def values(self, *names: str) -> dict[str, _ast.expr]:
        """The Python expressions of the named parameters that were given, in this order."""
        present = [name for name in names if name in self.bound]
        nodes = [self.bound[name][0] for name in present if self.bound[name]]
        compiled = iter(operands(self.c, self.b, nodes))
        made = {}
        for name in present:
            if not self.bound[name]:
                made[name] = g.constant(True, self.node.id)
                continue
            parameter = next(parameter for parameter in self.signature.parameters if parameter.name == name)
            made[name] = checked(self.c, self.signature, parameter, self.bound[name][0], next(compiled))
        return made

    def block(self, name: str) -> s.BlockLiteral | None:
        """The block that a form needs to see, not as a value."""
        node = self.node_of(name)
        if isinstance(node, s.BlockLiteral):
            return node
        if node is not None and literal_kind(node) is None:  # of a literal, the check of the arguments has said so
            self.c.problem(node, f"`{self.signature.name}` takes a block here", f"usage: {self.signature.usage()}")
        return None


def record(items: dict[str, _ast.expr], line: int) -> _ast.expr:
    import _ast

    keys: list[_ast.expr | None] = [g.constant(key, line) for key in items]
    return g.at(_ast.Dict(keys=keys, values=list(items.values())), line)  # type: ignore[no-any-return]


def pair(first: _ast.expr, second: _ast.expr, line: int) -> _ast.expr:
    import _ast

    return g.at(_ast.Tuple(elts=[first, second], ctx=_ast.Load()), line)  # type: ignore[no-any-return]


def request(c: Compiler, b: Body, node: Node, connector: str, operation: str, arguments: dict[str, _ast.expr]) -> Piped:
    """Emits a request; its value is the answer."""
    return request_with(c, b, node, connector, operation, record(arguments, node.id))


def request_with(c: Compiler, b: Body, node: Node, connector: str, operation: str, arguments: _ast.expr) -> Piped:
    """The same with an expression that gives the record of arguments."""
    slot = b.hide(node)
    b.emit(op.REQUEST, node, slot, connector, operation, c.generator.function(arguments, node.id))
    return Piped(g.slot_of(0, slot, node.id), node)


def stream_of(c: Compiler, b: Body, node: s.Command, piped: Piped | None, mode: str) -> Piped:
    """All that a source of values gives that nothing follows."""
    streamed = c.parts.streamed(c, b, [node], (), piped, "capture")
    assert streamed is not None
    return streamed[0]


def observation(c: Compiler, b: Body, node: Node, operation: str, arguments: dict[str, _ast.expr]) -> Piped:
    """Emits a question that is answered at once; its value is the answer."""
    slot = b.hide(node)
    b.emit(op.OBSERVE, node, slot, operation, c.generator.function(record(arguments, node.id), node.id))
    return Piped(g.slot_of(0, slot, node.id), node)


def nothing(node: Node) -> Piped:
    return Piped(g.constant(None, node.id), node, displays="never")
