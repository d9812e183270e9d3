"""`every D` and `cron PATTERN` without a block: times, as a stream. The first is observed, so that it is recorded."""

from __future__ import annotations

from fmsh.lang import generated as g
from fmsh.lang import scheduled
from fmsh.lang.expressions import time_zone
from fmsh.lang.given import Given, observation, record
from fmsh.lang.scheduling import chosen

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _ast

    from fmsh.lang import syntax as s
    from fmsh.lang.bodies import Body
    from fmsh.lang.context import Compiler
    from fmsh.lang.piped import Piped
    from fmsh.machine.signature import Signature

HINT = "give it a block, of which each turn is a job; or leave it out"


def times_arguments(c: Compiler, b: Body, signature: Signature, node: s.Command, piped: Piped | None) -> _ast.expr:
    """The record of what is asked of the connector, and which connector that is."""
    given, line, when = Given(c, b, signature, node, piped), node.id, signature.name
    values = given.values(when, "tz")
    if given.has("block"):
        c.problem(node, f"`{when}` takes a block here", f"usage: {signature.usage()}")
    overlap, missed = chosen(c, given, "overlap"), chosen(c, given, "missed")
    if given.has("on_error"):
        c.problem(given.node_of("on_error") or node, "--on-error is about turns, and a stream of times has none", HINT)
    if overlap == "allow":
        c.problem(given.node_of("overlap") or node, "times come one after the other, and none beside another", HINT)
    if when not in values:
        return g.constant(None, line)
    zone = values.get("tz") or (time_zone(c, b, node) if when == "cron" else g.constant("", line))
    made = g.call(
        c.generator.bind("k", scheduled.schedule),
        [g.constant(when, line), values[when], zone, g.constant(overlap, line), g.constant(missed, line)],
        line,
    )
    first = observation(c, b, node, "turn", {"schedule": made, "turn": g.constant(None, line)})
    source = g.list_of([g.constant("times", line), g.constant("read", line)], line)
    return record({"source": source, "schedule": made, "turn": first.value}, line)
