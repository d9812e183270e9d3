"""What a quiescent job waits for, as people are told it."""

from __future__ import annotations

from fmsh.machine import parallel
from fmsh.machine.facts import Wait
from fmsh.machine.handles import wait_for_mail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fmsh.machine.machine import Machine
    from fmsh.machine.state import Task

_UNTOLD = ("group", "leave", "ended", "stream", "stopped")  # what is behind these is told by itself


def of(machine: Machine) -> list[Wait]:
    """Lists the waits of a job, outermost task first."""
    found = []
    for task in machine.tasks.values():
        if task.waiting is None or task.waiting[0] in _UNTOLD:
            continue
        kind, id = task.waiting
        node = task.frames[-1].code.instructions[task.frames[-1].pc][1]
        steps = tuple(_timers_around(machine, task))
        if kind in ("request", "items") and id in machine.pending:
            request = machine.pending[id]
            found.append(Wait("request", f"{request.connector} {request.operation}", request.node, (id, *steps)))
        else:
            found.append(wait_for_mail(task, id, node, steps) or Wait(kind, str(id), node, steps))
    for stream in machine.streams.values():
        if parallel.is_hungry(machine, stream) and (pending := machine.pending.get(stream.step)) is not None:
            label = f"{pending.connector} {pending.operation}"
            found.append(Wait("request", label, pending.node, (stream.step,)))
    return found


def _timers_around(machine: Machine, task: Task) -> list[int]:
    timers = []
    while task.group is not None:
        group = machine.groups[task.group]
        if group.timer is not None:
            timers.append(group.timer)
        task = machine.tasks[group.owner]
    return timers
