"""Leaving bodies: the one routine through which every value, error, return, break, cancel and exit passes.

A frame is left in this order, whatever the reason: the tasks that it spawned end (cancelled first if it fails), its
`defer` and, if it fails, its `undo` entries run, last first; then a `catch`, then a `finally`. What runs meanwhile is
an ordinary frame above it, whose own completion resumes the leaving, so a snapshot may fall anywhere in between.
"""

from __future__ import annotations

from fmsh.machine.code import FOR, NO_VALUES, UNKEPT
from fmsh.machine.sinks import owner_of_value, say
from fmsh.machine.state import Frame, Scope, is_failing, winner
from fmsh.values import ErrorValue, error_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from fmsh.machine.machine import Machine
    from fmsh.machine.state import CleanupEntry, Completion, Group, Task
    from fmsh.values import Value

LAST_ITEMS_MAX = 10_000  # of what was shown item by item


def complete(machine: Machine, task: Task, completion: Completion) -> None:
    """Ends the top frame of a task, and those below it, until one can run on or the task is over."""
    while True:
        frame = task.frames[-1]
        frame.completion = completion
        if not _leave(machine, task, frame):
            return
        completion = frame.completion
        undos = [] if is_failing(completion) else [entry for entry in frame.cleanup if entry[1] == "undo"]
        task.frames.pop()
        if frame.claim is not None:
            machine.released.append(frame.claim[0])
        if frame.outside is not None:
            task.environment, task.directory = frame.outside
        if not task.frames:
            if frame.kind == "main":
                machine.left = frame.scope, task
            if completion[0] == "return" and frame.output is not None:
                completion = "return", frame.output
            machine.end_task(task, completion, undos)
            return
        below = task.frames[-1]
        if undos:
            _move_up(below.cleanup, undos)
        remaining = _deliver(machine, task, frame, below, completion)
        if remaining is None:
            return
        completion = remaining


def _move_up(entries: list[CleanupEntry], undos: list[CleanupEntry]) -> None:
    entries.extend(undos)
    entries.sort(key=lambda entry: entry[0])


def _leave(machine: Machine, task: Task, frame: Frame) -> bool:
    """Takes the next step of leaving. True: the frame is done, with `frame.completion`; False: something runs first."""
    if frame.kind == "task":
        _leave_lost(machine, task, frame)
    completion = frame.completion
    assert completion is not None
    if frame.stream is not None:
        from fmsh.machine import streams  # few programs have any

        if not streams.is_left(machine, task, frame):
            return False
    if frame.group is not None:
        group = machine.groups[frame.group]
        if is_failing(completion):
            machine.cancel_children(group)
        if group.running:
            task.waiting = ("leave", group.id)
            return False
        _close_spawned(machine, frame, group)
        completion = frame.completion
        assert completion is not None
    failing = is_failing(completion)
    for index in reversed(range(len(frame.cleanup))):
        if failing or frame.cleanup[index][1] == "defer":
            _push_cleanup(machine, task, frame.cleanup.pop(index))
            return False
    return _leave_handlers(machine, task, frame, completion)


def _leave_lost(machine: Machine, task: Task, frame: Frame) -> None:
    """Makes a cancel of what a task ends with, if its race is won already, so that its `undo` runs."""
    assert frame.completion is not None
    if task.group is None or frame.completion[0] in ("error", "cancel"):
        return
    group = machine.groups[task.group]
    if group.kind == "race" and winner(group) is not None:
        frame.completion = "cancel", error_value("cancelled", "another block won the race")


def _close_spawned(machine: Machine, frame: Frame, group: Group) -> None:
    failure = machine.results[group.failed[0]] if group.failed else None
    del machine.groups[group.id]
    for ended in group.items:
        del machine.results[ended]
    frame.group = None
    _move_up(frame.cleanup, group.undos)
    assert frame.completion is not None
    if failure is not None and not is_failing(frame.completion):
        frame.completion = failure


def _push_cleanup(machine: Machine, task: Task, entry: CleanupEntry) -> None:
    _serial, kind, code_id, scope = entry
    code = machine.program.codes[code_id]
    task.frames.append(Frame(code, Scope(machine.new_scope_id(), code, scope), kind=kind))


def _leave_handlers(machine: Machine, task: Task, frame: Frame, completion: Completion) -> bool:
    kind, value = completion
    if frame.catch is not None and kind == "error":
        code_id, slot = frame.catch
        frame.catch = None
        assert frame.scope.parent is not None
        code = machine.program.codes[code_id]
        scope = Scope(machine.new_scope_id(), code, frame.scope.parent)
        if slot >= 0:
            scope.slots[slot] = value
        task.frames.append(Frame(code, scope, kind="catch", position=frame.position))
        return False
    if frame.finally_ is not None:
        code = machine.program.codes[frame.finally_]
        frame.catch = frame.finally_ = None
        task.frames.append(Frame(code, Scope(machine.new_scope_id(), code, frame.scope.parent), kind="finally"))
        return False
    return True


def _deliver(machine: Machine, task: Task, frame: Frame, below: Frame, completion: Completion) -> Completion | None:
    """Hands a frame's completion to the one below. None: that one runs on; else it is left with what is returned."""
    kind, value = completion
    if frame.kind in ("defer", "undo", "catch", "finally"):
        return _resume_leaving(machine, task, frame, below, completion)
    if frame.kind == "loop":
        return _deliver_turn(machine, task, frame, completion)
    if frame.kind == "result" and kind in ("value", "error"):
        is_ok = kind == "value"
        _store(below, frame.slot, {"ok": is_ok, "value": value if is_ok else None, "error": None if is_ok else value})
        return None
    if kind == "value" or (kind == "return" and frame.kind in ("call", "block")):
        value = value if frame.output is None else frame.output
        _store(below, frame.slot, value if frame.sink is None else {"shown": frame.shown, "value": value})
        return None
    if kind == "error" and frame.kind == "call" and frame.code.name:
        return kind, with_call(machine, value, frame, below)
    return completion


def _store(below: Frame, slot: int, value: Value) -> None:
    if slot >= 0:
        below.scope.slots[slot] = value
    below.pc += 1


def _deliver_turn(machine: Machine, task: Task, frame: Frame, completion: Completion) -> Completion | None:
    kind, value = completion
    below = task.frames[-1]
    instruction = below.code.instructions[below.pc]
    if kind == "break":
        below.pc = instruction[5] if instruction[0] == FOR else instruction[3]
    elif instruction[0] != FOR and kind in ("value", "continue"):
        below.pc += 1
    elif instruction[0] == FOR and instruction[6] != NO_VALUES and kind in ("value", "continue", "return"):
        keep_values(machine, task, [value if frame.output is None else frame.output], *instruction[6:])
    elif kind not in ("value", "continue"):
        return completion
    return None


def keep_values(
    machine: Machine, task: Task, values: list[Value], out: int, text: Callable[[list[Value]], str] | None
) -> None:
    """Adds values of turns to the loop's. If they are shown, then at once, and nobody may want them: a stream may have
    no end. What is too much for `$last` is null.
    """
    below = task.frames[-1]
    wanted = "whole"
    if text is not None and below.position == "show" and owner_of_value(machine, task, "show").output is None:
        wanted = machine.facts.wanted
        if shown := text(values):
            say(machine, task, shown, "out")
    if out == UNKEPT or not wanted or below.scope.slots[out] is None:
        return
    below.scope.slots[out] += values
    if wanted == "last" and len(below.scope.slots[out]) > LAST_ITEMS_MAX:
        below.scope.slots[out] = None


def _resume_leaving(machine: Machine, task: Task, frame: Frame, below: Frame, completion: Completion) -> Completion:
    """Cleanup or a handler has ended: says with which completion the frame below goes on being left."""
    assert below.completion is not None
    kind, value = completion
    if frame.kind == "catch":
        return completion
    if kind == "value" or (kind == "return" and frame.kind != "finally"):
        return below.completion
    if frame.kind == "undo":
        if kind in ("error", "cancel"):  # also when a person cancels a step of it: it is not done
            machine.undo_errors.append(value)
        elif kind == "exit" and value != 0:
            machine.undo_errors.append(error_value("exit", f"an undo ended with `exit {value}`", status=value))
        return below.completion
    if not is_failing(below.completion):
        return completion
    return below.completion if kind != "error" else _with_suppressed(machine, task, below.completion, value)


def _with_suppressed(machine: Machine, task: Task, first: Completion, later: ErrorValue) -> Completion:
    """What a frame is left with whose cleanup failed too: the first reason, which tells of the later error."""
    kind, value = first
    if kind == "exit":
        say(machine, task, f"a cleanup failed on the way to `exit {value}`: {later.message}\n", "err")
        return first
    return kind, ErrorValue({**value.fields, "suppressed": [*value.fields.get("suppressed", []), later]})


def place_of(machine: Machine, task: Task, node: int) -> Value:
    """The place that an error names: of a node of the standard library, that of the call that led there."""
    frames = [frame for frame in reversed(task.frames) if frame.pc < len(frame.code.instructions)]
    nodes = (node, *(frame.code.instructions[frame.pc][1] for frame in frames))
    return machine.program.place(next(each for each in nodes if not machine.program.is_standard(each)))


def with_call(machine: Machine, error: ErrorValue, frame: Frame, below: Frame) -> ErrorValue:
    """Adds one call to the chain of calls that an error shows."""
    node = below.code.instructions[below.pc][1]
    if machine.program.is_standard(frame.code.id) or machine.program.is_standard(node):
        return error
    call = {"function": frame.code.name, **machine.program.place(node)}
    return ErrorValue({**error.fields, "trace": [*error.fields.get("trace", []), call]})
