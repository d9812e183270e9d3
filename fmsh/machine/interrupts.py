"""Cancels and interrupts: how a task is asked to stop.

A *cancel* comes from outside or from the task's group. An *interrupt* is the failure of a spawned task, which is raised
in the task that owns its group. Both are raised before the next effect, wait or turn of a loop; a cancel once, and
never while `defer`, `undo` or `finally` runs; an interrupt not in cleanup that runs above the frame that spawned. An
effect in flight is cancelled, and its outcome waited for; children are stopped first.
"""

from __future__ import annotations

from fmsh.machine.effects import CancelRequest
from fmsh.machine.state import CLEANUP, is_failing
from fmsh.machine.unwind import complete
from fmsh.values import error_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fmsh.machine.machine import Machine
    from fmsh.machine.state import Completion, Group, Task


def cancel(machine: Machine, task: Task) -> None:
    """Asks a task to stop: at its next effect, wait or turn, once, and not while its cleanup runs."""
    if task.cancel == "no":
        task.cancel = "requested"
        _stop_waiting(machine, task)


def cancel_children(machine: Machine, group: Group) -> None:
    for id in list(group.running):
        cancel(machine, machine.tasks[id])


def interrupt(machine: Machine, task: Task, group: Group, completion: Completion) -> None:
    """Raises the failure of a spawned task in its owner, like a cancel but as that error."""
    if group.interrupted is None:
        group.interrupted = completion
        task.is_interrupted = True
        _stop_waiting(machine, task)


def interrupt_of(machine: Machine, task: Task) -> Completion | None:
    if task.cancel == "requested" and not any(frame.kind in CLEANUP for frame in task.frames):
        return "cancel", error_value("cancelled", "the job was cancelled" if task.id == "0" else "cancelled")
    group = _interrupting(machine, task) if task.is_interrupted else None
    return None if group is None else group.interrupted


def _interrupting(machine: Machine, task: Task) -> Group | None:
    """The innermost group of a task's frames with a failure to raise; cleanup is kept from those around it."""
    for frame in reversed(task.frames):
        group = None if frame.group is None else machine.groups[frame.group]
        if group is not None and group.interrupted is not None:
            return group
        if frame.kind in CLEANUP:
            return None
    task.is_interrupted = False
    return None


def raise_interrupt(machine: Machine, task: Task) -> bool:
    """Raises a cancel, or a spawned task's failure, that is due in this task. True: it did."""
    completion = _take_interrupt(machine, task)
    if completion is None:
        return False
    complete(machine, task, completion)
    return True


def _take_interrupt(machine: Machine, task: Task) -> Completion | None:
    completion = interrupt_of(machine, task)
    if completion is not None and completion[0] == "cancel":
        task.cancel = "delivered"
    elif completion is not None:
        group = _interrupting(machine, task)
        assert group is not None
        group.interrupted = None
    return completion


def _stop_waiting(machine: Machine, task: Task) -> None:
    """A cancel or an interrupt has come: ends what the task waits for, as far as that can be ended."""
    if task.waiting is None or interrupt_of(machine, task) is None:
        return
    kind, id = task.waiting
    if kind == "request" and id not in machine.unwanted:
        machine.unwanted.add(id)
        machine.effects.append(CancelRequest(id))
    elif kind == "group":
        _stop_group(machine, machine.groups[id], task)
    elif kind == "leave":
        _stop_leaving(machine, machine.groups[id], task)
    elif kind == "stopped":
        del machine.stopped[id]
        task.waiting = None
        machine.wake(task)
        raise_interrupt(machine, task)
    elif kind in ("mailbox", "task", "channel", "room", "items"):
        task.waiting = None
        machine.wake(task)


def _stop_group(machine: Machine, group: Group, task: Task) -> None:
    if group.interrupted is None:
        group.interrupted = _take_interrupt(machine, task)
    cancel_children(machine, group)
    machine.finish_group_if_over(group)


def _stop_leaving(machine: Machine, group: Group, task: Task) -> None:
    frame = task.frames[-1]
    completion = _take_interrupt(machine, task)
    assert frame.completion is not None and completion is not None
    if not is_failing(frame.completion):
        frame.completion = completion
    cancel_children(machine, group)
