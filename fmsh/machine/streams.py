"""Streams: what a request answers bit by bit, in the order and at the speed in which it is taken.

A stream belongs to the frame that opened it (`op.STREAM`), and to no other: that frame is not left before the request
has its outcome. Its items come as `ItemsRead`, and only when a task waits for one (`hungry`). Who leaves the loop early
cancels the request, and waits for that.

A *fold* (`op.FOLD`) is a request like another for the machine: its one answer is the value that the connector's items
come to when they have gone through a chain of stages, which the machine makes for it.
"""

from __future__ import annotations

from fmsh.machine.code import node_of
from fmsh.machine.effects import CancelRequest
from fmsh.machine.sinks import say
from fmsh.machine.state import Stream
from fmsh.values import Handle, Raised, error_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from fmsh.machine.code import Instruction
    from fmsh.machine.events import ItemsRead, RequestCompleted
    from fmsh.machine.machine import Machine
    from fmsh.machine.state import Frame, Task
    from fmsh.values import Value


def open_stream(machine: Machine, task: Task, frame: Frame, step: int) -> Handle:
    """Makes the stream of a request that was just asked for."""
    frame.stream = step
    machine.streams[step] = Stream(step)
    return Handle("stream", str(step), {})


def has_for(machine: Machine, task: Task, handle: Handle) -> bool:
    """Whether a stream has an item, or its end, for a task. If not, the task waits."""
    stream = machine.streams[int(handle.id)]
    if stream.items or stream.outcome is not None:
        return True
    task.waiting = ("items", stream.step)
    return False


def is_over(machine: Machine, handle: Handle) -> bool:
    """Whether a stream has come to its end. Raises: Raised: it ended with an error, and all before that is taken."""
    stream = machine.streams[int(handle.id)]
    if stream.items:
        return False
    assert stream.outcome is not None
    kind, value = stream.outcome
    if kind == "error":
        raise Raised(value)
    return True


def take(machine: Machine, handle: Handle) -> Value:
    return machine.streams[int(handle.id)].items.pop(0)


def hungry(machine: Machine) -> list[int]:
    """The requests whose next items a task waits for."""
    return list(machine.waiters.ids("items"))


def feed(machine: Machine, event: ItemsRead) -> None:
    """Takes a batch in."""
    machine.streams[event.step].items += event.items
    machine.wake_waiting("items", event.step)


def complete(machine: Machine, event: RequestCompleted) -> None:
    """Takes the outcome of a stream's request in."""
    stream = machine.streams[event.step]
    node = machine.pending.pop(event.step).node
    task = machine.tasks[machine.targets.pop(event.step)]  # type: ignore[index]
    machine.unwanted.discard(event.step)
    if event.is_cancelled or event.error is not None:
        error = machine.located(task, event.error or error_value("cancelled", "the effect was cancelled"), node)
        stream.outcome = ("cancelled" if event.is_cancelled else "error"), error
    else:
        stream.outcome = "value", event.value
        if event.value.get("errors"):
            say(machine, task, event.value["errors"], "err")
    if task.waiting == ("stream", event.step):
        if task.frames[-1].completion is not None:
            machine.leave_in_turn(task)
        else:
            task.waiting = None
            machine.wake(task)
    machine.wake_waiting("items", event.step)


def step_end(machine: Machine, task: Task, frame: Frame, instruction: Instruction) -> None:
    """After the loop: sees that the request has ended. Its value is null where the loop was left before."""
    stream = machine.streams[_own(frame)]
    is_early = bool(stream.items) or stream.outcome is None or stream.is_early
    if not _is_ended(machine, task, stream):
        stream.is_early = True
        return
    assert stream.outcome is not None
    kind, value = stream.outcome
    _forget(machine, frame)
    frame.scope.slots[instruction[2]] = value if kind == "value" and not is_early else None
    frame.pc += 1


def is_left(machine: Machine, task: Task, frame: Frame) -> bool:
    """Ends the stream of a frame that is being left. False: its request has no outcome yet, and the task waits."""
    if not _is_ended(machine, task, machine.streams[_own(frame)]):
        return False
    _forget(machine, frame)
    return True


def _own(frame: Frame) -> int:
    assert frame.stream is not None
    return frame.stream


def _is_ended(machine: Machine, task: Task, stream: Stream) -> bool:
    if stream.outcome is not None:
        return True
    if stream.step not in machine.unwanted:
        machine.unwanted.add(stream.step)
        machine.effects.append(CancelRequest(stream.step))
    task.waiting = ("stream", stream.step)
    return False


def _forget(machine: Machine, frame: Frame) -> None:
    del machine.streams[_own(frame)]
    frame.stream = None


def chain_maker(machine: Machine, step: int) -> Callable[[], Any] | None:
    """Gives what makes the chain of stages that a pending request's items go through; None if it has none."""
    task = machine.tasks.get(machine.pending[step].task)
    if task is None or machine.pending[step].arguments.get("output") not in ("fold", "stream"):
        return None
    frame = task.frames[-1]
    pc = frame.pc
    if step in machine.streams:
        frame = next(frame for frame in task.frames if frame.stream == step)
        pc = frame.code.stream_pc
    make = frame.code.instructions[pc][4]

    def made() -> Any:
        chain = make(frame.scope)
        chain.locate = lambda problem, node: machine.located(task, problem.error, node_of(problem) or node)
        return chain

    return made
