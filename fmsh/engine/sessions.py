"""What a line at a prompt leaves to the next one: its variables, its directory and environment, its definitions."""

from __future__ import annotations

from fmsh import wire
from fmsh.machine.code import UNSET
from fmsh.record import Record
from fmsh.store.base import SessionChange
from fmsh.values import Block, ErrorValue, Handle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fmsh.engine.worker import Worker
    from fmsh.values import Value

NOT_OF_A_SESSION = ("args", "job", "in")  # what every job has of its own
# Handles of what ends with its job; what is left are services (`api`) and jobs, which live on their own.
OF_A_JOB = ("task", "channel", "callback", "topic", "call", "inbox", "person", "stream")


class SessionLine(Record):
    """A line of a session: `definitions` are the texts of what it defines, by name."""

    session_id: str
    definitions: tuple[tuple[str, str], ...]


def change_of(worker: Worker) -> SessionChange | None:
    """What a line that ended in its own foreground leaves behind; None for any other job."""
    line, left = worker.session_line, worker.machine.left
    if line is None or left is None or not worker.is_foreground:
        return None
    scope, task = left
    before = worker.machine.facts.variables
    variables = {
        name: scope.slots[slot]
        for name, slot in scope.code.variables.items()
        if name not in NOT_OF_A_SESSION and scope.slots[slot] is not UNSET
    }
    changed = {
        name: value for name, value in variables.items() if before.get(name, UNSET) is not value and is_kept(value)
    }
    end = worker.end
    if end is not None and end.error is None and end.status is None and is_kept(end.value):
        changed["last"] = end.value
    environment = worker.machine.environment_of(task)
    return SessionChange(
        line.session_id,
        worker.now_ms,
        task.directory,
        wire.encode(environment),
        tuple((name, wire.encode(value)) for name, value in changed.items()),
        line.definitions,
    )


def is_kept(value: Value) -> bool:
    """Whether a value outlives its line: a block, a task or an address does not, and neither does what holds one."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, Block) or (isinstance(item, Handle) and item.kind in OF_A_JOB):
            return False
        if type(item) is dict:
            waiting += item.values()
        elif type(item) is list:
            waiting += item
        elif isinstance(item, ErrorValue):
            waiting += item.fields.values()
    return True
