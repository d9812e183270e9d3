"""A large JSON list that is worked through part by part comes to what the same stages make of the whole."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from fmsh.assembly import make_program
from fmsh.builtins import json_forms
from fmsh.machine.effects import End
from fmsh.machine.facts import Facts
from fmsh.machine.machine import Machine
from fmsh.spans import Source

if TYPE_CHECKING:
    from fmsh.values import Value

ITEMS = [{"id": number, "kind": f"k{number % 7}", "some": None if number % 500 else {"a": 1}} for number in range(2500)]
FOLDS = [
    "where { .id > 40 } | count",
    "get id | sum",
    "skip 3 | where { .kind == k3 } | enumerate | last | get index",
    "count-by kind",
    "each { .some?.a ?? 0 } | sum",
    "first 2000 | any { .id == 1999 }",
    "first | get id",
    "where { .nothing > 1 } | count",  # from here on there is an error
    "get kind | sum",
    "select id | max",
]
PADDING = " " * json_forms.PARTS_BYTES_MIN


def outcome(program: str, document: str) -> Value:
    _, made = make_program(Source("test", program))
    machine = Machine(made, Facts(0, None, None, [], "/", "UTC", {}, document), {})
    assert machine.run(10**6)
    (end,) = [effect for effect in machine.take_effects() if isinstance(effect, End)]
    return end.value if end.error is None else {**end.error.fields, "where": end.error.fields["where"]["column"]}


@pytest.mark.parametrize("stages", FOLDS)
def test_a_large_list_comes_to_what_the_whole_comes_to(stages: str) -> None:
    document = json.dumps(ITEMS) + PADDING
    assert json_forms.parts(document) is not None
    begin = "let text = $in;"
    both = [f"{begin} $text | from json | {stages}", f"{begin} let v = ($text | from json); $v    | {stages}"]
    by_parts, whole = (outcome(text, document) for text in both)
    if isinstance(whole, dict) and "where" in whole:
        whole = whole | {"where": whole["where"] - both[1].index(stages) + both[0].index(stages)}
    assert by_parts == whole


@pytest.mark.parametrize(
    ("document", "found"),
    [
        ('{"a": [1, 2]}', "type"),
        ("5", "type"),
        ("[1, 2", "parse"),
        ('["a", "\\ud800"]', 2),
        ("[1, " + "9" * 5000 + "]", 2),
        ("[" + "1, " * 2000 + "nan]", "parse"),
        ("[" * 10_000, "limit"),
        ("[]", 0),
    ],
)
def test_what_is_no_plain_list_is_read_as_ever(document: str, found: Value) -> None:
    counted = outcome("let text = $in; $text | from json | count", document + PADDING)
    assert (counted["kind"] if isinstance(counted, dict) else counted) == found
