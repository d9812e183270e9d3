"""What the commands on lists do with a stream: batch after batch, in bounded memory.

A `Chain` is what stands between a source and whoever takes its items: stages in order, each fed with lists of items and
giving lists. The last may be a fold, which gives nothing until the end and then one value. Only commands that stand in
`STAGES` work so; any other takes the list that the stages before it have given.

A chain can tell its state, as a value, and go on from it: that is how a stream goes on after a crash.
"""

from __future__ import annotations

from fmsh.builtins import grouping, lists, records
from fmsh.builtins.arithmetic import add, divide
from fmsh.builtins.comparison import truth
from fmsh.builtins.complaints import need_int, wrong_kind
from fmsh.builtins.json_forms import FAST_BYTES_MIN, read_json_lines
from fmsh.values import Raised

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from fmsh.values import ErrorValue, Value

    Items = list[Value]
    Block = Callable[..., Value]

LINES_BEFORE_MSGSPEC = 1000  # so many have gone through json, line by line: more will come, and msgspec is worth it


class Stage:
    """`is_done`: it wants no more. `is_fold`: it gives one value, at the end, and no items.

    `takes_text`: its items are lines, as a source gives them.
    """

    __slots__ = ("is_done",)
    is_fold = False
    takes_text = False

    def __init__(self) -> None:
        self.is_done = False

    def feed(self, items: Items) -> Items:
        raise NotImplementedError

    def finish(self) -> Items:
        """What is still to come when the source has ended."""
        return []

    def value(self) -> Value:
        """The value of a fold."""
        raise NotImplementedError

    def state(self) -> Value:
        return None

    def restore(self, state: Value) -> None:
        """Goes on from a state."""


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


# ---- Stages ----------------------------------------------------------------------------------------------------------


class Mapped(Stage):
    """A command that does the same with each item, whatever came before: it is given lists of them."""

    __slots__ = ("_arguments", "_command", "_flags")

    def __init__(self, command: Callable[..., Any], arguments: Iterable[Value], flags: dict[str, Value]) -> None:
        super().__init__()
        self._command = command
        self._arguments = tuple(arguments)
        self._flags = flags

    def feed(self, items: Items) -> Items:
        made = self._command(items, *self._arguments, **self._flags)
        return made if type(made) is list else list(made)


class First(Stage):
    __slots__ = ("_left",)

    def __init__(self, count: Value) -> None:
        super().__init__()
        self._left = need_int(count, "the argument of `first`", least=0)
        self.is_done = self._left == 0

    def feed(self, items: Items) -> Items:
        taken = items[: self._left]
        self._left -= len(taken)
        self.is_done = self._left == 0
        return taken

    def state(self) -> Value:
        return self._left

    def restore(self, state: Value) -> None:
        self._left = state
        self.is_done = state == 0


class Skip(Stage):
    __slots__ = ("_left",)

    def __init__(self, count: Value) -> None:
        super().__init__()
        self._left = need_int(count, "the argument of `skip`", least=0)

    def feed(self, items: Items) -> Items:
        kept = items[self._left :]
        self._left -= len(items) - len(kept)
        return kept

    def state(self) -> Value:
        return self._left

    def restore(self, state: Value) -> None:
        self._left = state


class TakeWhile(Stage):
    __slots__ = ("_predicate",)

    def __init__(self, predicate: Block) -> None:
        super().__init__()
        self._predicate = predicate

    def feed(self, items: Items) -> Items:
        taken: Items = []
        for item in items if not self.is_done else ():
            if not truth(self._predicate(item)):
                self.is_done = True
                break
            taken.append(item)
        return taken

    def state(self) -> Value:
        return self.is_done

    def restore(self, state: Value) -> None:
        self.is_done = state


class Enumerate(Stage):
    __slots__ = ("_next",)

    def __init__(self) -> None:
        super().__init__()
        self._next = 0

    def feed(self, items: Items) -> Items:
        made: Items = [{"index": index, "item": item} for index, item in enumerate(items, self._next)]
        self._next += len(items)
        return made

    def state(self) -> Value:
        return self._next

    def restore(self, state: Value) -> None:
        self._next = state


class Chunk(Stage):
    __slots__ = ("_held", "_size")

    def __init__(self, size: Value) -> None:
        super().__init__()
        self._size = need_int(size, "the argument of `chunk`", least=1)
        self._held: Items = []

    def feed(self, items: Items) -> Items:
        held = self._held + items
        whole = len(held) - len(held) % self._size
        self._held = held[whole:]
        return [held[start : start + self._size] for start in range(0, whole, self._size)]

    def finish(self) -> Items:
        held, self._held = self._held, []
        return [held] if held else []

    def state(self) -> Value:
        return self._held

    def restore(self, state: Value) -> None:
        self._held = state


class Unique(Stage):
    __slots__ = ("_make", "_seen")

    def __init__(self, by: Value) -> None:
        super().__init__()
        self._make = None if by is None else grouping.key_of(by)
        self._seen: dict[Any, Value] = {}

    def feed(self, items: Items) -> Items:
        fresh: Items = []
        for item in items:
            key = item if self._make is None else self._make(item)
            identity = grouping.identity(key)
            if identity not in self._seen:
                self._seen[identity] = key
                fresh.append(item)
        return fresh

    def state(self) -> Value:
        return list(self._seen.values())

    def restore(self, state: Value) -> None:
        self._seen = {grouping.identity(key): key for key in state}


class Lines(Stage):
    """The lines of a source are what a source gives."""

    __slots__ = ()
    takes_text = True

    def feed(self, items: Items) -> Items:
        return items


class JsonLines(Stage):
    __slots__ = ("_line",)
    takes_text = True

    def __init__(self) -> None:
        super().__init__()
        self._line = 0

    def feed(self, items: Items) -> Items:
        is_large = self._line > LINES_BEFORE_MSGSPEC or sum(map(len, items)) >= FAST_BYTES_MIN
        read = read_json_lines(items, first_line=self._line + 1, is_large=is_large)
        self._line += len(items)
        return read

    def state(self) -> Value:
        return self._line

    def restore(self, state: Value) -> None:
        self._line = state


# ---- Folds -----------------------------------------------------------------------------------------------------------


class Fold(Stage):
    """`step(total, items)` gives the next total; `last(total)` the value."""

    __slots__ = ("_last", "_step", "_total")
    is_fold = True

    def __init__(
        self, start: Value, step: Callable[[Any, Items], Value], last: Callable[[Any], Value] | None = None
    ) -> None:
        super().__init__()
        self._total = start
        self._step = step
        self._last = last

    def feed(self, items: Items) -> Items:
        self._total = self._step(self._total, items)
        return []

    def value(self) -> Value:
        return self._total if self._last is None else self._last(self._total)

    def state(self) -> Value:
        return [self._total, self.is_done]

    def restore(self, state: Value) -> None:
        self._total, self.is_done = state


class FirstItem(Fold):
    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(None, lambda _total, items: items[0])

    def feed(self, items: Items) -> Items:
        if not self.is_done:
            super().feed(items)
        self.is_done = True
        return []


class Decided(Fold):
    """`any` and `all`: the first item for which the block says `decisive` decides."""

    __slots__ = ("_decisive", "_predicate")

    def __init__(self, predicate: Block, *, decisive: bool) -> None:
        super().__init__(not decisive, lambda total, _items: total)
        self._predicate = predicate
        self._decisive = decisive

    def feed(self, items: Items) -> Items:
        for item in items:
            if truth(self._predicate(item)) is self._decisive:
                self._total = self._decisive
                self.is_done = True
                break
        return []


def _count() -> Stage:
    return Fold(0, lambda total, items: total + len(items))


def _sum() -> Stage:
    return Fold(None, _add_up, lambda total: 0 if total is None else total)


def _add_up(total: Value, items: Items) -> Value:
    more = grouping.sum_(items)
    return more if total is None else add(total, more)


def _avg() -> Stage:
    def step(total: list[Value], items: Items) -> Value:
        return [_add_up(total[0], grouping.measures(items, "avg")), total[1] + len(items)]  # type: ignore[arg-type]

    return Fold([None, 0], step, lambda total: divide(*total) if total[1] else None)


def _least() -> Stage:
    return Fold([], lambda total, items: [grouping.min_([*total, *items])], lambda total: total[0] if total else None)


def _greatest() -> Stage:
    return Fold([], lambda total, items: [grouping.max_([*total, *items])], lambda total: total[0] if total else None)


def _reduce(block: Block, **flags: Value) -> Stage:
    return Fold(flags["from"], lambda total, items: lists.reduce(items, block, **{"from": total}))


def _first(count: Value = None) -> Stage:
    return FirstItem() if count is None else First(count)


def _last(count: Value = None) -> Stage:
    kept = 1 if count is None else need_int(count, "the argument of `last`", least=0)
    return Fold(
        [],
        lambda total, items: lists.last([*total, *items[-kept:]], kept) if kept else [],
        (lambda total: total[0] if total else None) if count is None else None,
    )


def _count_by(key: Value) -> Stage:
    make = grouping.key_of(key)

    def step(counts: dict[Any, dict[str, Any]], items: Items) -> Value:
        for item in items:
            made = make(item)
            counts.setdefault(grouping.identity(made), {"key": made, "count": 0})["count"] += 1
        return counts

    return Fold({}, step, lambda counts: sorted(counts.values(), key=lambda each: -each["count"]))


def _group_by(key: Value) -> Stage:
    make = grouping.key_of(key)

    def step(groups: dict[Any, dict[str, Any]], items: Items) -> Value:
        for item in items:
            made = make(item)
            groups.setdefault(grouping.identity(made), {"key": made, "values": []})["values"].append(item)
        return groups

    return Fold({}, step, lambda groups: list(groups.values()))


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
    "first": _first,
    "skip": Skip,
    "take-while": TakeWhile,
    "enumerate": Enumerate,
    "chunk": Chunk,
    "unique": lambda by=None: Unique(by),
    "count": _count,
    "sum": _sum,
    "avg": _avg,
    "min": _least,
    "max": _greatest,
    "last": _last,
    "reduce": _reduce,
    "any": lambda predicate: Decided(predicate, decisive=True),
    "all": lambda predicate: Decided(predicate, decisive=False),
    "count-by": _count_by,
    "group-by": _group_by,
}
TEXT_STAGES = ("lines", "from jsonl")  # they take text, and here get the lines that a source gives
CHOOSING_STAGES = ("lines", "where", "tap", "first", "skip", "take-while", "unique")  # they give items as they got them
FOLDS = ("count", "sum", "avg", "min", "max", "last", "reduce", "any", "all", "count-by", "group-by")
