"""The form `secret`: `secret NAME`, `secret new`, `… | secret NAME`. Imported by programs that use it.

What feeds `secret NAME` in its pipeline is secret from its start: a request or a command there gives secrets, so that
no history holds the text.
"""

from __future__ import annotations

from fmsh.lang import syntax as s
from fmsh.lang.expressions import spill
from fmsh.lang.given import Given, nothing, observation
from fmsh.lang.piped import Piped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fmsh.lang.bodies import Body
    from fmsh.lang.context import Compiler
    from fmsh.machine.signature import Signature


def compile_secret(c: Compiler, b: Body, node: s.Command, piped: Piped | None, form: Signature) -> Piped:
    value = None if piped is None else spill(c, b, piped.node, piped.value)
    given = Given(c, b, form, node, piped)
    values = given.values("name", "bytes")
    if "name" not in values:
        return nothing(node)
    is_new = _plain_name(given) == "new"
    if given.has("bytes") and not is_new:
        c.problem(node, "--bytes is for a new secret", "such as `secret new --bytes 32`")
    if value is not None:
        if is_new:
            c.problem(node, "`secret new` takes nothing from the pipe", "`… | secret NAME` keeps a value under a name")
        return observation(c, b, node, "secret keep", {"name": values["name"], "value": value})
    if is_new:
        del values["name"]
        return observation(c, b, node, "secret new", values)
    return observation(c, b, node, "secret", values)


def _plain_name(given: Given) -> str:
    node = given.node_of("name")
    parts = node.parts if isinstance(node, s.Word) else ()
    return str(parts[0].value) if len(parts) == 1 and isinstance(parts[0], s.Literal) else ""
