"""Generated functions: expressions without effects as real Python functions.

They are built as Python syntax trees, never as text, and compiled together, once a program. The line number of a
generated node is the syntax node that it stands for, so that a failure is found at its place without any cost.
"""

from __future__ import annotations

import _ast

from fmsh.machine.code import GENERATED
from fmsh.values import Duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from fmsh.values import Value

_CONSTANT_TYPES = (type(None), bool, int, float, str, bytes)


class Placeholder:
    """Stands in an instruction for a function until all of them are compiled."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


def constant_function(value: Value) -> Callable[[Any], Value]:
    return lambda _scope: value


def at(node: _ast.AST, line: int) -> Any:
    """Gives a Python node the position that names its syntax node."""
    node.lineno = node.end_lineno = line or 1  # type: ignore[attr-defined]
    node.col_offset = node.end_col_offset = 0  # type: ignore[attr-defined]
    return node


def name(id: str, line: int) -> _ast.expr:
    return at(_ast.Name(id=id, ctx=_ast.Load()), line)  # type: ignore[no-any-return]


def constant(value: Value, line: int) -> _ast.expr:
    return at(_ast.Constant(value=value, kind=None), line)  # type: ignore[no-any-return]


def attribute(value: _ast.expr, attr: str, line: int) -> _ast.expr:
    return at(_ast.Attribute(value=value, attr=attr, ctx=_ast.Load()), line)  # type: ignore[no-any-return]


def list_of(items: list[_ast.expr], line: int) -> _ast.expr:
    return at(_ast.List(elts=items, ctx=_ast.Load()), line)  # type: ignore[no-any-return]


def starred(value: _ast.expr, line: int) -> _ast.expr:
    return at(_ast.Starred(value=value, ctx=_ast.Load()), line)  # type: ignore[no-any-return]


def call(function: str, arguments: list[_ast.expr], line: int, **named: _ast.expr) -> _ast.expr:
    keywords = [at(_ast.keyword(arg=key, value=value), line) for key, value in named.items()]
    return at(_ast.Call(func=name(function, line), args=arguments, keywords=keywords), line)  # type: ignore[no-any-return]


def subscript(value: _ast.expr, index: int | str, line: int, *, is_target: bool = False) -> _ast.expr:
    context = _ast.Store() if is_target else _ast.Load()
    return at(_ast.Subscript(value=value, slice=constant(index, line), ctx=context), line)  # type: ignore[no-any-return]


def slot_of(depth: int, slot: int, line: int, *, is_target: bool = False) -> _ast.expr:
    """`s.parent.parent.slots[slot]`."""
    return subscript(slots_of(depth, line), slot, line, is_target=is_target)


def slots_of(depth: int, line: int) -> _ast.expr:
    """`s.parent.parent.slots`."""
    scope = name("s", line)
    for _ in range(depth):
        scope = attribute(scope, "parent", line)
    return attribute(scope, "slots", line)


def own_slot(expression: _ast.expr) -> int | None:
    """The slot, if an expression only reads one of the scope itself: such a function needs not be compiled."""
    match expression:
        case _ast.Subscript(value=_ast.Attribute(value=_ast.Name(id="s")), slice=_ast.Constant(value=int(slot))):
            return slot
    return None


def lazily(value: _ast.expr, line: int) -> _ast.expr:
    """`lambda: value`."""
    return function_of([], value, line)


def function_of(parameters: list[str], value: _ast.expr, line: int) -> _ast.expr:
    """`lambda parameters: value`."""
    return at(_ast.Lambda(args=_arguments(parameters), body=value), line)  # type: ignore[no-any-return]


def assign(target: str, value: _ast.expr, line: int) -> _ast.stmt:
    stored = at(_ast.Name(id=target, ctx=_ast.Store()), line)
    return at(_ast.Assign(targets=[stored], value=value), line)  # type: ignore[no-any-return]


def store(target: _ast.expr, value: _ast.expr, line: int) -> _ast.stmt:
    return at(_ast.Assign(targets=[target], value=value), line)  # type: ignore[no-any-return]


def returned(value: _ast.expr, line: int) -> _ast.stmt:
    return at(_ast.Return(value=value), line)  # type: ignore[no-any-return]


def define(
    function: str,
    parameters: list[str],
    body: list[_ast.stmt],
    line: int,
    *,
    defaults: int = 0,
    decorators: list[_ast.expr] | None = None,
) -> _ast.stmt:
    """`def function(parameters): body`; the last `defaults` parameters are None unless given."""
    arguments = _arguments(parameters, [constant(None, line) for _ in range(defaults)])
    made = _ast.FunctionDef(
        name=function, args=arguments, body=body, decorator_list=decorators or [], returns=None, type_comment=None
    )
    made.type_params = []  # type: ignore[attr-defined,unused-ignore]
    return at(made, line)  # type: ignore[no-any-return]


def _arguments(parameters: list[str], defaults: list[_ast.expr] | None = None) -> _ast.arguments:
    return _ast.arguments(
        posonlyargs=[],
        args=[at(_ast.arg(arg=parameter, annotation=None, type_comment=None), 1) for parameter in parameters],
        vararg=None,
        kwonlyargs=[],
        kw_defaults=[],
        kwarg=None,
        defaults=defaults or [],
    )


class Generator:
    """Collects the functions of one program, and makes them all at once."""

    def __init__(self, functions: Callable[[], Mapping[str, Callable[..., Any]]]) -> None:
        self._functions = functions
        self.namespace: dict[str, Any] = {}
        self.definitions: list[_ast.stmt] = []
        self.blocks: dict[str, _ast.stmt] = {}  # definitions of blocks that no function holds yet
        self.count = 0

    def fresh(self, prefix: str) -> str:
        self.count += 1
        return f"{prefix}{self.count}"

    def value(self, value: Value, line: int) -> _ast.expr:
        """A constant of any kind."""
        if type(value) in _CONSTANT_TYPES and not (type(value) is float and value != value):
            return constant(value, line)
        return name(self.bind("k", value), line)

    def bind(self, prefix: str, value: Any) -> str:
        """Makes any Python object known to the generated code under a fresh name."""
        made = self.fresh(prefix)
        self.namespace[made] = value
        return made

    def function(self, expression: _ast.expr, line: int) -> Any:
        """Makes `def f(s): return expression`. Gives a placeholder, or the function itself for a constant."""
        if isinstance(expression, _ast.Constant):
            return constant_function(expression.value)
        slot = own_slot(expression)
        if slot is not None:
            return lambda scope: scope.slots[slot]
        if isinstance(expression, _ast.Name) and expression.id in self.namespace:
            return constant_function(self.namespace[expression.id])
        return self.procedure([returned(expression, line)], line)

    def procedure(self, body: list[_ast.stmt], line: int) -> Placeholder:
        """Makes `def f(s): body`."""
        made = self.fresh("f")
        self.definitions.append(define(made, ["s"], [*self.needed(body), *body], line))
        return Placeholder(made)

    def needed(self, nodes: list[Any]) -> list[_ast.stmt]:
        """Takes the definitions of the blocks that some Python nodes name; they belong before these."""
        found: list[_ast.stmt] = []
        waiting = list(nodes) if self.blocks else []
        while waiting:
            node = waiting.pop()
            if isinstance(node, _ast.Name) and node.id in self.blocks:
                found.append(self.blocks.pop(node.id))
            for field in node._fields:
                value = getattr(node, field, None)
                parts = value if isinstance(value, list) else [value]
                waiting.extend(part for part in parts if isinstance(part, _ast.AST))
        return found

    def finish(self) -> dict[str, Callable[..., Any]]:
        """Compiles everything collected; gives the functions by name."""
        if not self.definitions:
            return {}
        from types import CodeType, FunctionType

        from fmsh.lang import matching, runtime

        self.namespace.update(runtime.FUNCTIONS)
        self.namespace.update(matching.FUNCTIONS)
        self.namespace.update(self._functions())
        module = compile(_ast.Module(body=self.definitions, type_ignores=[]), GENERATED, "exec", dont_inherit=True)
        codes = [constant for constant in module.co_consts if isinstance(constant, CodeType)]
        self.definitions = []
        return {code.co_name: FunctionType(code, self.namespace, code.co_name) for code in codes}


def literal_kind(value: Value) -> str:
    """The kind of a literal, as the check of arguments names it."""
    kinds: dict[type, str] = {bool: "bool", int: "int", float: "float", str: "string", Duration: "duration"}
    return kinds.get(type(value), "null" if value is None else "datetime")
