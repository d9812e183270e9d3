"""Blocks over items of known kinds give what they give item by item."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from fmsh.assembly import make_program
from fmsh.lang.lowering import Lowered
from fmsh.machine.effects import End
from fmsh.machine.facts import Facts
from fmsh.machine.machine import Machine
from fmsh.spans import Source

if TYPE_CHECKING:
    from fmsh.values import Value

ARITHMETIC = ("+", "-", "*", "//", "%")
COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")
ITEMS = "[-7, -1, 0, 1, 2, 3, 5, 1000000007]"


def number(choose: random.Random, item: str, depth: int) -> str:
    kind = choose.randrange(6) if depth else choose.randrange(2)
    if kind == 0:
        return item
    if kind == 1:
        return str(choose.choice([0, 1, 2, 3, 10]))
    if kind == 2:
        return f"(-{number(choose, item, depth - 1)})"
    left, right = number(choose, item, depth - 1), number(choose, item, depth - 1)
    return f"({left} {choose.choice(ARITHMETIC)} {right})"


def condition(choose: random.Random, item: str, depth: int) -> str:
    kind = choose.randrange(4) if depth else 0
    if kind == 1:
        return f"(not {condition(choose, item, depth - 1)})"
    if kind > 1:
        word = choose.choice(["and", "or"])
        return f"({condition(choose, item, depth - 1)} {word} {condition(choose, item, depth - 1)})"
    return f"({number(choose, item, 1)} {choose.choice(COMPARISONS)} {number(choose, item, 1)})"


def outcome(text: str) -> Value:
    _, program = make_program(Source("test", text))
    machine = Machine(program, Facts(0, None, None, [], "/", "UTC", {}), {})
    assert machine.run(10**6)
    (end,) = [effect for effect in machine.take_effects() if isinstance(effect, End)]
    return end.value if end.error is None else [end.error.kind, end.error.message]


def test_a_block_over_whole_numbers_gives_what_it_gives_item_by_item() -> None:
    choose = random.Random(5)
    for _ in range(150):
        command, make = choose.choice([("each", number), ("where", condition)])
        seed = choose.random()
        quick = make(random.Random(seed), "$it", 3)
        plain = make(random.Random(seed), "$x", 3)
        text = f"{ITEMS} | {command} {{ {quick} }}"
        assert outcome(text) == outcome(f"{ITEMS} | {command} {{ let x = $it; {plain} }}"), text


def test_a_block_that_is_not_for_whole_numbers_alone_takes_any_items() -> None:
    assert outcome("[1, 2.5] | each { $it + 1 }") == [2, 3.5]
    assert outcome("[1, 2.5] | where { $it > 2 }") == [2.5]
    assert outcome("range 1 4 | each { $it % 2 == 0 }") == [False, True, False, True]
    assert outcome("[1, a] | each { $it + 1 }") == outcome("[a] | each { $it + 1 }")
    assert outcome("[1] | where { $it }") == ["type", "a condition must be a bool, not an int"]


RECORDS = [
    "{a: -3, b: 2, name: x, up: true, price: 1.5}",
    "{a: 7, b: 0, name: y, up: false, price: 2}",
    "{a: 7, b: 7, name: X, up: true, price: 7}",
]
ODD = [
    "{a: 1}",
    "{a: null, b: 1, name: x, up: true, price: 1}",
    "{a: 1.5, b: 1, name: 1, up: 1, price: x}",
    "7",
    "x",
    "[1]",
]


def condition_on_fields(choose: random.Random, item: str, depth: int) -> str:
    kind = choose.randrange(9) if depth else choose.randrange(5)
    if kind == 4:
        return f"({item}.name {choose.choice(['=~', '!~'])} {choose.choice(['x', '^x', 'X|y', '', '[xy]', 'x y'])!r})"
    if kind == 0:
        return f"({item}.name {choose.choice(COMPARISONS)} {choose.choice(['x', 'y', 'x y'])!r})"
    if kind == 1:
        return f"{item}.up"
    if kind == 2:
        return f"({item}.price {choose.choice(COMPARISONS)} {choose.choice(['1.5', '2', item + '.a'])})"
    if kind == 3:
        return f"({number(choose, item + choose.choice(['.a', '.b']), 2)} {choose.choice(COMPARISONS)} {item}.b)"
    left, right = (condition_on_fields(choose, item, depth - 1) for _ in range(2))
    return f"({left} {choose.choice(['and', 'or'])} {right})" if kind < 8 else f"(not {left})"


def test_a_block_over_the_fields_of_records_gives_what_it_gives_item_by_item(monkeypatch: pytest.MonkeyPatch) -> None:
    quick_ones = []
    of = Lowered.of

    def noted(self: Lowered, items: list[Value] | range) -> list[Value] | None:
        found = of(self, items)
        quick_ones.append(found is not None)
        return found

    monkeypatch.setattr(Lowered, "of", noted)
    choose = random.Random(6)
    for _ in range(200):
        items = choose.sample(RECORDS, 2) + choose.sample(ODD, choose.choice([0, 0, 1]))
        command, make = choose.choice([("each", number), ("where", condition_on_fields)])
        listed = "[" + ", ".join(items) + "]"
        item = ".a" if make is number else ""
        seed = choose.random()
        quick, plain = (make(random.Random(seed), f"{name}{item}", 3) for name in ("$it", "$x"))
        text = f"{listed} | {command} {{ {quick} }}"
        assert outcome(text) == outcome(f"{listed} | {command} {{ let x = $it; {plain} }}"), text
    assert quick_ones.count(True) > 70 and quick_ones.count(False) > 40
