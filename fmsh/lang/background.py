"""`a &`, `start { a }`, and the turns of `every` and `cron`: parts of a program that become jobs of their own.

Such a job starts with copies of the variables that it reads, also in the functions that it calls; by the stable names
of their slots, because it has the scopes around the part again, as far as they are known. A task cannot be copied.
"""

from __future__ import annotations

from fmsh.lang import generated as g
from fmsh.lang import syntax as s
from fmsh.lang.bodies import CONCURRENT, Body, find_variable
from fmsh.lang.given import Form, Given, flag, nothing, positional, record, request, stream_of, switch
from fmsh.lang.piped import Piped
from fmsh.lang.statements import chain_statement, compile_body
from fmsh.lang.tree import walk
from fmsh.machine import code as op
from fmsh.machine.signature import Signature

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _ast

    from fmsh.lang.bodies import PythonBody
    from fmsh.lang.context import Compiler
    from fmsh.lang.syntax import Node


def start_background(c: Compiler, b: Body, node: s.Chain) -> Piped:
    """`a &`: a job of its own that starts with this part of the program and copies of the variables that it reads."""
    body = _detached(node, b)
    chain = s.Chain(node.span, node.first, node.links)
    chain.id = node.id
    chain_statement(c, body, chain, is_last=True)
    shown = f"{_shown(c, node).removesuffix('&').rstrip()} &"
    parts = _parts(c, b, node, c.add(body)) | {"command": g.constant(shown, node.id)}
    return request(c, b, node, "job", "start", parts)


def _detached(node: Node, b: Body) -> Body:
    """A body with which a job can begin."""
    body = Body(node.id, CONCURRENT, b)
    around = [level for level in _levels(b) if isinstance(level, Body)]
    body.code.outer = [level.code.id for level in reversed(around)]
    return body


def _parts(c: Compiler, b: Body, node: Node, code_id: int) -> dict[str, _ast.expr]:
    """What a job that begins with a part of this program is started with."""
    labels: dict[str, _ast.expr] = {}
    _capture(c, b, node, b, labels, set())
    names = g.name(c.generator.bind("k", list(labels)), node.id)
    variables = g.call("captured", [names, g.list_of(list(labels.values()), node.id)], node.id)
    return {"entry": g.constant(code_id, node.id), "variables": variables}


def block_parts(c: Compiler, b: Body, block: s.BlockLiteral) -> dict[str, _ast.expr]:
    """The same for a block, with the text by which people know the job."""
    body = _detached(block, b)
    compile_body(c, body, block.body)
    shown = _shown(c, block).removeprefix("{").removesuffix("}").strip()
    return _parts(c, b, block, c.add(body)) | {"command": g.constant(shown, block.id)}


def _shown(c: Compiler, node: Node) -> str:
    """The text of a part in one line: by that people know its job."""
    start, end = node.span
    text = " ".join(c.source.text[start:end].split())
    return text if len(text) <= COMMAND_CHARACTERS_MAX else text[: COMMAND_CHARACTERS_MAX - 1] + "…"


# ---- start -----------------------------------------------------------------------------------------------------------

COMMAND_CHARACTERS_MAX = 120
START = Signature(
    "start",
    (
        positional("block", "block"),
        flag("key", "string", "gives the job of that key, if there is one, instead of starting another"),
        flag("name", "string", "the name of the job"),
        flag("tag", "any", "for queries: K=V, or a record"),
        switch("detach", "the job goes on whatever becomes of this one"),
    ),
    help="Starts a block as a job of its own; gives its handle. If this job fails, that one is cancelled first.",
)


def _start(c: Compiler, b: Body, node: s.Command, piped: Piped | None, mode: str) -> Piped:
    given = Given(c, b, START, node, piped)
    values = given.values("key", "name", "tag")
    block = given.block("block")
    if block is None:
        return nothing(node)
    slot = b.hide(node)
    arguments = record(block_parts(c, b, block) | values, node.id)
    b.emit(op.REQUEST, node, slot, "job", "start", c.generator.function(arguments, node.id))
    if not given.has("detach"):
        undo_started(c, b, node, slot)
    return Piped(g.slot_of(0, slot, node.id), node)


def undo_started(c: Compiler, b: Body, node: Node, slot: int) -> None:
    """Emits what `undo` does for the job of a handle, or the jobs of a list: it cancels them, and waits for them."""
    line = node.id
    undo = Body(-line, "body", b)
    started = g.slot_of(1, slot, line)
    request(c, undo, node, "job", "cancel", {"jobs": started})
    undo.emit(op.ENDED, node, undo.hide(node), c.generator.function(started, line), True)
    b.emit(op.UNDO, node, c.add(undo))


_SCHEDULED = (
    flag("overlap", "string", "while the turn before still runs: skip, queue or allow; skip"),
    flag("missed", "string", "for turns whose time has passed: once, skip or all; once"),
    flag("tz", "string", "the time zone: that of the job"),
    flag("on_error", "string", "when a turn fails: report or stop; report"),
)
_TURN = positional("block", "block", is_required=False, help="what each turn does")
EVERY = Signature(
    "every",
    (positional("every", "duration"), _TURN, *_SCHEDULED[:2], _SCHEDULED[3]),
    help="Starts a block as a job again and again, first after one pause of that length. Without a block: those times.",
)
CRON = Signature(
    "cron",
    (positional("cron", "string"), _TURN, *_SCHEDULED),
    help="Starts a block as a job at the times of a pattern: minute, hour, day, month, weekday. Without one: times.",
)
SCHEDULES = {"every": EVERY, "cron": CRON}


def _scheduled(signature: Signature) -> Form:
    def compile(c: Compiler, b: Body, node: s.Command, piped: Piped | None, mode: str) -> Piped:
        if c.parts.is_streamed_request(c, b, node):
            return stream_of(c, b, node, piped, mode)
        from fmsh.lang.scheduling import compile_schedule  # few programs have any

        return compile_schedule(c, b, Given(c, b, signature, node, piped), signature.name)

    return Form(signature, compile)


START_FORMS = {"start": Form(START, _start), "every": _scheduled(EVERY), "cron": _scheduled(CRON)}


# ---- What a job begins with ------------------------------------------------------------------------------------------


def _levels(b: Body) -> list[Body | PythonBody]:
    """The bodies around a place, innermost first."""
    levels: list[Body | PythonBody] = []
    current: Body | PythonBody | None = b
    while current is not None:
        levels.append(current)
        current = current.parent
    return levels


def _capture(
    c: Compiler, b: Body, node: Node, seen_from: Body, labels: dict[str, _ast.expr], functions: set[int]
) -> None:
    """Collects the variables around `b` that a part of the program reads, also in the functions that it calls."""
    levels = [level.code if isinstance(level, Body) else None for level in _levels(b)]
    for part in walk(node):
        if isinstance(part, s.Variable) and part.name != "job":
            found = find_variable(seen_from, part.name)
            home = None if found is None else _levels(seen_from)[found.depth]
            if found is not None and isinstance(home, Body) and home.code in levels:
                slot = g.slot_of(levels.index(home.code), found.slot, node.id)
                labels.setdefault(home.code.slots[found.slot], slot)
                if found.slot in home.own:
                    _refuse(c, part, home.own[found.slot])
        elif isinstance(part, s.Command):
            function = c.find_function(seen_from, part)
            if function is not None and function[0].code_id not in functions:
                functions.add(function[0].code_id)
                _capture(c, b, function[0].node, function[0].body, labels, functions)


def _refuse(c: Compiler, node: s.Variable, kind: str) -> None:
    hint = "await it first, and hand over its value" if kind == "task" else "hand over what it should work on"
    message = f"${node.name} is a {kind}, which belongs to its job: what runs with `&` cannot have it"
    c.problem(node, message, hint, code="captured-handle")
