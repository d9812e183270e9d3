"""The standard library in fmsh: which commands it has, and that a job keeps the one that it began with."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from fmsh import assembly
from fmsh.assembly import LIBRARY, load_program, make_program
from fmsh.builtins import table
from fmsh.lang import syntax as s
from fmsh.lang.lint import lint
from fmsh.lang.parser import parse
from fmsh.machine.signature import FUNCTION_TYPES
from fmsh.spans import Source

DIRECTORY = os.path.join(os.path.dirname(os.path.abspath(assembly.__file__)), "stdlib")
TEXT = "[1] | where { printf '' ; true }"


def functions() -> dict[str, s.Def]:
    """All functions of the library that are commands, by name."""
    found = {}
    for file in sorted(os.listdir(DIRECTORY)):
        source = Source(file, Path(DIRECTORY, file).read_text())
        for statement in parse(source).body.statements:
            if isinstance(statement, s.Def) and not statement.name.startswith("_"):
                assert LIBRARY.standard(statement.name) == Source(f"stdlib/{file}", source.text)
                found[statement.name] = statement
    return found


def test_every_command_that_takes_a_block_has_a_function_and_no_other() -> None:
    takers = {
        name
        for name in table.names()
        if any(each.type_name in FUNCTION_TYPES for each in table.find(name).signature.parameters)  # type: ignore[union-attr]
    }
    assert functions().keys() == takers == table.IN_FMSH


@pytest.mark.parametrize("name", sorted(table.IN_FMSH))
def test_a_function_takes_what_its_command_takes(name: str) -> None:
    builtin = table.find(name)
    assert builtin is not None
    given = [(parameter.name, parameter.kind) for parameter in builtin.signature.parameters]
    assert [(parameter.name, parameter.kind) for parameter in functions()[name].parameters] == given


def test_the_check_warns_of_nothing_in_it() -> None:
    for file in os.listdir(DIRECTORY):
        source = Source(file, Path(DIRECTORY, file).read_text())
        assert not lint(source, parse(source))


def test_a_program_is_stored_with_what_it_needs_of_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    stored, program = make_program(Source("-c", TEXT))
    assert [unit.source.name for unit in program.units] == ["-c", "stdlib/lists.fmsh"]
    monkeypatch.setattr(assembly, "__file__", "/nowhere/assembly.py")
    loaded = load_program(stored)
    assert loaded.units[1].source == program.units[1].source and loaded.codes.keys() == program.codes.keys()


def test_a_program_that_needs_none_is_stored_without() -> None:
    assert type(json.loads(make_program(Source("-c", "[1] | where { $it > 0 }"))[0].tree_json)) is list
