"""The table of builtins: complete, cheap, and documented in one form."""

from __future__ import annotations

import subprocess
import sys

import pytest

from fmsh.builtins import table
from fmsh.machine.signature import FUNCTION_TYPES, TYPE_NAMES

NAMES = list(table.names())


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_found_with_its_signature_and_help(name: str) -> None:
    builtin = table.find(name)
    assert builtin is not None and builtin.name == name
    assert builtin.signature.input in ("none", "any", "list", "text", "bytes", "record")
    assert all(
        parameter.type_name in (*TYPE_NAMES, *FUNCTION_TYPES, "word") for parameter in builtin.signature.parameters
    )
    sentence, *examples = builtin.signature.help.split("\n\n")
    assert sentence[0].isupper() and sentence.endswith(".")
    assert examples, "a help has at least one example"
    for example in examples:
        assert example.startswith("> ")


def test_every_builtin_of_a_topic_is_in_the_table() -> None:
    from importlib import import_module

    for topic, names in table.TOPICS.items():
        assert [builtin.name for builtin in import_module(f"fmsh.builtins.{topic}").BUILTINS] == list(names)


def test_an_unknown_name_is_none() -> None:
    assert table.find("no-such") is None
    assert {"from", "to", "str", "path", "url", "digest", "datetime"} == table.families()


def test_finding_every_builtin_imports_nothing_heavy() -> None:
    heavy = "typing dataclasses pathlib json re datetime csv re2 msgspec functools yaml"
    code = (
        f"import sys; sys.path.insert(0, {table.__file__.rpartition('/fmsh/')[0]!r}); before = set(sys.modules)\n"
        "from fmsh.builtins import operators, table\n"
        "for name in table.names(): table.find(name)\n"
        f"print(sorted(set({heavy!r}.split()) & (set(sys.modules) - before)))"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
