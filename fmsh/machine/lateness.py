"""What is said of a time-out: what it was waited for, or what had failed until then."""

from __future__ import annotations

from fmsh.machine.code import NOT_YET
from fmsh.values import ErrorValue, Handle, error_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fmsh.machine.machine import Machine
    from fmsh.machine.state import Group, Task
    from fmsh.values import Value

# By the kind of what the task waits for, if that is all that it does.
NOTHING_CAME = {
    "callback": "nothing was sent to the address",
    "inbox": "nothing was sent to this job",
    "topic": "nothing was published",
    "person": "nobody answered",
    "call": "no worker answered",
}


def late_error(machine: Machine, group: Group, duration: Value) -> ErrorValue:
    """Gives the error of a block that is not over in time; of a `poll` with the failure of its last turn as `last`."""
    owner = machine.tasks[group.owner].frames[-1]
    if owner.claim is not None:
        return error_value("timeout", f"the {owner.claim[1]} {owner.claim[2]} was not free within {duration}")
    inside = machine.tasks[next(iter(group.running))]
    last = _last_failure(inside)
    if last is not None:
        message = f"not done within {duration}, and its last turn failed: {last.message}"
        return error_value("timeout", message, last=last)
    return error_value("timeout", f"{_missed(inside)} within {duration}")


def _last_failure(inside: Task) -> ErrorValue | None:
    """Of a `poll`, whose turns leave what they come to in the first slot of its body."""
    slots = inside.frames[0].scope.slots if inside.frames else []
    value = slots[0] if slots else None
    error = value.fields_["error"] if isinstance(value, Handle) and value.kind == NOT_YET else None
    return error if isinstance(error, ErrorValue) else None


def _missed(inside: Task) -> str:
    if len(inside.frames) == 1 and inside.waiting is not None and inside.waiting[0] == "mailbox":
        return NOTHING_CAME.get(str(inside.waiting[1]).partition(":")[0], "not done")
    return "not done"
