"""What a line at a prompt leaves to the next one: its variables, its directory and environment, its definitions."""

from __future__ import annotations

from fmsh import wire
from fmsh.machine.code import UNSET
from fmsh.record import Record
from fmsh.store.base import KEPT, MANY, NOTHING_CAME, KeptCalls, SessionChange, kept_handle
from fmsh.values import Block, ErrorValue, Handle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fmsh.engine.worker import Worker
    from fmsh.values import Value

NOT_OF_A_SESSION = ("args", "job", "in")  # what every job has of its own
# Handles of what ends with its job; what is left are services (`api`) and jobs, which live on their own.
# The address of a `callback` is left to the session: what comes there is for any later line.
OF_A_JOB = ("task", "channel", "topic", "call", "inbox", "person", "stream")


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
    addresses: dict[str, str] = {}
    kept = {name: _of_session(value, worker, addresses) for name, value in changed.items()}
    return SessionChange(
        line.session_id,
        worker.now_ms,
        task.directory,
        wire.encode(environment),
        (*((name, wire.encode(value)) for name, value in kept.items()), *addresses.items()),
        line.definitions,
    )


def _of_session(value: Value, worker: Worker, addresses: dict[str, str]) -> Value:
    """A value as the session has it: its addresses are those of this line, and no more those of a step.

    `addresses` gets, by the name of a variable, what came to each of them.
    """
    if type(value) is dict:
        return {key: _of_session(item, worker, addresses) for key, item in value.items()}
    if type(value) is list:
        return [_of_session(item, worker, addresses) for item in value]
    if type(value) is not Handle or value.kind != "callback" or "." in value.id:
        return value
    id = kept_handle(worker.job_id, value.id)
    came = worker.machine.mailboxes.get(f"callback:{value.id}")
    if value.fields_.get("many"):
        addresses[KEPT + id] = MANY
    else:
        addresses[KEPT + id] = wire.encode(came[0]) if came else NOTHING_CAME
    return Handle("callback", id, {**value.fields_, "id": id})


def calls_kept(worker: Worker, change: SessionChange | None) -> tuple[KeptCalls, ...]:
    """What came to the addresses for many calls that a job leaves to its session, or got from it, and was not taken."""
    opened = [name.removeprefix(KEPT) for name, value in (change.variables if change else ()) if _is_queue(name, value)]
    mailboxes = worker.addresses | {id: f"callback:{id.removeprefix(f'{worker.job_id}.')}" for id in opened}
    return tuple(
        KeptCalls(id, tuple(wire.encode(call) for call in worker.machine.mailboxes.get(mailbox, ())))
        for id, mailbox in mailboxes.items()
    )


def _is_queue(name: str, value: str) -> bool:
    return name.startswith(KEPT) and value == MANY


def is_kept(value: Value) -> bool:
    """Whether a value outlives its line: a block, a task or a channel does not, and neither does what holds one.

    An address in an error is not looked for.
    """
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
            if any(isinstance(each, Handle) and each.kind == "callback" for each in item.fields.values()):
                return False
            waiting += item.fields.values()
    return True
