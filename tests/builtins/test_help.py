"""The examples in the help of every builtin show what is really shown."""

from __future__ import annotations

import importlib.util

import pytest

from fmsh.assembly import make_program
from fmsh.builtins import table
from fmsh.machine.effects import Display, End
from fmsh.machine.machine import Facts, Machine
from fmsh.spans import Source

NEEDS = {"from yaml": "yaml", "to yaml": "yaml", "to toml": "tomli_w"}


def shown(text: str) -> str:
    """Runs a program that only computes; gives what it displays in a pipe."""
    _, program = make_program(Source("-c", text))
    machine = Machine(program, Facts(1, None, None, [], "/", "UTC"), {})
    assert machine.run(1_000_000)
    *displays, end = machine.take_effects()
    assert isinstance(end, End) and end.error is None, end
    return "".join(effect.text for effect in displays if isinstance(effect, Display))


def examples(name: str) -> list[tuple[str, str]]:
    """Gives what is typed and what is shown for every example of a help."""
    builtin = table.find(name)
    assert builtin is not None
    pairs = []
    for example in builtin.signature.help.split("\n\n")[1:]:
        typed, _, output = example.partition("\n")
        pairs.append((typed.removeprefix("> "), output + "\n"))
    return pairs


@pytest.mark.parametrize("name", list(table.names()))
def test_the_examples_of_a_help_are_true(name: str) -> None:
    if name in NEEDS and importlib.util.find_spec(NEEDS[name]) is None:
        pytest.skip(f"{NEEDS[name]} is not installed")
    for typed, output in examples(name):
        assert shown(typed) == output, typed
