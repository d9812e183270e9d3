"""Pipelines and chains.

A pipeline carries one value from stage to stage. Adjacent external commands are one step of the job; what only computes
becomes part of one Python expression; the rest are instructions in order.

`mode` says what becomes of the value of a pipeline: "capture" (it is wanted), "drop" (a statement in the middle: only
external commands, `echo` and functions display), "tail" (the last statement of a body: as the body's caller says).
"""

from __future__ import annotations

from fmsh.lang import generated as g
from fmsh.lang import syntax as s
from fmsh.lang.bodies import Body, Label, PythonBody, find_module
from fmsh.lang.calls import Call, bind_arguments, checked, literal_kind, plain_text
from fmsh.lang.expressions import block_function, expression, is_paths, operands, spill, spread_value
from fmsh.lang.piped import Piped, position_of
from fmsh.lang.processes import join_alias, processes
from fmsh.lang.purity import holds_block, is_pure, is_pure_block
from fmsh.machine import code as op
from fmsh.machine.signature import FUNCTION_TYPES, Parameter

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _ast
    from collections.abc import Callable
    from typing import Any

    from fmsh.lang.bodies import FunctionInfo
    from fmsh.lang.context import Compiler
    from fmsh.lang.syntax import Node
    from fmsh.machine.code import Function
    from fmsh.machine.library import PureCommand
    from fmsh.machine.signature import Signature

    AnyBody = Body | PythonBody


def chain(c: Compiler, b: AnyBody, node: s.Chain, *, mode: str) -> _ast.expr:
    """Compiles a chain; gives the Python expression of its value."""
    return chain_piped(c, b, node, mode=mode).value


def chain_piped(c: Compiler, b: AnyBody, node: s.Chain, *, mode: str) -> Piped:
    if node.is_background:
        assert isinstance(b, Body)
        return c.parts.start_background(c, b, node)
    if not node.links:
        return pipeline(c, b, node.first, mode=mode)
    assert isinstance(b, Body)
    slot = b.hide(node)
    pipelines = [node.first, *(link.pipeline for link in node.links)]
    _links(c, b, pipelines, [link.operator for link in node.links], node, slot, mode)
    return Piped(g.slot_of(0, slot, node.id), node, displays="never")


# ---- && and || -------------------------------------------------------------------------------------------------------


def _links(
    c: Compiler, b: Body, parts: list[s.Pipeline], operators: list[str], node: Node, slot: int, mode: str
) -> None:
    """Compiles a chain of links, which group to the left, into a slot."""
    if not operators:
        _into(c, b, pipeline(c, b, parts[0], mode=mode), slot, mode)
        return
    if operators[-1] == "||":
        _or(c, b, parts, operators, node, slot, mode)
        return
    end = Label()
    b.emit(op.EVAL, node, slot, g.constant_function(None))
    _left_of_and(c, b, parts[:-1], operators[:-1], node, end)
    _into(c, b, pipeline(c, b, parts[-1], mode=mode), slot, mode)
    b.mark(end)


def _into(c: Compiler, b: Body, piped: Piped, slot: int, mode: str) -> None:
    b.emit(op.EVAL, piped.node, slot, c.generator.function(piped.value, piped.node.id))
    display(c, b, piped, g.slot_of(0, slot, piped.node.id), mode)


def display(c: Compiler, b: Body, piped: Piped, value: _ast.expr, mode: str) -> None:
    """Shows the value of a statement, where its position says so."""
    if mode == "capture" or piped.displays == "never" or (mode == "drop" and piped.displays != "uncaptured"):
        return
    show(c, b, piped.node, value, "always" if mode == "drop" else piped.displays)


def show(c: Compiler, b: Body, node: Node, value: _ast.expr, when: str) -> None:
    """Emits the display of a value; `when` is as in the instruction."""
    slot = g.own_slot(value)
    if slot is not None:  # what most lines end with needs no generated function
        b.emit(op.DISPLAY, node, _shown_slot(c.library.display, slot), when)
        return
    b.emit(op.DISPLAY, node, c.generator.function(g.call("shown", [value], node.id), node.id), when)


def _shown_slot(display: Callable[[Any], str], slot: int) -> Function:
    return lambda scope: (display(scope.slots[slot]), "out", scope.slots[slot])


def _is_bool_stage(part: s.Pipeline) -> bool:
    return isinstance(part.stages[-1], s.ExpressionStage)


def _left_of_and(c: Compiler, b: Body, parts: list[s.Pipeline], operators: list[str], node: Node, end: Label) -> None:
    """The left side of `&&`: a false condition ends the chain, softly; a failure raises."""
    if operators or not _is_bool_stage(parts[-1]):
        ignored = b.hide(node)
        _links(c, b, parts, operators, node, ignored, "drop")
        return
    value = condition_of_pipeline(c, b, parts[-1])
    test = b.hide(node)
    b.emit(op.EVAL, parts[-1], test, c.generator.function(value, parts[-1].id))
    _unless_true(c, b, parts[-1], test, end)


def _unless_true(c: Compiler, b: Body, node: Node, test: int, end: Label) -> None:
    if not b.fails_softly:
        b.emit(op.BRANCH, node, test, end)
        return
    fails, goes_on = Label(), Label()
    b.emit(op.BRANCH, node, test, fails)
    b.emit(op.JUMP, node, goes_on)
    b.mark(fails)
    b.emit(op.FAIL, node, c.generator.function(g.call("soft_failure", [], node.id), node.id))
    b.mark(goes_on)


def _or(c: Compiler, b: Body, parts: list[s.Pipeline], operators: list[str], node: Node, slot: int, mode: str) -> None:
    last = parts[-1]
    left = Body(-last.id, "body", b)  # an id of its own: no node stands for all that is left of `||`
    left.fails_softly = True
    if len(parts) == 2 and _is_bool_stage(parts[0]):
        test = left.hide(parts[0])
        value = condition_of_pipeline(c, left, parts[0])
        left.emit(op.EVAL, parts[0], test, c.generator.function(value, parts[0].id))
        _unless_true(c, left, parts[0], test, Label())
        left.emit(op.EVAL, parts[0], 0, g.constant_function(True))
    else:
        _links(c, left, parts[:-1], operators[:-1], node, 0, mode if mode == "capture" else "tail")
    right = Body(last.id, "body", b)
    error = right.declare("error", last)
    right_mode = "capture" if _is_bool_stage(last) else "tail" if mode != "capture" else "capture"
    _into(c, right, pipeline(c, right, last, mode=right_mode), 0, right_mode)
    position = position_of(mode)
    b.emit(op.TRY, node, slot, c.add(left), c.add(right), error, None, position, None)


# ---- Conditions ------------------------------------------------------------------------------------------------------


def condition(c: Compiler, b: Body, node: s.Chain) -> _ast.expr:
    """A COND: gives the Python expression of its bool."""
    value = condition_of_pipeline(c, b, node.first)
    if not node.links:
        return value
    test, flipped = b.hide(node), b.hide(node)
    b.emit(op.EVAL, node, test, c.generator.function(value, node.id))
    for link in node.links:
        end = Label()
        decides = test
        if link.operator == "||":
            decides = flipped
            b.emit(op.EVAL, link, flipped, c.generator.function(_not(g.slot_of(0, test, link.id), link.id), link.id))
        b.emit(op.BRANCH, link, decides, end)
        value = condition_of_pipeline(c, b, link.pipeline)
        b.emit(op.EVAL, link, test, c.generator.function(value, link.id))
        b.mark(end)
    return g.slot_of(0, test, node.id)


def _not(value: _ast.expr, line: int) -> _ast.expr:
    import _ast

    return g.at(_ast.UnaryOp(op=_ast.Not(), operand=value), line)  # type: ignore[no-any-return]


def condition_of_pipeline(c: Compiler, b: Body, node: s.Pipeline) -> _ast.expr:
    last = node.stages[-1]
    if isinstance(last, s.Command) and is_external(c, b, last):
        value = stages(c, b, node.stages, mode="condition").value
    elif len(node.stages) == 1 and isinstance(last, s.Command) and _is_answer(c, b, last):
        value = command(c, b, _altered(last, redirections=()), None, "condition").value  # nothing is displayed here
    else:
        value = g.call("truth", [stages(c, b, node.stages, mode="capture").value], last.id)
    return _not(value, node.id) if node.is_negated else value


def _is_answer(c: Compiler, b: AnyBody, node: s.Command) -> bool:
    """Whether a form of fmsh says by its success what a condition asks."""
    form = c.find_form(node)
    return form is not None and form[0].is_answer and c.find_function(b, node) is None


# ---- Pipelines -------------------------------------------------------------------------------------------------------


def pipeline(c: Compiler, b: AnyBody, node: s.Pipeline, *, mode: str) -> Piped:
    if not node.is_negated:
        return stages(c, b, node.stages, mode=mode)
    assert isinstance(b, Body)
    succeeded = condition_of_pipeline(c, b, s.Pipeline(node.span, node.stages))
    test, end = b.hide(node), Label()
    b.emit(op.EVAL, node, test, c.generator.function(_not(succeeded, node.id), node.id))
    _unless_true_raise(c, b, node, test, end)
    return Piped(g.constant(None, node.id), node, displays="never")


def _unless_true_raise(c: Compiler, b: Body, node: Node, test: int, end: Label) -> None:
    fails = Label()
    b.emit(op.BRANCH, node, test, fails)
    b.emit(op.JUMP, node, end)
    b.mark(fails)
    b.emit(op.FAIL, node, c.generator.function(g.call("soft_failure", [], node.id), node.id))
    b.mark(end)


def is_external(c: Compiler, b: AnyBody, command: s.Command) -> bool:
    """Whether a command is a program of the system: nothing of fmsh has its name."""
    if command.is_external:
        return True
    name = c.literal_name(command)
    if name in c.aliases and c.aliases[name] is not command:
        return is_external(c, b, c.aliases[name])
    if c.find_form(command) is not None or c.find_function(b, command) is not None or find_module(b, name):
        return False
    return c.find_builtin(command) is None


def _ends_in_secret(c: Compiler, stages: tuple[s.Stage, ...]) -> bool:
    """Whether a pipeline keeps its value as a secret: then what its stages give is secret from the start."""
    return len(stages) > 1 and isinstance(stages[-1], s.Command) and c.literal_name(stages[-1]) == "secret"


def stages(c: Compiler, b: AnyBody, all_stages: tuple[s.Stage, ...], *, mode: str) -> Piped:
    """Compiles the stages of a pipeline in order."""
    if _ends_in_secret(c, all_stages):
        c.secret_sources.update(stage.id for stage in all_stages)
    piped: Piped | None = None
    index = 0
    if isinstance(all_stages[0], s.ExpressionStage) and all_stages[0].value.id in c.stream_inputs:
        assert isinstance(b, Body)
        piped, index = c.parts.input_read(c, b, all_stages[0], all_stages[1:], mode)
        index += 1
    while index < len(all_stages):
        stage = all_stages[index]
        if isinstance(stage, s.Command) and is_external(c, b, stage):
            run = [stage]
            while index + len(run) < len(all_stages):
                following = all_stages[index + len(run)]
                if not (isinstance(following, s.Command) and is_external(c, b, following)):
                    break
                run.append(following)
            index += len(run)
            assert isinstance(b, Body)
            streamed = c.parts.streamed(c, b, run, all_stages[index:], piped, mode) if index < len(all_stages) else None
            if streamed is not None:
                piped, taken = streamed
                index += taken
                continue
            piped = processes(c, b, run, piped, mode=mode if index == len(all_stages) else "capture")
            continue
        index += 1
        begun = c.parts.begun(c, b, stage, all_stages[index:], piped, mode)
        if begun is not None:
            piped, taken = begun
            index += taken
            continue
        is_last = index == len(all_stages)
        piped = stage_piped(c, b, stage, piped, mode if is_last and mode != "condition" else "capture")
    assert piped is not None
    return piped


def stage_piped(c: Compiler, b: AnyBody, stage: s.Stage, piped: Piped | None, mode: str) -> Piped:
    if isinstance(stage, s.Command):
        return command(c, b, stage, piped, mode)
    if isinstance(stage, s.ExpressionStage):
        if piped is not None:
            c.problem(stage, "an expression takes nothing from the pipe", "use `each { … }`, with the value as $it")
        is_input = isinstance(stage.value, s.Variable) and stage.value.name == "in"  # it may be what a command wrote
        return Piped(expression(c, b, stage.value), stage, is_output=is_input)
    assert isinstance(b, Body)
    return c.parts.control_stage(c, b, stage, piped, mode)


def command(c: Compiler, b: AnyBody, node: s.Command, piped: Piped | None, mode: str) -> Piped:
    """Compiles a command of fmsh: a function, a form, or a pure command."""
    if node.redirections:
        assert isinstance(b, Body)
        return c.parts.redirected(c, b, node, piped, mode)
    name = c.literal_name(node)
    function = c.find_function(b, node)
    if function is not None and node.environment:
        return _in_environment(c, b, node, piped, mode)
    if function is not None:
        assert isinstance(b, Body)
        return call_function(c, b, node, function, piped, mode)
    user = find_module(b, name)
    if user is not None:
        return _no_such_function(c, node, name, user)
    if name in c.aliases and c.aliases[name] is not node:
        target = c.aliases[name]
        return command(c, b, join_alias(node, target, is_external=target.is_external), piped, mode)
    if node.environment:
        c.problem(node.environment[0], f"`{name}` is not an external command: it takes no environment", "use `export`")
    found = c.find_builtin(node)
    form = c.find_form(node)
    is_held = found is not None and holds_block(found[0].signature, node)
    if form is not None and not is_held and (found is None or not is_pure(c, b, node)):
        assert isinstance(b, Body)
        return form[0].compile(c, b, _altered(node, arguments=node.arguments[form[1] :]), piped, mode)
    assert found is not None
    return pure_command(c, b, node, found, piped, mode)


def _altered(node: s.Command, **changes: Any) -> s.Command:
    """A command with other parts, that stands for the same node."""
    altered = node.replace(**changes)
    altered.id = node.id
    return altered  # type: ignore[no-any-return]


def _in_environment(c: Compiler, b: AnyBody, node: s.Command, piped: Piped | None, mode: str) -> Piped:
    """`NAME=value function`: the call in a frame of its own, at whose end the environment is as it was."""
    assert isinstance(b, Body)
    plain = _altered(node, environment=())
    inner = Body(node.environment[0].id, "body", b)
    if piped is not None:
        slot = b.hide(node)
        b.emit(op.EVAL, node, slot, c.generator.function(piped.value, node.id))
        piped = Piped(g.slot_of(1, slot, node.id), piped.node, is_output=piped.is_output, displays=piped.displays)
    c.parts.set_environment(c, inner, node, node.environment)
    _into(c, inner, command(c, inner, plain, piped, "tail"), 0, "tail")
    slot = b.hide(node)
    position = position_of(mode)
    b.emit(op.CALL, node, slot, c.add(inner), 0, g.constant_function([]), position)
    return Piped(g.slot_of(0, slot, node.id), node, displays="never")


def _no_such_function(c: Compiler, node: s.Command, name: str, user: Body) -> Piped:
    """A call of a module without a function of it."""
    from difflib import get_close_matches

    functions = [known for known in user.functions if known.startswith(f"{name} ")]
    second = plain_text(node.arguments[0]) if node.arguments else None
    close = get_close_matches(f"{name} {second}", functions, 1)
    known = ", ".join(f"`{function}`" for function in functions) or "it has none that is not private"
    message = f"the module {name} has no function `{second}`" if second else f"`{name}` is a module, not a command"
    hint = f"did you mean `{close[0]}`?" if close else f"its functions: {known}"
    c.problem(node, message, hint, code="unknown-function")
    return Piped(g.constant(None, node.id), node, displays="never")


def pure_command(
    c: Compiler, b: AnyBody, node: s.Command, found: tuple[PureCommand, int], piped: Piped | None, mode: str
) -> Piped:
    """A call of a pure command: a Python expression, if its block only computes."""
    pure, skipped = found
    signature = pure.signature
    noted = len(c.problems)
    bound = bind_arguments(c, signature, node, node.arguments[skipped:])
    given = Call(node, bound, piped, mode)
    if signature.input == "none" and piped is not None:
        c.problem(node, f"`{signature.name}` takes nothing from the pipe", f"usage: {signature.usage()}")
    is_whole = len(c.problems) == noted
    if is_whole and isinstance(b, Body) and (_has_effects(c, b, signature, bound) or holds_block(signature, node)):
        return c.parts.call_standard(c, b, pure, given)
    arguments = [] if signature.input == "none" else [fitted_input(c, b, pure.signature, given)]
    positional, flags = argument_values(c, b, signature, bound)
    function = c.generator.bind("b", pure.function)
    displays = "uncaptured" if signature.name == "echo" else "show"
    return Piped(g.call(function, [*arguments, *positional], node.id, **flags), node, displays=displays)


def _has_effects(c: Compiler, b: Body, signature: Signature, bound: dict[str, list[Node]]) -> bool:
    """Whether a block that it calls does more than compute."""
    takers = [parameter.name for parameter in signature.parameters if parameter.type_name in FUNCTION_TYPES]
    given = (node for name in takers for node in bound.get(name, ()))
    return any(isinstance(node, s.BlockLiteral) and not is_pure_block(c, b, node) for node in given)


def _subject_given(c: Compiler, signature: Signature, node: s.Command) -> str:
    """What of a call was probably meant as its subject: an argument more than it takes."""
    words = len(signature.name.split()) - 1
    given = [argument for argument in node.arguments[words:] if not isinstance(argument, s.Flag)]
    if signature.rest is not None or len(given) <= len(signature.positionals):
        return "…"
    return c.source.text[given[-1].span[0] : given[-1].span[1]]


def fitted_input(c: Compiler, b: AnyBody, signature: Signature, given: Call) -> _ast.expr:
    """What the pipe brings to a pure command, as it takes it."""
    node, piped = given.node, given.piped
    if piped is None:
        if signature.is_input_required:
            hint = f"write `{_subject_given(c, signature, node)} | {signature.name}`"
            c.problem(node, f"`{signature.name}` takes its subject from the pipe", hint, code="missing-input")
        return g.constant(None, node.id)
    value = piped.value
    if any(not is_pure(c, b, argument) for arguments in given.bound.values() for argument in arguments):
        value = spill(c, b, piped.node, value)
    if signature.input == "any":
        return value
    name = c.generator.bind("k", signature)
    arguments = [value, g.name(name, node.id)]
    return g.call("fit", arguments, node.id, is_output=g.constant(piped.is_output, node.id))


def argument_values(
    c: Compiler, b: AnyBody, signature: Signature, bound: dict[str, list[Node]]
) -> tuple[list[_ast.expr], dict[str, _ast.expr]]:
    flat = [(parameter, node) for parameter in signature.parameters for node in bound.get(parameter.name, [])]
    plain = [
        node
        for parameter, node in flat
        if not (isinstance(node, s.BlockLiteral) and parameter.type_name in FUNCTION_TYPES)
    ]
    values = dict(zip((node.id for node in plain), operands(c, b, plain), strict=True))
    positional: list[_ast.expr] = []
    flags: dict[str, _ast.expr] = {}
    for parameter in signature.parameters:
        nodes = bound.get(parameter.name)
        if nodes is None:
            continue
        made = [_argument(c, b, signature, parameter, node, values) for node in nodes]
        if parameter.kind == "flag":
            flags[parameter.name] = made[0] if made else g.constant(True, 1)
        else:
            positional += made
    return positional, flags


def _argument(
    c: Compiler, b: AnyBody, signature: Signature, parameter: object, node: Node, values: dict[int, _ast.expr]
) -> _ast.expr:
    assert isinstance(parameter, Parameter)
    if isinstance(node, s.BlockLiteral) and parameter.type_name in FUNCTION_TYPES:
        if is_pure_block(c, b, node):
            return block_function(c, b, node)
        return g.constant(None, node.id)  # its arguments have a problem: otherwise it is called in fmsh
    value = values[node.id]
    if isinstance(node, s.Spread) or (parameter.kind == "rest" and is_paths(node)):
        return spread_value(node, value)
    if parameter.type_name == "block":
        return g.call("as_function", [value, g.constant(parameter.gives, node.id)], node.id)
    value = checked(c, signature, parameter, node, value)
    is_block = parameter.type_name in FUNCTION_TYPES and literal_kind(node) is None
    return g.call("as_function_if_block", [value], node.id) if is_block else value


def call_function(
    c: Compiler, b: Body, node: s.Command, function: tuple[FunctionInfo, int, int], piped: Piped | None, mode: str
) -> Piped:
    """A call of a `def`: its arguments are checked here, at the place of the call."""
    info, depth, skipped = function
    given = Call(node, bind_arguments(c, info.signature, node, node.arguments[skipped:]), piped, mode)
    return run_function(c, b, given, (info, depth), function_arguments(c, b, info.signature, given))


def run_function(
    c: Compiler, b: Body, given: Call, function: tuple[FunctionInfo, int], values: list[_ast.expr]
) -> Piped:
    """Emits the call of a function with the values of its parameters, the last of which is what the pipe brings."""
    node, slot = given.node, b.hide(given.node)
    info, depth = function
    made = c.generator.function(g.list_of(values, node.id), node.id)
    b.emit(op.CALL, node, slot, info.code_id, depth, made, position_of(given.mode))
    return Piped(g.slot_of(0, slot, node.id), node, displays="never")


def function_arguments(c: Compiler, b: Body, signature: Signature, given: Call) -> list[_ast.expr]:
    """The values of all parameters of a function, and of its input."""
    bound, piped = given.bound, given.piped
    flat = [node for parameter in signature.parameters for node in bound.get(parameter.name, [])]
    has_effects = any(not is_pure(c, b, node) for node in flat)
    fed = g.constant(None, 1)
    if piped is not None:
        fed = spill(c, b, piped.node, piped.value) if has_effects else piped.value
    values = dict(zip((node.id for node in flat), operands(c, b, flat), strict=True))
    made: list[_ast.expr] = []
    for parameter in signature.parameters:
        nodes = bound.get(parameter.name)
        if parameter.kind == "rest":
            items = [
                g.starred(g.call("spread_list", [values[node.id]], node.id), node.id)
                if isinstance(node, s.Spread)
                else checked(c, signature, parameter, node, values[node.id])
                for node in nodes or []
            ]
            made.append(g.list_of(items, 1))
        elif nodes is None:
            made.append(g.name("UNSET", 1))
        else:
            made.append(
                checked(c, signature, parameter, nodes[0], values[nodes[0].id]) if nodes else g.constant(True, 1)
            )
    return [*made, fed]
