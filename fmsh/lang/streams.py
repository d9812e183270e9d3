"""Pipelines whose first stages are external commands, or a request, that are read as a stream.

What follows such a source as long as it works item by item and only computes goes into its request, as a chain of
stages (`machine.library.Streaming`). If all that ends in one value, or in a list that the next stage takes as a whole,
the source with its chain is one step, a fold. Where a `for` or an `each` with effects comes next, it is a stream, whose
items are taken one at a time; so is a request whose values are displayed, for each is to be seen when it comes.
"""

from __future__ import annotations

from fmsh.lang import generated as g
from fmsh.lang import requests
from fmsh.lang import syntax as s
from fmsh.lang.bodies import EACH, Body, Label
from fmsh.lang.calls import bind_arguments, plain_text
from fmsh.lang.expressions import spill
from fmsh.lang.piped import Piped
from fmsh.lang.pipelines import argument_values, is_external
from fmsh.lang.processes import constant_or_function, request_arguments
from fmsh.lang.purity import is_pure
from fmsh.lang.requests import is_streamed
from fmsh.lang.runtime import SIGPIPE_STATUS, process_error
from fmsh.machine import code as op
from fmsh.values import Raised

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _ast
    from collections.abc import Callable, Sequence

    from fmsh.lang.context import Compiler
    from fmsh.lang.syntax import Node
    from fmsh.values import Value

ENDED_EARLY = (SIGPIPE_STATUS, 143, 137)  # by SIGPIPE, or by TERM or KILL where that was not heeded
NAME_START = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_"


def streamed(
    c: Compiler, b: Body, run: list[s.Command], rest: Sequence[s.Stage], piped: Piped | None, mode: str
) -> tuple[Piped, int] | None:
    """Compiles a source and as many of the stages after it as take it as a stream, and says how many these are.

    None: the next stage takes all that a run writes as one text.
    """
    is_request = is_streamed(c, b, run[0])
    if run[0].id in c.secret_sources and not is_request:
        return None
    chain = _streamable(c, b, rest, gives_lines=not is_request)
    following = rest[len(chain)] if len(chain) < len(rest) else None
    ends_in_fold = bool(chain) and _is_fold(c, chain[-1])
    if following is not None and not ends_in_fold and _is_each_with_effects(c, b, following):
        assert isinstance(following, s.Command)
        last = len(chain) + 1 == len(rest)
        return _each(c, b, run, chain, following, piped, mode if last else "capture"), len(chain) + 1
    if is_request and following is None and not ends_in_fold and mode == "tail":
        last_stage = chain[-1] if chain else run[0]
        value = _loop(c, b, last_stage, run, chain, piped, lambda inner: _turn_as_it_is(c, inner, last_stage), mode)
        return Piped(value, last_stage, displays="never"), len(chain)
    return (_fold(c, b, run, chain, piped), len(chain)) if chain or is_request else None


def _turn_as_it_is(c: Compiler, b: Body, node: Node) -> int:
    """The turn of a loop whose value is the item."""
    body = Body(-node.id, EACH, b)  # an id of its own: nothing is written for it
    item = body.slot(f"item@{node.id}")
    body.code.parameters = [item]
    body.emit(op.EVAL, node, 0, c.generator.function(g.slot_of(0, item, node.id), node.id))
    return c.add(body)


def loop_over_stream(c: Compiler, b: Body, node: s.For, compile_turn: Callable[[Body], int]) -> bool:
    """Compiles a `for` over a run of external commands, or a request as a stream; False for any other source."""
    stages = _only_pipeline(node.source)
    is_request = bool(stages) and is_streamed(c, b, stages[0])
    run = int(is_request)
    while run < len(stages) and not is_request and _is_run(c, b, stages[run]):
        run += 1
    chain = _streamable(c, b, stages[run:], gives_lines=not is_request)
    if run == 0 or run + len(chain) < len(stages) or (chain and _is_fold(c, chain[-1])):
        return False
    if not chain and not is_request and isinstance(node.source.first.stages[0], s.ExpressionStage):
        return False  # `(cmd)` is a text, over which no loop goes
    _loop(c, b, node, list(stages[:run]), chain, None, compile_turn, "drop")  # type: ignore[arg-type]
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


# ---- Which stages ----------------------------------------------------------------------------------------------------


def _streamable(c: Compiler, b: Body, rest: Sequence[s.Stage], *, gives_lines: bool) -> list[s.Command]:
    """The stages, from the first on, that go into the chain. `gives_lines`: what the source gives is text."""
    chain: list[s.Command] = []
    for stage in rest:
        takes_lines = gives_lines and not chain
        if not isinstance(stage, s.Command) or not _goes_into_chain(c, b, stage, takes_lines=takes_lines):
            break
        chain.append(stage)
        if _is_fold(c, stage):
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


def _is_fold(c: Compiler, stage: s.Command) -> bool:
    name = c.literal_name(stage)
    return name in c.library.streaming().folds or (name == "first" and not stage.arguments)


def _is_each_with_effects(c: Compiler, b: Body, stage: s.Stage) -> bool:
    if not isinstance(stage, s.Command) or is_external(c, b, stage) or stage.redirections:
        return False
    return (
        c.literal_name(stage) == "each" and len(stage.arguments) == 1 and isinstance(stage.arguments[0], s.BlockLiteral)
    )


def _chain_function(c: Compiler, b: Body, chain: list[s.Command], node: Node) -> object:
    """`fn(scope)` that makes the chain."""
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
    nodes = g.name(c.generator.bind("k", [stage.id for stage in chain]), node.id)
    made = g.call(c.generator.bind("b", streaming.chain), [g.list_of(stages, node.id), nodes], node.id)
    return c.generator.function(made, node.id)


# ---- What they become ------------------------------------------------------------------------------------------------


def _fold(c: Compiler, b: Body, run: list[s.Command], chain: list[s.Command], piped: Piped | None) -> Piped:
    first = run[0]
    arguments, names = _source_arguments(c, b, run, piped)
    slot, done = b.hide(first), b.hide(first)
    b.emit(op.FOLD, first, slot, constant_or_function(c, arguments, first.id), _chain_function(c, b, chain, first))
    b.emit(op.EVAL, first, done, lambda scope: folded_value(scope.slots[slot], names))
    return Piped(g.slot_of(0, done, first.id), chain[-1] if chain else first)


def _source_arguments(c: Compiler, b: Body, run: list[s.Command], piped: Piped | None) -> tuple[_ast.expr, list[str]]:
    """The arguments of the request, and the names of the external commands, if it is one of these."""
    if is_streamed(c, b, run[0]):
        return requests.request_arguments(c, b, run[0], piped), []
    return request_arguments(c, b, run, piped)


def _each(
    c: Compiler, b: Body, run: list[s.Command], chain: list[s.Command], each: s.Command, piped: Piped | None, mode: str
) -> Piped:
    block = each.arguments[0]
    assert isinstance(block, s.BlockLiteral)
    value = _loop(c, b, each, run, chain, piped, lambda inner: c.parts.compile_block(c, inner, block, kind=EACH), mode)
    return Piped(value, each, displays="never")


def _loop(
    c: Compiler,
    b: Body,
    node: Node,
    run: list[s.Command],
    chain: list[s.Command],
    piped: Piped | None,
    compile_turn: Callable[[Body], int],
    mode: str,
) -> _ast.expr:
    """Compiles a loop over a stream, in a frame that owns it; gives the list of an `each`, if it is wanted."""
    first, is_each = run[0], isinstance(node, s.Command)
    arguments, names = _source_arguments(c, b, run, piped)
    given = g.own_slot(spill(c, b, first, arguments))
    inner = Body(node.id, "body", b)
    source, turn, made, ended, end = *(inner.hide(node) for _ in range(4)), Label()
    request = c.generator.function(g.slot_of(1, given or 0, first.id), first.id)
    inner.emit(op.STREAM, first, source, request, _chain_function(c, inner, chain, first))
    inner.emit(op.EVAL, node, made, c.generator.function(g.list_of([], node.id), node.id))
    kept = op.NO_VALUES if not is_each else op.UNKEPT if mode == "drop" else made
    text = c.library.display if is_each and mode == "tail" else None
    shown = None if text is None else lambda value: text([value])
    inner.emit(op.FOR, node, turn, source, compile_turn(inner), end, kept, shown)
    inner.mark(end)
    inner.emit(op.STREAM_END, first, ended)
    inner.emit(op.EVAL, first, inner.hide(first), lambda scope: streamed_value(scope.slots[ended], names))
    inner.emit(op.EVAL, node, 0, lambda scope: scope.slots[made] if is_each else None)
    slot = b.hide(node)
    b.emit(op.BODY, node, slot, c.add(inner), mode if mode in ("capture", "drop") else "tail")
    return g.slot_of(0, slot, node.id)


# ---- What the machine calls -----------------------------------------------------------------------------------------


def folded_value(result: dict[str, Value], names: list[str]) -> Value:
    """The value that the output of a run came to. Raises its failure."""
    _check_statuses(result, names)
    return result["value"]


def streamed_value(result: dict[str, Value] | None, names: list[str]) -> Value:
    """Raises the failure of a run whose output was taken as a stream; there is none where a loop was left early."""
    if result is not None:
        _check_statuses(result, names)
    return None


def _check_statuses(result: dict[str, Value], names: list[str]) -> None:
    if result.get("is_enough"):  # it was ended, because what follows has had enough
        result = {**result, "statuses": [0 if status in ENDED_EARLY else status for status in result["statuses"]]}
    error = process_error(result, names)
    if error is not None:
        raise Raised(error)
