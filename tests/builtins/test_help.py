"""The examples in the help of every builtin show what is really shown."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fmsh.assembly import make_program
from fmsh.builtins import table
from fmsh.lang.forms import FORMS
from fmsh.machine.effects import Display, End
from fmsh.machine.machine import Facts, Machine
from fmsh.machine.signature import Signature
from fmsh.spans import Source

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
NEEDS = {"from yaml": "yaml", "to yaml": "yaml", "to toml": "tomli_w"}


def shown(text: str) -> str:
    """Runs a program that only computes; gives what it displays in a pipe."""
    _, program = make_program(Source("-c", text))
    machine = Machine(program, Facts(1, None, None, [], "/", "UTC"), {})
    assert machine.run(1_000_000)
    *displays, end = machine.take_effects()
    assert isinstance(end, End) and end.error is None, end
    return "".join(effect.text for effect in displays if isinstance(effect, Display))


def run(text: str, directory: Path) -> str:
    """Runs a program that does more; gives what it writes."""
    environment = os.environ | {"FMSH_STATE_DIR": str(directory), "FMSH_NO_DAEMON": "1", "PYTHONPATH": ROOT}
    command = [sys.executable, "-m", "fmsh", "-c", text]
    done = subprocess.run(
        command, env=environment, cwd=directory, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def examples(signature: Signature) -> list[tuple[str, str]]:
    """Gives what is typed and what is shown for every example of a help."""
    pairs = []
    for example in signature.help.split("\n\n")[1:]:
        typed, _, output = example.partition("\n")
        pairs.append((typed.removeprefix("> "), output + "\n"))
    return pairs


@pytest.mark.parametrize("name", list(table.names()))
def test_the_examples_of_a_help_are_true(name: str) -> None:
    if name in NEEDS and importlib.util.find_spec(NEEDS[name]) is None:
        pytest.skip(f"{NEEDS[name]} is not installed")
    builtin = table.find(name)
    assert builtin is not None
    for typed, output in examples(builtin.signature):
        assert shown(typed) == output, typed


WITH_EXAMPLES = [name for name, form in FORMS.items() if "\n\n> " in form.signature.help]


def test_the_examples_of_forms_are_true(tmp_path: Path) -> None:
    assert {"call", "capture", "help", "path abs", "path exists", "print", "time", "which"} <= set(WITH_EXAMPLES)
    for name in WITH_EXAMPLES:
        for typed, output in examples(FORMS[name].signature):
            assert run(typed, tmp_path) == output, typed
