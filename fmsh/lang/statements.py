"""Statements: one function each, and the table of them."""

from __future__ import annotations

from fmsh.lang import generated as g
from fmsh.lang import pipelines
from fmsh.lang import syntax as s
from fmsh.lang.bodies import CONCURRENT, EACH, Body, Found, Label, find_function, find_variable
from fmsh.lang.calls import plain_text
from fmsh.lang.destructuring import pattern_data
from fmsh.lang.expressions import OPERATORS, block_function, checked_parameter, expression, operands, spill
from fmsh.lang.piped import Piped, position_of
from fmsh.lang.processes import expand_word
from fmsh.lang.purity import is_environment, is_pure_block
from fmsh.lang.tree import children
from fmsh.machine import code as op

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _ast
    from collections.abc import Callable, Sequence

    from fmsh.lang.context import Compiler
    from fmsh.lang.syntax import Node


def compile_body(c: Compiler, b: Body, body: s.Body) -> None:
    """Compiles the statements of a body; the value of the last goes to slot 0."""
    announce_all(c, b, body)
    for index, statement in enumerate(body.statements):
        compile_statement(c, b, statement, is_last=index == len(body.statements) - 1)


def announce_all(c: Compiler, b: Body, body: s.Body) -> None:
    """Makes the functions of a body known before its statements are compiled."""
    for statement in body.statements:
        if isinstance(statement, s.Def):
            c.parts.announce_function(c, b, statement)
    for statement in body.statements:
        if isinstance(statement, s.Use):
            c.parts.announce_use(c, b, statement)


def compile_statement(c: Compiler, b: Body, statement: Node, *, is_last: bool) -> None:
    try:
        if isinstance(statement, s.Chain):
            chain_statement(c, b, statement, is_last=is_last)
        else:
            _STATEMENTS[type(statement)](c, b, statement)
    except RecursionError:  # a chain or a path of a thousand links: their depth is not that of the tree
        c.problem(statement, "this is too long to be one statement", "split it up with `let`", code="limit")


def chain_statement(c: Compiler, b: Body, node: s.Chain, *, is_last: bool) -> None:
    mode = "tail" if is_last and b.kind != "loop" else "drop"
    if mode == "tail":
        piped = pipelines.chain_piped(c, b, node, mode=mode)
        pipelines._into(c, b, piped, 0, mode)
        return
    noted = len(c.problems)
    piped = pipelines.chain_piped(c, b, node, mode=mode)
    if piped.displays == "uncaptured":
        pipelines.display(c, b, piped, piped.value, mode)
        return
    import _ast

    is_dropped = piped.displays == "show" and not isinstance(piped.value, _ast.Subscript)
    if is_dropped and len(c.problems) == noted:
        hint = "keep it with `let x = …`, or show it with `print`"
        c.warn(node, "the value of this statement is dropped", hint, code="dropped-value")
    if not isinstance(piped.value, _ast.Subscript | _ast.Constant):
        b.emit(op.EVAL, node, b.hide(node), c.generator.function(piped.value, node.id))


def compile_block(c: Compiler, b: Body, node: s.BlockLiteral, *, kind: str, names: Sequence[str] = ()) -> int:
    """Compiles a block of its own; gives its code's id. `names` are parameters of a block that names none."""
    body = Body(node.id, kind, b)
    slots = []
    if node.parameters is None:
        slots = [body.declare(name, node) for name in names or ("it",)]
    for parameter in node.parameters or ():
        slots.append(body.declare(parameter.name, parameter))
        if not isinstance(parameter.pattern, s.NamePattern):
            bind_pattern(c, body, parameter.pattern, g.slot_of(0, slots[-1], parameter.id))
        if parameter.type_name:
            _check_type(c, body, parameter, slots[-1])
    body.code.parameters = slots
    body.code.emits = says_emit(node.body)
    compile_body(c, body, node.body)
    code_id = c.add(body)
    if kind == "block" and is_pure_block(c, b, node):
        _make_function(c, b, node, body)
    return code_id


def _make_function(c: Compiler, b: Body, node: s.BlockLiteral, body: Body) -> None:
    function = block_function(c, b, node)
    body.code.make_function = c.generator.function(function, node.id)


def _check_type(c: Compiler, b: Body, parameter: s.Parameter, slot: int) -> None:
    value = checked_parameter(c, parameter, g.slot_of(0, slot, parameter.id))
    b.emit(op.EVAL, parameter, slot, c.generator.function(value, parameter.id))


def inline_body(c: Compiler, b: Body, body: s.Body, *, kind: str, position: str) -> _ast.expr:
    """Runs a body as a frame of its own, here; gives its value."""
    slot = b.hide(body)
    b.emit(op.BODY, body, slot, plain_body(c, b, body, kind=kind), position)
    return g.slot_of(0, slot, body.id)


def plain_body(c: Compiler, b: Body, body: s.Body, *, kind: str = "body") -> int:
    inner = Body(body.id, kind, b)
    compile_body(c, inner, body)
    return c.add(inner)


def plain_block(c: Compiler, b: Body, block: s.BlockLiteral, *, kind: str = "body") -> int:
    """Compiles a block that takes no argument; gives its code's id, which is that of the block."""
    inner = Body(block.id, kind, b)
    compile_body(c, inner, block.body)
    return c.add(inner)


def says_emit(body: s.Body) -> bool:
    """Whether a body says `emit` itself, not in a block or function inside it."""
    waiting: list[Node] = [body]
    while waiting:
        node = waiting.pop()
        if isinstance(node, s.Def | s.BlockLiteral):
            continue
        if isinstance(node, s.Command) and plain_text(node.name) == "emit":
            return True
        waiting.extend(children(node))
    return False


# ---- Variables -------------------------------------------------------------------------------------------------------


def _let(c: Compiler, b: Body, node: s.Let) -> None:
    value = pipelines.chain(c, b, node.value, mode="capture")
    bind_pattern(c, b, node.pattern, value)
    if isinstance(node.pattern, s.NamePattern) and node.pattern.name in b.names:
        made = node.value.first.stages[-1]
        if isinstance(made, s.ExpressionStage) and not node.value.links:
            b.kinds[b.names[node.pattern.name]] = _kind_of_literal(made.value)
        if isinstance(made, s.Command) and not node.value.links and c.literal_name(made) in ("channel", "spawn"):
            b.own[b.names[node.pattern.name]] = "channel" if c.literal_name(made) == "channel" else "task"


def _kind_of_literal(node: Node) -> str:
    if isinstance(node, s.Template):
        return "string"
    return g.literal_kind(node.value) if isinstance(node, s.Literal) else ""


def bind_pattern(c: Compiler, b: Body, pattern: Node, value: _ast.expr) -> None:
    """Puts a value into the names of a pattern."""
    if isinstance(pattern, s.NamePattern):
        function = c.generator.function(value, pattern.id)
        slot = b.hide(pattern) if pattern.name == "_" else b.declare(pattern.name, pattern)
        b.emit(op.EVAL, pattern, slot, function)
        return
    data, names = pattern_data(c, pattern)
    found = b.hide(pattern)
    arguments = [g.name(c.generator.bind("k", data), pattern.id), value, g.name("equal", pattern.id)]
    b.emit(op.EVAL, pattern, found, c.generator.function(g.call("destructure", arguments, pattern.id), pattern.id))
    _bind_names(c, b, pattern, found, names)


def _bind_names(c: Compiler, b: Body, pattern: Node, found: int, names: list[str]) -> None:
    for index, name in enumerate(names):
        item = g.subscript(g.slot_of(0, found, pattern.id), index, pattern.id)
        slot = b.slot(f"{name}@{pattern.id}")
        b.names[name] = b.variables[name] = slot
        b.emit(op.EVAL, pattern, slot, c.generator.function(item, pattern.id))


def _assign(c: Compiler, b: Body, node: s.Assign) -> None:
    target = node.target
    base = target.base if isinstance(target, s.Path) else target
    if not isinstance(base, s.Variable):
        return  # the parser has said so
    if base.name in ("args", "in", "job", "last", "error") or is_environment(b, base):
        hint = "write `export NAME=value`" if base.name == "env" else "copy it first: `let x = …`"
        c.problem(base, f"${base.name} cannot be assigned", hint)
        return
    found = find_variable(b, base.name)
    if found is None:
        expression(c, b, base)  # notes the unknown name
        return
    if CONCURRENT in found.crosses:
        hint = "give the value back as the value of the block"
        c.problem(base, f"${base.name} is shared: a concurrent block cannot assign it", hint, code="shared-assignment")
    value = pipelines.chain(c, b, node.value, mode="capture")
    keys: list[Node] = []
    if isinstance(target, s.Path):
        value = spill(c, b, node.value, value)
        keys = [step.key for step in target.steps]
    value = _assigned(node, found, g.list_of(operands(c, b, keys), target.id), value, has_path=bool(keys))
    line = node.id
    stored = g.store(g.slot_of(found.depth, found.slot, line, is_target=True), value, line)
    b.emit(op.EVAL, node, b.hide(node), c.generator.procedure([stored], line))


def _assigned(node: s.Assign, found: Found, steps: _ast.expr, value: _ast.expr, *, has_path: bool) -> _ast.expr:
    """What a variable holds after an assignment."""
    line, at = node.id, node.target.id
    current = g.slot_of(found.depth, found.slot, at)
    place = [g.slots_of(found.depth, at), g.constant(found.slot, at), steps]
    if node.operator == "+=":
        return g.call("added", [*place, value], line)
    if node.operator != "=":
        old = g.call("get_path", [current, steps], at) if has_path else current
        value = g.call(OPERATORS[node.operator[:-1]], [old, value], line)
    return g.call("assigned", [*place, value], at) if has_path else value


# ---- Control ---------------------------------------------------------------------------------------------------------


def control_stage(c: Compiler, b: Body, stage: Node, piped: Piped | None, mode: str) -> Piped:
    """Stages that are more than a value: `if`, `match`, `try`, `return`, `break`, `continue`, groups, path lists."""
    if piped is not None and not isinstance(stage, s.Group):
        c.problem(stage, "this takes nothing from the pipe", "put what goes into it before it: `let x = …`")
    return _CONTROL[type(stage)](c, b, stage, piped, mode)


def _if(c: Compiler, b: Body, node: s.If, piped: Piped | None, mode: str) -> Piped:
    slot, end = b.hide(node), Label()
    b.emit(op.EVAL, node, slot, g.constant_function(None))
    for branch in node.branches:
        following, test = Label(), b.hide(branch)
        value = pipelines.condition(c, b, branch.condition)
        b.emit(op.EVAL, branch.condition, test, c.generator.function(value, branch.condition.id))
        b.emit(op.BRANCH, branch, test, following)
        b.emit(op.BODY, branch.body, slot, plain_body(c, b, branch.body), position_of(mode))
        b.emit(op.JUMP, branch, end)
        b.mark(following)
    if node.otherwise is not None:
        b.emit(op.BODY, node.otherwise, slot, plain_body(c, b, node.otherwise), position_of(mode))
    b.mark(end)
    return Piped(g.slot_of(0, slot, node.id), node, displays="never")


def _match(c: Compiler, b: Body, node: s.Match, piped: Piped | None, mode: str) -> Piped:
    slot, subject, end = b.hide(node), b.hide(node), Label()
    b.emit(op.EVAL, node, slot, g.constant_function(None))
    value = pipelines.chain(c, b, node.subject, mode="capture")
    b.emit(op.EVAL, node.subject, subject, c.generator.function(value, node.subject.id))
    for arm in node.arms:
        following = Label()
        _arm(c, b, arm, subject, slot, following, position_of(mode))
        b.emit(op.JUMP, arm, end)
        b.mark(following)
    b.mark(end)
    return Piped(g.slot_of(0, slot, node.id), node, displays="never")


def _arm(c: Compiler, b: Body, arm: s.Arm, subject: int, slot: int, following: Label, position: str) -> None:
    import _ast

    data, names = pattern_data(c, arm.pattern)
    found, test, line = b.hide(arm), b.hide(arm), arm.id
    arguments = [g.name(c.generator.bind("k", data), line), g.slot_of(0, subject, line), g.name("equal", line)]
    b.emit(op.EVAL, arm, found, c.generator.function(g.call("match_pattern", arguments, line), line))
    matched = g.at(
        _ast.Compare(left=g.slot_of(0, found, line), ops=[_ast.IsNot()], comparators=[g.constant(None, line)]), line
    )
    b.emit(op.EVAL, arm, test, c.generator.function(matched, line))
    b.emit(op.BRANCH, arm, test, following)
    outer = dict(b.names)
    _bind_names(c, b, arm.pattern, found, names)
    if arm.guard is not None:
        value = pipelines.condition(c, b, arm.guard)
        b.emit(op.EVAL, arm.guard, test, c.generator.function(value, arm.guard.id))
        b.emit(op.BRANCH, arm, test, following)
    b.emit(op.BODY, arm.body, slot, plain_body(c, b, arm.body), position)
    b.names = outer


def _try(c: Compiler, b: Body, node: s.Try, piped: Piped | None, mode: str) -> Piped:
    slot = b.hide(node)
    code = plain_body(c, b, node.body)
    catch, catch_slot = None, -1
    if node.catch is not None:
        handler = Body(node.catch.id, "body", b)
        if node.catch_name is not None:
            catch_slot = handler.declare(node.catch_name, node.catch)
        compile_body(c, handler, node.catch)
        catch = c.add(handler)
    finally_ = plain_body(c, b, node.finally_) if node.finally_ is not None else None
    b.emit(op.TRY, node, slot, code, catch, catch_slot, finally_, position_of(mode), None)
    return Piped(g.slot_of(0, slot, node.id), node, displays="never")


def _group(c: Compiler, b: Body, node: s.Group, piped: Piped | None, mode: str) -> Piped:
    if node.redirections:
        return c.parts.redirected(c, b, node, piped, mode)
    outer = dict(b.names)
    if piped is not None:
        slot = b.hide(node)
        b.emit(op.EVAL, node, slot, c.generator.function(piped.value, node.id))
        b.names["in"] = slot
        c.note_streamed_input(node.body)
    value = inline_body(c, b, node.body, kind="body", position=position_of(mode))
    b.names = outer
    return Piped(value, node, displays="never")


def _path_list(c: Compiler, b: Body, node: s.PathListStage, piped: Piped | None, mode: str) -> Piped:
    return Piped(g.list_of([item for word in node.words for item in expand_word(c, b, word)], node.id), node)


def _return(c: Compiler, b: Body, node: s.Return, piped: Piped | None, mode: str) -> Piped:
    value = pipelines.chain(c, b, node.value, mode="capture") if node.value is not None else g.constant(None, node.id)
    slot = b.hide(node)
    b.emit(op.EVAL, node, slot, c.generator.function(value, node.id))
    returned = g.slot_of(0, slot, node.id)
    if node.value is not None:
        pipelines.show(c, b, node, returned, "returned")
    b.emit(op.RETURN, node, c.generator.function(returned, node.id))
    return Piped(g.constant(None, node.id), node, displays="never")


def _break(c: Compiler, b: Body, node: Node, piped: Piped | None, mode: str) -> Piped:
    name = "break" if isinstance(node, s.Break) else "continue"
    current: Body | None = b
    while current is not None and current.kind == "body":
        current = current.parent
    if current is None or current.kind not in ("loop", EACH):
        c.problem(node, f"`{name}` is not inside a loop here", "it ends a turn of `for` or `while`")
    b.emit(op.BREAK if name == "break" else op.CONTINUE, node)
    return Piped(g.constant(None, node.id), node, displays="never")


def _while(c: Compiler, b: Body, node: s.While) -> None:
    again, end, test = Label(), Label(), b.hide(node)
    b.mark(again)
    value = pipelines.condition(c, b, node.condition)
    b.emit(op.EVAL, node.condition, test, c.generator.function(value, node.condition.id))
    b.emit(op.BRANCH, node, test, end)
    b.emit(op.WHILE, node, plain_body(c, b, node.body, kind="loop"), end)
    b.emit(op.JUMP, node, again)
    b.mark(end)


def _for(c: Compiler, b: Body, node: s.For) -> None:
    if c.parts.loop_over_stream(c, b, node, lambda inner: _turn(c, inner, node)):
        return
    piped = pipelines.chain_piped(c, b, node.source, mode="capture")
    value = g.call("split_output", [piped.value], node.id) if piped.is_output else piped.value
    items, turn, end = b.hide(node), b.hide(node), Label()
    b.emit(
        op.EVAL, node.source, items, c.generator.function(g.call("loop_items", [value], node.source.id), node.source.id)
    )
    b.emit(op.FOR, node, turn, items, _turn(c, b, node), end, op.NO_VALUES, None)
    b.mark(end)


def _turn(c: Compiler, b: Body, node: s.For) -> int:
    """Compiles the body of a `for`."""
    body = Body(node.body.id, "loop", b)
    item = body.slot(f"item@{node.id}")
    body.code.parameters = [item]
    pattern: Node = node.patterns[0]
    source = node.source.first.stages[-1]
    goes_over_ints = isinstance(source, s.ExpressionStage) and isinstance(source.value, s.Range)
    if len(node.patterns) == 2:
        pattern = s.ListPattern(node.span, node.patterns)
        pattern.id = node.id
    bind_pattern(c, body, pattern, g.slot_of(0, item, node.id))
    if isinstance(pattern, s.NamePattern) and pattern.name in body.names and goes_over_ints:
        body.kinds[body.names[pattern.name]] = "int"
    compile_body(c, body, node.body)
    return c.add(body)


def _defer(c: Compiler, b: Body, node: s.Defer) -> None:
    b.emit(op.DEFER, node, plain_body(c, b, node.body, kind="defer"))


def _undo(c: Compiler, b: Body, node: s.Undo) -> None:
    b.emit(op.UNDO, node, plain_body(c, b, node.body, kind="defer"))


# ---- Environment -----------------------------------------------------------------------------------------------------


def _export(c: Compiler, b: Body, node: s.Export) -> None:
    set_environment(c, b, node, node.items)


def set_environment(c: Compiler, b: Body, node: Node, items: Sequence[s.EnvironmentItem | s.Spread]) -> None:
    """Sets variables of the task's environment from here on."""
    import _ast

    values = operands(c, b, [item.value for item in items])
    keys: list[_ast.expr | None] = [
        None if isinstance(item, s.Spread) else g.constant(item.name, item.id) for item in items
    ]
    values = [
        g.call("spread_record", [value], item.id) if isinstance(item, s.Spread) else value
        for item, value in zip(items, values, strict=True)
    ]
    record = g.at(_ast.Dict(keys=keys, values=values), node.id)
    _set_environment(c, b, node, record)


def _unset(c: Compiler, b: Body, node: s.Unset) -> None:
    _set_environment(c, b, node, g.name(c.generator.bind("k", dict.fromkeys(node.names)), node.id))


def _set_environment(c: Compiler, b: Body, node: Node, record: _ast.expr) -> None:
    items = g.call("environment_items", [record, g.name("to_text", node.id)], node.id)
    b.emit(op.SET_ENVIRONMENT, node, c.generator.function(items, node.id))


def _alias(c: Compiler, b: Body, node: s.Alias) -> None:
    if find_function(b, node.name) is not None:
        c.warn(node, f"`{node.name}` is a function, and a function goes before an alias", "give one another name")
    c.aliases[node.name] = node.command


def _use(c: Compiler, b: Body, node: s.Use) -> None:
    c.parts.use(c, b, node)


def _def(c: Compiler, b: Body, node: s.Def) -> None:
    c.parts.define_function(c, b, node)


def _param(c: Compiler, b: Body, node: s.Param) -> None:
    if b.kind != "main":
        c.problem(node, "`param` belongs to a script, not into a block", "a function's parameters stand in its ( )")


_STATEMENTS: dict[type, Callable[..., None]] = {
    s.Let: _let,
    s.Assign: _assign,
    s.While: _while,
    s.For: _for,
    s.Defer: _defer,
    s.Undo: _undo,
    s.Def: _def,
    s.Param: _param,
    s.Export: _export,
    s.Unset: _unset,
    s.Alias: _alias,
    s.Use: _use,
}

_CONTROL: dict[type, Callable[..., Piped]] = {
    s.If: _if,
    s.Match: _match,
    s.Try: _try,
    s.Group: _group,
    s.PathListStage: _path_list,
    s.Return: _return,
    s.Break: _break,
    s.Continue: _break,
}
