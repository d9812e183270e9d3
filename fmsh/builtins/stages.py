"""Stages of a stream that give items for items; see `fmsh.builtins.streaming`."""

from __future__ import annotations

from fmsh.builtins import grouping
from fmsh.builtins.comparison import truth
from fmsh.builtins.complaints import need_int
from fmsh.builtins.json_forms import FAST_BYTES_MIN, read_json_lines

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from fmsh.values import Value

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
