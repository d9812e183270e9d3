"""The forms that run blocks again, together, or one at a time: `retry`, `poll`, `parallel`, `race`, `lock`, `time`, ….

They are made of what there is: a turn is a `try`, a wait is a timer of the world, so all of them survive a crash.
"""

from __future__ import annotations

from fmsh.lang import generated as g
from fmsh.lang import syntax as s
from fmsh.lang.bodies import CONCURRENT, Body, Label
from fmsh.lang.calls import literal_kind
from fmsh.lang.expressions import block_function
from fmsh.lang.given import Form, Given, flag, nothing, pair, positional, request, switch
from fmsh.lang.piped import Piped, position_of
from fmsh.lang.purity import is_pure_block
from fmsh.lang.statements import plain_block
from fmsh.machine import code as op
from fmsh.machine.signature import Parameter, Signature

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _ast

    from fmsh.lang.context import Compiler


# ---- retry -----------------------------------------------------------------------------------------------------------

RETRY = Signature(
    "retry",
    (
        positional("block", "block"),
        flag("times", "int", "how many tries in all: 3"),
        flag("backoff", "duration", "the wait after the first try, doubled after each further one: 1s"),
        flag("max", "duration", "the longest wait: 1m"),
        switch("jitter", "waits a random part of that, from half to all"),
        flag("on", "block", "tries again only where this block is true of the error: { .retryable }"),
    ),
    help="Runs a block until it does not fail, a number of times; fails as its last try did.",
)


def _retry(c: Compiler, b: Body, node: s.Command, piped: Piped | None, mode: str) -> Piped:
    given = Given(c, b, RETRY, node, piped)
    block = given.block("block")
    values = given.values("times", "backoff", "max")
    if block is None:
        return nothing(node)
    line, begin, end = node.id, Label(), Label()
    policy, turn, slot, again = b.hide(node), b.hide(node), b.hide(node), b.hide(node)
    given_policy = [values.get(name, g.constant(None, line)) for name in ("times", "backoff", "max")]
    b.emit(op.EVAL, node, policy, c.generator.function(g.call("retry_policy", given_policy, line), line))
    b.emit(op.EVAL, node, turn, g.constant_function(0))
    keys = b.hide(node)
    b.emit(op.EVAL, node, keys, c.generator.function(g.call("no_keys", [], line), line))
    b.mark(begin)
    b.emit(op.EVAL, node, keys, c.generator.function(g.call("keys_of_turn", [g.slot_of(0, keys, line)], line), line))
    b.emit(op.EVAL, node, turn, c.generator.function(g.call("next_turn", [g.slot_of(0, turn, line)], line), line))
    code_id = plain_block(c, b, block)
    caught, error = _retry_later(c, b, given, policy, turn)
    b.emit(op.TRY, node, slot, code_id, caught, error, None, position_of(mode), keys)
    b.emit(op.EVAL, node, again, c.generator.function(g.call("is_again", [g.slot_of(0, slot, line)], line), line))
    b.emit(op.BRANCH, node, again, end)
    b.emit(op.JUMP, node, begin)
    b.mark(end)
    return Piped(g.slot_of(0, slot, line), node, displays="never")


def _retry_later(c: Compiler, b: Body, given: Given, policy: int, turn: int) -> tuple[int, int]:
    """The handler of a failed try: raises the error again, or waits. Gives its code and the slot of the error."""
    node, line = given.node, given.node.id
    caught = Body(-line, "body", b)  # an id of its own: nothing in the tree stands for the handler
    error, checked, part = caught.hide(node), caught.hide(node), caught.hide(node)
    failure = [g.slot_of(0, error, line), g.slot_of(1, policy, line), g.slot_of(1, turn, line)]
    check = g.call("check_retry", [*failure, _condition(c, caught, given)], line)
    caught.emit(op.EVAL, node, checked, c.generator.function(check, line))
    if given.has("jitter"):
        caught.emit(op.OBSERVE, node, part, "random", g.constant_function({}))
    else:
        caught.emit(op.EVAL, node, part, g.constant_function(1.0))
    wait = g.call("retry_wait", [*failure[1:], g.slot_of(0, part, line)], line)
    request(c, caught, node, "timer", "sleep", {"duration": wait})
    caught.emit(op.EVAL, node, 0, c.generator.function(g.call("again", [], line), line))
    return c.add(caught), error


def _condition(c: Compiler, b: Body, given: Given) -> _ast.expr:
    """The block of `--on` as a Python function, or None."""
    block = given.block("on") if given.has("on") else None
    if block is None:
        return g.constant(None, given.node.id)
    if not is_pure_block(c, b, block):
        c.problem(
            block, "the block of --on may only compute", "such as --on {|e| $e.retryable }", code="effect-in-block"
        )
        return g.constant(None, given.node.id)
    return block_function(c, b, block)


# ---- poll ------------------------------------------------------------------------------------------------------------

POLL = Signature(
    "poll",
    (
        positional("block", "block"),
        flag("every", "duration", "the wait between two turns: 10s"),
        flag("timeout", "duration", "when to fail with `timeout`"),
    ),
    help="Repeats a block while it yields false or null, or fails with `exit` or what may be retried; gives its value.",
)


def _poll(c: Compiler, b: Body, node: s.Command, piped: Piped | None, mode: str) -> Piped:
    given = Given(c, b, POLL, node, piped)
    block = given.block("block")
    values = given.values("every", "timeout")
    if block is None:
        return nothing(node)
    line = node.id
    every, slot = b.hide(node), b.hide(node)
    b.emit(op.EVAL, node, every, c.generator.function(values.get("every", g.call("poll_pause", [], line)), line))
    if "timeout" not in values:
        _poll_turns(c, b, node, block, (0, every), slot)
        return Piped(g.slot_of(0, slot, line), node)
    limited = Body(-line, "body", b)
    _poll_turns(c, limited, node, block, (1, every), 0)
    b.emit(op.WITHIN, node, slot, c.add(limited), c.generator.function(values["timeout"], line), "capture")
    return Piped(g.slot_of(0, slot, line), node)


def _poll_turns(
    c: Compiler, b: Body, node: s.Command, block: s.BlockLiteral, every: tuple[int, int], slot: int
) -> None:
    """The turns, until the value of one is in `slot`. `every`: depth and slot of the pause."""
    line, begin, wait, end = node.id, Label(), Label(), Label()
    b.mark(begin)
    code_id = plain_block(c, b, block)
    caught = Body(-block.id, "body", b)
    error = caught.hide(node)
    ignored = g.call("poll_failure", [g.slot_of(0, error, line)], line)
    caught.emit(op.EVAL, node, 0, c.generator.function(ignored, line))
    b.emit(op.TRY, node, slot, code_id, c.add(caught), error, None, "capture", None)
    is_over = b.hide(node)
    b.emit(op.EVAL, node, is_over, c.generator.function(g.call("is_found", [g.slot_of(0, slot, line)], line), line))
    b.emit(op.BRANCH, node, is_over, wait)
    b.emit(op.JUMP, node, end)
    b.mark(wait)
    request(c, b, node, "timer", "sleep", {"duration": g.slot_of(every[0], every[1], line)})
    b.emit(op.JUMP, node, begin)
    b.mark(end)


# ---- parallel --------------------------------------------------------------------------------------------------------

PARALLEL = Signature(
    "parallel",
    (Parameter("blocks", "rest", "block", True),),
    help="Runs blocks at the same time; gives the list of their values, in order.",
)


RACE = Signature(
    "race",
    (Parameter("blocks", "rest", "block", True),),
    help="Runs blocks at the same time; gives the value of the first to succeed, and cancels the others.",
)


def _parallel(c: Compiler, b: Body, node: s.Command, piped: Piped | None, mode: str) -> Piped:
    """The blocks are the items of an `each --parallel`."""
    blocks = _blocks(c, Given(c, b, PARALLEL, node, piped))
    line, slot = node.id, b.hide(node)
    numbers = g.list_of([g.constant(index, line) for index in range(len(blocks))], line)
    given = pair(numbers, g.constant(max(1, len(blocks)), line), line)
    b.emit(op.EACH_PARALLEL, node, slot, _one_of(c, b, node, blocks), c.generator.function(given, line))
    return Piped(g.slot_of(0, slot, line), node)


def _race(c: Compiler, b: Body, node: s.Command, piped: Piped | None, mode: str) -> Piped:
    blocks = _blocks(c, Given(c, b, RACE, node, piped))
    slot = b.hide(node)
    b.emit(op.RACE, node, slot, _one_of(c, b, node, blocks), g.constant_function(len(blocks)))
    return Piped(g.slot_of(0, slot, node.id), node)


def _one_of(c: Compiler, b: Body, node: s.Command, blocks: list[s.BlockLiteral]) -> int:
    """The code of a task that takes a number and runs the block of that number."""
    line = node.id
    chosen = Body(-line, CONCURRENT, b)
    number = chosen.hide(node)
    chosen.code.parameters = [number]
    for index, block in enumerate(blocks):
        following, test = Label(), chosen.hide(block)
        is_mine = g.call("equal", [g.slot_of(0, number, line), g.constant(index, line)], line)
        chosen.emit(op.EVAL, block, test, c.generator.function(is_mine, line))
        chosen.emit(op.BRANCH, block, test, following)
        chosen.emit(op.BODY, block, 0, plain_block(c, chosen, block, kind=CONCURRENT), "capture")
        chosen.mark(following)
    return c.add(chosen)


def _blocks(c: Compiler, given: Given) -> list[s.BlockLiteral]:
    found = []
    for node in given.bound.get("blocks", []):
        if isinstance(node, s.BlockLiteral) and not node.parameters:
            found.append(node)
        elif literal_kind(node) is None:  # of a literal, the check of the arguments has said so
            name = given.signature.name
            c.problem(node, f"`{name}` takes blocks without parameters", f"such as `{name} {{ a }} {{ b }}`")
    return found


# ---- time ------------------------------------------------------------------------------------------------------------

TIME = Signature(
    "time",
    (positional("block", "block"),),
    help="Runs a block; gives how long it took.\n\n> time { 1 + 1 } | kind\nduration",
)


def _time(c: Compiler, b: Body, node: s.Command, piped: Piped | None, mode: str) -> Piped:
    block = Given(c, b, TIME, node, piped).block("block")
    if block is None:
        return nothing(node)
    line = node.id
    begun, slot, ended = b.hide(node), b.hide(node), b.hide(node)
    b.emit(op.OBSERVE, node, begun, "now", g.constant_function({}))
    code_id = plain_block(c, b, block)
    b.emit(op.BODY, node, slot, code_id, "drop")
    b.emit(op.OBSERVE, node, ended, "now", g.constant_function({}))
    return Piped(g.call("subtract", [g.slot_of(0, ended, line), g.slot_of(0, begun, line)], line), node)


# ---- lock, limit -----------------------------------------------------------------------------------------------------

LOCK = Signature(
    "lock",
    (
        positional("name", "string"),
        positional("block", "block"),
        flag("timeout", "duration", "when to fail with `timeout`, if others still have it"),
    ),
    help="Runs a block while no other job of this store is in a block with this lock; first come, first served.",
)
LIMIT = Signature(
    "limit",
    (
        positional("name", "string"),
        positional("block", "block"),
        flag("rate", "string", "how many blocks may begin in a time, evenly: 10/s, 100/m, 1/h"),
        flag("concurrency", "int", "how many jobs may be in such a block at a time"),
        flag("timeout", "duration", "when to fail with `timeout`, if others still have all places"),
    ),
    help="Runs a block as soon as a limit allows it that all jobs of this store share; first come, first served.",
)


def _claim(signature: Signature) -> Form:
    def compile(c: Compiler, b: Body, node: s.Command, piped: Piped | None, mode: str) -> Piped:
        from fmsh.lang.locking import compile_claim  # few programs have any

        return compile_claim(c, b, Given(c, b, signature, node, piped), mode)

    return Form(signature, compile)


REPEATING_FORMS = {
    "lock": _claim(LOCK),
    "limit": _claim(LIMIT),
    "retry": Form(RETRY, _retry),
    "poll": Form(POLL, _poll),
    "parallel": Form(PARALLEL, _parallel),
    "race": Form(RACE, _race),
    "time": Form(TIME, _time),
}
