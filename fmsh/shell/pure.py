"""Computing a value with a program that asks nothing of the world, without a job: the text of the prompt, say.

What only observes (the clock, patterns of paths, files that are read) is looked at as it is now.
"""

from __future__ import annotations

from fmsh.assembly import observe_plainly
from fmsh.errors import FmshError
from fmsh.machine.effects import End, Observe, Request
from fmsh.machine.events import Observed
from fmsh.machine.machine import Machine
from fmsh.render.steps import describe
from fmsh.secrets import OPERATIONS as SECRET_OPERATIONS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from fmsh.machine.code import Program
    from fmsh.machine.facts import Facts
    from fmsh.values import Secret, Value

BUDGET = 1_000_000  # instructions between two observations: more is a loop without an end


def evaluate(program: Program, facts: Facts, environment: Mapping[str, str | Secret]) -> Value:
    """Gives the value of a program. Raises: FmshError if it fails, has an effect, or comes to no end."""
    machine = Machine(program, facts, dict(environment))
    while True:
        machine.run(BUDGET)
        effects = machine.take_effects()
        for effect in effects:
            if isinstance(effect, End):
                if effect.error is not None:
                    raise FmshError(effect.error.message)
                return effect.value
            if isinstance(effect, Request):
                asked = describe(effect.connector, effect.operation, effect.arguments)
                raise FmshError(f"it asks for an effect, `{asked}`, and nothing that it does is recorded")
            if isinstance(effect, Observe):
                if effect.operation in (*SECRET_OPERATIONS, "jobs"):
                    raise FmshError(f"it asks for something that only a job is told: `{effect.operation}`")
                machine.feed(Observed(effect.number, observe_plainly(effect.operation, effect.arguments)))
        if not effects:
            raise FmshError(f"it does not end within {BUDGET:,} instructions")
