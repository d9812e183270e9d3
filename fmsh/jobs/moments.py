"""A moment of a job: where each of its tasks stands, what it waits for, and every variable, as of an event.

The machine is rebuilt by `engine.states`; here it is only read. What is named as a call in a stack is what a person
calls one: the program, a `def`, a block, a `defer` or an `undo`; the bodies of `if`, `for` and `try` belong to the call
around them. A `within` is a task of its own for the machine, and part of the task around it for people.
"""

from __future__ import annotations

from fmsh.engine import recording, states
from fmsh.errors import InternalError, StoreMissing
from fmsh.jobs.documents import timestamp
from fmsh.jobs.finding import NotPossible
from fmsh.machine.code import UNSET
from fmsh.machine.handles import wait_for_mail
from fmsh.record import Record
from fmsh.render.jobs import request_label

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from fmsh.engine.worker import Worker
    from fmsh.machine.code import Program
    from fmsh.machine.machine import Machine
    from fmsh.machine.state import Frame, Scope, Task
    from fmsh.store.base import EventStore, Job, StoredEvent
    from fmsh.values import ErrorValue, Value

MAIN, BLOCK = "main", "block"
CALLS = {
    "main": MAIN,
    "task": BLOCK,
    "call": BLOCK,
    "block": BLOCK,
    "defer": "defer",
    "undo": "undo",
}  # kinds of frames


class Moment(Record):
    """A job after an event. `event` is what is stored of that event."""

    job: Job
    event: StoredEvent
    program: Program
    worker: Worker

    @property
    def machine(self) -> Machine:
        return self.worker.machine


def moment_at(store: EventStore, job: Job, seq: int, program: Program) -> Moment:
    """Rebuilds a job as it was after event `seq`. Raises: NotPossible: that event is not kept; StoreCorrupt."""
    first = max(job.trimmed_seq, 1)
    if not first <= seq <= job.head:
        message, hint = out_of_range(job, seq, first)
        raise NotPossible(message, hint=hint)
    try:
        worker = states.state_at(store, job, seq, program=program)
        event = next(iter(store.events(job.id, after=seq - 1, limit=1)))
    except StoreMissing as missing:
        raise NotPossible(missing.message, hint=missing.hint) from missing
    except InternalError as fault:
        hint = f"`fmsh jobs log {job.id}` shows what is recorded"
        raise NotPossible(f"job {job.id} cannot be rebuilt as of event {seq}: {fault}", hint=hint) from fault
    return Moment(job, event, program, worker)


def out_of_range(job: Job, seq: int, first: int) -> tuple[str, str]:
    """Says why an event cannot be looked at, and what to do."""
    if job.head == 0:
        return f"job {job.id} has not started yet, so there is nothing of it to inspect", ""
    message = f"event {seq} of job {job.id} "
    if 0 < seq < first:
        hint = "the setting retention.events says how long older events are kept"
        return f"{message}is not kept any more: it can be inspected from event {first} on, up to {job.head}", hint
    return f"{message}does not exist: it can be inspected from event {first} on, up to {job.head}", ""


def moment_json(store: EventStore, moment: Moment) -> dict[str, Value]:
    """Gives a moment as a document. `stack` and `variables` are those of the main task; `tasks` has them of each."""
    machine = moment.machine
    tasks = [_task_json(machine, task) for task in machine.tasks.values() if not _is_within(machine, task)]
    main = tasks[0] if tasks else _left(store, moment)
    return {
        "job": moment.job.id,
        "seq": moment.event.seq,
        "events": moment.job.head,
        "type": moment.event.type,
        "at": timestamp(moment.event.at_ms),
        "stack": main["stack"],
        "variables": main["variables"],
        "tasks": tasks,
    }


def variables_of(machine: Machine) -> dict[str, Value]:
    """Gives the variables of the main task, of the innermost call those that it sees first."""
    task = machine.tasks.get("0")
    if task is not None:
        return _all_variables(frame for _, frame in _frames(machine, task))
    return {} if machine.left is None else _own_variables(machine.left[0])


def _task_json(machine: Machine, task: Task) -> dict[str, Value]:
    frames = list(_frames(machine, task))
    innermost = frames[-1][0] if frames else task
    stack = _stack(machine, [frame for _, frame in frames])
    document: dict[str, Value] = {"task": task.id, "waits_for": _wait_label(machine, innermost), "stack": stack}
    return document | {"variables": _all_variables(frame for _, frame in frames)}


def _left(store: EventStore, moment: Moment) -> dict[str, Value]:
    """What is left of a job that has ended: its own variables, and if it failed the calls that led there."""
    variables = variables_of(moment.machine)
    end = moment.worker.end
    error = None if end is None else end.error
    if moment.event.type == "JobEnded":
        error = getattr(recording.read(store, moment.event), "error", None)
    return {"stack": [] if error is None else _stack_of_error(error), "variables": variables}


def _stack_of_error(error: ErrorValue) -> list[Value]:
    where = error.fields.get("where")
    if not isinstance(where, dict):
        return []
    stack: list[Value] = []
    for call in error.fields.get("trace") or []:
        stack.append({"function": call.get("function"), "where": where})
        where = {name: call.get(name) for name in ("file", "line", "column")}
    return [*stack, {"function": MAIN, "where": where}]


# ---- Frames ----------------------------------------------------------------------------------------------------------


def _is_within(machine: Machine, task: Task) -> bool:
    return task.group is not None and machine.groups[task.group].kind == "within"


def _frames(machine: Machine, task: Task) -> Iterator[tuple[Task, Frame]]:
    """Yields the frames of a task, outermost first, with those of a `within` that it waits for."""
    for frame in task.frames:
        yield task, frame
    if task.waiting is not None and task.waiting[0] == "group":
        group = machine.groups[task.waiting[1]]
        if group.kind == "within":
            for id in group.running:
                yield from _frames(machine, machine.tasks[id])


def _stack(machine: Machine, frames: list[Frame]) -> list[Value]:
    """The calls, innermost first, each with the place where it stands."""
    calls: list[dict[str, Value]] = []
    for frame in frames:
        place = machine.program.place(_node(frame))
        is_part = frame.kind not in CALLS or (frame.kind == "task" and bool(calls))
        if is_part and calls:
            calls[-1]["where"] = place
        else:
            calls.append({"function": frame.code.name or CALLS.get(frame.kind, BLOCK), "where": place})
    return list(reversed(calls))


def _node(frame: Frame) -> int:
    """The syntax node at which a frame stands; that of its whole body once it is being left."""
    instructions = frame.code.instructions
    node: int = instructions[frame.pc][1] if frame.pc < len(instructions) else frame.code.id
    return node


def _all_variables(frames: Iterator[Frame]) -> dict[str, Value]:
    """The variables of frames that are given from the outermost on, with those of the scopes around them."""
    found: dict[str, Value] = {}
    for frame in frames:
        scopes = [frame.scope]
        while scopes[-1].parent is not None:
            scopes.append(scopes[-1].parent)
        for scope in reversed(scopes):
            found |= _own_variables(scope)
    return found


def _own_variables(scope: Scope) -> dict[str, Value]:
    """Of two variables of one name the later one, as soon as it has a value."""
    names = scope.code.variables
    found = {}
    for label, value in zip(scope.code.slots, scope.slots, strict=True):
        name = label.partition("@")[0]
        if value is not UNSET and name in names and " " not in name and label != name:
            found[name] = value
    return found


def _wait_label(machine: Machine, task: Task) -> str | None:
    """What a task waits for, in words; None if it would run on."""
    if task.waiting is None:
        return None
    kind, id = task.waiting
    if kind == "request" and id in machine.pending:
        request = machine.pending[id]
        data: dict[str, Any] = {field: getattr(request, field) for field in ("connector", "operation", "arguments")}
        return f"step {id}: {request_label(data)}"
    found = wait_for_mail(task, id, 0, ())
    if found is not None:
        return f"{found.kind} {found.label}"
    if kind == "stopped":
        return f"a person, as it failed: {machine.stopped[id].error.message}"
    return {"group": "its branches", "leave": "its branches", "room": f"room in channel {id}"}.get(
        kind
    ) or f"{kind} {id}"
