"""Pipelines that begin with a stream: external commands, or a request, or an `$in` that may be one (`inputs`).

What follows it as long as it works item by item and only computes goes into its request, as a chain of stages
(`machine.library.Streaming`). If all that ends in one value, or in a list that the next stage takes as a whole, the
source with its chain is one step, a fold. Where a `for` or an `each` with effects comes next, it is a stream, whose
items are taken one at a time; so is a request whose values are displayed, for each is to be seen when it comes. Where a
function or a group comes next whose `$in` may be a stream, it becomes a source, which is begun there.

A read of `$in` is compiled for all that it may be: a source, or a value, whose items go through the same stages.
"""

from __future__ import annotations

from fmsh.lang import generated as g
from fmsh.lang import requests
from fmsh.lang import syntax as s
from fmsh.lang.bodies import CONCURRENT, EACH, Body, Label, find_variable
from fmsh.lang.calls import bind_arguments, plain_text
from fmsh.lang.expressions import expression, spill
from fmsh.lang.forms import has_no_value
from fmsh.lang.inputs import streamed_input
from fmsh.lang.piped import SOURCES, Piped
from fmsh.lang.pipelines import argument_values, is_external, stage_piped
from fmsh.lang.processes import constant_or_function, request_arguments
from fmsh.lang.purity import is_pure
from fmsh.lang.requests import is_streamed
from fmsh.lang.runtime import SIGPIPE_STATUS, loop_items, process_error, process_value, split_output
from fmsh.lang.tree import children, walk
from fmsh.machine import code as op
from fmsh.machine.code import is_source
from fmsh.record import Record
from fmsh.values import Block, ErrorValue, Raised

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _ast
    from collections.abc import Callable, Sequence
    from typing import Any

    from fmsh.lang.context import Compiler
    from fmsh.lang.flowing import Flow
    from fmsh.lang.syntax import Node
    from fmsh.machine.library import PureCommand
    from fmsh.values import Value

    Names = list[str] | dict[str, Any]

ENDED_EARLY = (SIGPIPE_STATUS, 143, 137)  # by SIGPIPE, or by TERM or KILL where that was not heeded
NAME_START = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_"


class Feed(Record):
    """What is read, at the place of `node`.

    `given` gives the arguments of a request, with the `names` of its commands; without names a value. `fit(first)` then
    makes of a value the items that the first stage takes, or a loop, if there is none.
    """

    node: Node
    given: _ast.expr
    names: list[str] | None
    gives_lines: bool = True  # as far as one can know
    is_request: bool = False  # of a connector for which its values are a stream from the start
    fit: Callable[[s.Command | None], Callable[[Value], Value]] | None = None


def streamed(
    c: Compiler, b: Body, run: list[s.Command], rest: Sequence[s.Stage], piped: Piped | None, mode: str
) -> tuple[Piped, int] | None:
    """Compiles a source and as many of the stages after it as take it as a stream, and says how many these are.

    None: the next stage takes all that a run writes as one text.
    """
    is_request = is_streamed(c, b, run[0])
    if run[0].id in c.secret_sources and not is_request:
        return None
    chain = streamable(c, b, rest, gives_lines=_gives_lines(c, b, run[0]))
    if not (is_request or chain or _takes_stream(c, b, rest[0])):
        return None
    return _consumed(c, b, _feed_of_source(c, b, run, piped), chain, rest, mode)


def range_read(c: Compiler, b: Body, stage: s.Stage, rest: Sequence[s.Stage]) -> tuple[Piped, int] | None:
    """A range that goes through stages that know streams into an external command; None for any other."""
    if (isinstance(stage, s.Command) and c.find_function(b, stage) is not None) or stage.id in c.secret_sources:
        return None
    chain = streamable(c, b, rest, gives_lines=False)
    if len(chain) == len(rest) or (chain and is_fold(c, chain[-1])) or not _is_run(c, b, rest[len(chain)]):
        return None
    feed = Feed(stage, stage_piped(c, b, stage, None, "capture").value, None, gives_lines=False)
    return _source(c, b, feed, chain, makes_lines=True), len(chain)


def input_read(c: Compiler, b: Body, stage: s.ExpressionStage, rest: Sequence[s.Stage], mode: str) -> tuple[Piped, int]:
    """The same for an `$in` that may be a stream."""
    feed, chain = _feed_of_input(c, b, stage.value), streamable(c, b, rest, gives_lines=True)
    if chain or _takes_stream(c, b, rest[0]):
        c.stream_inputs[stage.value.id] = True
        return _consumed(c, b, feed, chain, rest, mode)
    return Piped(_fold(c, b, feed, []).value, stage, is_output=True), 0


def _consumed(
    c: Compiler, b: Body, feed: Feed, chain: list[s.Command], rest: Sequence[s.Stage], mode: str
) -> tuple[Piped, int]:
    following = rest[len(chain)] if len(chain) < len(rest) else None
    ends_in_fold = bool(chain) and is_fold(c, chain[-1])
    if following is None and not ends_in_fold and mode == "tail" and (feed.is_request or _are_texts(c, feed, chain)):
        last = chain[-1] if chain else feed.node
        value = _loop(c, b, last, feed, chain, None, mode)
        return Piped(value, last, displays="never"), len(chain)
    if feed.is_request and following is not None and not ends_in_fold and _is_run(c, b, following):
        return _source(c, b, feed, chain, makes_lines=True), len(chain)
    if following is None or ends_in_fold or not _takes_stream(c, b, following):
        return _fold(c, b, feed, chain), len(chain)
    if not is_each_with_effects(c, b, following):
        return _source(c, b, feed, chain), len(chain)
    assert isinstance(following, s.Command)
    taken = len(chain) + 1
    flow, flowed = _flow(c, b, following, rest[taken:])
    taken += flowed
    return _each(c, b, feed, chain, following, mode if taken == len(rest) else "capture", flow), taken


def _flow(c: Compiler, b: Body, each: s.Command, rest: Sequence[s.Stage]) -> tuple[Flow | None, int]:
    """How the values of an `each` go on one at a time, and through how many stages."""
    if not rest or _limit(each) is not None:
        return None, 0
    from fmsh.lang import flowing  # few programs have any

    legs, taken = flowing.legs_of(c, b, rest)
    return (flowing.Flow(c, each, legs) if legs else None), taken


def _are_texts(c: Compiler, feed: Feed, chain: list[s.Command]) -> bool:
    """Whether what comes out of a chain are texts: they are shown when they come, and other values as one table."""
    stages = [c.literal_name(stage) for stage in chain]
    return feed.gives_lines and bool(chain) and set(stages) <= set(c.library.streaming().choosing_stages)


def loop_over_stream(c: Compiler, b: Body, node: s.For, compile_turn: Callable[[Body], int]) -> bool:
    """Compiles a `for` over a run of external commands, a request as a stream, or an `$in`; False for anything else."""
    stages = _only_pipeline(node.source)
    if not stages:
        return False
    is_request, is_input = is_streamed(c, b, stages[0]), _is_input(c, stages[0])
    run = int(is_request or is_input)
    while run < len(stages) and not (is_request or is_input) and _is_run(c, b, stages[run]):
        run += 1
    chain = streamable(c, b, stages[run:], gives_lines=_gives_lines(c, b, stages[0]))
    if run == 0 or run + len(chain) < len(stages) or (chain and is_fold(c, chain[-1])):
        return False
    if not (chain or is_request or is_input) and isinstance(node.source.first.stages[0], s.ExpressionStage):
        return False  # `(cmd)` is a text, over which no loop goes
    if is_input:
        assert isinstance(stages[0], s.ExpressionStage)
        c.stream_inputs[stages[0].value.id] = True
        feed = _feed_of_input(c, b, stages[0].value)
    else:
        feed = _feed_of_source(c, b, list(stages[:run]), None)  # type: ignore[arg-type]
    _loop(c, b, node, feed, chain, compile_turn, "drop")
    return True


def _only_pipeline(chain: s.Chain) -> Sequence[s.Stage]:
    """The stages of a chain that is one pipeline, perhaps in parentheses; else none."""
    if chain.links or chain.is_background or chain.first.is_negated:
        return ()
    stages = chain.first.stages
    inner = stages[0].value if len(stages) == 1 and isinstance(stages[0], s.ExpressionStage) else None
    if isinstance(inner, s.Subpipeline) and len(inner.body.statements) == 1:
        statement = inner.body.statements[0]
        return _only_pipeline(statement) if isinstance(statement, s.Chain) else ()
    return stages


def _is_run(c: Compiler, b: Body, stage: s.Stage) -> bool:
    return isinstance(stage, s.Command) and is_external(c, b, stage)


def _is_input(c: Compiler, stage: s.Stage) -> bool:
    return isinstance(stage, s.ExpressionStage) and stage.value.id in c.stream_inputs


def _gives_lines(c: Compiler, b: Body, stage: s.Stage) -> bool:
    return not is_streamed(c, b, stage) or (isinstance(stage, s.Command) and c.literal_name(stage) == "follow")


def _feed_of_source(c: Compiler, b: Body, run: list[s.Command], piped: Piped | None) -> Feed:
    if is_streamed(c, b, run[0]):
        make = _arguments_maker(c, run[0])
        return Feed(run[0], make(c, b, run[0], piped), [], _gives_lines(c, b, run[0]), is_request=True)
    return Feed(run[0], *request_arguments(c, b, run, piped))


def _arguments_maker(c: Compiler, stage: s.Command) -> Callable[[Compiler, Body, s.Command, Piped | None], _ast.expr]:
    """Each source is in few programs."""
    name = c.literal_name(stage)
    if name == "follow":
        from fmsh.lang.following import follow_arguments

        return follow_arguments
    if name in SOURCES:
        from fmsh.lang.background import SCHEDULES
        from fmsh.lang.times import times_arguments

        return lambda c, b, node, piped: times_arguments(c, b, SCHEDULES[name], node, piped)
    return requests.request_arguments


def _feed_of_input(c: Compiler, b: Body, node: s.Expression) -> Feed:
    def fit(first: s.Command | None) -> Callable[[Value], Value]:
        found = None if first is None else c.find_builtin(first)
        return _loop_fit if found is None else _stage_fit(c, found[0])

    return Feed(node, expression(c, b, node), None, fit=fit)


def _loop_fit(value: Value) -> Value:
    return value if is_source(value) else loop_items(split_output(value))


def _stage_fit(c: Compiler, pure: PureCommand) -> Callable[[Value], Value]:
    """What makes the items that a stage takes of a value that is no source."""
    fit, signature, lines = c.library.functions()["fit"], pure.signature, c.library.find("lines")
    assert lines is not None
    if signature.name not in c.library.streaming().text_stages:
        return lambda value: value if is_source(value) else fit(value, signature, is_output=True)
    signature = signature.replace(input="text")
    takes_list = pure.signature.input == "any"

    def fitted(value: Value) -> Value:
        if is_source(value) or (takes_list and type(value) is list):
            return value
        return lines.function(fit(value, signature))

    return fitted


# ---- Which stages ----------------------------------------------------------------------------------------------------


def streamable(c: Compiler, b: Body, rest: Sequence[s.Stage], *, gives_lines: bool) -> list[s.Command]:
    """The stages, from the first on, that go into the chain. `gives_lines`: what the source gives is text."""
    chain: list[s.Command] = []
    for stage in rest:
        takes_lines = gives_lines and not chain
        if not isinstance(stage, s.Command) or not _goes_into_chain(c, b, stage, takes_lines=takes_lines):
            break
        chain.append(stage)
        if is_fold(c, stage):
            break
    return chain


def _goes_into_chain(c: Compiler, b: Body, stage: s.Command, *, takes_lines: bool) -> bool:
    if is_external(c, b, stage) or c.literal_name(stage) in c.aliases or not is_pure(c, b, stage):
        return False
    found = c.find_builtin(stage)
    streaming = c.library.streaming()
    if found is None or found[0].signature.name not in streaming.stages:
        return False
    signature = found[0].signature
    if signature.name in streaming.text_stages or (takes_lines and signature.input != "list"):
        return takes_lines and signature.name in streaming.text_stages
    if signature.name == "get":
        path = plain_text(stage.arguments[0]) if stage.arguments else None
        return path is not None and path[0] in NAME_START  # an index is that of the whole list
    return not (signature.name == "chunk" and any(isinstance(part, s.Flag) for part in stage.arguments))


def is_fold(c: Compiler, stage: s.Command) -> bool:
    name = c.literal_name(stage)
    return name in c.library.streaming().folds or (name == "first" and not stage.arguments)


def _takes_stream(c: Compiler, b: Body, stage: s.Stage) -> bool:
    """Whether a stage that does more than compute takes its input as it comes."""
    if isinstance(stage, s.Group):
        return not stage.redirections and streamed_input(stage.body) is not None
    if not isinstance(stage, s.Command) or stage.redirections or stage.environment:
        return False
    function = c.find_function(b, stage)
    return function[0].streams_input if function is not None else is_each_with_effects(c, b, stage)


def is_each_with_effects(c: Compiler, b: Body, stage: s.Stage) -> bool:
    if not isinstance(stage, s.Command) or is_external(c, b, stage) or stage.redirections:
        return False
    blocks = [argument for argument in stage.arguments if isinstance(argument, s.BlockLiteral)]
    return (
        c.literal_name(stage) == "each"
        and len(blocks) == 1
        and (len(stage.arguments) == 1 or _limit(stage) is not None)
    )


def is_plain_each(c: Compiler, b: Body, stage: s.Command) -> bool:
    """Whether a stage is an `each` with effects that takes one item after the other."""
    return is_each_with_effects(c, b, stage) and len(stage.arguments) == 1 and not is_pure(c, b, stage)


def _limit(each: s.Command) -> Node | None:
    """What an `each` says of how many may run at a time; None if it says nothing, or anything else too."""
    rest = [argument for argument in each.arguments if not isinstance(argument, s.BlockLiteral)]
    flag = rest[0] if rest else None
    if not isinstance(flag, s.Flag) or flag.name != "--parallel" or len(rest) != (1 if flag.value else 2):
        return None
    return flag.value or rest[1]


def _chain_function(c: Compiler, b: Body, chain: list[s.Command], node: Node, *, makes_lines: bool = False) -> object:
    """`fn(scope)` that makes the chain. `makes_lines`: with a stage more, that writes lines."""
    return c.generator.function(chain_of(c, b, chain, node, makes_lines=makes_lines), node.id)


def chain_of(c: Compiler, b: Body, chain: list[s.Command], node: Node, *, makes_lines: bool = False) -> _ast.expr:
    """The expression that makes the chain."""
    streaming = c.library.streaming()
    stages: list[_ast.expr] = []
    for stage in chain:
        found = c.find_builtin(stage)
        assert found is not None
        signature = found[0].signature
        bound = bind_arguments(c, signature, stage, stage.arguments[found[1] :])
        positional, flags = argument_values(c, b, signature, bound)
        factory = c.generator.bind("b", streaming.stages[signature.name])
        stages.append(g.call(factory, positional, stage.id, **flags))
    ids = [stage.id for stage in chain]
    if makes_lines:
        stages.append(g.call(c.generator.bind("b", streaming.line_texts), [], node.id))
        ids.append(node.id)
    nodes = g.name(c.generator.bind("k", ids), node.id)
    arguments = [g.list_of(stages, node.id), nodes, _said(c, b, chain, node)]
    return g.call(c.generator.bind("b", streaming.chain), arguments, node.id)


def _said(c: Compiler, b: Body, chain: list[s.Command], node: Node) -> _ast.expr:
    """What stages say: their text, and the values of the variables in it."""
    if not chain:
        return g.list_of([], node.id)
    text = c.source.text[chain[0].span[0] : chain[-1].span[1]]
    named = {part.name: part for stage in chain for part in walk(stage) if isinstance(part, s.Variable)}
    values = [expression(c, b, part) for name, part in named.items() if find_variable(b, name) is not None]
    return g.list_of([g.constant(text, node.id), *values], node.id)


# ---- What they become ------------------------------------------------------------------------------------------------


def _given(c: Compiler, feed: Feed, value: _ast.expr, first: s.Command | None, line: int) -> _ast.expr:
    """What an instruction reads, fitted to what takes it."""
    return value if feed.fit is None else g.call(c.generator.bind("b", feed.fit(first)), [value], line)


def _fold(c: Compiler, b: Body, feed: Feed, chain: list[s.Command]) -> Piped:
    """One step: what the stages make of all; without stages the text of a source, or the value itself."""
    first, node = feed.node, chain[0] if chain else feed.node
    given = _given(c, feed, feed.given, chain[0], node.id) if chain else feed.given
    slot, done, names = b.hide(first), b.hide(first), feed.names if feed.names is not None else b.hide(first)
    make = _chain_function(c, b, chain, first) if chain or feed.is_request else None
    b.emit(op.FOLD, first, slot, constant_or_function(c, given, node.id), make, names)
    b.emit(op.EVAL, first, done, lambda scope: folded_value(scope.slots[slot], _names(scope, names)))
    return Piped(g.slot_of(0, done, first.id), chain[-1] if chain else first)


def _source(c: Compiler, b: Body, feed: Feed, chain: list[s.Command], *, makes_lines: bool = False) -> Piped:
    """A source, for a function or a program that begins it: what it is given is computed now.

    `makes_lines`: what it gives are lines, with their ends.
    """
    first, value = feed.node, feed.given
    if not (chain or makes_lines) and feed.names is None:
        return Piped(value, first, is_output=True)
    node = chain[0] if chain else first
    given = b.hide(node)
    value = _given(c, feed, value, chain[0] if chain else None, node.id)
    b.emit(op.EVAL, node, given, c.generator.function(value, node.id))
    source = Body(-node.id, "source", b)
    is_chain = chain or feed.is_request or makes_lines
    make = _chain_function(c, b, chain, first, makes_lines=makes_lines) if is_chain else None
    source.emit(op.SOURCE, first, lambda scope: scope.slots[given], make, feed.names)
    slot, code = b.hide(node), source.code
    c.add(source)
    b.emit(op.EVAL, node, slot, lambda scope: Block(code, scope))
    return Piped(g.slot_of(0, slot, node.id), chain[-1] if chain else first, is_output=True)


def _each(
    c: Compiler, b: Body, feed: Feed, chain: list[s.Command], each: s.Command, mode: str, flow: Flow | None
) -> Piped:
    if flow is not None and flow.is_fold:
        return Piped(_loop(c, b, each, feed, chain, None, "capture", flow=flow), each)
    block = next(argument for argument in each.arguments if isinstance(argument, s.BlockLiteral))
    limit = _limit(each)
    kind = EACH if limit is None else CONCURRENT

    def compile_turn(inner: Body) -> int:
        return c.parts.compile_block(c, inner, block, kind=kind)

    return Piped(_loop(c, b, each, feed, chain, compile_turn, mode, limit, flow), each, displays="never")


def _loop(
    c: Compiler,
    b: Body,
    node: Node,
    feed: Feed,
    chain: list[s.Command],
    compile_turn: Callable[[Body], int] | None,
    mode: str,
    limit: Node | None = None,
    flow: Flow | None = None,
) -> _ast.expr:
    """Compiles a loop over a stream, in a frame that owns it; gives the list of an `each`, if it is wanted.

    Without turns the items are the values, with a flow what comes out at its end.
    """
    first, is_each = feed.node, isinstance(node, s.Command)
    taker = chain[0] if chain else node if isinstance(node, s.Command) else None
    given = g.own_slot(spill(c, b, first, _given(c, feed, feed.given, taker, (taker or first).id)))
    most = None if limit is None else _limit_slot(c, b, limit)
    inner = Body(node.id, "body", b)
    source, turn, made, ended, end = *(inner.hide(node) for _ in range(4)), Label()
    names = feed.names if feed.names is not None else inner.hide(node)
    request = c.generator.function(g.slot_of(1, given or 0, first.id), first.id)
    inner.emit(op.STREAM, first, source, request, _chain_function(c, inner, chain, first), names)
    inner.emit(op.EVAL, node, made, c.generator.function(g.list_of([], node.id), node.id))
    kept = op.NO_VALUES if not is_each else op.UNKEPT if mode == "drop" else made
    text = c.library.display if is_each and mode == "tail" else None
    is_silent = is_each and any(
        isinstance(part, s.BlockLiteral) and has_no_value(c, b, part.body) for part in children(node)
    )
    shown = None if text is None else lambda values: "" if is_silent else text(values)
    if flow is not None:
        flow.emit_loop(inner, source, end, kept, text)
    elif compile_turn is None:
        inner.emit(op.PASS_ON, node, source, end, kept, shown)
    elif most is None:
        inner.emit(op.FOR, node, turn, source, compile_turn(inner), end, kept, shown)
    else:
        taken = lambda scope: (scope.slots[source], scope.parent.slots[most])  # noqa: E731
        inner.emit(op.EACH_PARALLEL, node, turn, compile_turn(inner), taken, None, kept, shown)
    inner.mark(end)
    inner.emit(op.STREAM_END, first, ended)
    inner.emit(
        op.EVAL, first, inner.hide(first), lambda scope: streamed_value(scope.slots[ended], _names(scope, names))
    )
    if flow is not None:
        flow.emit_value(inner, kept, text)
    else:
        inner.emit(op.EVAL, node, 0, lambda scope: scope.slots[made] if is_each else None)
    slot = b.hide(node)
    b.emit(op.BODY, node, slot, c.add(inner), mode if mode in ("capture", "drop") else "tail")
    return g.slot_of(0, slot, node.id)


def _limit_slot(c: Compiler, b: Body, limit: Node) -> int:
    value = g.call("parallel_limit", [expression(c, b, limit)], limit.id)
    slot = b.hide(limit)
    b.emit(op.EVAL, limit, slot, c.generator.function(value, limit.id))
    return slot


def _names(scope: Any, names: list[str] | int) -> Names:
    return scope.slots[names] if isinstance(names, int) else names


# ---- What the machine calls -----------------------------------------------------------------------------------------


def folded_value(result: dict[str, Value], named: Names) -> Value:
    """The value that the output of a run came to. Raises its failure."""
    _check_statuses(result, named)
    return result["value"] if "value" in result else process_value(result, [])


def streamed_value(result: dict[str, Value] | None, named: Names) -> Value:
    """Raises the failure of a run whose output was taken as a stream; there is none where a loop was left early."""
    if result is not None:
        _check_statuses(result, named)
    return None


def _check_statuses(result: dict[str, Value], named: Names) -> None:
    """`named`: the names of the commands; of a source that was begun elsewhere also its place."""
    if result.get("is_enough"):  # it was ended, because what follows has had enough
        result = {**result, "statuses": [0 if status in ENDED_EARLY else status for status in result["statuses"]]}
    names, where = (named, None) if isinstance(named, list) else (named["names"], named["where"])
    error = process_error(result, names)
    if error is not None:
        raise Raised(error if where is None else ErrorValue({**error.fields, "where": where}))
