"""Which `$in` may be a stream: one that is read once, whatever happens.

A stream is read once, and a function whose input is one begins before its source does. So its body may name `$in` only
once, where it is certain to be read: as the first stage of a pipeline of several, or as what a `for` goes over, and
not in a branch, a loop, a block, or behind a `return`. Any other body is given its input as a whole.
"""

from __future__ import annotations

from fmsh.lang import syntax as s
from fmsh.lang.calls import plain_text
from fmsh.lang.tree import children

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from fmsh.lang.syntax import Node

_LEAVES_EARLY = (s.Return, s.Break, s.Continue)
_SHORT_CUTS = ("and", "or", "??")  # operators whose right side may not be computed
_SKIPPED = (s.BlockLiteral, s.Def, s.While, s.Defer, s.Undo, s.Alias)  # what stands in them runs never, later or again


def streamed_input(body: s.Body) -> s.Variable | None:
    """The one `$in` of a body, if it is read as a stream."""
    named = list(_named(body))
    if len(named) != 1:
        return None
    return named[0] if named[0] in list(_read(body)) else None


def _named(node: Node) -> Iterator[s.Variable]:
    """Every `$in` of a body, but those of functions and of groups that have an input of their own."""
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if isinstance(node, s.Variable) and node.name == "in":
            yield node
        elif isinstance(node, s.Pipeline):
            waiting += [node.stages[0], *(stage for stage in node.stages[1:] if not isinstance(stage, s.Group))]
        elif not isinstance(node, s.Def):
            waiting += children(node)


def _read(body: s.Body) -> Iterator[s.Variable]:
    """The `$in`s that are certain to be read as streams when a body runs."""
    waiting: list[Node] = [body]
    while waiting:
        node = waiting.pop()
        if isinstance(node, s.Body):
            waiting += _certain(node)
        elif isinstance(node, s.Chain):
            if not node.is_background:
                waiting.append(node.first)
        elif isinstance(node, s.Pipeline):
            if len(node.stages) > 1 and (read := _input_alone(node.stages[0])) is not None:
                yield read
            waiting += node.stages
        elif isinstance(node, s.For):
            stages = node.source.first.stages
            if not node.source.links and len(stages) == 1 and (read := _input_alone(stages[0])) is not None:
                yield read
            waiting.append(node.source)
        else:
            waiting += _always_run(node)


def _certain(body: s.Body) -> Iterable[Node]:
    """The statements of a body up to one that may leave it."""
    for statement in body.statements:
        yield statement
        if _may_leave(statement):
            return


def _may_leave(statement: Node) -> bool:
    waiting = [statement]
    while waiting:
        node = waiting.pop()
        if isinstance(node, _LEAVES_EARLY) or (isinstance(node, s.Command) and plain_text(node.name) == "exit"):
            return True
        if not isinstance(node, s.Def | s.BlockLiteral):
            waiting += children(node)
    return False


def _always_run(node: Node) -> list[Node]:
    """The parts of a node that are run once whenever it is."""
    if isinstance(node, s.If):
        return [node.branches[0].condition]
    if isinstance(node, s.Match):
        return [node.subject]
    if isinstance(node, s.Try):
        return [node.body]
    if isinstance(node, s.Binary) and node.operator in _SHORT_CUTS:
        return [node.left]
    return [] if isinstance(node, _SKIPPED) else children(node)


def _input_alone(stage: Node) -> s.Variable | None:
    if isinstance(stage, s.ExpressionStage) and isinstance(stage.value, s.Variable) and stage.value.name == "in":
        return stage.value if not stage.redirections else None
    return None
