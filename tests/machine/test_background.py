"""`a &`: a part of a program as a job of its own, with copies of what it reads."""

from __future__ import annotations

from typing import Any

import pytest

from fmsh.assembly import make_program
from fmsh.errors import SourceError
from fmsh.machine.effects import Display, End, Request
from fmsh.machine.events import RequestCompleted
from fmsh.machine.facts import Facts
from fmsh.machine.machine import Machine
from fmsh.spans import Source


def detached(text: str) -> Machine:
    """Runs a program up to its `&`; gives the machine of the job that this starts."""
    program = make_program(Source("x", text))[1]
    machine = Machine(program, Facts(1, None, None, ["a"], "/", "UTC"), {})
    machine.run(1000)
    (request,) = [effect for effect in machine.take_effects() if isinstance(effect, Request)]
    assert (request.connector, request.operation) == ("job", "start")
    entry, variables = request.arguments["entry"], request.arguments["variables"]
    return Machine(program, Facts(2, None, None, [], "/", "UTC", variables, None, entry), {})


def shown(machine: Machine) -> str:
    machine.run(1000)
    return "".join(effect.text for effect in machine.take_effects() if isinstance(effect, Display))


PROGRAMS = {
    "a variable": ("let n = 5\n{ print $n } &", "5\n"),
    "a variable further out": ("let n = 5\nif true { for i in [7] { { print $n $i } & } }", "5 7\n"),
    "a function": ("def f(x) { print $x }\nf 3 &", "3\n"),
    "a function and what it reads": ("let base = 2\ndef g() { $base }\ndef f(x) { print (g) $x }\nf 3 &", "2 3\n"),
    "a function that follows": ("{ later } &\ndef later() { print late }", "late\n"),
    "its own number": ("{ print $job.id } &", "2\n"),
    "the arguments": ("{ print $args } &", "a\n"),
    "a parameter": ("param n: int = 4\n{ print $n } &", "4\n"),
    "its last value": ("let n = 1\n{ $n + 1 } &", "2\n"),
    "a block of its own": ("let n = 1\n{ let f = { |x| $x + $n }; print (call $f 2) } &", "3\n"),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_it_has_copies_of_what_it_reads(name: str) -> None:
    text, expected = PROGRAMS[name]
    assert shown(detached(text)) == expected


def test_it_survives_a_snapshot_and_runs_functions_after_it() -> None:
    machine = detached("let base = 2\ndef f(x) { print $base $x }\n{ sleep 1s; f 3 } &")
    assert shown(machine) == ""
    restored = Machine.restore(machine.program, {}, machine.snapshot())
    restored.feed(RequestCompleted(1))
    assert shown(restored) == "2 3\n"


@pytest.mark.parametrize(
    "text",
    [
        "let t = [(spawn { 1 })]\n{ await $t } &",
        "let f = { 1 }\n{ call $f } &",
        "let r = {to: (channel 1)}\n{ send $r.to 1 } &",
    ],
)
def test_what_belongs_to_a_job_cannot_be_captured(text: str) -> None:
    machine = Machine(make_program(Source("x", text))[1], Facts(1, None, None, [], "/", "UTC"), {})
    machine.run(1000)
    end: Any = machine.take_effects()[-1]
    assert isinstance(end, End) and end.error is not None and end.error.kind == "type"


@pytest.mark.parametrize("made", ["spawn { 1 }", "channel 1"])
def test_what_is_known_to_belong_to_a_job_is_refused_before_it_runs(made: str) -> None:
    with pytest.raises(SourceError, match="belongs to its job"):
        make_program(Source("x", f"let t = {made}\ndef f() {{ print $t }}\nf &"))


def test_it_cannot_assign_what_it_has_copies_of() -> None:
    with pytest.raises(SourceError, match="shared"):
        make_program(Source("x", "let n = 1\n{ $n = 2 } &"))
