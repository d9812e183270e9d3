"""Assignments: what another variable, a block or a loop holds never changes, and a loop of them takes linear time."""

from __future__ import annotations

import json
from copy import deepcopy
from random import Random
from typing import Any

import pytest

from fmsh.builtins import assigning
from tests.builtins.test_help import shown

VARIABLES = "abc"


class Model:
    """Python values, copied wherever the language could share them."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.values: dict[str, Any] = {"a": [1, [2, 3]], "b": {"k": [4], "r": {"x": 5}}, "c": [{"k": 6}, []]}
        self.lines = [f"let {name} = {json.dumps(value)}" for name, value in self.values.items()]
        self.lines.append("let seen = []")
        self.seen: list[Any] = []

    def path(self, value: Any, *, may_add: bool) -> list[str | int]:
        """A path to something in a value, perhaps empty; the last key may be that of a new field."""
        steps: list[str | int] = []
        while type(value) in (list, dict) and self.random.random() < 0.7:
            if may_add and type(value) is dict and self.random.random() < 0.3:
                return [*steps, "new"]
            keys = list(value) if type(value) is dict else list(range(len(value)))
            if not keys:
                break
            steps.append(self.random.choice(keys))
            value = value[steps[-1]]
        return steps

    def source(self) -> tuple[str, Any]:
        """An expression, and its value."""
        name = self.random.choice(VARIABLES)
        steps = self.path(self.values[name], may_add=False)
        found = self.values[name]
        for step in steps:
            found = found[step]
        number = self.random.randrange(100)
        return self.random.choice(
            [(f"${name}{written(steps)}", found), (f"[{number}, ${name}]", [number, self.values[name]]), ("[7]", [7])]
        )

    def step(self) -> None:
        name = self.random.choice(VARIABLES)
        steps = self.path(self.values[name], may_add=True)
        text, value = self.source()
        value = deepcopy(value)
        if not steps:
            self.lines.append(f"${name} = {text}")
            self.values[name] = value
            return
        *above, last = steps
        container = self.values[name]
        for step in above:
            container = container[step]
        is_list = type(container[last] if last != "new" else container.get("new")) is list
        if is_list and type(value) is list and self.random.random() < 0.5:
            self.lines.append(f"${name}{written(steps)} += {text}")
            container[last] = container[last] + value
        else:
            self.lines.append(f"${name}{written(steps)} = {text}")
            container[last] = value
        if self.random.random() < 0.2:
            self.lines.append(f"$seen += [${name}]")
            self.seen.append(deepcopy(self.values[name]))


def written(steps: list[str | int]) -> str:
    return "".join(f"[{step}]" if type(step) is int else f".{step}" for step in steps)


@pytest.mark.parametrize("seed", range(60))
def test_a_value_never_changes_under_who_holds_it(seed: int) -> None:
    model = Model(seed)
    for _ in range(25):
        if len(json.dumps(model.values)) < 20_000:
            model.step()
    program = "\n".join([*model.lines, "print ([$a, $b, $c, $seen] | to json)"])
    expected = [*(model.values[name] for name in VARIABLES), model.seen]
    assert json.loads(shown(program)) == expected, program


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("let a = [1]; let f = { $a }; $a[0] = 2; [(call $f), $a]", [[2], [2]]),
        ("let a = [1]; let b = $a; $a += [2]; $a += [3]; [$a, $b]", [[1, 2, 3], [1]]),
        ("let a = [1]; $a += $a; $a[0] = $a; $a", [[1, 1], 1]),
        ("let a = [1, 2, 3]; for x in $a { $a[2] = 9; $a += [$x] }; $a", [1, 2, 9, 1, 2, 3]),
        ("def f(x) { $x[0] = 9; $x }; let a = [1]; [(f $a), $a]", [[9], [1]]),
        ("let all = []; let a = [0]; for i in 1..3 { $a[0] = $i; $all += [$a] }; $all", [[1], [2], [3]]),
        ("def f() { let a = [1]; $a[0] += 1; $a += [5]; $a }; [(f), (f)]", [[2, 5], [2, 5]]),
        ("let a = 1..3; $a[0] = 9; $a", [9, 2, 3]),
        ('let a = {}; for i in 1..3 { $a."k$i" = $i }; [$a]', [{"k1": 1, "k2": 2, "k3": 3}]),
    ],
)
def test_who_else_holds_a_value(text: str, value: Any) -> None:
    assert json.loads(shown(f"let value = {{ {text} }}\n(call $value) | to json")) == value


def test_a_list_that_nobody_else_holds_is_not_copied() -> None:
    slots: list[Any] = [[1, 2], {"k": [3]}]
    before = [id(slots[0]), id(slots[1]), id(slots[1]["k"])]
    slots[0] = assigning.assigned(slots, 0, [1], 9)
    slots[0] = assigning.added(slots, 0, [], [5])
    slots[1] = assigning.added(slots, 1, ["k"], [4])
    assert slots == [[1, 9, 5], {"k": [3, 4]}]
    assert before == [id(slots[0]), id(slots[1]), id(slots[1]["k"])]


def test_one_that_somebody_holds_is_copied() -> None:
    slots: list[Any] = [[1, [2]], {"k": [3]}]
    held, inner = slots[1]["k"], slots[0][1]
    slots[1] = assigning.added(slots, 1, ["k"], [4])
    slots[0] = assigning.assigned(slots, 0, [1, 0], 9)
    assert (held, inner, slots) == ([3], [2], [[1, [9]], {"k": [3, 4]}])
