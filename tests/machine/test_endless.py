"""A job that never ends keeps nothing of the turns that are over."""

from __future__ import annotations

import pytest

from fmsh.assembly import make_program
from fmsh.machine.effects import CancelRequest, Request
from fmsh.machine.events import InboxTaken, RequestCompleted
from fmsh.machine.facts import Facts
from fmsh.machine.machine import Machine
from fmsh.spans import Source
from fmsh.values import Handle

EARLY, LATE = 100, 400  # times that the machine came to rest
GROWTH_MAX = 100  # characters of its snapshot: numbers in it get longer

PROGRAMS = {
    "steps": "while true { let x = $(^step) }",
    "jobs": "while true { let child = ({ 1 } &); await $child }",
    "jobs that nobody awaits": "while true { { 1 } &; ^step }",
    "addresses": "while true { let address = callback; await $address }",
    "an address": "let address = callback --many\nfor item in $address { ^step }",
    "branches": "while true { let t = spawn { ^step }; await $t }",
    "a channel that one fills": "let c = channel 4\nspawn { while true { send $c $(^it) } }\nfor x in $c { ^step }",
    "a channel that many fill": "let c = channel 4\nwhile true { spawn { send $c $(^step) }; await $c }",
    "channels": "while true { let c = channel 1; spawn { send $c 1 }; await $c; ^step }",
    "what is undone": "while true { try { undo { ^step }; ^step; fail no } catch { } }",
    "time-outs": "while true { within 1h { ^step } }",
    "parallel parts": "while true { let xs = ([1, 2, 3] | each --parallel 2 { ^step }) }",
}


class World:
    """Does all that a machine asks for, but its timers, and calls the addresses that it opened."""

    def __init__(self, text: str) -> None:
        program = make_program(Source("x", text))[1]
        self.machine = Machine(program, Facts(1, None, None, [], "/", "UTC"), {})
        self._asked: list[Request] = []
        self._handles: list[Handle] = []

    def rest(self) -> None:
        """Gives the machine one answer, and lets it run on until it waits."""
        machine = self.machine
        if self._asked:
            self._do(self._asked.pop(0))
        elif self._handles:
            self._call(self._handles[-1])
        assert machine.run(10_000)
        while effects := machine.take_effects():
            for effect in effects:
                if isinstance(effect, Request) and effect.connector != "timer":
                    self._asked.append(effect)
                elif isinstance(effect, CancelRequest):
                    self._asked = [asked for asked in self._asked if asked.step != effect.step]
                    machine.feed(RequestCompleted(effect.step, is_cancelled=True))
            assert machine.run(10_000)

    def _do(self, request: Request) -> None:
        if request.connector == "process":
            self.machine.feed(RequestCompleted(request.step, {"statuses": [0], "output": "x", "stderr": ""}))
            return
        fields = {"many": True} if request.arguments.get("many") else {}
        handle = Handle(request.connector, str(request.step), fields)
        self._handles = [handle]
        self.machine.feed(RequestCompleted(request.step, handle))
        if handle.kind == "job":
            self._call(handle)

    def _call(self, handle: Handle) -> None:
        delivery = {"body": "x", "value": "x", "error": None}
        self.machine.feed(InboxTaken(handle.kind, {"handle": handle.id, "delivery": delivery}))


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_state_of_a_job_does_not_grow_with_its_turns(name: str) -> None:
    world = World(PROGRAMS[name])
    sizes = []
    for _ in range(LATE):
        world.rest()
        sizes.append(len(world.machine.snapshot()))
    assert world.machine.steps > LATE // 5, "it goes on"
    assert max(sizes[:EARLY]) + GROWTH_MAX > max(sizes[EARLY:])
