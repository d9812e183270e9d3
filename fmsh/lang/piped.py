"""What flows between two stages of a pipeline, while it is compiled."""

from __future__ import annotations

from fmsh.lang import syntax as s

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _ast

    from fmsh.lang.context import Compiler
    from fmsh.lang.syntax import Node


SOURCES = ("follow", "every", "cron")  # the commands that may begin a stream of values, beside requests


class Piped:
    """The Python expression of the value, and whether it is the output of an external command."""

    __slots__ = ("displays", "is_output", "node", "value")

    def __init__(self, value: _ast.expr, node: Node, *, is_output: bool = False, displays: str = "show") -> None:
        self.value = value
        self.node = node
        self.is_output = is_output
        self.displays = displays  # when a statement shows it: "show", "uncaptured" (echo), "never" (it did already)


def is_range(c: Compiler, stage: s.Stage) -> bool:
    """Whether a stage is `range A B`, or `A..B` as an expression."""
    if isinstance(stage, s.ExpressionStage):
        return isinstance(stage.value, s.Range)
    return isinstance(stage, s.Command) and not stage.is_external and c.literal_name(stage) == "range"


def position_of(mode: str) -> str:
    """Where the value of a body stands that a stage runs: "capture" and "drop" as the mode says, else at the tail."""
    return mode if mode in ("capture", "drop") else "tail"
