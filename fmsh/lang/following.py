"""`follow FILE`: the lines of a file that grows, as a stream. Where it begins is observed, so that it is recorded."""

from __future__ import annotations

from fmsh.lang import generated as g
from fmsh.lang import syntax as s
from fmsh.lang.given import Form, Given, flag, observation, positional, record, stream_of
from fmsh.lang.piped import Piped
from fmsh.machine.signature import Signature

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _ast

    from fmsh.lang.bodies import Body
    from fmsh.lang.context import Compiler

FOLLOW = Signature(
    "follow",
    (
        positional("file", "path", help="a file that others write to"),
        flag("from", "string", "where to begin: at its start, or at its end (end)"),
    ),
    help="The lines of a file as it grows, also when it is rotated: `follow app.log | where { $it =~ ERROR }`.",
)


def follow_arguments(c: Compiler, b: Body, node: s.Command, piped: Piped | None) -> _ast.expr:
    """The record of what is asked of the connector, and which connector that is."""
    given = Given(c, b, FOLLOW, node, piped)
    begin = given.node_of("from")
    if isinstance(begin, s.Literal) and begin.value not in ("start", "end"):
        c.problem(begin, "--from is `start` or `end`", "a file is followed from its end, if nothing is said")
    values = given.values("file", "from")
    if "file" not in values:
        return g.constant(None, node.id)
    found = observation(c, b, node, "followed", {"path": values["file"], **_named(values)})
    source = g.list_of([g.constant("follow", node.id), g.constant("lines", node.id)], node.id)
    fields = {name: g.subscript(found.value, name, node.id) for name in ("path", "from")}
    return record({"source": source, **fields}, node.id)


def _named(values: dict[str, _ast.expr]) -> dict[str, _ast.expr]:
    return {"from": values["from"]} if "from" in values else {}


FOLLOW_FORMS = {"follow": Form(FOLLOW, stream_of)}
