"""The instructions: one function each, and the table of them.

A function either advances its frame's pc, or pushes a frame (whose delivery advances it), or makes the task wait at
this very instruction. It may raise `Raised`: the loop then throws that error at the instruction's node.
"""

from __future__ import annotations

from fmsh.limits import FRAMES_MAX
from fmsh.machine import code as op
from fmsh.machine.code import NO_VALUES, UNSET
from fmsh.machine.handles import ended_jobs, has_for, is_over, is_told, take
from fmsh.machine.interrupts import raise_interrupt
from fmsh.machine.sinks import frames_around, outputs_of_process, owner_of_value, say
from fmsh.machine.state import Frame, Scope
from fmsh.machine.unwind import complete
from fmsh.values import Block, Duration, Handle, raised

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from fmsh.machine.code import Code, Instruction
    from fmsh.machine.machine import Machine
    from fmsh.machine.state import Task
    from fmsh.values import Value


def step_eval(machine: Machine, task: Task, frame: Frame, instruction: Instruction) -> None:
    scope = frame.scope
    scope.slots[instruction[2]] = instruction[3](scope)
    frame.pc += 1


def step_jump(machine: Machine, task: Task, frame: Frame, instruction: Instruction) -> None:
    frame.pc = instruction[2]


def step_branch(machine: Machine, task: Task, frame: Frame, instruction: Instruction) -> None:
    if frame.scope.slots[instruction[2]] is True:
        frame.pc += 1
    else:
        frame.pc = instruction[3]


def step_unless_set(machine: Machine, task: Task, frame: Frame, instruction: Instruction) -> None:
    if frame.scope.slots[instruction[2]] is UNSET:
        frame.pc += 1
    else:
        frame.pc = instruction[3]


def step_request(machine: Machine, task: Task, frame: Frame, instruction: Instruction) -> None:
    if raise_interrupt(machine, task):
        return
    _op, node, _slot, connector, operation, fn = instruction
    machine.ask(task, connector, operation, fn(frame.scope), node)


def step_process(machine: Machine, task: Task, frame: Frame, instruction: Instruction) -> None:
    if raise_interrupt(machine, task):
        return
    _op, node, _slot, fn, mode = instruction
    arguments = {**fn(frame.scope), **outputs_of_process(machine, task, mode)}
    if type(arguments["input"]) is Block:
        from fmsh.machine import streams

        arguments["input"] = streams.read_by(machine, task, arguments["input"])
    machine.ask(task, "process", "run", arguments, node)


def step_fold(machine: Machine, task: Task, frame: Frame, instruction: Instruction) -> None:
    from fmsh.machine import streams  # few programs have any

    if not raise_interrupt(machine, task):
        streams.step_fold(machine, task, frame, instruction)


def step_stream(machine: Machine, task: Task, frame: Frame, instruction: Instruction) -> None:
    from fmsh.machine import streams

    if not raise_interrupt(machine, task):
        streams.step_stream(machine, task, frame, instruction)


def step_pass_on(machine: Machine, task: Task, frame: Frame, instruction: Instruction) -> None:
    from fmsh.machine import streams

    if not raise_interrupt(machine, task):
        streams.step_pass_on(machine, task, frame, instruction)


def step_stream_end(machine: Machine, task: Task, frame: Frame, instruction: Instruction) -> None:
    from fmsh.machine import streams

    streams.step_end(machine, task, frame, instruction)


def step_observe(machine: Machine, task: Task, frame: Frame, instruction: Instruction) -> None:
    _op, _node, _slot, operation, fn = instruction
    machine.observe(task, operation, fn(frame.scope))


def push(machine: Machine, task: Task, frame: Frame, code_id: int, *, kind: str, slot: int, position: str) -> Frame:
    """Starts a body above the current frame."""
    if len(task.frames) >= FRAMES_MAX:
        raise raised("limit", f"calls and blocks are nested more than {FRAMES_MAX} deep (limit FRAMES_MAX)")
    code = machine.program.codes[code_id]
    if position == "tail":
        position = frame.position
    body = Frame(code, Scope(machine.new_scope_id(), code, frame.scope), kind=kind, slot=slot, position=position)
    task.frames.append(body)
    return body


def step_body(machine: Machine, task: Task, frame: Frame, instruction: Instruction) -> None:
    _op, _node, slot, code_id, position = instruction
    push(machine, task, frame, code_id, kind="body", slot=slot, position=position)


def step_once(machine: Machine, task: Task, frame: Frame, instruction: Instruction) -> None:
    _op, _node, slot, code_id, position = instruction
    push(machine, task, frame, code_id, kind="body", slot=slot, position=position).is_once = True


def step_result(machine: Machine, task: Task, frame: Frame, instruction: Instruction) -> None:
    _op, _node, slot, code_id = instruction
    push(machine, task, frame, code_id, kind="result", slot=slot, position="capture")


def step_try(machine: Machine, task: Task, frame: Frame, instruction: Instruction) -> None:
    _op, _node, slot, code_id, catch, catch_slot, finally_, position, _keys = instruction
    body = push(machine, task, frame, code_id, kind="body", slot=slot, position=position)
    body.catch = None if catch is None else (catch, catch_slot)
    body.finally_ = finally_


def step_capture(machine: Machine, task: Task, frame: Frame, instruction: Instruction) -> None:
    _op, _node, slot, code_id, sink, position = instruction
    push(machine, task, frame, code_id, kind="body", slot=slot, position=position).sink = sink


def step_for(machine: Machine, task: Task, frame: Frame, instruction: Instruction) -> None:
    if raise_interrupt(machine, task):
        return
    _op, _node, slot, items_slot, code_id, exit, out, _text = instruction
    slots = frame.scope.slots
    source = slots[items_slot]
    if type(source) is Handle:
        if not has_for(machine, task, source, []):
            return
        is_last = is_over(machine, source)
    else:
        turn = 0 if slots[slot] is UNSET else slots[slot]
        is_last = turn >= len(source)
    if is_last:
        slots[slot] = UNSET
        frame.pc = exit
        return
    body = push(machine, task, frame, code_id, kind="loop", slot=-1, position="drop" if out == NO_VALUES else "capture")
    if type(source) is Handle:
        item = take(machine, source)
    else:
        slots[slot] = turn + 1
        item = source[turn]
    for parameter in body.code.parameters:
        body.scope.slots[parameter] = item
    begin_output(body)


def step_while(machine: Machine, task: Task, frame: Frame, instruction: Instruction) -> None:
    if not raise_interrupt(machine, task):
        push(machine, task, frame, instruction[2], kind="loop", slot=-1, position="drop")


def step_call(machine: Machine, task: Task, frame: Frame, instruction: Instruction) -> None:
    _op, _node, slot, code_id, depth, fn, position = instruction
    values = fn(frame.scope)
    body = push(machine, task, frame, code_id, kind="call", slot=slot, position=position)
    body.outside = task.environment, task.directory
    parent: Scope | None = frame.scope
    for _ in range(depth):
        assert parent is not None
        parent = parent.parent
    body.scope.parent = parent
    for parameter, value in zip(body.code.parameters, values, strict=True):
        body.scope.slots[parameter] = value
    begin_output(body)


def begin_output(frame: Frame) -> None:
    if frame.code.emits:
        frame.output = []


def step_call_block(machine: Machine, task: Task, frame: Frame, instruction: Instruction) -> None:
    _op, _node, slot, fn, position = instruction
    block, arguments = fn(frame.scope)
    if not isinstance(block, Block):
        raise raised("type", "call needs a block", hint="write `call { … }`, or a variable that holds a block")
    body = push(machine, task, frame, block.code.id, kind="block", slot=slot, position=position)
    body.scope.parent = block.scope
    bind_block(body.scope, body.code, arguments)
    begin_output(body)


def bind_block(scope: Scope, code: Code, arguments: list[Value]) -> None:
    """Puts the arguments of a block into its parameters. A block that names none takes one as `$it`, or nothing."""
    count = len(code.parameters)
    is_short = len(arguments) < count and not code.slots[code.parameters[-1]].startswith("it@")
    if len(arguments) > count or is_short:
        takes = "no argument" if count == 0 else "one argument" if count == 1 else f"{count} arguments"
        raise raised("type", f"the block takes {takes}, {len(arguments)} were given")
    for index, parameter in enumerate(code.parameters):
        scope.slots[parameter] = arguments[index] if index < len(arguments) else None


def value_of(frame: Frame) -> Value:
    """The value of a frame that ran to its end: what it emitted, or its last statement's value."""
    if frame.output is not None:
        return frame.output
    value = frame.scope.slots[0]
    return None if value is UNSET else value


def step_return(machine: Machine, task: Task, frame: Frame, instruction: Instruction) -> None:
    complete(machine, task, ("return", instruction[2](frame.scope)))


def step_break(machine: Machine, task: Task, frame: Frame, instruction: Instruction) -> None:
    complete(machine, task, ("break", None))


def step_continue(machine: Machine, task: Task, frame: Frame, instruction: Instruction) -> None:
    complete(machine, task, ("continue", None))


def step_emit(machine: Machine, task: Task, frame: Frame, instruction: Instruction) -> None:
    value = instruction[2](frame.scope)
    for candidate in frames_around(machine, task):
        if candidate.output is not None:
            candidate.output.append(value)
            break
    frame.pc += 1


def step_defer(machine: Machine, task: Task, frame: Frame, instruction: Instruction) -> None:
    frame.cleanup.append((machine.new_serial(), "defer", instruction[2], frame.scope))
    frame.pc += 1


def step_undo(machine: Machine, task: Task, frame: Frame, instruction: Instruction) -> None:
    frame.cleanup.append((machine.new_serial(), "undo", instruction[2], frame.scope))
    frame.pc += 1


def step_display(machine: Machine, task: Task, frame: Frame, instruction: Instruction) -> None:
    _op, _node, fn, when = instruction
    beyond = None
    if when == "uncaptured":
        is_shown = frame.position != "capture"
    elif when == "always":
        is_shown = True
    else:  # the value of a function, block or script, which is what it emits if it emits
        owner = owner_of_value(machine, task, when)
        beyond = owner if when == "returned" else None  # what is kept on the way there is not kept for this
        position = frame.position if when == "show" else owner.position
        is_shown = position == "show" and (owner.output is None) == (when != "emitted")
    if is_shown:
        text, stream, *value = fn(frame.scope)
        if text:
            say(machine, task, text, stream, beyond, *value)
    frame.pc += 1


def step_fail(machine: Machine, task: Task, frame: Frame, instruction: Instruction) -> None:
    machine.throw(task, instruction[2](frame.scope), instruction[1])


def step_exit(machine: Machine, task: Task, frame: Frame, instruction: Instruction) -> None:
    complete(machine, task, ("exit", instruction[2](frame.scope)))


def step_spawn(machine: Machine, task: Task, frame: Frame, instruction: Instruction) -> None:
    if raise_interrupt(machine, task):
        return
    _op, _node, slot, code_id, position = instruction
    if frame.group is None:
        frame.group = machine.new_group("spawn", task).id
    group = machine.groups[frame.group]
    is_captured = position == "capture" or (position == "tail" and frame.position == "capture")
    position = "capture" if is_captured else "drop"  # what nobody can await is shown
    child = machine.start_task(group, task, code_id, frame.scope, [], position=position)
    frame.scope.slots[slot] = Handle("task", child.id, {"id": child.id})
    frame.pc += 1


def step_await(machine: Machine, task: Task, frame: Frame, instruction: Instruction) -> None:
    if raise_interrupt(machine, task):
        return
    awaited = instruction[3](frame.scope)
    handles = awaited if isinstance(awaited, list) else [awaited]
    if not all(isinstance(handle, Handle) for handle in handles):
        raise raised("type", "await needs a callback, task, job or channel, or a list of them")
    if not all(has_for(machine, task, handle, _before(handles, index)) for index, handle in enumerate(handles)):
        return  # nothing is taken before all is there: this is done again on waking
    values = [take(machine, handle) for handle in handles]
    frame.scope.slots[instruction[2]] = values if isinstance(awaited, list) else values[0]
    frame.pc += 1


def _before(handles: list[Handle], index: int) -> list[Handle]:
    """Those before one of the handles, if one of them could take what it is to have."""
    handle = handles[index]
    return handles[:index] if handle.kind == "channel" or handle.fields_.get("many") else []


def step_channel(machine: Machine, task: Task, frame: Frame, instruction: Instruction) -> None:
    from fmsh.machine import channels  # few programs have any

    frame.scope.slots[instruction[2]] = channels.make(machine, instruction[3](frame.scope))
    frame.pc += 1


def step_send(machine: Machine, task: Task, frame: Frame, instruction: Instruction) -> None:
    from fmsh.machine import channels  # few programs have any

    if raise_interrupt(machine, task):
        return
    handle, value = instruction[2](frame.scope)
    if channels.send(machine, task, handle, value):
        frame.pc += 1


def step_close(machine: Machine, task: Task, frame: Frame, instruction: Instruction) -> None:
    from fmsh.machine import channels  # few programs have any

    channels.close(machine, instruction[2](frame.scope))
    frame.pc += 1


def step_each_parallel(machine: Machine, task: Task, frame: Frame, instruction: Instruction) -> None:
    if raise_interrupt(machine, task):
        return
    from fmsh.machine import parallel  # few programs have any

    parallel.begin(machine, task, frame, instruction)


def step_race(machine: Machine, task: Task, frame: Frame, instruction: Instruction) -> None:
    from fmsh.machine import racing  # few programs have any

    racing.step_race(machine, task, frame, instruction)


def step_ended(machine: Machine, task: Task, frame: Frame, instruction: Instruction) -> None:
    _op, _node, slot, fn, waits = instruction
    given = fn(frame.scope)
    handles = [handle for handle in (given if isinstance(given, list) else [given]) if is_told(handle)]
    if waits and (raise_interrupt(machine, task) or not all(has_for(machine, task, handle, []) for handle in handles)):
        return
    frame.scope.slots[slot] = ended_jobs(machine, handles)
    frame.pc += 1


def step_within(machine: Machine, task: Task, frame: Frame, instruction: Instruction) -> None:
    if raise_interrupt(machine, task):
        return
    _op, node, _slot, code_id, fn, position = instruction
    duration = fn(frame.scope)
    if not isinstance(duration, Duration):
        raise raised("type", "a time-out must be a duration such as 30s")
    group = machine.new_group("within", task)
    task.waiting = ("group", group.id)
    group.timer = machine.ask_for_group(group, task, "timer", "sleep", {"duration": duration}, node)
    group.timer_state = "running"
    machine.start_task(
        group, task, code_id, frame.scope, [], position=frame.position if position == "tail" else position
    )


def step_hold(machine: Machine, task: Task, frame: Frame, instruction: Instruction) -> None:
    from fmsh.machine import claims  # few programs have any

    claims.step_hold(machine, task, frame, instruction)


def step_environment(machine: Machine, task: Task, frame: Frame, instruction: Instruction) -> None:
    frame.scope.slots[instruction[2]] = machine.environment_of(task)
    frame.pc += 1


def step_set_environment(machine: Machine, task: Task, frame: Frame, instruction: Instruction) -> None:
    task.environment = {**task.environment, **instruction[2](frame.scope)}
    frame.pc += 1


def step_directory(machine: Machine, task: Task, frame: Frame, instruction: Instruction) -> None:
    _op, _node, slot, fn = instruction
    old = frame.scope.slots[slot] = task.directory
    task.directory = fn(frame.scope)
    task.environment = {**task.environment, "PWD": task.directory, "OLDPWD": old}
    frame.pc += 1


STEPS: dict[int, Callable[[Machine, Task, Frame, Instruction], None]] = {
    op.EVAL: step_eval,
    op.JUMP: step_jump,
    op.BRANCH: step_branch,
    op.UNLESS_SET: step_unless_set,
    op.REQUEST: step_request,
    op.PROCESS: step_process,
    op.OBSERVE: step_observe,
    op.BODY: step_body,
    op.ONCE: step_once,
    op.CAPTURE: step_capture,
    op.RESULT: step_result,
    op.TRY: step_try,
    op.FOR: step_for,
    op.WHILE: step_while,
    op.CALL: step_call,
    op.CALL_BLOCK: step_call_block,
    op.RETURN: step_return,
    op.BREAK: step_break,
    op.CONTINUE: step_continue,
    op.EMIT: step_emit,
    op.DEFER: step_defer,
    op.UNDO: step_undo,
    op.DISPLAY: step_display,
    op.FAIL: step_fail,
    op.EXIT: step_exit,
    op.SPAWN: step_spawn,
    op.AWAIT: step_await,
    op.EACH_PARALLEL: step_each_parallel,
    op.WITHIN: step_within,
    op.ENVIRONMENT: step_environment,
    op.SET_ENVIRONMENT: step_set_environment,
    op.DIRECTORY: step_directory,
    op.CHANNEL: step_channel,
    op.SEND: step_send,
    op.CLOSE: step_close,
    op.RACE: step_race,
    op.FOLD: step_fold,
    op.STREAM: step_stream,
    op.PASS_ON: step_pass_on,
    op.STREAM_END: step_stream_end,
    op.ENDED: step_ended,
    op.HOLD: step_hold,
}
