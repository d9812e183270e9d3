"""What flows one value at a time behind an `each` with effects comes to what the whole lists come to."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from fmsh.assembly import make_program
from fmsh.machine.effects import End, Request
from fmsh.machine.events import RequestCompleted
from fmsh.machine.facts import Facts
from fmsh.machine.machine import Machine
from fmsh.spans import Source

if TYPE_CHECKING:
    from fmsh.values import Value

BLOCKS = ("$it", "[$it, 1] | first", "$it + $two", "if $it == 3 { 9 } else { $it }")
STAGES = (
    *(
        "where { $it > $two }",
        "first 2",
        "skip 1",
        "take-while { $it < 4 }",
        "chunk 2 | each { $it | sum }",
        "chunk 3 | flatten",
    ),
    *("enumerate | get index", "each { $it * $two }", "unique", "sort-by { 0 - $it }", "tap { $it }", "flatten"),
)
ENDS = (
    *("skip 0", "sum", "count", "first", "last", "any { $it == 4 }", "all { $it < 3 }", "max", "avg", "to json"),
    *("reduce --from 0 { |a, b| $a + $b }", "group-by { $it % $two }", "count-by { $it % $two }"),
)
PROGRAMS = 200


def program(seed: int, effect: str) -> str:
    choose = random.Random(seed)
    stages = [f"range 1 {choose.randint(0, 8)}"]
    for _ in range(choose.randint(1, 4)):
        block = f"each {{ {effect}{choose.choice(BLOCKS)} }}"
        stages.append(block if choose.random() < 0.5 else choose.choice(STAGES))
    return "let two = 2\n" + " | ".join([*stages, choose.choice(ENDS)])


def outcome(text: str, *, reloads: bool) -> Value:
    """Runs a program whose effects all succeed at once, perhaps reloaded before each."""
    _, made = make_program(Source("test", text))
    machine = Machine(made, Facts(0, None, None, [], "/", "UTC", {}), {})
    while True:
        assert machine.run(10**6)
        effects = machine.take_effects()
        for effect in effects:
            if isinstance(effect, End):
                return effect.value if effect.error is None else effect.error.kind
        if reloads:
            machine = Machine.restore(made, {}, machine.snapshot())
        for effect in effects:
            if isinstance(effect, Request):
                machine.feed(RequestCompleted(effect.step))


@pytest.mark.parametrize("reloads", [False, True])
def test_random_pipelines_come_to_what_they_come_to_without_effects(reloads: bool) -> None:
    for seed in range(PROGRAMS):
        with_effects, without = program(seed, "sleep 1ms; "), program(seed, "")
        assert outcome(with_effects, reloads=reloads) == outcome(without, reloads=False), with_effects


def test_no_more_is_asked_for_than_is_needed() -> None:
    text = (
        "let n = 0\nrange 1 100 | each { |x| sleep 1ms; $n += 1; $x } | where { $it % 2 == 0 } | first 3 | count\n[$n]"
    )
    assert outcome(text, reloads=False) == [6]
