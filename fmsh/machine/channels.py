"""Channels: queues inside a job, and how one comes to its end.

A channel holds at most `capacity` items; `send` waits for room, `await` and `for` wait for an item. It ends in two
ways: somebody says `close`, or nobody is left who could go on with it. Then what lies in it is still taken, `for` ends,
and `await` and `send` fail as `closed`.

When is nobody left? A task is *stuck* if it waits for a channel that no other task can reach, or only stuck ones; or
for tasks that are all stuck. What a task can reach is found by following its scopes, as far as they go; so a task that
merely stands inside the block of a channel counts as one that may send. Of the channels that stuck tasks wait for, one
is closed at a time, and the tasks see what that brings about: first one whose senders have all ended, since those
behind it may have something to send when they see its end; else the oldest.

This is decided when nothing else can happen, so it is the same in every replay.
"""

from __future__ import annotations

from collections import deque

from fmsh.values import Block, ErrorValue, Handle, Raised, a_kind, error_value, kind_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from fmsh.machine.machine import Machine
    from fmsh.machine.state import Scope, Task
    from fmsh.values import Value

SENDERS_KEPT = 64  # an endless job may start a task in each of its turns that sends
WAITS = ("channel", "room")  # for an item, for room
ITEMS_MAX = 1000  # of a list or record that is searched for channels; a longer one is taken to hold them all


class Channel:
    """`senders` are the ids of the tasks that have sent into it; those that ended are struck out now and then."""

    __slots__ = ("capacity", "id", "is_closed", "items", "senders", "senders_max")

    def __init__(self, id: str, capacity: int) -> None:
        self.id = id
        self.capacity = capacity
        self.items: deque[Value] = deque()
        self.senders: dict[str, None] = {}  # an ordered set
        self.senders_max = SENDERS_KEPT  # before those that ended are struck out
        self.is_closed = False

    @property
    def has_room(self) -> bool:
        return len(self.items) < self.capacity


def make(machine: Machine, capacity: Value) -> Handle:
    """Makes a channel. Raises: Raised when the number of items is none."""
    if type(capacity) is not int or capacity < 1:
        hint = "such as `channel 10`: so many items wait in it before `send` waits too"
        raise Raised(error_value("type", "a channel needs a whole number from 1", hint=hint))
    machine.channels_made += 1
    channel = Channel(str(machine.channels_made), capacity)
    machine.channels[channel.id] = channel
    return Handle("channel", channel.id, {"id": channel.id})


def send(machine: Machine, task: Task, handle: Value, value: Value) -> bool:
    """Puts a value into a channel. False: it is full, and the task waits for room."""
    channel = find(machine, handle, "send")
    if channel.is_closed:
        raise Raised(error_value("closed", "the channel has ended: it was closed, or nobody is left who takes from it"))
    if not channel.has_room:
        task.waiting = ("room", channel.id)
        return False
    channel.items.append(value)
    if task.id not in channel.senders:
        _add_sender(machine, channel, task)
    machine.wake_waiting("channel", channel.id)
    return True


def _add_sender(machine: Machine, channel: Channel, task: Task) -> None:
    channel.senders[task.id] = None
    if len(channel.senders) >= channel.senders_max:
        channel.senders = {id: None for id in channel.senders if id in machine.tasks}
        channel.senders_max = max(SENDERS_KEPT, 2 * len(channel.senders))


def has_for(machine: Machine, task: Task, handle: Handle, taken: int) -> bool:
    """Whether a channel has an item beyond the `taken` first, or an end, for a task. If not, the task waits."""
    channel = find(machine, handle, "await")
    if len(channel.items) > taken or channel.is_closed:
        return True
    task.waiting = ("channel", channel.id)
    return False


def take(machine: Machine, handle: Handle) -> Value:
    """Takes the next item. Raises: Raised: there is none, and never will be."""
    channel = find(machine, handle, "await")
    if not channel.items:
        raise Raised(error_value("closed", "the channel has ended: it was closed, or nobody is left who could send"))
    item = channel.items.popleft()
    _wake_for_room(machine, channel.id, 1)
    return item


def _wake_for_room(machine: Machine, id: str, count: int) -> None:
    """Wakes the oldest of the tasks that wait for room: were all woken for each item, they would do little else."""
    while count > 0 and (task := machine.waiters.oldest("room", id)) is not None:
        task.waiting = None
        machine.wake(task)
        count -= 1


def close(machine: Machine, handle: Value) -> None:
    """Ends a channel; what lies in it can still be taken. Closing it again changes nothing."""
    _close(machine, find(machine, handle, "close"))


def _close(machine: Machine, channel: Channel) -> None:
    channel.is_closed = True
    machine.wake_waiting("channel", channel.id)
    machine.wake_waiting("room", channel.id)


def find(machine: Machine, handle: Value, command: str) -> Channel:
    """The channel of a handle. Raises: Raised for anything else."""
    if not isinstance(handle, Handle) or handle.kind != "channel":
        found = a_kind(kind_of(handle))
        raise Raised(
            error_value("type", f"`{command}` takes a channel here, not {found}", hint="`channel N` makes one")
        )
    channel = machine.channels.get(handle.id)
    if channel is None:
        raise Raised(error_value("closed", "the channel belongs to another job"))
    return channel


# ---- Who is stuck ----------------------------------------------------------------------------------------------------


def end_one(machine: Machine) -> bool:
    """Closes a channel that nobody is left for, if there is one. To be called when every task waits.

    Whoever was woken for room and was stopped instead has left it to those that wait still: they are woken first.
    """
    roomy = [channel for id in machine.waiters.ids("room") if (channel := machine.channels[id]).has_room]
    for channel in roomy:
        _wake_for_room(machine, channel.id, channel.capacity - len(channel.items))
    if roomy:
        return True
    waited = {id for kind in WAITS for id in machine.waiters.ids(kind)}
    if not waited:
        return False
    stuck = _stuck(machine, waited)
    over = [machine.channels[task.waiting[1]] for task in stuck.values() if _waits_for_channel(task)]  # type: ignore[index]
    if not over:
        return False
    _close(machine, min(over, key=lambda channel: _rank(machine, channel)))
    return True


def _waits_for_channel(task: Task) -> bool:
    return task.waiting is not None and task.waiting[0] in WAITS


def _rank(machine: Machine, channel: Channel) -> tuple[int, int]:
    """Which channel is over first: one whose senders have ended; one without any; any other. Then by age."""
    has_sender = any(id in machine.tasks for id in channel.senders)
    return (2 if has_sender else 0 if channel.senders else 1), int(channel.id)


def _stuck(machine: Machine, waited: set[str]) -> dict[str, Task]:
    """The tasks that nothing can wake but one another; none, if none of these waits for a channel."""
    reached: set[str] = set()
    seen: set[int] = set()
    stuck: dict[str, Task] = {}
    for task in machine.tasks.values():
        if not _is_woken_from_outside(machine, task):
            stuck[task.id] = task
            continue
        _reach(machine, task, waited, reached, seen)
        if waited <= reached:  # as it is nearly always, and soon
            return {}
    while awake := [task for task in stuck.values() if _is_woken_from_inside(machine, task, stuck, reached)]:
        for task in awake:
            del stuck[task.id]
            _reach(machine, task, waited, reached, seen)
    return stuck


def _is_woken_from_outside(machine: Machine, task: Task) -> bool:
    assert task.waiting is not None
    kind, id = task.waiting
    if kind in ("group", "leave"):
        return machine.groups[id].timer is not None
    return kind not in ("channel", "room", "task")


def _is_woken_from_inside(machine: Machine, task: Task, stuck: dict[str, Task], reached: set[str]) -> bool:
    assert task.waiting is not None
    kind, id = task.waiting
    if kind in ("group", "leave"):
        return any(child not in stuck for child in machine.groups[id].running)
    return id not in stuck if kind == "task" else id in reached


def _reach(machine: Machine, task: Task, waited: set[str], reached: set[str], seen: set[int]) -> None:
    """Adds the channels that a task can reach. It stops when all that are waited for are found.

    `seen`: the scopes that were searched before.
    """
    from fmsh.machine.state import Scope

    searching: list[Iterator[Any]] = [_held(machine, task)]
    while searching:
        item: Any = next(searching[-1], _END)
        kind = type(item)
        if item is _END:
            searching.pop()
        elif kind is Handle:
            searching.append(_behind(machine, item, reached))
            if waited <= reached:
                return
        elif kind is Block or kind is Scope:
            scope: Scope = item.scope if kind is Block else item
            if scope.id not in seen:
                seen.add(scope.id)
                searching.append(iter([*scope.slots] if scope.parent is None else [*scope.slots, scope.parent]))
        elif kind is ErrorValue:
            searching.append(iter(item.fields.values()))
        elif kind is list or kind is tuple or kind is dict:
            if len(item) > ITEMS_MAX:
                reached.update(waited)
                return
            searching.append(iter(item.values() if kind is dict else item))


_END = object()


def _behind(machine: Machine, handle: Handle, reached: set[str]) -> Iterator[Any]:
    """What a handle leads to: what lies in its channel, which is reached by it; the result of a task."""
    if handle.kind == "task" and handle.id in machine.results:
        return iter(machine.results[handle.id])
    if handle.kind != "channel" or handle.id in reached or handle.id not in machine.channels:
        return iter(())
    reached.add(handle.id)
    return iter([*machine.channels[handle.id].items])


def _held(machine: Machine, task: Task) -> Iterator[Any]:
    for frame in task.frames:
        yield frame.scope
        yield [frame.output, frame.completion]
        yield from (entry[3] for entry in frame.cleanup)
    for group in machine.groups.values():
        if group.owner == task.id:
            yield group.items
            yield from () if group.scope is None else (group.scope,)
            yield from (entry[3] for entry in group.undos)
