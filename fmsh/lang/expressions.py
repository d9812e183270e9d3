"""Expressions: what only computes becomes one Python expression, effects inside it are run first, left to right.

`expression` gives a Python node for the value. If the node is not pure it has emitted the instructions for its effects,
and the Python node reads their slots.
"""

from __future__ import annotations

from fmsh.lang import generated as g
from fmsh.lang import syntax as s
from fmsh.lang.bodies import Body, Label, PythonBody, find_variable, known_kind, visible_names
from fmsh.lang.destructuring import pattern_data
from fmsh.lang.purity import is_environment, is_pure
from fmsh.machine import code as op
from fmsh.machine.code import ZONE
from fmsh.values import Duration, a_kind

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _ast
    from collections.abc import Callable, Sequence

    from fmsh.lang.context import Compiler
    from fmsh.lang.syntax import Node

    AnyBody = Body | PythonBody

OPERATORS = {
    "+": "add",
    "-": "subtract",
    "*": "multiply",
    "/": "divide",
    "//": "floor_divide",
    "%": "modulo",
    "**": "power",
    "==": "equal",
    "!=": "not_equal",
    "<": "less",
    "<=": "less_equal",
    ">": "greater",
    ">=": "greater_equal",
    "=~": "matches",
    "!~": "not_matches",
    "in": "contains_in",
    "not in": "not_in",
}


def expression(c: Compiler, b: AnyBody, node: Node) -> _ast.expr:
    """Compiles an expression; see the module."""
    return _COMPILE[type(node)](c, b, node)


def operands(c: Compiler, b: AnyBody, nodes: Sequence[Node]) -> list[_ast.expr]:
    """Compiles several in order. What is computed before a later effect is computed before it runs."""
    compiled = []
    last_effect = max((index for index, node in enumerate(nodes) if not is_pure(c, b, node)), default=-1)
    for index, node in enumerate(nodes):
        value = expression(c, b, node)
        if index < last_effect:
            value = spill(c, b, node, value)
        compiled.append(value)
    return compiled


def spread(nodes: Sequence[Node], values: list[_ast.expr]) -> list[_ast.expr]:
    """Stars the values of those nodes that are spread: `...$xs` is one element or argument for each of its elements."""
    return [spread_value(node, value) for node, value in zip(nodes, values, strict=True)]


def spread_value(node: Node, value: _ast.expr) -> _ast.expr:
    if isinstance(node, s.Spread):
        return g.starred(g.call("spread_list", [value], node.id), node.id)
    return g.starred(value, node.id) if is_paths(node) else value


def is_paths(node: Node) -> bool:
    """Whether a word stands for as many paths as match it, or for as many words as its braces hold."""
    return isinstance(node, s.Word) and any(isinstance(part, s.Glob | s.Braces) for part in node.parts)


def spill(c: Compiler, b: AnyBody, node: Node, value: _ast.expr) -> _ast.expr:
    """Computes a value now, into a hidden slot."""
    import _ast

    if isinstance(value, _ast.Constant) or isinstance(b, PythonBody):
        return value
    slot = b.hide(node)
    b.emit(op.EVAL, node, slot, c.generator.function(value, node.id))
    return g.slot_of(0, slot, node.id)


def _literal(c: Compiler, b: AnyBody, node: s.Literal) -> _ast.expr:
    value = c.generator.value(node.value, node.id)
    if isinstance(node.value, _SIMPLE) or node.value.tzinfo is not None:
        return value
    return g.call("in_zone_of_job", [value, time_zone(c, b, node)], node.id)


_SIMPLE = (type(None), bool, int, float, str, Duration)


def time_zone(c: Compiler, b: AnyBody, node: Node) -> _ast.expr:
    """The zone of the job, which says what a date without an offset means: a slot of the main program."""
    found = find_variable(b, ZONE)
    if found is None:
        slot = c.zone_slot(ZONE)
        top: AnyBody = b
        while top.parent is not None:
            top = top.parent
        assert isinstance(top, Body)
        top.names[ZONE] = slot
        found = find_variable(b, ZONE)
    assert found is not None
    return g.slot_of(found.depth, found.slot, node.id)


def _template(c: Compiler, b: AnyBody, node: s.Template) -> _ast.expr:
    return g.call("join_text", [g.list_of(operands(c, b, node.parts), node.id)], node.id)


def variable(c: Compiler, b: AnyBody, node: s.Variable) -> _ast.expr:
    """Reads a variable. `$env` is the task's, unless the program has one of that name: it is asked of the machine."""
    if is_environment(b, node):
        return _environment(c, b, node)
    found = find_variable(b, node.name)
    if found is None:
        from difflib import get_close_matches

        close = get_close_matches(node.name, [*visible_names(b), *c.others], 1)
        hint = f"did you mean ${close[0]}?" if close else f"declare it first: let {node.name} = …"
        if node.name.isupper():
            hint = f"an environment variable is $env.{node.name}"
        if node.name == "it":
            hint = "$it is the argument of a block without parameters, and `.field` is short for `$it.field`"
        if node.name == "error":
            hint = "$error is there on the right side of `||`; elsewhere `try { … } catch e { … }` gives it a name"
        c.problem(node, f"there is no variable ${node.name} here", hint, code="unknown-variable")
        return g.constant(None, node.id)
    if found.python_name:
        return g.name(found.python_name, node.id)
    value = g.slot_of(found.depth, found.slot, node.id)
    if "def" in found.crosses:
        value = g.call("known", [value, g.constant(node.name, node.id)], node.id)
    return value


def _environment(c: Compiler, b: AnyBody, node: s.Variable) -> _ast.expr:
    assert isinstance(b, Body), "$env is not pure"
    slot = b.hide(node)
    b.emit(op.ENVIRONMENT, node, slot)
    return g.slot_of(0, slot, node.id)


def _path(c: Compiler, b: AnyBody, node: s.Path, *, is_optional: bool = False) -> _ast.expr:
    if isinstance(node.base, s.Variable) and node.base.name == "env" and not is_environment(b, node.base):
        first = node.steps[0].key
        if isinstance(first, s.Literal) and str(first.value).isupper():
            c.warn(node, "$env is a variable of this program here, not the environment", "give that another name")
    _refuse_field(c, b, node)
    value = expression(c, b, node.base)
    for step in node.steps:
        optional = step.is_optional or is_optional
        if isinstance(step.key, s.Range):
            ends = [part if part is not None else None for part in (step.key.start, step.key.end)]
            bounds = [g.constant(None, step.id) if part is None else expression(c, b, part) for part in ends]
            arguments = [value, *bounds, g.constant(step.key.is_exclusive, step.id)]
            value = g.call("get_slice", arguments, step.id)
            continue
        if not is_pure(c, b, step.key):
            value = spill(c, b, step, value)
        key = expression(c, b, step.key)
        function = "get_index" if step.is_index else "get_field"
        if function == "get_field" and is_environment(b, node.base):
            function = "get_variable"
        value = g.call(function, [value, key, g.constant(optional, step.id)], step.id)
    return value


_WITHOUT_FIELDS = ("string", "path", "int", "float", "number", "bool", "duration")


def _refuse_field(c: Compiler, b: AnyBody, node: s.Path) -> None:
    """A field of what is known to be text or a number, as in `"$name.bak"`, is found before anything runs."""
    base, step = node.base, node.steps[0]
    if not isinstance(base, s.Variable) or step.is_index or not isinstance(step.key, s.Literal):
        return
    kind = known_kind(b, base.name)
    if kind in _WITHOUT_FIELDS and not _is_assigned(c.source.text, base.name):
        kind = "string" if kind == "path" else kind
        hint = f"only records have fields; to write text after a variable, write `${{{base.name}}}.{step.key.value}`"
        c.problem(step, f"{a_kind(kind)} has no field `{step.key.value}`", hint, code="type")


def _is_assigned(text: str, name: str) -> bool:
    """Whether a text may assign a variable anywhere."""
    for part in text.split(f"${name}")[1:]:
        rest = part.lstrip(" \t")
        rest = rest[1:] if rest[:1] in ("+", "-", "*", "/") else rest
        if rest[:1] == "=" and rest[1:2] not in ("=", "~"):
            return True
    return False


def _unary(c: Compiler, b: AnyBody, node: s.Unary) -> _ast.expr:
    import _ast

    value = expression(c, b, node.operand)
    if node.operator == "-":
        return g.call("negate", [value], node.id)
    truth = g.call("truth", [value], node.id)
    return g.at(_ast.UnaryOp(op=_ast.Not(), operand=truth), node.id)  # type: ignore[no-any-return]


def _binary(c: Compiler, b: AnyBody, node: s.Binary) -> _ast.expr:
    if node.operator in ("and", "or", "??"):
        return _short_circuit(c, b, node)
    left, right = operands(c, b, (node.left, node.right))
    return g.call(OPERATORS[node.operator], [left, right], node.id)


def _short_circuit(c: Compiler, b: AnyBody, node: s.Binary) -> _ast.expr:
    import _ast

    if node.operator == "??":
        left = (
            _path(c, b, node.left, is_optional=True) if isinstance(node.left, s.Path) else expression(c, b, node.left)
        )
    else:
        left = g.call("truth", [expression(c, b, node.left)], node.left.id)
    if not is_pure(c, b, node.right):
        assert isinstance(b, Body)
        return _short_circuit_effects(c, b, node, left)
    right = expression(c, b, node.right)
    if node.operator == "??":
        return g.call("coalesce", [left, g.lazily(right, node.id)], node.id)
    kind = _ast.And() if node.operator == "and" else _ast.Or()
    return g.at(_ast.BoolOp(op=kind, values=[left, g.call("truth", [right], node.right.id)]), node.id)  # type: ignore[no-any-return]


def _short_circuit_effects(c: Compiler, b: Body, node: s.Binary, left: _ast.expr) -> _ast.expr:
    """The right side has effects: it is jumped over."""
    import _ast

    slot, test, end = b.hide(node), b.hide(node), Label()
    b.emit(op.EVAL, node, slot, c.generator.function(left, node.id))
    value = g.slot_of(0, slot, node.id)
    if node.operator == "??":
        goes_on: _ast.expr = g.at(
            _ast.Compare(left=value, ops=[_ast.Is()], comparators=[g.constant(None, node.id)]), node.id
        )
    elif node.operator == "and":
        goes_on = value
    else:
        goes_on = g.at(_ast.UnaryOp(op=_ast.Not(), operand=value), node.id)
    b.emit(op.EVAL, node, test, c.generator.function(goes_on, node.id))
    b.emit(op.BRANCH, node, test, end)
    right = expression(c, b, node.right)
    if node.operator != "??":
        right = g.call("truth", [right], node.right.id)
    b.emit(op.EVAL, node, slot, c.generator.function(right, node.id))
    b.mark(end)
    return g.slot_of(0, slot, node.id)


def _range(c: Compiler, b: AnyBody, node: s.Range) -> _ast.expr:
    if node.start is None or node.end is None:
        c.problem(node, "a range needs both ends here", "only in `[ ]` after a value may one be left out: `$xs[2..]`")
        return g.constant(None, node.id)
    start, end = operands(c, b, (node.start, node.end))
    return g.call("make_range", [start, end, g.constant(node.is_exclusive, node.id)], node.id)


def _list(c: Compiler, b: AnyBody, node: s.ListLiteral) -> _ast.expr:
    return g.list_of(spread(node.items, operands(c, b, node.items)), node.id)


def _record(c: Compiler, b: AnyBody, node: s.RecordLiteral) -> _ast.expr:
    import _ast

    inner: list[Node] = []
    for entry in node.entries:
        inner += [entry.value] if isinstance(entry, s.Spread) else [entry.key, entry.value]
    values = iter(operands(c, b, inner))
    keys: list[_ast.expr | None] = []
    items: list[_ast.expr] = []
    for entry in node.entries:
        if isinstance(entry, s.Spread):
            keys.append(None)
            items.append(g.call("spread_record", [next(values)], entry.id))
        else:
            keys.append(next(values))
            items.append(next(values))
    return g.at(_ast.Dict(keys=keys, values=items), node.id)  # type: ignore[no-any-return]


def _block(c: Compiler, b: AnyBody, node: s.BlockLiteral) -> _ast.expr:
    """A block as a value: its code, and the scope that it closes over."""
    body = b.slots_body() if isinstance(b, PythonBody) else b
    if isinstance(b, PythonBody) and b.locals:
        c.problem(node, "a block inside a computing block cannot be kept as a value", "write the outer one with `for`")
    code_id = c.parts.compile_block(c, body, node, kind="block")
    code = g.name(c.generator.bind("code", c.codes[code_id]), node.id)
    return g.call("Block", [code, g.name("s", node.id)], node.id)


def block_function(c: Compiler, b: AnyBody, node: s.BlockLiteral) -> _ast.expr:
    """A pure block as a Python function. Its definition is put before whatever names it."""
    inner = PythonBody(b)
    made = c.generator.fresh("block")
    parameters = []
    if node.parameters is None:
        inner.locals["it"] = c.generator.fresh("it")
        parameters.append(inner.locals["it"])
    body: list[_ast.stmt] = []
    for parameter in node.parameters or ():
        local = inner.locals[parameter.name] = c.generator.fresh("v")
        parameters.append(local)
        if parameter.type_name:
            value = checked_parameter(c, parameter, g.name(local, parameter.id))
            body.append(g.assign(local, value, parameter.id))
        if not isinstance(parameter.pattern, s.NamePattern):
            body += _unpack(c, inner, parameter.pattern, local)
    for statement in node.body.statements[:-1]:
        assert isinstance(statement, s.Let) and isinstance(statement.pattern, s.NamePattern)
        value = expression(c, inner, statement.value)
        local = inner.locals[statement.pattern.name] = c.generator.fresh("v")
        body += [*c.generator.needed([value]), g.assign(local, value, statement.id)]
    last = node.body.statements[-1:]
    value = expression(c, inner, last[0]) if last else g.constant(None, node.id)
    decorators = [] if body or len(parameters) != 1 else _lowered(c, value, parameters[0], node.id)
    body += [*c.generator.needed([value]), g.returned(value, node.id)]
    c.generator.blocks[made] = g.define(
        made, parameters, body, node.id, defaults=len(parameters), decorators=decorators
    )
    return g.name(made, node.id)


def checked_parameter(c: Compiler, parameter: s.Parameter, value: _ast.expr) -> _ast.expr:
    """What a block's parameter gets, if it is of its type."""
    c.parts.check_type_name(c, parameter)
    texts = [parameter.type_name, parameter.name, ""]
    return g.call("check_argument", [value, *(g.constant(text, parameter.id) for text in texts)], parameter.id)


def _lowered(c: Compiler, value: _ast.expr, item: str, line: int) -> list[_ast.expr]:
    from fmsh.lang.lowering import lower, lowered

    found = lower(value, item, line)
    if found is None:
        return []
    function, inputs, gives = found
    known = [g.name(c.generator.bind("k", fact), line) for fact in (inputs, gives)]
    return [g.call(c.generator.bind("b", lowered), [function, *known], line)]


def _unpack(c: Compiler, inner: PythonBody, pattern: Node, local: str) -> list[_ast.stmt]:
    data, names = pattern_data(c, pattern)
    values = c.generator.fresh("v")
    arguments = [
        g.name(c.generator.bind("k", data), pattern.id),
        g.name(local, pattern.id),
        g.name("equal", pattern.id),
    ]
    made: list[_ast.stmt] = [g.assign(values, g.call("destructure", arguments, pattern.id), pattern.id)]
    for index, bound in enumerate(names):
        inner.locals[bound] = c.generator.fresh("v")
        made.append(
            g.assign(inner.locals[bound], g.subscript(g.name(values, pattern.id), index, pattern.id), pattern.id)
        )
    return made


def _subpipeline(c: Compiler, b: AnyBody, node: s.Subpipeline) -> _ast.expr:
    statements = node.body.statements
    if len(statements) == 1 and isinstance(statements[0], s.Chain):
        return c.parts.chain(c, b, statements[0], mode="capture")
    assert isinstance(b, Body)
    return c.parts.inline_body(c, b, node.body, kind="body", position="capture")


def word(c: Compiler, b: AnyBody, node: s.Word) -> _ast.expr:
    """A word as one value: its part's own value, or text."""
    parts = [part for part in node.parts if not isinstance(part, s.Glob | s.Braces)]
    if len(parts) < len(node.parts):
        return c.parts.path_words(c, b, node)
    if len(parts) == 1 and not node.is_text and not isinstance(parts[0], s.Tilde):
        return expression(c, b, parts[0])
    values = operands(c, b, parts)
    if node.is_url:
        values = _encoded_parts(parts, values)
    return g.call("join_text", [g.list_of(values, node.id)], node.id)


def _encoded_parts(parts: Sequence[Node], values: list[_ast.expr]) -> list[_ast.expr]:
    """Percent-encodes what is interpolated into a URL; a leading variable is the base and stays as it is."""
    encoded = []
    for index, (part, value) in enumerate(zip(parts, values, strict=True)):
        is_text = isinstance(part, s.Literal)
        if not is_text and index > 0 and not _is_in_origin(parts[:index]):
            value = g.call("url_part", [value, g.name("to_text", part.id)], part.id)
        encoded.append(value)
    return encoded


def _is_in_origin(before: Sequence[Node]) -> bool:
    """Whether a part of a URL still belongs to scheme, host or port: those are not encoded."""
    text = "".join(str(part.value) if isinstance(part, s.Literal) else "x" for part in before)
    rest = text.partition("://")[2] if "://" in text else text
    return "/" not in rest and "?" not in rest and "#" not in rest


def _tilde(c: Compiler, b: AnyBody, node: s.Tilde) -> _ast.expr:
    assert isinstance(b, Body), "~ is not pure"
    slot = b.hide(node)
    b.emit(
        op.OBSERVE, node, slot, "home", c.generator.function(c.generator.value({"user": node.user}, node.id), node.id)
    )
    return g.slot_of(0, slot, node.id)


_COMPILE: dict[type, Callable[..., _ast.expr]] = {
    s.Literal: _literal,
    s.Template: _template,
    s.Variable: variable,
    s.Path: _path,
    s.Unary: _unary,
    s.Binary: _binary,
    s.Range: _range,
    s.ListLiteral: _list,
    s.RecordLiteral: _record,
    s.BlockLiteral: _block,
    s.Subpipeline: _subpipeline,
    s.Word: word,
    s.Tilde: _tilde,
    s.Spread: lambda c, b, node: expression(c, b, node.value),  # whoever takes one spreads it: `spread`
    s.Chain: lambda c, b, node: c.parts.chain(c, b, node, mode="capture"),
}
