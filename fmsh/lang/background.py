"""`a &`: a part of a program that becomes a job of its own.

It starts with copies of the variables that it reads, also in the functions that it calls; by the stable names of their
slots, because the job has the scopes around the part again, as far as they are known. A task cannot be copied.
"""

from __future__ import annotations

from fmsh.lang import generated as g
from fmsh.lang import syntax as s
from fmsh.lang.bodies import CONCURRENT, Body, find_variable
from fmsh.lang.given import request
from fmsh.lang.statements import chain_statement
from fmsh.lang.tree import walk

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _ast

    from fmsh.lang.bodies import PythonBody
    from fmsh.lang.context import Compiler
    from fmsh.lang.piped import Piped
    from fmsh.lang.syntax import Node


def start_background(c: Compiler, b: Body, node: s.Chain) -> Piped:
    """`a &`: a job of its own that starts with this part of the program and copies of the variables that it reads."""
    body = Body(node.id, CONCURRENT, b)
    around = [level for level in _levels(b) if isinstance(level, Body)]
    body.code.outer = [level.code.id for level in reversed(around)]
    chain = s.Chain(node.span, node.first, node.links)
    chain.id = node.id
    chain_statement(c, body, chain, is_last=True)
    labels: dict[str, _ast.expr] = {}
    _capture(c, b, node, b, labels, set())
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
