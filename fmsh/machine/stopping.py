"""Jobs that are held: where nothing would catch an error, its task stops at the very instruction, and nothing unwinds.

A person then has the instruction done again (`retry`; with the request whose answer failed, if that is what it judges),
says what that request came to (`outcome`), or cancels the job. What runs beside a stopped task comes to rest by itself.
"""

from __future__ import annotations

from fmsh.machine import code as op
from fmsh.machine.effects import Request
from fmsh.machine.sinks import frames_outwards, take_output
from fmsh.machine.state import CLEANUP

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fmsh.machine.machine import Machine
    from fmsh.machine.state import Frame, Task
    from fmsh.values import ErrorValue, Value

HANDLING_GROUPS = ("race",)  # a failure of one of their tasks is not theirs


class Stop:
    """A task that has stopped: why, and at which request, if an answer of one is what failed."""

    __slots__ = ("error", "request")

    def __init__(self, error: ErrorValue, request: Request | None) -> None:
        self.error = error
        self.request = request


def stop(machine: Machine, task: Task, error: ErrorValue) -> bool:
    """Stops a task of a held job before an error of its instruction unwinds anything; False: it is not to stop."""
    if not _stops(machine, task, error):
        return False
    answered = task.answered if _judges_an_answer(task) else None
    machine.stopped[task.id] = Stop(error, answered)
    task.waiting = ("stopped", task.id)
    return True


def _stops(machine: Machine, task: Task, error: ErrorValue) -> bool:
    """Whether nothing catches an error, and it is not of a cancel or of cleanup."""
    if error.kind == "cancelled" or task.cancel != "no" or _is_in_race(machine, task):
        return False
    return not any(
        frame.kind == "result" or frame.kind in CLEANUP or frame.catch is not None
        for frame in frames_outwards(machine, task)
    )


def _is_in_race(machine: Machine, task: Task) -> bool:
    current = task
    while current.group is not None:
        group = machine.groups[current.group]
        if group.kind in HANDLING_GROUPS:
            return True
        current = machine.tasks[group.owner]
    return False


def _judges_an_answer(task: Task) -> bool:
    """Whether the instruction of a task is a request, or what looks at the outcome of a process right after it."""
    frame = task.frames[-1]
    return frame.code.instructions[frame.pc][0] == op.REQUEST or _is_after_process(frame)


def _is_after_process(frame: Frame) -> bool:
    instruction = frame.code.instructions[frame.pc]
    before = frame.code.instructions[frame.pc - 1] if frame.pc > 0 else (None, None)
    return instruction[0] == op.EVAL and before[0] in (op.PROCESS, op.FOLD) and before[1] == instruction[1]


def take_up(machine: Machine, kind: str, data: Value) -> None:
    """Takes what a person says of a stopped job."""
    if kind == "retry":
        _do_again(machine)
    else:
        _take_outcome(machine, data["step"], data["value"])


def _do_again(machine: Machine) -> None:
    """Does again what all stopped tasks failed at. A request keeps the idempotency key that it had."""
    for task, stopped in _take(machine):
        if stopped.request is not None:
            task.again = stopped.request.key_step or stopped.request.step
            if _is_after_process(task.frames[-1]):
                task.frames[-1].pc -= 1


def _take_outcome(machine: Machine, step: int, outcome: Value) -> None:
    """Takes what a person says a step came to, in place of its answer; the other tasks stay stopped."""
    for task, stopped in _take(machine, step):
        assert stopped.request is not None
        if _is_after_process(task.frames[-1]):
            task.frames[-1].pc -= 1
            outcome = take_output(machine, task, stopped.request, outcome)
        machine._continue(task, outcome)


def _take(machine: Machine, step: int | None = None) -> list[tuple[Task, Stop]]:
    """Wakes stopped tasks: all, or that of a step."""
    found = []
    for id, stopped in list(machine.stopped.items()):
        if step is None or (stopped.request is not None and stopped.request.step == step):
            del machine.stopped[id]
            task = machine.tasks[id]
            task.waiting = None
            machine.wake(task)
            found.append((task, stopped))
    return found


def stopped_request(machine: Machine) -> Request | None:
    """The request at which a job has stopped, the first if there are several."""
    return next((stopped.request for stopped in machine.stopped.values() if stopped.request is not None), None)


def to_wire(machine: Machine) -> list[list[Value]]:
    return [
        [id, stopped.error, None if stopped.request is None else _fields(stopped.request)]
        for id, stopped in machine.stopped.items()
    ]


def _fields(request: Request) -> list[Value]:
    return [getattr(request, field) for field in request.fields]


def from_wire(machine: Machine, saved: list[list[Value]]) -> None:
    for id, error, fields in saved:
        machine.stopped[id] = Stop(error, None if fields is None else Request(*fields))
