"""Stages of a stream that give nothing until its end, and then one value; see `fmsh.builtins.streaming`."""

from __future__ import annotations

from fmsh.builtins import grouping, lists
from fmsh.builtins.arithmetic import add, divide
from fmsh.builtins.comparison import truth
from fmsh.builtins.complaints import need_int
from fmsh.builtins.stages import First, Stage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from fmsh.values import Value

    Items = list[Value]
    Block = Callable[..., Value]


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


def count() -> Stage:
    return Fold(0, lambda total, items: total + len(items))


def sum_() -> Stage:
    return Fold(None, _add_up, lambda total: 0 if total is None else total)


def _add_up(total: Value, items: Items) -> Value:
    more = grouping.sum_(items)
    return more if total is None else add(total, more)


def avg() -> Stage:
    def step(total: list[Value], items: Items) -> Value:
        return [_add_up(total[0], grouping.measures(items, "avg")), total[1] + len(items)]  # type: ignore[arg-type]

    return Fold([None, 0], step, lambda total: divide(*total) if total[1] else None)


def least() -> Stage:
    return Fold([], lambda total, items: [grouping.min_([*total, *items])], lambda total: total[0] if total else None)


def greatest() -> Stage:
    return Fold([], lambda total, items: [grouping.max_([*total, *items])], lambda total: total[0] if total else None)


def reduce(block: Block, **flags: Value) -> Stage:
    return Fold(flags["from"], lambda total, items: lists.reduce(items, block, **{"from": total}))


def first(count: Value = None) -> Stage:
    return FirstItem() if count is None else First(count)


def last(count: Value = None) -> Stage:
    kept = 1 if count is None else need_int(count, "the argument of `last`", least=0)
    return Fold(
        [],
        lambda total, items: lists.last([*total, *items[-kept:]], kept) if kept else [],
        (lambda total: total[0] if total else None) if count is None else None,
    )


def count_by(key: Value) -> Stage:
    make = grouping.key_of(key)

    def step(counts: dict[Any, dict[str, Any]], items: Items) -> Value:
        for item in items:
            made = make(item)
            counts.setdefault(grouping.identity(made), {"key": made, "count": 0})["count"] += 1
        return counts

    return Fold({}, step, lambda counts: sorted(counts.values(), key=lambda each: -each["count"]))


def group_by(key: Value) -> Stage:
    make = grouping.key_of(key)

    def step(groups: dict[Any, dict[str, Any]], items: Items) -> Value:
        for item in items:
            made = make(item)
            groups.setdefault(grouping.identity(made), {"key": made, "values": []})["values"].append(item)
        return groups

    return Fold({}, step, lambda groups: list(groups.values()))
