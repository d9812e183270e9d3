"""What a machine is told at its start, and what it tells people about its waits."""

from __future__ import annotations

from fmsh.machine.code import ZONE
from fmsh.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fmsh.machine.state import Scope
    from fmsh.values import Value


class Facts(Record):
    """What a job knows from its start, all from its row and its JobStarted event.

    `variables`: the script's parameters that were given, by name; of a detached part (`entry` is not 0) what it
    captured, by the stable names of slots. `entry`: the code that a detached part of a program starts with; 0 is the
    program's main code. `is_held`: where nothing would catch an error, the job stops (`fmsh.machine.stopping`).
    `wanted`: who asks for the value besides seeing it: "" nobody, so what was shown need not be kept; "last" a session,
    for its `$last`; "whole" somebody who gets all of it, also what an external command at the end writes.
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
    is_held: bool = False
    wanted: str = ""


def fill_first_scope(facts: Facts, scope: Scope) -> None:
    """Puts what is known into a scope that the job starts with: the main code's, or one around a detached part."""
    code = scope.code
    job = {"id": facts.job_id, "key": facts.key, "name": facts.name}
    for name, value in {"args": facts.arguments, "job": job, "in": facts.input}.items():
        if scope.parent is None and name in code.variables:
            scope.slots[code.variables[name]] = value
    if scope.parent is None and ZONE in code.slots:
        scope.slots[code.slots.index(ZONE)] = facts.time_zone
    for name, value in facts.variables.items():
        if facts.entry == 0 and name in code.variables:
            scope.slots[code.variables[name]] = value
        elif facts.entry != 0 and name in code.slots:
            scope.slots[code.slots.index(name)] = value


class Wait(Record):
    """One thing that a quiescent job waits for. `steps` are the pending requests behind it, time-outs included.

    `kind`: request, callback, job, task, inbox, person, …; `label` for people. `about`: what a question asks for.
    """

    kind: str
    label: str
    node: int
    steps: tuple[int, ...]
    about: dict[str, Value] = {}  # noqa: RUF012 - a default that is never changed
