"""What requests inside `retry` have in common with those of the turns before: their idempotency keys.

A request is known by its node and its arguments; of several that are the same in one turn, by which of them it is. The
first time it has a key of its own; in a further turn it carries the key of that first time, so that who has done it
does not do it again. An inner `retry` that starts anew in a turn of an outer one asks that one.

A `retry` keeps what it has seen in a slot: `{"steps": {request: [step, …]}, "seen": {request: count in this turn}}`.
"""

from __future__ import annotations

from fmsh import wire
from fmsh.machine.code import TRY

try:
    from _blake2 import blake2b  # a tenth of the cost of importing hashlib
except ImportError:  # an interpreter without its own copy of BLAKE2
    from hashlib import blake2b

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from fmsh.machine.machine import Machine
    from fmsh.machine.state import Task
    from fmsh.values import Value

DIGEST_BYTES = 12


def key_step(machine: Machine, task: Task, step: int, node: int, arguments: dict[str, Value]) -> int | None:
    """The step of an earlier turn whose key a request carries; None: its own."""
    kept = list(_retries_around(machine, task))
    if not kept:
        return None
    digest = blake2b(wire.encode(arguments).encode("utf-8", "surrogatepass"), digest_size=DIGEST_BYTES).hexdigest()
    found = _find(kept, f"{node} {digest}", step)
    return None if found == step else found


def _find(kept: list[dict[str, Any]], request: str, step: int) -> int:
    if not kept:
        return step
    inner, *outer = kept
    count = inner["seen"].get(request, 0)
    inner["seen"][request] = count + 1
    steps: list[int] = inner["steps"].setdefault(request, [])
    if count == len(steps):
        steps.append(_find(outer, request, step))
    found: int = steps[count]
    return found


def _retries_around(machine: Machine, task: Task) -> Iterator[dict[str, Any]]:
    """What the retries whose turns are running have kept, innermost first."""
    current: Task | None = task
    while current is not None:
        for frame in reversed(current.frames):
            if frame.pc < len(frame.code.instructions):
                instruction = frame.code.instructions[frame.pc]
                if instruction[0] == TRY and instruction[8] is not None:
                    kept = frame.scope.slots[instruction[8]]
                    if type(kept) is dict:  # unset in a turn that an older fmsh began
                        yield kept
        current = machine.tasks[machine.groups[current.group].owner] if current.group is not None else None
