"""Where what a job says goes: to whoever looks, or into a frame that keeps it (`op.CAPTURE`).

The nearest frame with a sink around a task decides, also for the tasks that were started in it. A process whose output
is kept runs with it captured, and says it when it has ended.
"""

from __future__ import annotations

from fmsh.machine.effects import Display

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from fmsh.machine.effects import Request
    from fmsh.machine.machine import Machine
    from fmsh.machine.state import Frame, Task
    from fmsh.values import Value


def say(machine: Machine, task: Task, text: str, stream: str, beyond: Frame | None = None, value: Value = None) -> None:
    """Shows a text, or keeps it in a frame, which may have to lie beyond another. `value` as in `Display`."""
    frame, stream = _destination(machine, task, stream, beyond)
    if frame is None:
        machine.effects.append(Display(text, stream, value))
    else:
        frame.shown.append([stream, text])


def outputs_of_process(machine: Machine, task: Task, mode: str) -> dict[str, Value]:
    """How a process is to be run: `errors` is there where all that it says on stderr is wanted."""
    is_displayed = _is_displayed(task, mode)
    is_kept = _is_job_value(machine, task, mode) or _destination(machine, task, "out") != (None, "out")
    arguments = {"output": "display" if is_displayed and not is_kept else "capture"}
    if _destination(machine, task, "err") != (None, "err"):
        arguments["errors"] = "capture"
    return arguments


def take_output(machine: Machine, task: Task, request: Request, value: Value) -> Value:
    """Says what a process wrote that is not its value; gives its outcome without it.

    What a person answers for a process that was run to be displayed is not shown again: it was seen, or it is lost.
    """
    if type(value) is not dict:
        return value
    frame = task.frames[-1]
    mode = frame.code.instructions[frame.pc][4]
    if _is_displayed(task, mode):
        if value.get("output") and request.arguments["output"] == "capture":
            say(machine, task, value["output"], "out")
        if not _is_job_value(machine, task, mode):
            value = {**value, "output": None}
    if value.get("errors"):
        say(machine, task, value["errors"], "err")
    return {name: item for name, item in value.items() if name != "errors"}


def _is_displayed(task: Task, mode: str) -> bool:
    """Whether what a process writes is shown; `mode` is that of its instruction."""
    return mode == "display" or (mode == "tail" and task.frames[-1].position != "capture")


def _is_job_value(machine: Machine, task: Task, mode: str) -> bool:
    """Whether what a displayed process writes is also the value of the job, which somebody asked for."""
    return machine.facts.wanted == "whole" and mode == "tail" and task.frames[-1].position == "show"


def owner_of_value(machine: Machine, task: Task, when: str) -> Frame:
    """The frame of the function, block or script whose value a statement may be; `when` is as in the instruction."""
    found = (frame for frame in frames_around(machine, task) if _is_returned_from(frame))
    return next(frame for frame in found if when == "show" or frame.sink is None)


def frames_around(machine: Machine, task: Task) -> Iterator[Frame]:
    """The frames of a task, innermost first; a `within` is no border: its body belongs to the frame around it."""
    while task.group is not None and machine.groups[task.group].kind == "within":
        yield from reversed(task.frames[1:])
        task = machine.tasks[machine.groups[task.group].owner]
    yield from reversed(task.frames)


def _is_returned_from(frame: Frame) -> bool:
    """Whether a frame is that of a function, block or script, which `return` ends."""
    if frame.sink is not None:
        return True
    return frame.kind in ("main", "task", "call", "block") or (frame.kind == "loop" and frame.position == "capture")


def _destination(machine: Machine, task: Task, stream: str, beyond: Frame | None = None) -> tuple[Frame | None, str]:
    for frame in frames_outwards(machine, task):
        if beyond is not None:
            beyond = None if frame is beyond else beyond
            continue
        goes_to = "" if frame.sink is None else frame.sink[stream]
        if goes_to == "keep":
            return frame, stream
        stream = goes_to or stream
    return None, stream


def frames_outwards(machine: Machine, task: Task) -> Iterator[Frame]:
    """The frames around what a task does, innermost first: its own, and those of its owners in which it was started."""
    yield from reversed(task.frames)
    while task.group is not None:
        group = machine.groups[task.group]
        task = machine.tasks[group.owner]
        frames = task.frames
        if group.kind == "spawn":  # its owner runs on, and may be in other blocks by now
            count = next(at for at, frame in enumerate(frames, 1) if frame.group == group.id)
            frames = frames[:count]
        yield from reversed(frames)
