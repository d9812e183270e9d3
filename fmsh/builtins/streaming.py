"""What the commands on lists do with a stream: batch after batch, in bounded memory.

A `Chain` is what stands between a source and whoever takes its items: stages in order, each fed with lists of items and
giving lists. The last may be a fold, which gives nothing until the end and then one value. Only commands that stand in
`STAGES` work so; any other takes the list that the stages before it have given.

A chain can tell its state, as a value, and go on from it: that is how a stream goes on after a crash.
"""

from __future__ import annotations

from fmsh.builtins import folds, lists, records
from fmsh.builtins.complaints import wrong_kind
from fmsh.builtins.stages import Chunk, Enumerate, JsonLines, Lines, Mapped, Skip, Stage, TakeWhile, Unique
from fmsh.values import Raised

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from fmsh.values import ErrorValue, Value

    Items = list[Value]


class Chain:
    """Stages in order, and the syntax nodes that they stand for. `locate` puts the place of a failure into its error.

    `says`: their text, and the values that it names; two chains that say the same do the same. A failing stage raises
    `Raised`; the chain is then as it was before that batch only as far as `state` was kept.
    """

    __slots__ = ("locate", "nodes", "says", "stages")

    def __init__(self, stages: list[Stage], nodes: list[int], says: list[Value]) -> None:
        self.stages = stages
        self.nodes = nodes
        self.says = says
        self.locate: Callable[[Raised, int], ErrorValue] | None = None

    @property
    def is_done(self) -> bool:
        return any(stage.is_done for stage in self.stages)

    @property
    def is_fold(self) -> bool:
        return bool(self.stages) and self.stages[-1].is_fold

    def after(self, other: Chain) -> Chain:
        """The stages behind those of another chain."""
        check = [_mapped(_texts)()] if self.stages and self.stages[0].takes_text else []
        nodes = [*other.nodes, *self.nodes[: len(check)], *self.nodes]
        return Chain([*other.stages, *check, *self.stages], nodes, [*other.says, *self.says])

    def feed(self, items: Items, first: int = 0) -> Items:
        """Puts items through the stages from the `first` on. Raises: Raised."""
        for index in range(first, len(self.stages)):
            if not items:
                break
            try:
                items = self.stages[index].feed(items)
            except Raised as problem:
                raise self._located(problem, index) from None
        return items

    def finish(self) -> Items:
        """The source has ended: what the stages still hold. Raises: Raised."""
        rest: Items = []
        for index, stage in enumerate(self.stages):
            try:
                held = stage.finish()
            except Raised as problem:
                raise self._located(problem, index) from None
            rest += self.feed(held, index + 1)
        return rest

    def value(self) -> Value:
        """The value of the fold at the end. Raises: Raised."""
        try:
            return self.stages[-1].value()
        except Raised as problem:
            raise self._located(problem, len(self.stages) - 1) from None

    def state(self) -> list[Value]:
        return [stage.state() for stage in self.stages]

    def restore(self, states: list[Value]) -> None:
        for stage, state in zip(self.stages, states, strict=True):
            stage.restore(state)

    def _located(self, problem: Raised, index: int) -> Raised:
        return problem if self.locate is None else Raised(self.locate(problem, self.nodes[index]))


def _texts(items: Items) -> Items:
    """Items that a stage takes as lines of text. Raises: Raised where one is none."""
    for item in items:
        if type(item) is not str:
            raise wrong_kind(item, "string", what="a line")
    return items


def _mapped(command: Callable[..., Any]) -> Callable[..., Stage]:
    return lambda *arguments, **flags: Mapped(command, arguments, flags)


STAGES: dict[str, Callable[..., Stage]] = {
    "lines": Lines,
    "from jsonl": JsonLines,
    "where": _mapped(lists.where),
    "each": _mapped(lists.each),
    "tap": _mapped(lists.tap),
    "flatten": _mapped(lists.flatten),
    "get": _mapped(records.get),
    "select": _mapped(records.select),
    "reject": _mapped(records.reject),
    "insert": _mapped(records.insert),
    "update": _mapped(records.update),
    "rename-keys": _mapped(records.rename_keys),
    "first": folds.first,
    "skip": Skip,
    "take-while": TakeWhile,
    "enumerate": Enumerate,
    "chunk": Chunk,
    "unique": lambda by=None: Unique(by),
    "count": folds.count,
    "sum": folds.sum_,
    "avg": folds.avg,
    "min": folds.least,
    "max": folds.greatest,
    "last": folds.last,
    "reduce": folds.reduce,
    "any": lambda predicate: folds.Decided(predicate, decisive=True),
    "all": lambda predicate: folds.Decided(predicate, decisive=False),
    "count-by": folds.count_by,
    "group-by": folds.group_by,
}
TEXT_STAGES = ("lines", "from jsonl")  # they take text, and here get the lines that a source gives
CHOOSING_STAGES = ("lines", "where", "tap", "first", "skip", "take-while", "unique")  # they give items as they got them
FOLDS = ("count", "sum", "avg", "min", "max", "last", "reduce", "any", "all", "count-by", "group-by")
