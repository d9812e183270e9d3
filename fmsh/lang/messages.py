"""The forms with which a job and others talk, and waiting for what comes: requests, and the wait for a handle."""

from __future__ import annotations

from fmsh.lang import generated as g
from fmsh.lang import syntax as s
from fmsh.lang.bodies import Body
from fmsh.lang.expressions import spill
from fmsh.lang.given import Form, Given, flag, nothing, positional, request
from fmsh.lang.piped import Piped
from fmsh.machine import code as op
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
    inner.emit(op.AWAIT, node, 0, c.generator.function(_one_scope_up(kept, node.id), node.id))
    duration = c.generator.function(timeout, node.id)
    b.emit(op.WITHIN, node, slot, c.add(inner), duration, "capture")
    return Piped(g.slot_of(0, slot, node.id), node)


def _one_scope_up(value: _ast.expr, line: int) -> _ast.expr:
    """The same hidden slot, seen from a body inside."""
    import _ast

    if isinstance(value, _ast.Subscript) and isinstance(value.slice, _ast.Constant):
        return g.slot_of(1, int(str(value.slice.value)), line)
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


MESSAGE_FORMS = {
    "reply": Form(REPLY, _reply),
}
