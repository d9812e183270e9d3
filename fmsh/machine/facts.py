"""What a machine is told at its start, and what it tells people about its waits."""

from __future__ import annotations

from fmsh.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fmsh.values import Value


class Facts(Record):
    """What a job knows from its start, all from its row and its JobStarted event.

    `variables`: the script's parameters that were given, by name; of a detached part (`entry` is not 0) what it
    captured, by the stable names of slots. `entry`: the code that a detached part of a program starts with; 0 is the
    program's main code.
    """

    job_id: int
    key: str | None
    name: str | None
    arguments: list[str]
    directory: str
    time_zone: str
    variables: dict[str, Value] = {}  # noqa: RUF012 - a default that is never changed
    input: Value = None
    entry: int = 0


class Wait(Record):
    """One thing that a quiescent job waits for. `steps` are the pending requests behind it, time-outs included.

    `kind`: request, callback, job, task; `label` for people.
    """

    kind: str
    label: str
    node: int
    steps: tuple[int, ...]
