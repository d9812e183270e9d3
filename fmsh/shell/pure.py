"""Computing a value with a program that asks nothing of the world, without a job: the text of the prompt, say.

What only observes (the clock, patterns of paths, files that are read) is looked at as it is now. `answer` may answer
what else is asked for (`outputs`).
"""

from __future__ import annotations

from fmsh.assembly import observe_plainly
from fmsh.errors import FmshError
from fmsh.machine.effects import End, Observe, Request
from fmsh.machine.events import ItemsRead, Observed, RequestCompleted
from fmsh.machine.machine import Machine
from fmsh.machine.streams import hungry
from fmsh.render.steps import describe
from fmsh.secrets import OPERATIONS as SECRET_OPERATIONS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fmsh.machine.code import Program
    from fmsh.machine.effects import Effect
    from fmsh.machine.facts import Facts
    from fmsh.store.base import EventStore
    from fmsh.values import ErrorValue, Secret, Value

    Answer = Callable[[Machine, Request], dict[str, Value]]

BUDGET = 1_000_000  # instructions between two observations: more is a loop without an end


class ProgramFailed(FmshError):
    """The program ended with an error of its own."""

    def __init__(self, error: ErrorValue) -> None:
        super().__init__(error.message)
        self.error = error


def evaluate(
    program: Program,
    facts: Facts,
    environment: Mapping[str, str | Secret],
    *,
    answer: Answer | None = None,
    store: EventStore | None = None,
    budget: int = BUDGET,
) -> Value:
    """Gives the value of a program, which may see the jobs of a store that is given.

    Raises: FmshError if it fails, has an effect, or comes to no end.
    """
    machine = Machine(program, facts.replace(wanted="whole"), dict(environment))
    streams: dict[int, dict[str, Value]] = {}  # answers that are read bit by bit, as soon as somebody waits for one
    while True:
        machine.run(budget)
        effects = machine.take_effects()
        for effect in effects:
            if isinstance(effect, End):
                if effect.error is not None:
                    raise ProgramFailed(effect.error)
                return effect.value
            _feed(machine, effect, streams, answer, store)
        waiting = [step for step in hungry(machine) if step in streams]
        for step in waiting:
            outcome = streams.pop(step)
            machine.feed(ItemsRead(step, outcome.pop("value"), None))
            machine.feed(RequestCompleted(step, outcome))
        if not effects and not waiting:
            raise FmshError(f"it does not end within {budget:,} instructions")


def _feed(
    machine: Machine,
    effect: Effect,
    streams: dict[int, dict[str, Value]],
    answer: Answer | None,
    store: EventStore | None,
) -> None:
    """Answers what the program asks. Raises: FmshError, if that is not to be asked here."""
    if isinstance(effect, Request):
        if answer is None:
            asked = describe(effect.connector, effect.operation, effect.arguments)
            raise FmshError(f"it asks for an effect, `{asked}`, and nothing that it does is recorded")
        value = answer(machine, effect)
        if effect.arguments.get("output") == "stream":
            streams[effect.step] = value
        else:
            machine.feed(RequestCompleted(effect.step, value))
    elif isinstance(effect, Observe):
        if effect.operation == "jobs" and store is not None:
            from fmsh.engine.listing import jobs_seen

            machine.feed(Observed(effect.number, jobs_seen(store, effect.arguments)))
            return
        if effect.operation in (*SECRET_OPERATIONS, "jobs"):
            raise FmshError(f"it asks for something that only a job is told: `{effect.operation}`")
        machine.feed(Observed(effect.number, observe_plainly(effect.operation, effect.arguments)))
