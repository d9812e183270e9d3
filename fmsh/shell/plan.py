"""`fmsh --plan FILE`: what a script would ask of the world, in order, until it would need an answer. Nothing happens.

The machine runs as always, and every effect is taken to have succeeded with an answer that nobody knows. Such an
answer can be kept and passed on; where it is looked into, the plan ends. What only observes (the clock, patterns of
paths, files that are read) is looked at as it is now.
"""

from __future__ import annotations

import os
import sys

from fmsh.assembly import observe_plainly
from fmsh.machine.effects import CancelRequest, End, Observe, Request
from fmsh.machine.events import Observed, RequestCompleted
from fmsh.machine.facts import Facts
from fmsh.machine.machine import Machine
from fmsh.render.steps import describe
from fmsh.secrets import OPERATIONS as SECRET_OPERATIONS
from fmsh.shell import terminal
from fmsh.values import Handle, Secret, SecretReference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from fmsh.machine.code import Program
    from fmsh.machine.effects import Effect
    from fmsh.values import ErrorValue, Value

BUDGET = 1_000_000  # instructions between two effects; a loop that only computes may be endless
EFFECTS_MAX = 1000  # more than anybody reads; a loop that asks in each turn may be endless


class NeedsAnswer(Exception):
    """The program looks into an answer that nobody knows."""


class Unknown:
    """The answer of a step that was not done. It has a text, so that it can be shown and be part of what is asked."""

    __slots__ = ("step",)

    def __init__(self, step: int) -> None:
        self.step = step

    def __str__(self) -> str:
        return f"‹answer of step {self.step}›"

    isoformat = __str__  # a datetime too is a value that only knows how it is written

    def _refuse(self, *_: object) -> NoReturn:
        raise NeedsAnswer

    __eq__ = __lt__ = __le__ = __gt__ = __ge__ = __hash__ = _refuse
    __bool__ = __len__ = __iter__ = __getitem__ = __contains__ = __add__ = __radd__ = _refuse


class Plan:
    """Runs a program without the world. `effects` is what it asked for, `end` how it went on from there."""

    def __init__(self, program: Program, facts: Facts) -> None:
        self._program = program
        self._machine = Machine(program, facts, dict(os.environ))
        self.effects: list[dict[str, Any]] = []
        self.error: ErrorValue | None = None
        self.end = ""
        while not self.end:
            self._turn()

    def _turn(self) -> None:
        try:
            is_quiescent = self._machine.run(BUDGET)
            is_moving = any([self._take(effect) for effect in self._machine.take_effects()])
        except NeedsAnswer:
            self.end = self._needs_answer()
        except TypeError as fault:  # what the kinds of values are asked about one that has none
            if Unknown.__name__ not in str(fault):
                raise
            self.end = self._needs_answer()
        else:
            if not self.end and not is_moving:
                self.end = "it waits there" if is_quiescent else "it computes without end"
            elif not self.end and len(self.effects) >= EFFECTS_MAX:
                del self.effects[EFFECTS_MAX:]
                self.end = f"it asks for more; these are the first {EFFECTS_MAX}, and there may be no end"

    def _take(self, effect: Effect) -> bool:
        """Whether the program can go on because of it."""
        if isinstance(effect, Request):
            return self._ask(effect)
        if isinstance(effect, Observe):
            self._observe(effect)
            return True
        if isinstance(effect, CancelRequest):
            self._machine.feed(RequestCompleted(effect.step, is_cancelled=True))
            return True
        if isinstance(effect, End):
            self.error = effect.error
            self.end = "it ends there" if effect.error is None else "it fails there"
        return False

    def _ask(self, request: Request) -> bool:
        if isinstance(self._machine.targets[request.step], int):
            return False  # the time-out of a block: it does not come
        text = describe(request.connector, request.operation, request.arguments)
        place = self._program.place(request.node)
        self.effects.append(
            {
                "step": request.step,
                "task": request.task,
                "connector": request.connector,
                "operation": request.operation,
                "where": place,
                "text": text,
            }
        )
        self._machine.feed(RequestCompleted(request.step, _answer(request)))
        return True

    def _observe(self, observe: Observe) -> None:
        if observe.operation == "jobs":
            raise NeedsAnswer
        if observe.operation not in SECRET_OPERATIONS:
            value = observe_plainly(observe.operation, observe.arguments)
        else:
            value = Secret((SecretReference(str(observe.arguments.get("name", "new"))),))
        self._machine.feed(Observed(observe.number, value))

    def _needs_answer(self) -> str:
        frame = next(iter(self._machine.ready.values())).frames[-1]
        place = self._program.place(frame.code.instructions[frame.pc][1])
        return f"it needs an answer at {place['file']}:{place['line']}:{place['column']}"


def _answer(request: Request) -> Value:
    """What stands for the answer: as much of its shape as the language itself looks at."""
    if request.connector == "process":
        output = Unknown(request.step) if request.arguments["output"] == "capture" else None
        return {"statuses": [0] * len(request.arguments["stages"]), "output": output, "stderr": ""}
    if request.arguments.get("output") in ("fold", "stream"):
        return {"statuses": [], "value": Unknown(request.step)}
    if request.connector == "timer":
        return None
    if request.connector == "callback":
        fields = {"id": f"callback {request.step}", "url": f"‹address of step {request.step}›"}
        return Handle("callback", f"callback {request.step}", fields)
    if request.connector == "job":
        return Handle("job", "0", {"id": 0})
    if request.connector in ("lock", "limit"):  # free at once
        step = str(request.step)
        return None if request.operation == "reserve" else Handle(request.connector, step, {"is_granted": True})
    if request.connector == "person":
        return Handle("person", str(request.step), {"question": request.arguments["question"]})
    if request.connector in ("signal", "topic", "function") and request.operation != "publish":
        kind = {"topic": "topic", "function": "call"}.get(request.connector)
        return None if kind is None else Handle(kind, str(request.step), {"many": True})
    return Unknown(request.step)


def run(program: Program, arguments: list[str], variables: dict[str, Value], input: Value, *, is_json: bool) -> int:
    """Shows the plan; gives the exit status: 1 if the program fails by itself."""
    facts = Facts(0, None, None, arguments, terminal.current_directory(), terminal.time_zone(), variables, input)
    plan = Plan(program, facts)
    if is_json:
        import json

        error = None if plan.error is None else {"kind": plan.error.kind, "message": plan.error.message}
        document = {"effects": plan.effects, "end": plan.end, "error": error}
        sys.stdout.write(json.dumps(document, ensure_ascii=False) + "\n")
        return 0 if error is None else 1
    for number, effect in enumerate(plan.effects, 1):
        where = effect["where"]
        sys.stdout.write(f"{number:>3}  {where['file']}:{where['line']}:{where['column']}  {effect['text']}\n")
    sys.stdout.write(f"     {plan.end}\n")
    if plan.error is None:
        return 0
    from fmsh.render.errors import render_error

    sources = {unit.source.name: unit.source for unit in program.units}
    sys.stderr.write(render_error(plan.error, sources, color=terminal.has_colors(2)))
    return 1
