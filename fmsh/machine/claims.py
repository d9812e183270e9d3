"""Locks and limits: the frames that have one, or wait for it.

A frame has its claim from the moment in which it asks for it, so that it is given back however it is left. `released`
of the machine are the steps of claims whose frames were left: the commit of the turn gives them back.
"""

from __future__ import annotations

from fmsh.machine.interrupts import raise_interrupt
from fmsh.machine.sinks import frames_outwards
from fmsh.values import raised

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from fmsh.machine.code import Instruction
    from fmsh.machine.machine import Machine
    from fmsh.machine.state import Frame, Task


def step_hold(machine: Machine, task: Task, frame: Frame, instruction: Instruction) -> None:
    """Asks for a lock or a place; the answer says whether it is granted, or is to be waited for."""
    if raise_interrupt(machine, task):
        return
    _op, node, _slot, kind, fn = instruction
    arguments = fn(frame.scope)
    around = list(_claims_around(machine, task))
    if any(claim[1:] == (kind, arguments["name"]) for claim in around):
        message = f"this job is inside of `{kind} {arguments['name']}` already, so it would wait for itself"
        raise raised(kind, message, hint="one block around all that needs it is enough")
    inside = sorted(claim[0] for claim in around)
    machine.ask(task, kind, "claim", {**arguments, "inside": inside}, node)
    frame.claim = machine.steps, kind, arguments["name"]


def _claims_around(machine: Machine, task: Task) -> Iterator[tuple[int, str, str]]:
    """The claims whose blocks a task is in, also because the task that started it was."""
    return (frame.claim for frame in frames_outwards(machine, task) if frame.claim is not None)


def held(machine: Machine) -> set[int]:
    """The steps of all claims of a job."""
    return {frame.claim[0] for task in machine.tasks.values() for frame in task.frames if frame.claim is not None}
