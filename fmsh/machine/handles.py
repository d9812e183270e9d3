"""Handles: what their awaiter finds, and takes.

Nothing is taken before all that is awaited is there, so that a wait can be done again on waking.
"""

from __future__ import annotations

from fmsh.values import Block, Raised, error_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fmsh.machine.machine import Machine
    from fmsh.machine.state import Task
    from fmsh.values import Handle, Value


def has_for(machine: Machine, task: Task, handle: Handle, before: list[Handle]) -> bool:
    """Whether a handle has something for its awaiter, after `before` have taken theirs. If not, the task waits."""
    if handle.kind == "task":
        if handle.id in machine.results or handle.id not in machine.tasks:
            return True
        task.waiting = ("task", handle.id)
        return False
    if handle.kind == "channel":
        from fmsh.machine import channels  # few programs have any

        return channels.has_for(machine, task, handle, before.count(handle))
    mailbox = f"{handle.kind}:{handle.id}"
    taken = before.count(handle) if handle.fields_.get("many") else 0
    if len(machine.mailboxes.get(mailbox, ())) > taken:
        return True
    task.waiting = ("mailbox", mailbox)
    return False


def deliver(machine: Machine, mailbox: str, delivery: Value) -> None:
    """Puts what came for a handle into its mailbox; its handle may not be known yet."""
    machine.mailboxes.setdefault(mailbox, []).append(delivery)
    machine.mailboxes_since.setdefault(mailbox, machine.steps)
    machine.wake_waiting("mailbox", mailbox)


def take(machine: Machine, handle: Handle) -> Value:
    """Takes what a handle has. Raises: Raised: the failure of an awaited task or job."""
    if handle.kind == "task":
        return _take_result(machine, handle)
    if handle.kind == "channel":
        from fmsh.machine import channels  # few programs have any

        return channels.take(machine, handle)
    box = machine.mailboxes[f"{handle.kind}:{handle.id}"]
    delivery = box.pop(0) if handle.fields_.get("many") else box[0]
    if handle.kind == "job":
        return _job_value(delivery)
    return delivery if handle.fields_.get("full") else delivery["body"]


def _job_value(delivery: Value) -> Value:
    if delivery["error"] is not None:
        raise Raised(delivery["error"])
    return delivery["value"]


def _take_result(machine: Machine, handle: Handle) -> Value:
    if handle.id not in machine.results:
        raise Raised(error_value("name", f"task {handle.id} is over, and the block that started it too"))
    kind, value = machine.results[handle.id]
    if kind == "exit":
        raise Raised(error_value("exit", f"task {handle.id} ended the job with `exit {value}`", status=value))
    if kind in ("error", "cancel"):
        for group in machine.groups.values():
            if handle.id in group.failed:
                group.failed.remove(handle.id)  # it is raised here, and so handled
        raise Raised(value)
    return value


def holds_block(value: Value) -> bool:
    """Whether a value holds a block, which is nothing without its scope and cannot leave its job."""
    if type(value) is dict:
        return any(map(holds_block, value.values()))
    return any(map(holds_block, value)) if type(value) is list else type(value) is Block


def refuse_blocks(value: Value) -> None:
    """Raises an error for a value that holds a block."""
    if holds_block(value):
        raise Raised(error_value("type", "a block cannot leave the job, so it cannot be an argument here"))
