"""Assignments into variables, in time that does not grow with what the variable holds.

Values are immutable: `$x[0] = 1` puts another list into `$x`. Where nobody else holds the list that is there now,
nobody can tell a new one from the old one changed, so that is what happens. Who else holds it is what CPython counts
anyway; any doubt (a second variable, an argument, a snapshot being written) makes a copy, and so does another
interpreter.

Why: without it a loop that fills a list or record of n items takes n² steps.
"""

from __future__ import annotations

import sys

from fmsh.builtins.access import get_path, set_path
from fmsh.builtins.arithmetic import add

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from fmsh.values import Value

    Steps = Sequence[str | int]

# What is counted for a value that only one container holds: that one, and the question.
_CONTAINER: list[list[Value]] = [[]]
ONLY_ONE = sys.getrefcount(_CONTAINER[0]) if sys.implementation.name == "cpython" else -1


def assigned(slots: list[Value], slot: int, steps: Steps, new: Value) -> Value:
    """Gives what is in a slot with another value at the end of a path. Raises: Raised as `set_path` does."""
    found = _own_container(slots, slot, steps)
    if found is None:
        return set_path(slots[slot], steps, new)
    container, key = found
    container[key] = new
    return slots[slot]


def added(slots: list[Value], slot: int, steps: Steps, more: Value) -> Value:
    """Gives what is in a slot after `+=` at the end of a path, which may be empty. Raises: Raised."""
    found = _own_container(slots, slot, steps) if type(more) is list else None
    if found is not None and _extend(*found, more):
        return slots[slot]
    value = add(get_path(slots[slot], steps), more)
    return set_path(slots[slot], steps, value)


def _extend(container: Any, key: str | int, more: list[Value]) -> bool:
    """Makes a list longer that only its container holds; false if it is none."""
    is_there = type(container) is list or key in container
    if not is_there or type(container[key]) is not list or sys.getrefcount(container[key]) != ONLY_ONE:
        return False
    container[key].extend(more)
    return True


def _own_container(slots: list[Value], slot: int, steps: Steps) -> tuple[Any, str | int] | None:
    """The list or record that is to be changed and its index or key, if nobody else holds it or what it is part of."""
    container: Any = slots
    key: str | int = slot
    for step in steps:
        if (type(container) is dict and key not in container) or sys.getrefcount(container[key]) != ONLY_ONE:
            return None
        container, key = container[key], step
        if type(container) is list:
            if type(key) is not int or not -len(container) <= key < len(container):
                return None
        elif type(container) is not dict or type(key) is not str:
            return None
    return container, key
