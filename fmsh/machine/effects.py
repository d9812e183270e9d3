"""What a job asks of the world: the only things that leave the machine.

A `Request` is recorded before anything acts on it and gets exactly one `Outcome`, also when it is cancelled. An
`Observe` (clock, randomness) is answered at once and recorded with the next commit. The machine does not know what any
connector or operation means.
"""

from __future__ import annotations

from fmsh.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fmsh.values import ErrorValue, Value


# Before the name of a connector that was plugged in: none of fmsh, of any version, is called so.
PLUGIN_PREFIX = "plugin."


class Request(Record):
    """An effect that the machine asks for. `step` counts the requests of a job from 1; `task` is the path of the task.

    `key_step`: the step, in an earlier turn of `retry`, whose idempotency key it carries.
    `is_once`: inside `once { }`: if it stays unknown whether it happened, it is not done again but fails as `lost`.
    """

    step: int
    task: str
    connector: str
    operation: str
    arguments: dict[str, Value]
    node: int
    is_once: bool = False
    key_step: int | None = None


class CancelRequest(Record):
    """The answer to this step is not wanted any more; its outcome must still come."""

    step: int


class Observe(Record):
    """A question that the engine answers at once: `now`, `random`, `glob`, …  `number` counts them from 1.

    `arguments["base"]` is the task's directory. An answer that is an error is raised where it was asked for.
    """

    number: int
    operation: str
    arguments: dict[str, Value]


class Display(Record):
    """Text for whoever looks. `stream` is "out" or "err". `value`: the one that the text stands for, which may be drawn
    for a person; null where it is not one. It is not recorded.
    """

    text: str
    stream: str = "out"
    value: Value = None


class End(Record):
    """The job is over: with a value, or with an error (`cancelled` is one), or by `exit` (then `status` is set).

    `undo_errors`: what failed for good while the job was undone; the job then needs a person.
    """

    value: Value = None
    error: ErrorValue | None = None
    status: int | None = None
    undo_errors: list[ErrorValue] = []  # noqa: RUF012 - a default that is never changed


Effect = Request | CancelRequest | Observe | Display | End
