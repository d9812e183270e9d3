"""The forms with which a job and others talk, and waiting for what comes: requests, and the wait for a handle."""

from __future__ import annotations

from fmsh.lang import generated as g
from fmsh.lang import syntax as s
from fmsh.lang.bodies import Body
from fmsh.lang.calls import plain_text
from fmsh.lang.expressions import spill
from fmsh.lang.given import Form, Given, flag, nothing, positional, request
from fmsh.lang.piped import Piped
from fmsh.machine import code as op
from fmsh.machine.effects import PLUGIN_PREFIX
from fmsh.machine.signature import Signature

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _ast

    from fmsh.lang.context import Compiler


def wait_for(c: Compiler, b: Body, node: s.Node, handle: _ast.expr, timeout: _ast.expr | None) -> Piped:
    """Emits the wait for a handle, or a list of them, for at most `timeout`; its value is what came."""
    slot = b.hide(node)
    if timeout is None:
        b.emit(op.AWAIT, node, slot, c.generator.function(handle, node.id))
        return Piped(g.slot_of(0, slot, node.id), node)
    kept = spill(c, b, node, handle)
    inner = Body(node.id, "body", b)
    inner.emit(op.AWAIT, node, 0, c.generator.function(_scopes_up(kept, 1, node.id), node.id))
    b.emit(op.WITHIN, node, slot, c.add(inner), c.generator.function(timeout, node.id), "capture")
    return Piped(g.slot_of(0, slot, node.id), node)


def _scopes_up(value: _ast.expr, count: int, line: int) -> _ast.expr:
    """The same hidden slot, seen from a body inside, so many scopes down."""
    import _ast

    if isinstance(value, _ast.Subscript) and isinstance(value.slice, _ast.Constant):
        return g.slot_of(count, int(str(value.slice.value)), line)
    return value


REPLY = Signature(
    "reply",
    (
        positional("request", help="what came to a `callback --reply`"),
        positional("value", is_required=False, help="a record or list is sent as JSON, a string as text"),
        flag("status", "int", "the status of HTTP: 200, or 204 without a value"),
    ),
    help="Answers a caller that waits at a `callback --reply`.",
)


def _reply(c: Compiler, b: Body, node: s.Command, piped: Piped | None, mode: str) -> Piped:
    request(c, b, node, "callback", "reply", Given(c, b, REPLY, node, piped).values("request", "value", "status"))
    return nothing(node)


# ---- Signals ---------------------------------------------------------------------------------------------------------

SIGNAL = Signature(
    "signal",
    (
        positional("job", help="its number, key, name or handle"),
        positional("name", "string", help="what its `inbox` calls it"),
        positional("value", is_required=False),
    ),
    help="Sends a message to a job, which takes it from `inbox NAME`.",
)


def _signal(c: Compiler, b: Body, node: s.Command, piped: Piped | None, mode: str) -> Piped:
    request(c, b, node, "signal", "send", Given(c, b, SIGNAL, node, piped).values("job", "name", "value"))
    return nothing(node)


INBOX = Signature(
    "inbox",
    (positional("name", "string"),),
    help="The channel of what is sent to this job under a name, by `signal` or `fmsh jobs signal`.",
)


def _inbox(c: Compiler, b: Body, node: s.Command, piped: Piped | None, mode: str) -> Piped:
    values = Given(c, b, INBOX, node, piped).values("name")
    if "name" not in values:
        return nothing(node)
    return Piped(g.call("inbox_handle", [values["name"]], node.id), node)


# ---- Questions -------------------------------------------------------------------------------------------------------

_ASKING = (flag("default", "any", "the answer to an empty line, and past the time-out"), flag("timeout", "duration"))
ASK = Signature(
    "ask",
    (
        positional("question"),
        flag("choices", "list", "what may be answered"),
        flag("type", "string", "what the answer is: string, int, number, bool, duration, datetime, …"),
        *_ASKING,
    ),
    help="Asks a person, at the terminal or by `fmsh jobs answer`; gives the answer: JSON if it parses, else text.",
)
CONFIRM = Signature(
    "confirm", (positional("question"), *_ASKING), help="Asks a person for yes or no; gives true or false."
)


def _ask(c: Compiler, b: Body, node: s.Command, piped: Piped | None, mode: str) -> Piped:
    given = Given(c, b, ASK, node, piped)
    return _asked(c, b, node, given.values("question", "choices", "type", "default", "timeout"))


def _confirm(c: Compiler, b: Body, node: s.Command, piped: Piped | None, mode: str) -> Piped:
    values = Given(c, b, CONFIRM, node, piped).values("question", "default", "timeout")
    return _asked(c, b, node, values | {"type": g.constant("bool", node.id)})


def _asked(c: Compiler, b: Body, node: s.Node, values: dict[str, _ast.expr]) -> Piped:
    if "question" not in values:
        return nothing(node)
    line, timeout = node.id, values.pop("timeout", None)
    if timeout is None or "default" not in values:
        handle = request(c, b, node, "person", "ask", values)
        return wait_for(c, b, node, handle.value, timeout)
    timeout, default = (spill(c, b, node, value) for value in (timeout, values.pop("default")))
    handle = request(c, b, node, "person", "ask", values | {"default": default})
    waiting, guarded = Body(node.id, "body", b), Body(-node.id, "body", b)  # the second has an id of its own
    waiting.emit(op.AWAIT, node, 0, c.generator.function(_scopes_up(handle.value, 2, line), line))
    duration = c.generator.function(_scopes_up(timeout, 1, line), line)
    guarded.emit(op.WITHIN, node, 0, c.add(waiting), duration, "capture")
    slot = b.hide(node)
    b.emit(op.RESULT, node, slot, c.add(guarded))
    return Piped(g.call("answer_or_default", [g.slot_of(0, slot, line), default], line), node)


# ---- Topics and functions elsewhere ----------------------------------------------------------------------------------

PUBLISH = Signature(
    "publish",
    (positional("topic", "string"), positional("value", is_required=False)),
    help="Publishes an event for all who subscribed to a topic; gives its number.",
)


def _publish(c: Compiler, b: Body, node: s.Command, piped: Piped | None, mode: str) -> Piped:
    made = request(c, b, node, "topic", "publish", Given(c, b, PUBLISH, node, piped).values("topic", "value"))
    return Piped(made.value, node, displays="never")


SUBSCRIBE = Signature(
    "subscribe",
    (
        positional("topic", "string"),
        flag("from", "any", "start, now, or the number of an event; without it since the job began"),
        flag("group", "string", "of a group each event goes to one member"),
    ),
    help="The channel of the events of a topic. The topic `jobs` has every change of a job's state.",
)


def _subscribe(c: Compiler, b: Body, node: s.Command, piped: Piped | None, mode: str) -> Piped:
    return request(
        c, b, node, "topic", "subscribe", Given(c, b, SUBSCRIBE, node, piped).values("topic", "from", "group")
    )


INVOKE = Signature(
    "invoke",
    (
        positional("name", "string"),
        positional("value", is_required=False),
        flag("timeout", "duration", "how long to wait before it fails"),
        flag("retry", "int", "how many further workers may try: 2"),
    ),
    help="Calls a function that a program outside implements over the HTTP interface; gives what it answers.",
)


def _invoke(c: Compiler, b: Body, node: s.Command, piped: Piped | None, mode: str) -> Piped:
    values = Given(c, b, INVOKE, node, piped).values("name", "value", "timeout", "retry")
    if "name" not in values:
        return nothing(node)
    timeout = values.get("timeout")
    if timeout is not None:
        values["timeout"] = timeout = spill(c, b, node, timeout)
    handle = request(c, b, node, "function", "call", values)
    return wait_for(c, b, node, handle.value, None if timeout is None else timeout)


PERFORM = Signature(
    "perform",
    (
        positional("connector", "string", help="its name in config.toml"),
        positional("operation", "string", help="what it is to do"),
        positional("value", is_required=False, help="what it needs for that, mostly a record"),
    ),
    help="Does something by a connector that was plugged in; gives its answer.",
)


def _perform(c: Compiler, b: Body, node: s.Command, piped: Piped | None, mode: str) -> Piped:
    given = Given(c, b, PERFORM, node, piped)
    names = []
    for what in ("connector", "operation"):
        written = given.node_of(what)
        name = None if written is None else plain_text(written)
        if written is not None and not name:
            c.problem(
                written,
                f"the {what} is a plain word, so that it is known before anything runs",
                f"usage: {PERFORM.usage()}",
            )
        names.append(name or "")
    connector, operation = names
    return request(c, b, node, PLUGIN_PREFIX + connector, operation, given.values("value"))


RUN_SCRIPT = Signature(
    "run-script",
    (positional("script", "record", help="file, text, arguments, on"), positional("event", is_required=False)),
    help="Starts a script as a job for an event, which is its `$in`; gives its handle. `fmsh on` makes use of it.",
)


def _run_script(c: Compiler, b: Body, node: s.Command, piped: Piped | None, mode: str) -> Piped:
    return request(c, b, node, "job", "run", Given(c, b, RUN_SCRIPT, node, piped).values("script", "event"))


MESSAGE_FORMS = {
    "run-script": Form(RUN_SCRIPT, _run_script),
    "publish": Form(PUBLISH, _publish),
    "subscribe": Form(SUBSCRIBE, _subscribe),
    "invoke": Form(INVOKE, _invoke),
    "perform": Form(PERFORM, _perform),
    "signal": Form(SIGNAL, _signal),
    "inbox": Form(INBOX, _inbox),
    "ask": Form(ASK, _ask),
    "confirm": Form(CONFIRM, _confirm),
    "reply": Form(REPLY, _reply),
}
