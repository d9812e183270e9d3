"""Snapshots: the state of a machine as JSON text, and back.

Everything is named so that a newer compiler's code of the same tree can go on from it: code by its node, slots by their
stable names, wait points by node and operation. Scopes are written once by id; a block is its code and its scope.
"""

from __future__ import annotations

from fmsh import wire
from fmsh.machine.code import UNSET
from fmsh.machine.effects import Request
from fmsh.machine.facts import Facts
from fmsh.machine.state import Frame, Group, Scope, Stream, Task
from fmsh.values import Block, ErrorValue, Handle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from fmsh.machine.channels import Channel
    from fmsh.machine.code import Code, Program
    from fmsh.machine.machine import Machine
    from fmsh.machine.state import CleanupEntry
    from fmsh.values import Secret, Value

VERSION = 1
# Connectors whose requests are answered by a handle with a mailbox.
MAKERS = ("callback", "job", "topic", "person", "function", "lock", "limit")
COUNTERS = ("instructions", "steps", "observations", "scopes", "serials", "groups_made", "channels_made")


def save(machine: Machine) -> str:
    """Writes the state. The machine must be quiescent."""
    scopes = _live_scopes(machine)
    state = {
        "version": VERSION,
        "facts": {field: getattr(machine.facts, field) for field in machine.facts.fields},
        "counters": {name: getattr(machine, name) for name in COUNTERS},
        "tasks": [_save_task(task) for task in machine.tasks.values()],
        "groups": [_save_group(machine.program, group) for group in machine.groups.values()],
        "pending": [[getattr(request, field) for field in request.fields] for request in machine.pending.values()],
        "targets": [[step, target] for step, target in machine.targets.items()],
        "unwanted": sorted(machine.unwanted),
        "mailboxes": machine.mailboxes,
        "mailboxes_since": machine.mailboxes_since,
        "results": machine.results,
        "undo_errors": machine.undo_errors,
        "is_ended": machine.is_ended,
    }
    state["scope_table"] = [_save_scope(scope) for scope in scopes]
    if machine.stopped:
        from fmsh.machine import stopping

        state["stopped"] = stopping.to_wire(machine)
    if machine.streams:
        state["streams"] = [[s.step, s.items, s.outcome, s.is_early, s.group] for s in machine.streams.values()]
    if machine.channels:
        state["channels"] = [_save_channel(channel) for channel in machine.channels.values()]
    return wire.encode(state)


def _live_scopes(machine: Machine) -> list[Scope]:
    """Every scope that a frame, a cleanup entry, a group or a block in a live value refers to, by id.

    A channel or a mailbox that no live value names any more is forgotten on the way.
    """
    found: dict[int, Scope] = {}
    named: set[tuple[str, str]] = set()
    waiting: list[Any] = [list(machine.results.values())]
    for task in machine.tasks.values():
        for frame in task.frames:
            waiting += [frame.scope, frame.output, frame.completion, [entry[3] for entry in frame.cleanup]]
    for group in machine.groups.values():
        waiting += [group.scope, group.items, group.error, group.interrupted, list(group.results.values())]
        waiting.append([entry[3] for entry in group.undos])
    while waiting:
        item = waiting.pop()
        kind = type(item)
        if kind is Block:
            item, kind = item.scope, Scope
        if kind is Scope:
            if item.id not in found:
                found[item.id] = item
                waiting += [item.parent, *item.slots]
        elif kind is list or kind is tuple:
            waiting.extend(part for part in item if type(part) in _CONTAINERS)
        elif kind is dict:
            waiting.extend(part for part in item.values() if type(part) in _CONTAINERS)
        elif kind is ErrorValue:
            waiting.append(item.fields)
        elif kind is Handle and (item.kind, item.id) not in named:
            named.add((item.kind, item.id))
            waiting.append(_kept_for(machine, item))
    _forget_unnamed(machine, named)
    return [found[id] for id in sorted(found)]


def _kept_for(machine: Machine, handle: Handle) -> Any:
    if handle.kind == "channel":
        channel = machine.channels.get(handle.id)
        return None if channel is None else list(channel.items)
    return machine.mailboxes.get(f"{handle.kind}:{handle.id}")


def _forget_unnamed(machine: Machine, named: set[tuple[str, str]]) -> None:
    """Forgets what nobody can take any more: an endless job makes a channel or awaits a job in each of its turns.

    A delivery may come before the request that makes its handle is complete, but not before that was made.
    """
    for id in [id for id in machine.channels if ("channel", id) not in named]:
        del machine.channels[id]
    making = [request.step for request in machine.pending.values() if request.connector in MAKERS]
    for mailbox, after_step in list(machine.mailboxes_since.items()):
        if mailbox.startswith("inbox:"):  # whoever writes `inbox NAME` has its handle
            continue
        if tuple(mailbox.split(":", 1)) not in named and after_step < min(making, default=after_step + 1):
            del machine.mailboxes[mailbox], machine.mailboxes_since[mailbox]


_CONTAINERS = (list, tuple, dict, Block, Scope, ErrorValue, Handle)


def _save_channel(channel: Channel) -> list[Any]:
    return [channel.id, channel.capacity, channel.is_closed, list(channel.senders), list(channel.items)]


def _save_scope(scope: Scope) -> list[Any]:
    filled = {name: value for name, value in zip(scope.code.slots, scope.slots, strict=True) if value is not UNSET}
    return [scope.id, scope.code.id, scope.parent.id if scope.parent else None, list(map(list, filled.items()))]


def _save_cleanup(entries: list[CleanupEntry]) -> list[list[Any]]:
    return [[serial, kind, code_id, scope.id] for serial, kind, code_id, scope in entries]


def _save_task(task: Task) -> dict[str, Any]:
    return {
        "id": task.id,
        "group": task.group,
        "index": task.index,
        "environment": task.environment,
        "directory": task.directory,
        "waiting": task.waiting,
        "cancel": task.cancel,
        "is_interrupted": task.is_interrupted,
        "children": task.children,
        "frames": [_save_frame(task, index) for index in range(len(task.frames))],
    }


def _save_frame(task: Task, index: int) -> dict[str, Any]:
    frame = task.frames[index]
    has_target = frame.slot >= 0 and index > 0
    return {
        "code": frame.code.id,
        "at": None if frame.completion is not None else frame.code.point(frame.pc),
        "scope": frame.scope.id,
        "kind": frame.kind,
        "slot": task.frames[index - 1].code.slots[frame.slot] if has_target else None,
        "position": frame.position,
        "output": frame.output,
        "cleanup": _save_cleanup(frame.cleanup),
        "catch": frame.catch,
        "finally": frame.finally_,
        "completion": frame.completion,
        "group": frame.group,
        "is_once": frame.is_once,
        "stream": frame.stream,
        "outside": frame.outside,
        **({} if frame.claim is None else {"claim": list(frame.claim)}),
        **({} if frame.sink is None else {"sink": frame.sink, "shown": frame.shown}),
    }


_GROUP_FIELDS = [
    "id", "kind", "owner", "running", "error", "failed", "interrupted", "items", "started", "limit", "code", "timer",
    "timer_state", "stream", "delivered",
]  # fmt: skip


def _save_group(program: Program, group: Group) -> dict[str, Any]:
    saved = {field: getattr(group, field) for field in _GROUP_FIELDS}
    saved["running"] = list(group.running)
    saved["results"] = [[index, completion] for index, completion in group.results.items()]
    saved["undos"] = _save_cleanup(group.undos)
    saved["scope"] = group.scope.id if group.scope is not None else None
    return saved


# ---- and back --------------------------------------------------------------------------------------------------------


def restore(kind: type[Machine], program: Program, environment: Mapping[str, str | Secret], text: str) -> Machine:
    """Makes a machine of a snapshot. Raises: KeyError, ValueError when it does not fit the program."""
    state = wire.decode(text)
    if state["version"] != VERSION:
        raise ValueError(f"a snapshot of version {state['version']}; this fmsh reads {VERSION}")
    machine = kind(program, Facts(**state["facts"]), environment)
    machine.tasks, machine.ready = {}, {}
    for name, value in state["counters"].items():
        setattr(machine, name, value)
    scopes = _restore_scopes(program, state["scope_table"])
    link = _Linker(program, scopes) if '"$block"' in text else _keep
    _link_scopes(scopes, link)
    for saved in state["tasks"]:
        task = _restore_task(machine, scopes, link, saved)
        machine.tasks[task.id] = task
    for saved in state["groups"]:
        machine.groups[saved["id"]] = _restore_group(scopes, link, saved)
    machine.pending = {fields[0]: Request(*fields) for fields in state["pending"]}
    machine.targets = {step: target for step, target in state["targets"]}
    machine.unwanted = set(state["unwanted"])
    machine.mailboxes = state["mailboxes"]
    machine.mailboxes_since = state.get("mailboxes_since", dict.fromkeys(machine.mailboxes, machine.steps))
    machine.results = {id: _completion(link, pair) for id, pair in state["results"].items()}
    for step, items, outcome, is_early, *group in state.get("streams", ()):
        stream = machine.streams[step] = Stream(step)
        stream.items, stream.outcome, stream.is_early = items, _completion(link, outcome), is_early
        stream.group = group[0] if group else None
    for fields in state.get("channels", ()):
        machine.channels[fields[0]] = _restore_channel(link, fields)
    if "stopped" in state:
        from fmsh.machine import stopping

        stopping.from_wire(machine, state["stopped"])
    machine.undo_errors = state["undo_errors"]
    machine.is_ended = state["is_ended"]
    return machine


def _keep(value: Value) -> Value:
    return value


class _Linker:
    """Puts code and scope into the blocks of a value."""

    def __init__(self, program: Program, scopes: dict[int, Scope]) -> None:
        self.program = program
        self.scopes = scopes

    def __call__(self, value: Value) -> Value:
        if type(value) is Block:
            return Block(self.program.codes[value.code], self.scopes[value.scope])
        if type(value) is list:
            return [self(item) for item in value]
        if type(value) is dict:
            return {key: self(item) for key, item in value.items()}
        if type(value) is ErrorValue:
            return ErrorValue(self(value.fields))
        return value


def _restore_channel(link: Any, fields: list[Any]) -> Channel:
    from fmsh.machine.channels import Channel

    id, capacity, is_closed, senders, items = fields
    channel = Channel(id, capacity)
    channel.is_closed = is_closed
    channel.senders = dict.fromkeys(senders)
    channel.items.extend(map(link, items))
    return channel


def _restore_scopes(program: Program, table: list[Any]) -> dict[int, Scope]:
    scopes: dict[int, Scope] = {}
    places: dict[int, dict[str, int]] = {}  # by code: where its slots are
    for id, code_id, _parent, slots in table:
        code = program.codes[code_id]
        if code_id not in places:
            places[code_id] = {name: index for index, name in enumerate(code.slots)}
        scope = scopes[id] = Scope(id, code, None)
        for name, value in slots:
            scope.slots[places[code_id][name]] = value
    for id, _code_id, parent, _slots in table:
        scopes[id].parent = None if parent is None else scopes[parent]
    return scopes


def _link_scopes(scopes: dict[int, Scope], link: Any) -> None:
    for scope in scopes.values():
        scope.slots = [link(value) for value in scope.slots]


def _completion(link: Any, pair: Any) -> Any:
    return None if pair is None else (pair[0], link(pair[1]))


def _cleanup(scopes: dict[int, Scope], entries: list[Any]) -> list[CleanupEntry]:
    return [(serial, kind, code_id, scopes[scope]) for serial, kind, code_id, scope in entries]


def _restore_task(machine: Machine, scopes: dict[int, Scope], link: Any, saved: dict[str, Any]) -> Task:
    task = Task(
        machine.waiters,
        saved["id"],
        group=saved["group"],
        index=saved["index"],
        environment=saved["environment"],
        directory=saved["directory"],
    )
    task.waiting = None if saved["waiting"] is None else tuple(saved["waiting"])
    task.cancel = saved["cancel"]
    task.is_interrupted = saved["is_interrupted"]
    task.children = saved["children"]
    below: Code | None = None
    for fields in saved["frames"]:
        task.frames.append(_restore_frame(machine.program, scopes, link, fields, below))
        below = task.frames[-1].code
    return task


def _restore_frame(
    program: Program, scopes: dict[int, Scope], link: Any, saved: dict[str, Any], below: Code | None
) -> Frame:
    code = program.codes[saved["code"]]
    slot = -1 if saved["slot"] is None or below is None else below.slots.index(saved["slot"])
    frame = Frame(code, scopes[saved["scope"]], kind=saved["kind"], slot=slot, position=saved["position"])
    frame.pc = 0 if saved["at"] is None else code.pc_of(saved["at"])
    frame.output = link(saved["output"])
    frame.cleanup = _cleanup(scopes, saved["cleanup"])
    frame.catch = None if saved["catch"] is None else (saved["catch"][0], saved["catch"][1])
    frame.finally_ = saved["finally"]
    frame.completion = _completion(link, saved["completion"])
    frame.group = saved["group"]
    frame.is_once = saved["is_once"]
    frame.stream = saved.get("stream")
    frame.claim = (*saved["claim"],) if "claim" in saved else None
    frame.sink, frame.shown = saved.get("sink"), saved.get("shown", [])
    frame.outside = None if saved["outside"] is None else (saved["outside"][0], saved["outside"][1])
    return frame


def _restore_group(scopes: dict[int, Scope], link: Any, saved: dict[str, Any]) -> Group:
    group = Group(saved["id"], saved["kind"], saved["owner"])
    for field in _GROUP_FIELDS:
        setattr(group, field, saved.get(field))
    group.running = dict.fromkeys(saved["running"])
    group.error = _completion(link, saved["error"])
    group.interrupted = _completion(link, saved["interrupted"])
    group.items = link(saved["items"])
    group.results = {index: _completion(link, pair) for index, pair in saved["results"]}
    group.undos = _cleanup(scopes, saved["undos"])
    group.scope = None if saved["scope"] is None else scopes[saved["scope"]]
    return group
