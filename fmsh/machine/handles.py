"""Handles: what their awaiter finds, and takes.

Nothing is taken before all that is awaited is there, so that a wait can be done again on waking.
"""

from __future__ import annotations

from fmsh.machine import code as op
from fmsh.machine.facts import Wait
from fmsh.values import Block, Handle, Raised, error_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from fmsh.machine.machine import Machine
    from fmsh.machine.state import Scope, Task
    from fmsh.values import Value

HANDLES = (
    "callback",
    "job",
    "topic",
    "call",
    "lock",
    "limit",
)  # of rows that name their handle
LISTED_AS = {"call": "function"}  # where people know a kind of handle by another name


def has_for(machine: Machine, task: Task, handle: Handle, before: list[Handle]) -> bool:
    """Whether a handle has something for its awaiter, after `before` have taken theirs. If not, the task waits."""
    if handle.kind == "task":
        if handle.id in machine.results or handle.id not in machine.tasks:
            return True
        task.waiting = ("task", handle.id)
        return False
    if handle.kind == "stream":
        from fmsh.machine import streams  # few programs have any

        return streams.has_for(machine, task, handle)
    if handle.kind == "channel":
        from fmsh.machine import channels  # few programs have any

        return channels.has_for(machine, task, handle, before.count(handle))
    if not is_told(handle):
        message = f"job {handle.id} was started by another, so its end is not told to this one"
        raise Raised(error_value("job", message, hint=f"`fmsh jobs wait {handle.id}` waits for it"))
    mailbox = f"{handle.kind}:{handle.id}"
    taken = before.count(handle) if handle.fields_.get("many") else 0
    if len(machine.mailboxes.get(mailbox, ())) > taken:
        return True
    task.waiting = ("mailbox", mailbox)
    return False


def is_told(handle: Handle) -> bool:
    """Whether the end of what a handle stands for is told to this job."""
    return not handle.fields_.get("is_foreign")


def receive(machine: Machine, kind: str, data: Any) -> None:
    """Takes in what came into the inbox of the job: nothing, if nobody waits for an answer, or the row has no form."""
    if not isinstance(data, dict):
        return
    if kind in HANDLES:
        deliver(machine, f"{kind}:{data['handle']}", data["delivery"])
    elif kind == "signal" and "name" in data:
        deliver(machine, f"inbox:{data['name']}", {"body": data.get("value")})
    elif kind == "answer":
        questions = [task.waiting[1] for task in machine.tasks.values() if is_asking(task)]  # type: ignore[index]
        wanted = [f"person:{data['handle']}"] if data.get("handle") is not None else questions[:1]
        for mailbox in wanted:
            if mailbox in questions:
                deliver(machine, mailbox, {"body": data.get("value")})


def is_asking(task: Task) -> bool:
    """Whether a task waits for a person."""
    return task.waiting is not None and task.waiting[0] == "mailbox" and task.waiting[1].startswith("person:")


def wait_for_mail(task: Task, mailbox: Any, node: int, steps: tuple[int, ...]) -> Wait | None:
    """Says for people what a task waits for in a mailbox; None if it waits for something else."""
    if task.waiting is None or task.waiting[0] != "mailbox":
        return None
    kind, _, id = mailbox.partition(":")
    handle = _awaited(task, kind, id)
    fields = {} if handle is None else handle.fields_
    if kind == "person":
        about = {"step": int(id)} | {name: value for name, value in fields.items() if name != "id"}
        return Wait(kind, str(fields.get("question", id)), node, steps, about)
    label = str(fields.get("label", id))
    if kind == "callback":
        label = _variable_of(task, kind, id) or label
    return Wait(LISTED_AS.get(kind, kind), label, node, steps)


def _variable_of(task: Task, kind: str, id: str) -> str | None:
    """The variable in which a task has a handle, the innermost one: people know it by that, and not by its number."""
    scope: Scope | None = task.frames[-1].scope
    while scope is not None:
        for name, slot in scope.code.variables.items():
            value = scope.slots[slot]
            if type(value) is Handle and (value.kind, value.id) == (kind, id):
                return name
        scope = scope.parent
    return None


def _awaited(task: Task, kind: str, id: str) -> Handle | None:
    """The handle that a task waits for at its instruction."""
    frame = task.frames[-1]
    instruction = frame.code.instructions[frame.pc]
    if instruction[0] == op.AWAIT:
        value = instruction[3](frame.scope)
    elif instruction[0] == op.FOR:
        value = frame.scope.slots[instruction[3]]
    else:
        return None
    for handle in value if type(value) is list else [value]:
        if type(handle) is Handle and (handle.kind, handle.id) == (kind, id):
            return handle
    return None


def deliver(machine: Machine, mailbox: str, delivery: Value) -> None:
    """Puts what came for a handle into its mailbox; its handle may not be known yet."""
    machine.mailboxes.setdefault(mailbox, []).append(delivery)
    machine.mailboxes_since.setdefault(mailbox, machine.steps)
    machine.wake_waiting("mailbox", mailbox)


def is_over(machine: Machine, handle: Handle) -> bool:
    """Whether a loop over a handle is at its end; to be asked when `has_for` says so. Raises: Raised."""
    if handle.kind == "stream":
        from fmsh.machine import streams  # few programs have any

        return streams.is_over(machine, handle)
    return handle.kind == "channel" and not machine.channels[handle.id].items


def take(machine: Machine, handle: Handle) -> Value:
    """Takes what a handle has. Raises: Raised: the failure of an awaited task or job."""
    if handle.kind == "task":
        return _take_result(machine, handle)
    if handle.kind == "stream":
        from fmsh.machine import streams  # few programs have any

        return streams.take(machine, handle)
    if handle.kind == "channel":
        from fmsh.machine import channels  # few programs have any

        return channels.take(machine, handle)
    box = machine.mailboxes[f"{handle.kind}:{handle.id}"]
    if handle.kind == "callback" and "gone" in box[0]:
        hint = "open another: an address is kept while its session is used, and no longer than retention.history after"
        raise Raised(error_value("callback", box[0]["gone"], hint=hint))
    delivery = box.pop(0) if handle.fields_.get("many") else box[0]
    if handle.kind in ("job", "call"):
        return _job_value(delivery)
    return delivery if handle.fields_.get("full") else delivery["body"]


def ended_jobs(machine: Machine, handles: list[Handle]) -> list[Value]:
    """Of some jobs those that have ended, each with its error, or null. Nothing is waited for."""
    boxes = [(handle, machine.mailboxes.get(f"job:{handle.id}")) for handle in handles]
    return [[handle, box[0]["error"]] for handle, box in boxes if box]


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
