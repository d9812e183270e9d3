"""`each --parallel`: the items of a list or of a stream, each in a task of its own, so many at a time.

An item is taken when a task can start with it, so a stream is asked for no more than is wanted. Values are kept, or
shown, in the order of the items (`delivered`); one that ended before its predecessor waits in `results`, and while very
many do, no further item is taken. A stream that fails has its error raised when all that came before it has ended.
"""

from __future__ import annotations

from fmsh.machine.unwind import keep_values
from fmsh.values import Handle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fmsh.machine.code import Instruction
    from fmsh.machine.machine import Machine
    from fmsh.machine.state import Frame, Group, Stream, Task
    from fmsh.values import Value

AHEAD_MAX = 1024  # values that wait for an earlier one; as many as a batch has items


def begin(machine: Machine, task: Task, frame: Frame, instruction: Instruction) -> None:
    _op, _node, _slot, code_id, fn, *kept = instruction
    items, limit = fn(frame.scope)
    group = machine.new_group("each", task)
    group.limit, group.code, group.scope = limit, code_id, frame.scope
    if kept:
        group.delivered = 0
    if type(items) is Handle:
        group.stream = int(items.id)
        machine.streams[group.stream].group = group.id
    else:
        group.items = list(items)
    task.waiting = ("group", group.id)
    start_more(machine, group)


def start_more(machine: Machine, group: Group) -> None:
    """Starts tasks with the next items, as many as the limit allows; ends the group when none is left."""
    owner = machine.tasks[group.owner]
    if group.delivered is not None:
        _deliver(machine, group, owner)
    while _may_start(group) and _has_next(machine, group):
        machine.start_task(group, owner, group.code, group.scope, [_take(machine, group)], position="capture")
    machine.finish_group_if_over(group)


def is_unfinished(machine: Machine, group: Group) -> bool:
    """Whether more is to come when no task of a group runs. The error of its stream becomes its own."""
    if group.error is not None or group.interrupted is not None:
        return False
    if group.stream is None:
        return group.started < len(group.items)
    stream = machine.streams[group.stream]
    if not stream.items and stream.outcome is not None and stream.outcome[0] == "error":
        group.error = stream.outcome
    return bool(stream.items) or stream.outcome is None


def is_hungry(machine: Machine, stream: Stream) -> bool:
    """Whether the tasks that take from a stream wait for its next items."""
    group = machine.groups.get(stream.group) if stream.group is not None else None
    return group is not None and _may_start(group) and not stream.items and stream.outcome is None


def hear(machine: Machine, stream: Stream) -> None:
    """A stream has got items, or its end."""
    group = machine.groups.get(stream.group) if stream.group is not None else None
    if group is not None:
        start_more(machine, group)


def _may_start(group: Group) -> bool:
    is_going_on = group.error is None and group.interrupted is None
    return (
        is_going_on and len(group.running) < group.limit and (group.delivered is None or len(group.results) < AHEAD_MAX)
    )


def _has_next(machine: Machine, group: Group) -> bool:
    return bool(machine.streams[group.stream].items) if group.stream is not None else group.started < len(group.items)


def _take(machine: Machine, group: Group) -> Value:
    return machine.streams[group.stream].items.pop(0) if group.stream is not None else group.items[group.started]


def _deliver(machine: Machine, group: Group, owner: Task) -> None:
    """Keeps or shows the values that are next in order."""
    frame = owner.frames[-1]
    instruction = frame.code.instructions[frame.pc]
    while group.delivered in group.results and group.results[group.delivered][0] == "value":
        keep_values(machine, owner, [group.results.pop(group.delivered)[1]], *instruction[6:])
        group.delivered += 1
