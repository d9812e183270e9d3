"""Many tasks of one job: what one of them does costs the same however many there are."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from fmsh.assembly import make_program
from fmsh.machine.effects import Request
from fmsh.machine.events import RequestCompleted
from fmsh.machine.facts import Facts
from fmsh.machine.machine import Machine
from fmsh.spans import Source

FEW, MANY = 100, 600
SHARE_MAX = 1.5  # of the lines of our code that run for a task, with many to those with few

PROGRAMS: dict[str, Callable[[int], str]] = {
    "spawned": lambda n: "spawn { ^x }\n" * n,
    "awaited": lambda n: "".join(f"let t{i} = spawn {{ ^x }}\n" for i in range(n)) + f"await [{'$t0, ' * n}$t{n - 1}]",
    "each": lambda n: f"range 1 {n} | each --parallel {n} {{ ^x }}",
    "a channel": lambda n: "let c = channel 10\n" + "spawn { send $c $(^x) }\n" * n + f"for i in 1..{n} {{ await $c }}",
}


def lines_run(text: str) -> int:
    """How many lines of code a job's machine runs through, when all its tasks have asked and are then answered."""
    machine = Machine(make_program(Source("x", text))[1], Facts(1, None, None, [], "/", "UTC"), {})
    count = 0

    def trace(frame: object, event: str, argument: object) -> Callable[..., object]:
        nonlocal count
        count += 1
        return trace

    machine.run(10**9)
    requests = [effect for effect in machine.take_effects() if isinstance(effect, Request)]
    sys.settrace(trace)
    try:
        for request in reversed(requests):
            machine.feed(RequestCompleted(request.step, {"statuses": [0], "output": "x", "stderr": ""}))
            assert machine.run(10**9)
    finally:
        sys.settrace(None)
    assert machine.is_ended
    return count


@pytest.mark.parametrize("name", PROGRAMS)
def test_what_a_task_does_costs_the_same_however_many_there_are(name: str) -> None:
    few, many = (lines_run(PROGRAMS[name](count)) / count for count in (FEW, MANY))
    assert many < few * SHARE_MAX, f"{few:.0f} lines a task of {FEW}, {many:.0f} of {MANY}"
