"""Undo that ends otherwise than it should."""

from __future__ import annotations

import pytest

from fmsh.assembly import make_program
from fmsh.machine.effects import End
from fmsh.machine.facts import Facts
from fmsh.machine.machine import Machine
from fmsh.spans import Source


@pytest.mark.parametrize(("status", "errors"), [(0, []), (3, [("exit", 3)])])
def test_an_undo_that_ends_with_a_status_has_failed_unless_that_is_0(status: int, errors: list[object]) -> None:
    program = make_program(Source("x", f"undo {{ exit {status} }}\nfail broken"))[1]
    machine = Machine(program, Facts(1, None, None, [], "/", "UTC"), {})
    assert machine.run(10_000)
    (end,) = machine.take_effects()
    assert isinstance(end, End) and end.error is not None and end.error.message == "broken"
    assert [(error.kind, error.fields["status"]) for error in end.undo_errors] == errors
