"""Races: blocks that run together, of which the first to succeed gives the value and the others are undone.

A race is won by the first task that ends with a value, `defer` included. The others are cancelled; one that comes to
its end all the same, because nothing in it waited any more, is left as cancelled, so that its `undo` runs. A task that
fails only drops out; when all have, the race fails as the first of them did. `exit` ends the job as it does anywhere.
"""

from __future__ import annotations

from fmsh.machine import interrupts
from fmsh.machine.state import winner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fmsh.machine.code import Instruction
    from fmsh.machine.machine import Machine
    from fmsh.machine.state import Completion, Frame, Group, Task


def step_race(machine: Machine, task: Task, frame: Frame, instruction: Instruction) -> None:
    """Starts one task for each number from 0; the code runs the block of its number."""
    if interrupts.raise_interrupt(machine, task):
        return
    _op, _node, _slot, code_id, fn = instruction
    group = machine.new_group("race", task)
    task.waiting = ("group", group.id)
    for number in range(fn(frame.scope)):
        machine.start_task(group, task, code_id, frame.scope, [number], position="capture")


def end_racer(machine: Machine, group: Group, completion: Completion) -> None:
    """A task of a race has ended."""
    if completion[0] == "exit":
        group.error = group.error or completion
    if completion[0] in ("value", "exit"):
        interrupts.cancel_children(machine, group)
    elif not group.running and group.error is None and winner(group) is None:
        group.error = next((failed for failed in group.results.values() if failed[0] == "error"), None)
