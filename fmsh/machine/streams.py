"""Streams: what a request answers bit by bit, in the order and at the speed in which it is taken.

A stream belongs to the frame that opened it (`op.STREAM`), and to no other: that frame is not left before the request
has its outcome. Its items come as `ItemsRead`, and only when a task waits for one (`hungry`). Who leaves the loop early
cancels the request, and waits for that.

A *fold* (`op.FOLD`) is a request like another for the machine: its one answer is the value that the connector's items
come to when they have gone through a chain of stages, which the machine makes for it.

What is read may turn out to be no source but a value (`sources`). Then nothing is asked for: its items go through the
stages here, at once.
"""

from __future__ import annotations

from fmsh.machine import parallel
from fmsh.machine.code import PROCESS, node_of
from fmsh.machine.effects import CancelRequest
from fmsh.machine.sinks import outputs_of_process, say
from fmsh.machine.sources import begun, source_of
from fmsh.machine.state import Stream
from fmsh.machine.unwind import keep_values, place_of
from fmsh.values import Block, Handle, Raised, error_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from fmsh.machine.code import Instruction
    from fmsh.machine.events import ItemsRead, RequestCompleted
    from fmsh.machine.machine import Machine
    from fmsh.machine.sources import Source
    from fmsh.machine.state import Frame, Task
    from fmsh.values import Value


WRITTEN_ITEMS_MAX = 100_000  # some MiB of text at the most, if the stages write lines as others do


def step_fold(machine: Machine, task: Task, frame: Frame, instruction: Instruction) -> None:
    """Asks for all that a source comes to. Without stages that is its text."""
    source = _begin(machine, task, frame, instruction)
    if source.arguments is not None:
        _ask(machine, task, source, how="fold" if source.makers else "capture")
        return
    frame.scope.slots[instruction[2]] = {"statuses": [], "value": _worked_through(machine, task, source)}
    frame.pc += 1


def step_stream(machine: Machine, task: Task, frame: Frame, instruction: Instruction) -> None:
    """Opens a stream, and makes the frame its owner."""
    source = _begin(machine, task, frame, instruction)
    if source.arguments is None:
        opened = _worked_through(machine, task, source)
    else:
        _ask(machine, task, source, how="stream")
        task.waiting = None
        frame.stream = machine.steps
        machine.streams[frame.stream] = Stream(frame.stream)
        opened = Handle("stream", str(frame.stream), {})
    frame.scope.slots[instruction[2]] = opened
    frame.pc += 1


def _begin(machine: Machine, task: Task, frame: Frame, instruction: Instruction) -> Source:
    """Finds out what is read. Where it was begun elsewhere, an error has to tell of that place."""
    source = source_of(instruction, frame.scope)
    if type(instruction[5]) is int:
        frame.scope.slots[instruction[5]] = {"names": source.names, "where": place_of(machine, task, source.node)}
    return source


def _ask(machine: Machine, task: Task, source: Source, *, how: str) -> None:
    assert source.arguments is not None
    arguments = {**source.arguments, "output": how}
    if "source" in arguments:
        connector, operation = arguments.pop("source")
        machine.ask(task, connector, operation, arguments, source.node)
        return
    given = read_by(machine, task, arguments["input"])
    arguments |= {**outputs_of_process(machine, task, "capture"), "output": how, "input": given}
    machine.ask(task, "process", "run", arguments, source.node)


def read_by(machine: Machine, task: Task, given: Value) -> Value:
    """What a process reads, as its request says it: a source becomes the request that is made of it meanwhile.

    The items of a short range are written out, since a process that has all of its input outlives us.
    """
    if type(given) is not Block:
        return given
    source = begun(given)
    if source.arguments is None and len(source.items) <= WRITTEN_ITEMS_MAX:
        return "".join(_worked_through(machine, task, source))
    if source.arguments is None:
        return {"fed": {"source": ["range", "read"], "range": source.items}}
    assert "source" in source.arguments, source.arguments
    return {"fed": source.arguments}


def input_maker(machine: Machine, step: int) -> Callable[[], Any]:
    """Gives what makes the chain of stages before a pending process that reads a source."""
    task, frame, pc = _place_of(machine, step)
    instruction = frame.code.instructions[pc]
    if instruction[0] == PROCESS:
        given = instruction[3](frame.scope)["input"]
    else:
        arguments = source_of(instruction, frame.scope).arguments
        assert arguments is not None
        given = arguments["input"]
    source = begun(given)
    return lambda: _located(machine, task, source.chain())


def _worked_through(machine: Machine, task: Task, source: Source) -> Value:
    """What the stages of a source make of the items of a value."""
    chain = _located(machine, task, source.chain())
    if chain is None or type(source.items) is Handle:  # a channel is its own stream, and no stage takes it
        return source.items
    made = [*chain.feed(source.items), *chain.finish()]
    return chain.value() if chain.is_fold else made


def _located(machine: Machine, task: Task, chain: Any) -> Any:
    """Gives a chain what puts the place of a failure into its error."""
    if chain is not None:
        chain.locate = lambda problem, node: machine.located(task, problem.error, node_of(problem) or node)
    return chain


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


def step_pass_on(machine: Machine, task: Task, frame: Frame, instruction: Instruction) -> None:
    """Takes all that is there of a stream, or the list that it turned out to be, and shows or keeps it as it is."""
    _op, _node, items_slot, exit, out, text = instruction
    source = frame.scope.slots[items_slot]
    if type(source) is not Handle:
        keep_values(machine, task, list(source), out, text)
        frame.pc = exit
    elif has_for(machine, task, source):
        if is_over(machine, source):
            frame.pc = exit
            return
        stream = machine.streams[int(source.id)]
        items, stream.items = stream.items, []
        keep_values(machine, task, items, out, text)


def hungry(machine: Machine) -> list[int]:
    """The requests whose next items are waited for, by a task or by an `each --parallel`."""
    taken = [stream.step for stream in machine.streams.values() if parallel.is_hungry(machine, stream)]
    return [*machine.waiters.ids("items"), *taken]


def feed(machine: Machine, event: ItemsRead) -> None:
    """Takes a batch in."""
    stream = machine.streams[event.step]
    stream.items += event.items
    machine.wake_waiting("items", event.step)
    parallel.hear(machine, stream)


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
    parallel.hear(machine, stream)


def step_end(machine: Machine, task: Task, frame: Frame, instruction: Instruction) -> None:
    """After the loop: sees that the request has ended. Its value is null where the loop was left before."""
    if frame.stream is None:  # it was a value
        frame.scope.slots[instruction[2]] = None
        frame.pc += 1
        return
    stream = machine.streams[frame.stream]
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
    request = machine.pending[step]
    if request.task not in machine.tasks or request.arguments.get("output") not in ("fold", "stream"):
        return None
    task, frame, pc = _place_of(machine, step)
    source = source_of(frame.code.instructions[pc], frame.scope)
    return lambda: _located(machine, task, source.chain())


def _place_of(machine: Machine, step: int) -> tuple[Task, Frame, int]:
    """The instruction that asked for a pending step which reads something."""
    task = machine.tasks[machine.pending[step].task]
    if step not in machine.streams:
        return task, task.frames[-1], task.frames[-1].pc
    frame = next(frame for frame in task.frames if frame.stream == step)
    return task, frame, frame.code.stream_pc
