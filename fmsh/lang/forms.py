"""The special forms: commands that are more than a function of their arguments. One function each, and the table of them.

A form has a signature like any other command, so one check serves all. `simple` forms are one request whose arguments
are the form's own.
"""

from __future__ import annotations

from fmsh.lang import generated as g
from fmsh.lang import syntax as s
from fmsh.lang.bodies import CONCURRENT, Body, Label, PythonBody, find_function, find_variable, nearest_callable
from fmsh.lang.bodies import EACH as EACH_KIND
from fmsh.lang.calls import bind_arguments, checked, literal_kind, plain_text
from fmsh.lang.expressions import operands, spill, spread
from fmsh.lang.pipelines import Piped, show
from fmsh.lang.purity import is_pure
from fmsh.lang.statements import compile_block, compile_body, inline_body
from fmsh.lang.tree import walk
from fmsh.machine import code as op
from fmsh.machine.signature import Parameter, Signature
from fmsh.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _ast
    from collections.abc import Callable

    from fmsh.lang.compiler import Compiler
    from fmsh.lang.syntax import Node

    Compile = Callable[[Compiler, Body, s.Command, Piped | None, str], Piped]

HTTP_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
RETRIES_DEFAULT = 2  # LANGUAGE 11: a request is tried 3 times


class Form(Record):
    signature: Signature
    compile: Compile


def _positional(name: str, type_name: str = "any", *, is_required: bool = True, help: str = "") -> Parameter:
    return Parameter(name, "positional", type_name, is_required, None, "", help)


def _flag(name: str, type_name: str, help: str = "") -> Parameter:
    return Parameter(name, "flag", type_name, False, None, "", help)


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
            c.problem(node, f"`{form.name}` takes its subject from the pipe", f"write `… | {form.name}`", code="missing-input")

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
    slot = b.hide(node)
    b.emit(op.REQUEST, node, slot, connector, operation, c.generator.function(record(arguments, node.id), node.id))
    return Piped(g.slot_of(0, slot, node.id), node)


def _nothing(node: Node) -> Piped:
    return Piped(g.constant(None, node.id), node, displays="never")


# ---- Waiting -----------------------------------------------------------------------------------------------------------

SLEEP = Signature("sleep", (_positional("duration", is_required=False), _flag("until", "any")), help="Waits for a time.")


def _sleep(c: Compiler, b: Body, node: s.Command, piped: Piped | None, mode: str) -> Piped:
    given = Given(c, b, SLEEP, node, piped)
    if given.has("duration") == given.has("until"):
        c.problem(node, "sleep takes a duration or --until", "such as `sleep 10s` or `sleep --until 2026-12-24T18:00`")
        return _nothing(node)
    values = given.values("duration", "until")
    if "until" in values:
        request(c, b, node, "timer", "sleep", {"until": values["until"]})
    else:
        duration = g.call("sleep_duration", [values["duration"]], node.id)
        request(c, b, node, "timer", "sleep", {"duration": duration})
    return _nothing(node)


CALLBACK = Signature(
    "callback",
    (
        _flag("ttl", "duration", "how long the address lives"),
        Parameter("many", "flag", "bool", False, False, "", "takes many deliveries, one at each await"),
        Parameter("full", "flag", "bool", False, False, "", "await gives method, headers, query and body"),
        _flag("methods", "string", "the methods that it takes, such as POST,PUT"),
    ),
    help="Opens an address. Whoever sends to it resumes `await`.",
)


def _callback(c: Compiler, b: Body, node: s.Command, piped: Piped | None, mode: str) -> Piped:
    return request(c, b, node, "callback", "open", Given(c, b, CALLBACK, node, piped).values("ttl", "many", "full", "methods"))


AWAIT = Signature(
    "await",
    (_positional("handle"), _flag("timeout", "duration", "how long to wait before it fails")),
    help="Waits for a callback, a task or a job, or for all of a list of them.",
)


def _await(c: Compiler, b: Body, node: s.Command, piped: Piped | None, mode: str) -> Piped:
    given = Given(c, b, AWAIT, node, piped)
    values = given.values("handle", "timeout")
    if "handle" not in values:
        return _nothing(node)
    if "timeout" not in values:
        slot = b.hide(node)
        b.emit(op.AWAIT, node, slot, c.generator.function(values["handle"], node.id))
        return Piped(g.slot_of(0, slot, node.id), node)
    handle = spill(c, b, node, values["handle"])
    inner = Body(node.id, "body", b)
    moved = _one_scope_up(handle, node.id)
    inner.emit(op.AWAIT, node, 0, c.generator.function(moved, node.id))
    slot = b.hide(node)
    duration = c.generator.function(values["timeout"], node.id)
    b.emit(op.WITHIN, node, slot, c.add(inner), duration, "capture")
    return Piped(g.slot_of(0, slot, node.id), node)


def _one_scope_up(value: _ast.expr, line: int) -> _ast.expr:
    """The same hidden slot, seen from a body inside."""
    import _ast

    if isinstance(value, _ast.Subscript) and isinstance(value.slice, _ast.Constant):
        return g.slot_of(1, int(str(value.slice.value)), line)
    return value


# ---- Requests ----------------------------------------------------------------------------------------------------------

_HTTP_OPTIONS = (
    _flag("header", "record", "headers to send"),
    _flag("query", "record", "fields of the query"),
    _flag("timeout", "duration", "how long one attempt may take"),
    _flag("retry", "int", "how many further tries"),
    Parameter("full", "flag", "bool", False, False, "", "gives status, headers, body, url and elapsed"),
    Parameter("follow", "flag", "bool", False, False, "", "follows redirects"),
    Parameter("no_follow", "flag", "bool", False, False, "", "does not follow redirects"),
    _flag("auth", "any", "bearer:NAME or basic:user:NAME, NAME that of a secret"),
    _flag("ok", "any", "statuses that are no error: 404,409"),
    Parameter("insecure", "flag", "bool", False, False, "", "does not verify the certificate"),
)


def _http_signature(method: str) -> Signature:
    url, body = _positional("url"), _positional("body", is_required=False)
    return Signature(method, (url, body, *_HTTP_OPTIONS), "any", False, f"Sends a {method} request; gives the decoded body.")


HTTP = Signature(
    "http",
    (_positional("method", "string"), _positional("url"), _positional("body", is_required=False), *_HTTP_OPTIONS),
    "any",
    False,
    "Sends a request with any method.",
)


def _http_request(c: Compiler, b: Body, node: s.Command, piped: Piped | None, mode: str) -> Piped:
    name = c.literal_name(node)
    signature = HTTP if name == "http" else FORMS[name].signature
    given = Given(c, b, signature, node, None)
    fixed: dict[str, _ast.expr] = {} if name == "http" else {"method": g.constant(name, node.id)}
    if piped is not None:
        if given.has("body"):
            c.problem(node, f"`{name}` has a body already: leave out the argument, or the pipe")
        fixed["body"] = spill(c, b, piped.node, piped.value)
    options = [parameter.name for parameter in _HTTP_OPTIONS]
    values = fixed | given.values("method", "url", "body", *options)
    if "retry" in values:
        values["retries"] = values.pop("retry")
    if "header" in values:
        values["headers"] = values.pop("header")
    if "no_follow" in values:
        del values["no_follow"]
        values["follow"] = g.constant(False, node.id)
    return request(c, b, node, "http", "request", values)


# ---- Observations ------------------------------------------------------------------------------------------------------


def _observation(operation: str, parameters: tuple[Parameter, ...], help: str) -> Form:
    signature = Signature(operation, parameters, help=help)

    def compile(c: Compiler, b: Body, node: s.Command, piped: Piped | None, mode: str) -> Piped:
        values = Given(c, b, signature, node, piped).values(*(parameter.name for parameter in parameters))
        slot = b.hide(node)
        b.emit(op.OBSERVE, node, slot, operation, c.generator.function(record(values, node.id), node.id))
        return Piped(g.slot_of(0, slot, node.id), node)

    return Form(signature, compile)


# ---- Concurrency -------------------------------------------------------------------------------------------------------

SPAWN = Signature("spawn", (_positional("block", "block"),), help="Runs a block at the same time; gives its task.")


def _spawn(c: Compiler, b: Body, node: s.Command, piped: Piped | None, mode: str) -> Piped:
    block = Given(c, b, SPAWN, node, piped).block("block")
    if block is None:
        return _nothing(node)
    slot = b.hide(node)
    position = mode if mode in ("capture", "drop") else "tail"
    b.emit(op.SPAWN, node, slot, _concurrent(c, b, block, ()), position)
    return Piped(g.slot_of(0, slot, node.id), node, displays="never")


def _concurrent(c: Compiler, b: Body, block: s.BlockLiteral, names: tuple[str, ...]) -> int:
    """Compiles a block that runs as a task. Without `names` it takes no argument."""
    if block.parameters is None and not names:
        body = Body(block.id, CONCURRENT, b)
        compile_body(c, body, block.body)
        return c.add(body)
    return compile_block(c, b, block, kind=CONCURRENT, names=names)


EACH = Signature(
    "each",
    (_positional("block", "block"), _flag("parallel", "int", "how many at a time")),
    "list",
    True,
    "Runs a block for each item; gives the list of its values.",
)


def _each(c: Compiler, b: Body, node: s.Command, piped: Piped | None, mode: str) -> Piped:
    """Each item in turn, or N at a time. A block that only computes never comes here."""
    given = Given(c, b, EACH, node, piped)
    block = given.block("block")
    if block is None or piped is None:
        return _nothing(node)
    fitted = g.call("fit", [piped.value, g.name(c.generator.bind("k", EACH), node.id)], node.id)
    fitted.keywords.append(g.at(_keyword("is_output", g.constant(piped.is_output, node.id)), node.id))  # type: ignore[attr-defined]
    items = spill(c, b, node, fitted)
    slot = b.hide(node)
    if given.has("parallel"):
        limit = g.call("parallel_limit", [given.values("parallel")["parallel"]], node.id)
        code_id = _concurrent(c, b, block, ("it",))
        b.emit(op.EACH_PARALLEL, node, slot, code_id, c.generator.function(pair(items, limit, node.id), node.id))
        return Piped(g.slot_of(0, slot, node.id), node)
    turn, source, end = b.hide(node), b.hide(node), Label()
    b.emit(op.EVAL, node, source, c.generator.function(items, node.id))
    b.emit(op.EVAL, node, slot, c.generator.function(g.list_of([], node.id), node.id))
    b.emit(op.FOR, node, turn, source, compile_block(c, b, block, kind=EACH_KIND), end, slot)
    b.mark(end)
    return Piped(g.slot_of(0, slot, node.id), node)


def _keyword(name: str, value: _ast.expr) -> _ast.AST:
    import _ast

    return _ast.keyword(arg=name, value=value)


WITHIN = Signature(
    "within",
    (_positional("duration", "duration"), _positional("block", "block")),
    help="Runs a block; fails with `timeout` if it takes longer.",
)


def _within(c: Compiler, b: Body, node: s.Command, piped: Piped | None, mode: str) -> Piped:
    given = Given(c, b, WITHIN, node, piped)
    block = given.block("block")
    values = given.values("duration")
    if block is None or "duration" not in values:
        return _nothing(node)
    body = Body(block.id, "body", b)
    compile_body(c, body, block.body)
    slot = b.hide(node)
    duration = c.generator.function(values["duration"], node.id)
    position = mode if mode in ("capture", "drop") else "tail"
    b.emit(op.WITHIN, node, slot, c.add(body), duration, position)
    return Piped(g.slot_of(0, slot, node.id), node, displays="never")


def start_background(c: Compiler, b: Body, node: s.Chain) -> Piped:
    """`a &`: a job of its own that starts with this part of the program and copies of the variables that it reads."""
    from fmsh.lang.statements import chain_statement

    body = Body(node.id, CONCURRENT, b)
    around = [level for level in _levels(b) if isinstance(level, Body)]
    body.code.outer = [level.code.id for level in reversed(around)]
    chain = s.Chain(node.span, node.first, node.links)
    chain.id = node.id
    chain_statement(c, body, chain, is_last=True)
    labels: dict[str, _ast.expr] = {}
    _capture(b, node, b, labels, set())
    names = g.name(c.generator.bind("k", list(labels)), node.id)
    variables = g.call("captured", [names, g.list_of(list(labels.values()), node.id)], node.id)
    return request(c, b, node, "job", "start", {"entry": g.constant(c.add(body), node.id), "variables": variables})


def _levels(b: Body) -> list[Body | PythonBody]:
    """The bodies around a place, innermost first."""
    levels: list[Body | PythonBody] = []
    current: Body | PythonBody | None = b
    while current is not None:
        levels.append(current)
        current = current.parent
    return levels


def _capture(b: Body, node: Node, seen_from: Body, labels: dict[str, _ast.expr], functions: set[int]) -> None:
    """Collects the variables around `b` that a part of the program reads, also in the functions that it calls."""
    levels = _levels(b)
    for part in walk(node):
        if isinstance(part, s.Variable) and part.name not in ("env", "job"):
            found = find_variable(seen_from, part.name)
            home = None if found is None else _levels(seen_from)[found.depth]
            if found is not None and isinstance(home, Body) and home in levels:
                slot = g.slot_of(levels.index(home), found.slot, node.id)
                labels.setdefault(home.code.slots[found.slot], slot)
        elif isinstance(part, s.Command):
            function = find_function(seen_from, plain_text(part.name) or "")
            if function is not None and function[0].code_id not in functions:
                functions.add(function[0].code_id)
                _capture(b, function[0].node, function[0].body, labels, functions)


# ---- Blocks ------------------------------------------------------------------------------------------------------------

CALL = Signature(
    "call", (_positional("block", "any"), Parameter("arguments", "rest", "any", False)), help="Calls a block held in a variable."
)


def _call(c: Compiler, b: Body, node: s.Command, piped: Piped | None, mode: str) -> Piped:
    given = Given(c, b, CALL, node, piped)
    nodes = [*given.bound.get("block", []), *given.bound.get("arguments", [])]
    if not nodes:
        return _nothing(node)
    block, *arguments = spread(nodes, operands(c, b, nodes))
    slot = b.hide(node)
    function = c.generator.function(pair(block, g.list_of(arguments, node.id), node.id), node.id)
    b.emit(op.CALL_BLOCK, node, slot, function, mode if mode in ("capture", "drop") else "tail")
    return Piped(g.slot_of(0, slot, node.id), node, displays="never")


RESULT = Signature("result", (_positional("block", "block"),), help="Runs a block; gives {ok, value, error, elapsed}.")


def _result(c: Compiler, b: Body, node: s.Command, piped: Piped | None, mode: str) -> Piped:
    block = Given(c, b, RESULT, node, piped).block("block")
    if block is None:
        return _nothing(node)
    begun, slot, ended = b.hide(node), b.hide(node), b.hide(node)
    nothing = g.constant_function({})
    b.emit(op.OBSERVE, node, begun, "now", nothing)
    body = Body(block.id, "body", b)
    compile_body(c, body, block.body)
    b.emit(op.RESULT, node, slot, c.add(body))
    b.emit(op.OBSERVE, node, ended, "now", nothing)
    line = node.id
    elapsed = g.call("subtract", [g.slot_of(0, ended, line), g.slot_of(0, begun, line)], line)
    return Piped(g.call("with_elapsed", [g.slot_of(0, slot, line), elapsed], line), node)


ONCE = Signature("once", (_positional("block", "block"),), help="Runs a block whose effects are never repeated.")


def _once(c: Compiler, b: Body, node: s.Command, piped: Piped | None, mode: str) -> Piped:
    block = Given(c, b, ONCE, node, piped).block("block")
    if block is None:
        return _nothing(node)
    body = Body(block.id, "body", b)
    compile_body(c, body, block.body)
    slot = b.hide(node)
    b.emit(op.ONCE, node, slot, c.add(body), mode if mode in ("capture", "drop") else "tail")
    return Piped(g.slot_of(0, slot, node.id), node, displays="never")


# ---- Saying, failing, leaving ------------------------------------------------------------------------------------------

PRINT = Signature(
    "print",
    (Parameter("values", "rest", "any", False), Parameter("error", "flag", "bool", False, False, "-e", "to standard error")),
    "any",
    False,
    "Shows values at once.",
)


def _print(c: Compiler, b: Body, node: s.Command, piped: Piped | None, mode: str) -> Piped:
    given = Given(c, b, PRINT, node, piped)
    nodes = given.bound.get("values", [])
    values = spread(nodes, operands(c, b, nodes))
    if piped is not None:
        values = [spill(c, b, piped.node, piped.value), *values]
    text = g.call("print_text", [g.list_of(values, node.id), g.name("display", node.id)], node.id)
    stream = g.constant("err" if given.has("error") else "out", node.id)
    b.emit(op.DISPLAY, node, c.generator.function(pair(text, stream, node.id), node.id), "always")
    return _nothing(node)


FAIL = Signature("fail", (_positional("error"),), help="Raises an error: a text, a record, or a caught error again.")


def _fail(c: Compiler, b: Body, node: s.Command, piped: Piped | None, mode: str) -> Piped:
    values = Given(c, b, FAIL, node, piped).values("error")
    if "error" in values:
        b.emit(op.FAIL, node, c.generator.function(g.call("failure", [values["error"]], node.id), node.id))
    return _nothing(node)


EXIT = Signature("exit", (_positional("status", "int", is_required=False),), help="Ends the job with a status.")


def _exit(c: Compiler, b: Body, node: s.Command, piped: Piped | None, mode: str) -> Piped:
    status = Given(c, b, EXIT, node, piped).values("status").get("status", g.constant(0, node.id))
    b.emit(op.EXIT, node, c.generator.function(g.call("exit_status", [status], node.id), node.id))
    return _nothing(node)


EMIT = Signature("emit", (_positional("value"),), help="Gives one value of the stream that the function is.")


def _emit(c: Compiler, b: Body, node: s.Command, piped: Piped | None, mode: str) -> Piped:
    values = Given(c, b, EMIT, node, piped).values("value")
    nearest_callable(b).code.emits = True
    if "value" in values:
        slot = b.hide(node)
        b.emit(op.EVAL, node, slot, c.generator.function(values["value"], node.id))
        value = g.slot_of(0, slot, node.id)
        b.emit(op.EMIT, node, c.generator.function(value, node.id))
        show(c, b, node, g.list_of([value], node.id), "emitted")  # as an element of the list that it becomes part of
    return _nothing(node)


CD = Signature(
    "cd", (_positional("directory", "path", is_required=False), _positional("block", "block", is_required=False)),
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
        return _nothing(node)
    slot, ignored = b.hide(node), b.hide(node)
    code = Body(block.id, "body", b)
    compile_body(c, code, block.body)
    back = Body(-node.id, "body", b)  # an id of its own: nothing in the tree stands for the way back
    back.emit(op.DIRECTORY, node, back.hide(node), c.generator.function(g.slot_of(1, old, node.id), node.id))
    b.emit(op.TRY, node, slot, c.add(code), None, -1, c.add(back), mode if mode in ("capture", "drop") else "tail")
    b.emit(op.EVAL, node, ignored, g.constant_function(None))
    return Piped(g.slot_of(0, slot, node.id), node, displays="never")


def _forms() -> dict[str, Form]:
    made = {
        "sleep": Form(SLEEP, _sleep),
        "callback": Form(CALLBACK, _callback),
        "await": Form(AWAIT, _await),
        "http": Form(HTTP, _http_request),
        "spawn": Form(SPAWN, _spawn),
        "each": Form(EACH, _each),
        "within": Form(WITHIN, _within),
        "call": Form(CALL, _call),
        "result": Form(RESULT, _result),
        "once": Form(ONCE, _once),
        "print": Form(PRINT, _print),
        "fail": Form(FAIL, _fail),
        "exit": Form(EXIT, _exit),
        "emit": Form(EMIT, _emit),
        "cd": Form(CD, _cd),
        "now": _observation("now", (), "The time, the same in every replay."),
        "uuid": _observation("uuid", (), "A fresh random UUID, the same in every replay."),
        "random": _observation(
            "random",
            (_positional("from", "number", is_required=False), _positional("to", "number", is_required=False)),
            "A random number: from 0 to 1, or a whole number from A to B, B included.",
        ),
    }
    return made | {method: Form(_http_signature(method), _http_request) for method in HTTP_METHODS}


FORMS: dict[str, Form] = _forms()

__all__ = ["FORMS", "Form", "inline_body", "is_pure", "start_background"]
