"""The special forms: commands that are more than a function of their arguments. One function each, and the table of
them.

A form has a signature like any other command, so one check serves all. `simple` forms are one request whose arguments
are the form's own.
"""

from __future__ import annotations

from fmsh.lang import generated as g
from fmsh.lang import syntax as s
from fmsh.lang.background import START_FORMS
from fmsh.lang.bodies import CONCURRENT, Body, Label, nearest_callable
from fmsh.lang.bodies import EACH as EACH_KIND
from fmsh.lang.calls import literal_kind, plain_text
from fmsh.lang.expressions import operands, spill, spread
from fmsh.lang.following import FOLLOW_FORMS
from fmsh.lang.given import Form, Given, flag, nothing, observation, pair, positional, record, request
from fmsh.lang.looking import LOOKING_FORMS
from fmsh.lang.messages import MESSAGE_FORMS, wait_for
from fmsh.lang.piped import Piped, position_of
from fmsh.lang.pipelines import show
from fmsh.lang.repeating import REPEATING_FORMS
from fmsh.lang.requests import REQUEST_FORMS
from fmsh.lang.statements import compile_block, plain_block
from fmsh.machine import code as op
from fmsh.machine.signature import Parameter, Signature
from fmsh.values import a_kind

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _ast
    from collections.abc import Callable

    from fmsh.lang.context import Compiler

    Compile = Callable[[Compiler, Body, s.Command, Piped | None, str], Piped]

# ---- Waiting ---------------------------------------------------------------------------------------------------------

SLEEP = Signature("sleep", (positional("duration", is_required=False), flag("until", "any")), help="Waits for a time.")


def _sleep(c: Compiler, b: Body, node: s.Command, piped: Piped | None, mode: str) -> Piped:
    given = Given(c, b, SLEEP, node, piped)
    if given.has("duration") == given.has("until"):
        c.problem(node, "sleep takes a duration or --until", "such as `sleep 10s` or `sleep --until 2026-12-24T18:00`")
        return nothing(node)
    values = given.values("duration", "until")
    if "until" in values:
        request(c, b, node, "timer", "sleep", {"until": values["until"]})
    else:
        kind = literal_kind(given.bound["duration"][0])
        if kind not in (None, "duration", "int", "float"):
            c.problem(node, f"sleep takes a duration or a number of seconds, not {a_kind(kind)}", "such as `sleep 10s`")
        duration = g.call("sleep_duration", [values["duration"]], node.id)
        request(c, b, node, "timer", "sleep", {"duration": duration})
    return nothing(node)


CALLBACK = Signature(
    "callback",
    (
        flag("ttl", "duration", "how long the address lives"),
        Parameter("many", "flag", "bool", False, False, "", "takes many deliveries, one at each await"),
        Parameter("full", "flag", "bool", False, False, "", "await gives method, headers, query and body"),
        flag("methods", "string", "the methods that it takes, such as POST,PUT"),
        flag("name", "string", "gives the same address in every job, to one job at a time"),
        Parameter("reply", "flag", "bool", False, False, "", "lets the caller wait for what `reply` answers"),
        flag("verify", "string", "refuses what is not signed: standard, github, stripe or slack"),
        flag("secret", "any", "the secret that --verify goes by, or its name"),
    ),
    help="Opens an address. Whoever sends to it resumes `await`.",
)


def _callback(c: Compiler, b: Body, node: s.Command, piped: Piped | None, mode: str) -> Piped:
    names = [parameter.name for parameter in CALLBACK.parameters]
    return request(c, b, node, "callback", "open", Given(c, b, CALLBACK, node, piped).values(*names))


AWAIT = Signature(
    "await",
    (
        positional("handle", help="or `%N`, the job of that number"),
        flag("timeout", "duration", "how long to wait before it fails"),
    ),
    help="Waits for a callback, a task or a job, or for all of a list of them; takes an item from a channel.",
)


def _await(c: Compiler, b: Body, node: s.Command, piped: Piped | None, mode: str) -> Piped:
    given = Given(c, b, AWAIT, node, piped)
    awaited = given.node_of("handle")
    if awaited is None:
        return nothing(node)
    numbered = [_job_number(item) for item in (awaited.items if isinstance(awaited, s.ListLiteral) else [awaited])]
    if not numbered or None in numbered:
        values = given.values("handle", "timeout")
        return wait_for(c, b, node, values["handle"], values.get("timeout"))
    timeout = given.values("timeout").get("timeout")
    jobs = [request(c, b, node, "job", "find", {"id": g.constant(number, node.id)}).value for number in numbered]
    handle = g.list_of(jobs, node.id) if isinstance(awaited, s.ListLiteral) else jobs[0]
    return wait_for(c, b, node, handle, timeout)


def _job_number(node: s.Node) -> int | None:
    """The number of the job that `%12` means."""
    text = plain_text(node) or ""
    return int(text[1:]) if text[:1] == "%" and text[1:].isascii() and text[1:].isdigit() else None


CHANNEL = Signature(
    "channel",
    (positional("capacity", "int", help="how many items wait in it before `send` waits too"),),
    help="Makes a channel: a queue between the tasks of a job.",
)


def _channel(c: Compiler, b: Body, node: s.Command, piped: Piped | None, mode: str) -> Piped:
    values = Given(c, b, CHANNEL, node, piped).values("capacity")
    slot = b.hide(node)
    b.emit(op.CHANNEL, node, slot, c.generator.function(values.get("capacity", g.constant(1, node.id)), node.id))
    return Piped(g.slot_of(0, slot, node.id), node)


SEND = Signature("send", (positional("channel"), positional("value")), help="Puts a value into a channel.")


def _send(c: Compiler, b: Body, node: s.Command, piped: Piped | None, mode: str) -> Piped:
    values = Given(c, b, SEND, node, piped).values("channel", "value")
    if len(values) == len(SEND.parameters):
        sent = spill(c, b, node, g.list_of([*values.values()], node.id))  # computed once, however long it waits
        b.emit(op.SEND, node, c.generator.function(sent, node.id))
    return nothing(node)


CLOSE = Signature(
    "close", (positional("channel"),), help="Ends a channel: what lies in it is still taken, and `for` over it ends."
)


def _close(c: Compiler, b: Body, node: s.Command, piped: Piped | None, mode: str) -> Piped:
    values = Given(c, b, CLOSE, node, piped).values("channel")
    if "channel" in values:
        b.emit(op.CLOSE, node, c.generator.function(values["channel"], node.id))
    return nothing(node)


# ---- Observations ----------------------------------------------------------------------------------------------------


def _observation(operation: str, parameters: tuple[Parameter, ...], help: str) -> Form:
    signature = Signature(operation, parameters, help=help)

    def compile(c: Compiler, b: Body, node: s.Command, piped: Piped | None, mode: str) -> Piped:
        values = Given(c, b, signature, node, piped).values(*(parameter.name for parameter in parameters))
        return observation(c, b, node, operation, values)

    return Form(signature, compile)


# ---- Secrets ---------------------------------------------------------------------------------------------------------

SECRET = Signature(
    "secret",
    (positional("name", "string"), flag("bytes", "int", "of a new secret, how many random bytes: 32")),
    "any",
    False,
    "A stored secret by its name; `secret new` makes a fresh one; `… | secret NAME` keeps a value under a name.",
)


def _secret(c: Compiler, b: Body, node: s.Command, piped: Piped | None, mode: str) -> Piped:
    from fmsh.lang.secrets import compile_secret

    return compile_secret(c, b, node, piped, SECRET)


# ---- Concurrency -----------------------------------------------------------------------------------------------------

SPAWN = Signature("spawn", (positional("block", "block"),), help="Runs a block at the same time; gives its task.")


def _spawn(c: Compiler, b: Body, node: s.Command, piped: Piped | None, mode: str) -> Piped:
    block = Given(c, b, SPAWN, node, piped).block("block")
    if block is None:
        return nothing(node)
    slot = b.hide(node)
    b.emit(op.SPAWN, node, slot, _concurrent(c, b, block, ()), position_of(mode))
    return Piped(g.slot_of(0, slot, node.id), node, displays="never")


def _concurrent(c: Compiler, b: Body, block: s.BlockLiteral, names: tuple[str, ...]) -> int:
    """Compiles a block that runs as a task. Without `names` it takes no argument."""
    if block.parameters is None and not names:
        return plain_block(c, b, block, kind=CONCURRENT)
    return compile_block(c, b, block, kind=CONCURRENT, names=names)


EACH = Signature(
    "each",
    (positional("block", "block"), flag("parallel", "int", "how many at a time")),
    "list",
    True,
    "Runs a block for each item; gives the list of its values.",
)


def _each(c: Compiler, b: Body, node: s.Command, piped: Piped | None, mode: str) -> Piped:
    """Each item in turn, or N at a time. A block that only computes never comes here."""
    given = Given(c, b, EACH, node, piped)
    block = given.block("block")
    if block is None or piped is None:
        return nothing(node)
    items = items_of_each(c, b, node, piped)
    slot = b.hide(node)
    displays = "never" if has_no_value(c, b, block.body) else "show"
    if given.has("parallel"):
        limit = g.call("parallel_limit", [given.values("parallel")["parallel"]], node.id)
        code_id = _concurrent(c, b, block, ("it",))
        b.emit(op.EACH_PARALLEL, node, slot, code_id, c.generator.function(pair(items, limit, node.id), node.id))
        return Piped(g.slot_of(0, slot, node.id), node, displays=displays)
    turn, source, end = b.hide(node), b.hide(node), Label()
    b.emit(op.EVAL, node, source, c.generator.function(items, node.id))
    b.emit(op.EVAL, node, slot, c.generator.function(g.list_of([], node.id), node.id))
    b.emit(op.FOR, node, turn, source, compile_block(c, b, block, kind=EACH_KIND), end, slot, None)
    b.mark(end)
    return Piped(g.slot_of(0, slot, node.id), node, displays=displays)


def items_of_each(c: Compiler, b: Body, node: s.Command, piped: Piped) -> _ast.expr:
    """The list that an `each` goes over, in a slot."""
    known = [piped.value, g.name(c.generator.bind("k", EACH), node.id)]
    return spill(c, b, node, g.call("fit", known, node.id, is_output=g.constant(piped.is_output, node.id)))


def has_no_value(c: Compiler, b: Body, body: s.Body) -> bool:
    """Whether a block is called for what it does: it ends with `print`, an assignment, a loop, or an `if` of these."""
    last = body.statements[-1] if body.statements else None
    if not isinstance(last, s.Chain):
        return last is not None
    stage = last.first.stages[-1]
    if last.links or isinstance(stage, s.Return):
        return False
    if isinstance(stage, s.If):
        bodies = [*(branch.body for branch in stage.branches), *([stage.otherwise] if stage.otherwise else [])]
        return all(has_no_value(c, b, each) for each in bodies)
    is_print = isinstance(stage, s.Command) and c.literal_name(stage) == PRINT.name and not stage.is_external
    return is_print and c.find_function(b, stage) is None  # type: ignore[arg-type]


WITHIN = Signature(
    "within",
    (positional("duration", "duration"), positional("block", "block")),
    help="Runs a block; fails with `timeout` if it takes longer.",
)


def _within(c: Compiler, b: Body, node: s.Command, piped: Piped | None, mode: str) -> Piped:
    given = Given(c, b, WITHIN, node, piped)
    block = given.block("block")
    values = given.values("duration")
    if block is None or "duration" not in values:
        return nothing(node)
    code_id = plain_block(c, b, block)
    slot = b.hide(node)
    duration = c.generator.function(values["duration"], node.id)
    b.emit(op.WITHIN, node, slot, code_id, duration, position_of(mode))
    return Piped(g.slot_of(0, slot, node.id), node, displays="never")


# ---- Blocks ----------------------------------------------------------------------------------------------------------

CALL = Signature(
    "call",
    (positional("block", "any"), Parameter("arguments", "rest", "any", False)),
    help="Calls a block held in a variable.\n\n> let double = { $it * 2 }; call $double 4\n8",
)


def _call(c: Compiler, b: Body, node: s.Command, piped: Piped | None, mode: str) -> Piped:
    given = Given(c, b, CALL, node, piped)
    nodes = [*given.bound.get("block", []), *given.bound.get("arguments", [])]
    if not nodes:
        return nothing(node)
    block, *others = operands(c, b, nodes)  # of a pattern the list of its paths, which is no block
    arguments = spread(nodes[1:], others)
    slot = b.hide(node)
    function = c.generator.function(pair(block, g.list_of(arguments, node.id), node.id), node.id)
    b.emit(op.CALL_BLOCK, node, slot, function, position_of(mode))
    return Piped(g.slot_of(0, slot, node.id), node, displays="never")


RESULT = Signature(
    "result",
    (positional("block", "block"),),
    help="Runs a block; gives {ok, value, error, elapsed}.\n\n"
    '> result { fail "no" } | select ok value\n{"ok":false,"value":null}',
)


def _result(c: Compiler, b: Body, node: s.Command, piped: Piped | None, mode: str) -> Piped:
    block = Given(c, b, RESULT, node, piped).block("block")
    if block is None:
        return nothing(node)
    begun, slot, ended = b.hide(node), b.hide(node), b.hide(node)
    no_arguments = g.constant_function({})
    b.emit(op.OBSERVE, node, begun, "now", no_arguments)
    code_id = plain_block(c, b, block)
    b.emit(op.RESULT, node, slot, code_id)
    b.emit(op.OBSERVE, node, ended, "now", no_arguments)
    line = node.id
    elapsed = g.call("subtract", [g.slot_of(0, ended, line), g.slot_of(0, begun, line)], line)
    return Piped(g.call("with_elapsed", [g.slot_of(0, slot, line), elapsed], line), node)


CAPTURE = Signature(
    "capture",
    (positional("block", "block"),),
    help="Runs a block; gives {stdout, stderr, status} of what its commands wrote and it displayed. Never fails.\n\n"
    '> capture { echo hi; sh -c "exit 3" }\n{"stdout":"hi\\n","stderr":"","status":3}',
)


def _capture(c: Compiler, b: Body, node: s.Command, piped: Piped | None, mode: str) -> Piped:
    from fmsh.lang.capturing import compile_capture

    return compile_capture(c, b, node, piped, CAPTURE)


ONCE = Signature("once", (positional("block", "block"),), help="Runs a block whose effects are never repeated.")


def _once(c: Compiler, b: Body, node: s.Command, piped: Piped | None, mode: str) -> Piped:
    block = Given(c, b, ONCE, node, piped).block("block")
    if block is None:
        return nothing(node)
    code_id = plain_block(c, b, block)
    slot = b.hide(node)
    b.emit(op.ONCE, node, slot, code_id, position_of(mode))
    return Piped(g.slot_of(0, slot, node.id), node, displays="never")


# ---- Saying, failing, leaving ----------------------------------------------------------------------------------------

PRINT = Signature(
    "print",
    (
        Parameter("values", "rest", "any", False),
        Parameter("error", "flag", "bool", False, False, "-e", "to standard error"),
    ),
    "any",
    False,
    'Shows values at once.\n\n> print a 5 {n: 1}\na 5 {"n":1}',
)


def _print(c: Compiler, b: Body, node: s.Command, piped: Piped | None, mode: str) -> Piped:
    given = Given(c, b, PRINT, node, piped)
    nodes = given.bound.get("values", [])
    values = spread(nodes, operands(c, b, nodes))
    if piped is not None:
        values = [spill(c, b, piped.node, piped.value), *values]
    stream = g.constant("err" if given.has("error") else "out", node.id)
    printed = g.call("printed", [g.list_of(values, node.id), stream], node.id)
    b.emit(op.DISPLAY, node, c.generator.function(printed, node.id), "always")
    return nothing(node)


FAIL = Signature("fail", (positional("error"),), help="Raises an error: a text, a record, or a caught error again.")


def _fail(c: Compiler, b: Body, node: s.Command, piped: Piped | None, mode: str) -> Piped:
    given = Given(c, b, FAIL, node, piped)
    values = given.values("error")
    error = given.node_of("error")
    kind = None if error is None else literal_kind(error)
    if error is not None and kind is not None and kind not in ("string", "record"):
        c.problem(error, f"`fail` takes a text or a record, this is {a_kind(kind)}", f"usage: {FAIL.usage()}")
    if "error" in values:
        b.emit(op.FAIL, node, c.generator.function(g.call("failure", [values["error"]], node.id), node.id))
    return nothing(node)


EXIT = Signature("exit", (positional("status", "int", is_required=False),), help="Ends the job with a status.")


def _exit(c: Compiler, b: Body, node: s.Command, piped: Piped | None, mode: str) -> Piped:
    given = Given(c, b, EXIT, node, piped)
    status = given.values("status").get("status", g.constant(0, node.id))
    number = given.node_of("status")
    number = number.parts[0] if isinstance(number, s.Word) else number
    if isinstance(number, s.Literal) and type(number.value) is int and not 0 <= number.value <= 255:
        c.problem(number, "an exit status is a whole number from 0 to 255")
    b.emit(op.EXIT, node, c.generator.function(g.call("exit_status", [status], node.id), node.id))
    return nothing(node)


EMIT = Signature("emit", (positional("value"),), help="Gives one value of the stream that the function is.")


def _emit(c: Compiler, b: Body, node: s.Command, piped: Piped | None, mode: str) -> Piped:
    values = Given(c, b, EMIT, node, piped).values("value")
    nearest_callable(b).code.emits = True
    if "value" in values:
        slot = b.hide(node)
        b.emit(op.EVAL, node, slot, c.generator.function(values["value"], node.id))
        value = g.slot_of(0, slot, node.id)
        b.emit(op.EMIT, node, c.generator.function(value, node.id))
        show(c, b, node, g.list_of([value], node.id), "emitted")  # as an element of the list that it becomes part of
    return nothing(node)


CD = Signature(
    "cd",
    (positional("directory", "path", is_required=False), positional("block", "block", is_required=False)),
    help="Changes the directory of the task; with a block only for it.",
)


def _cd(c: Compiler, b: Body, node: s.Command, piped: Piped | None, mode: str) -> Piped:
    given = Given(c, b, CD, node, piped)
    values = given.values("directory")
    found = b.hide(node)
    target = values.get("directory", g.constant("~", node.id))
    b.emit(op.OBSERVE, node, found, "directory", c.generator.function(record({"path": target}, node.id), node.id))
    old = b.hide(node)
    b.emit(op.DIRECTORY, node, old, c.generator.function(g.slot_of(0, found, node.id), node.id))
    block = given.block("block") if given.has("block") else None
    if block is None:
        return nothing(node)
    slot, ignored = b.hide(node), b.hide(node)
    code_id = plain_block(c, b, block)
    back = Body(-node.id, "body", b)  # an id of its own: nothing in the tree stands for the way back
    back.emit(op.DIRECTORY, node, back.hide(node), c.generator.function(g.slot_of(1, old, node.id), node.id))
    b.emit(op.TRY, node, slot, code_id, None, -1, c.add(back), position_of(mode), None)
    b.emit(op.EVAL, node, ignored, g.constant_function(None))
    return Piped(g.slot_of(0, slot, node.id), node, displays="never")


def _forms() -> dict[str, Form]:
    made = {
        "sleep": Form(SLEEP, _sleep),
        "callback": Form(CALLBACK, _callback),
        "await": Form(AWAIT, _await),
        "channel": Form(CHANNEL, _channel),
        "send": Form(SEND, _send),
        "close": Form(CLOSE, _close),
        "spawn": Form(SPAWN, _spawn),
        "each": Form(EACH, _each),
        "within": Form(WITHIN, _within),
        "call": Form(CALL, _call),
        "result": Form(RESULT, _result),
        "capture": Form(CAPTURE, _capture),
        "once": Form(ONCE, _once),
        "print": Form(PRINT, _print),
        "fail": Form(FAIL, _fail),
        "exit": Form(EXIT, _exit),
        "emit": Form(EMIT, _emit),
        "cd": Form(CD, _cd),
        "secret": Form(SECRET, _secret),
        "reveal": _observation("reveal", (positional("secret"),), "The plain text of a secret, which is recorded."),
        "now": _observation("now", (), "The time, the same in every replay."),
        "uuid": _observation("uuid", (), "A fresh random UUID, the same in every replay."),
        "jobs": _observation(
            "jobs",
            (flag("all", "bool", "every ended job too, not only the newest"),),
            "The jobs of this store as records, newest first: `jobs | where { .state == waiting }`.",
        ),
        "random": _observation(
            "random",
            (positional("from", "number", is_required=False), positional("to", "number", is_required=False)),
            "A random number: from 0 to 1, or a whole number from A to B, B included.",
        ),
    }
    return made | REQUEST_FORMS | REPEATING_FORMS | START_FORMS | LOOKING_FORMS | MESSAGE_FORMS | FOLLOW_FORMS


FORMS: dict[str, Form] = _forms()
