"""The recorded facts of a job: a closed list. What is not in it did not happen.

Inputs change the machine when they are fed to it, live and in replay alike: JobStarted, Observed, AttemptFailed,
RequestCompleted, ItemsRead, InboxTaken. Outputs are what the machine then did, recorded so that replay can compare:
RequestMade, Displayed, JobEnded. The rest is for people and for the engine: Paused, Resumed, Parked, HandedOver.

The data of an event is one JSON object with exactly the fields below but `step`, which has a column of its own. Fields
are added with a default, never renamed.

`instruction` of an input: how many instructions the job had run when it was fed in the middle of a long run; None when
the machine was quiescent, or the input was held because the job was paused or parked.
"""

from __future__ import annotations

from fmsh import wire
from fmsh.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fmsh.machine.effects import Request
    from fmsh.values import ErrorValue, Value


class Event(Record):
    pass


class JobStarted(Event):
    """The job begins. `environment` is the hash of the environment's blob, or "" for an empty one.

    `number`: by which the job knows itself, where that is not the one of its row: it began in another store.
    """

    program: str
    arguments: list[str]
    environment: str
    directory: str
    time_zone: str
    options: dict[str, Value]
    number: int | None = None


class Observed(Event):
    number: int
    value: Value
    instruction: int | None = None


class RequestMade(Event):
    step: int
    task: str
    connector: str
    operation: str
    arguments: dict[str, Value]
    node: int
    is_once: bool = False
    key_step: int | None = None


class AttemptFailed(Event):
    """An attempt of a step failed and another follows: attempt + 1, not before `next_at_ms`.

    `timings`: where the time of the attempt went, in milliseconds, by name.
    """

    step: int
    attempt: int
    error: ErrorValue
    next_at_ms: int
    timings: dict[str, Value] | None = None


class RequestCompleted(Event):
    """The one outcome of a step: exactly one of a value, an error, or cancelled. `timings`: of its last attempt.

    `kept`: what the job keeps from here on for the connector, by key; null for what it keeps no more.
    """

    step: int
    value: Value = None
    error: ErrorValue | None = None
    is_cancelled: bool = False
    instruction: int | None = None
    timings: dict[str, Value] | None = None
    kept: dict[str, Value] | None = None


class ItemsRead(Event):
    """A batch of a stream that was consumed, with the position of its source after it."""

    step: int
    items: list[Value]
    position: Value
    instruction: int | None = None


class Displayed(Event):
    text: str
    stream: str = "out"


class InboxTaken(Event):
    """A row of the inbox became part of the history."""

    kind: str
    data: Value
    instruction: int | None = None


class Paused(Event):
    """The job is held. `unfed`: how many recorded inputs, the last ones, are not fed yet."""

    unfed: int = 0


class Resumed(Event):
    """The job goes on with what was held, one input after another, each when the machine is quiescent.

    With an `instruction`: the run that one of them began is long, and the `unfed` others are fed here, all at once.
    """

    instruction: int | None = None
    unfed: int = 0


class Parked(Event):
    """The job needs a person. `step` is the step whose outcome is unknown, if that is the reason; `unfed` as above."""

    step: int | None
    error: ErrorValue
    unfed: int = 0


class HandedOver(Event):
    """Another process runs the job from here. `owner` is `{kind, pid, host}`; `reason`: takeover, detached, restart."""

    owner: dict[str, Value]
    reason: str


class JobEnded(Event):
    value: Value = None
    error: ErrorValue | None = None
    exit_status: int = 0


TYPES: dict[str, type[Event]] = {
    kind.__name__: kind
    for kind in (
        JobStarted,
        Observed,
        RequestMade,
        AttemptFailed,
        RequestCompleted,
        ItemsRead,
        Displayed,
        InboxTaken,
        Paused,
        Resumed,
        Parked,
        HandedOver,
        JobEnded,
    )
}


def data_of(event: Event | Request) -> dict[str, Value]:
    """Gives the data of an event. Fields at their default are left out."""
    defaults = event.defaults
    data = {}
    for field in event.fields:
        value = getattr(event, field)
        if field != "step" and not (field in defaults and value is defaults[field]):
            data[field] = value
    return data


def encode(event: Event | Request) -> str:
    """Writes the data of an event in the wire form."""
    return wire.encode(data_of(event))


def decode(kind: str, step: int | None, data_json: str) -> Event:
    """Reads an event back. Raises: KeyError for a type that this version does not know."""
    event_type = TYPES[kind]
    data = wire.decode(data_json)
    if "step" in event_type.fields:
        data["step"] = step
    return event_type(**data)
