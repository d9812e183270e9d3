"""The form `capture`: a block whose output is kept, and whose failure is a status. Imported by programs that use it."""

from __future__ import annotations

from fmsh.lang import generated as g
from fmsh.lang import syntax as s
from fmsh.lang.bodies import Body
from fmsh.lang.given import Given, nothing
from fmsh.lang.piped import Piped
from fmsh.lang.statements import compile_body
from fmsh.machine import code as op

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fmsh.lang.context import Compiler
    from fmsh.machine.signature import Signature


def compile_capture(c: Compiler, b: Body, node: s.Command, piped: Piped | None, form: Signature) -> Piped:
    """Three bodies, one in the other: what keeps the output, what catches the failure, and the block."""
    block = Given(c, b, form, node, piped).block("block")
    if block is None:
        return nothing(node)
    line = node.id
    kept = Body(-line, "body", b)  # ids of their own: nothing in the tree stands for these two
    tried = Body(block.id, "body", kept)
    inner = Body(block.body.id, "body", tried)
    compile_body(c, inner, block.body)
    tried.emit(op.BODY, node, tried.hide(node), c.add(inner), "tail")
    tried.emit(op.EVAL, node, 0, g.constant_function(None))
    caught = Body(-block.id, "body", kept)
    error = caught.hide(node)
    caught.emit(op.EVAL, node, 0, c.generator.function(g.slot_of(0, error, line), line))
    kept.emit(op.TRY, node, 0, c.add(tried), c.add(caught), error, None, "tail", None)
    slot = b.hide(node)
    b.emit(op.CAPTURE, node, slot, c.add(kept), {"out": "keep", "err": "keep"}, "show")
    return Piped(g.call("captured_record", [g.slot_of(0, slot, line)], line), node)
