"""What snapshots name: instructions, slots and wait points."""

from __future__ import annotations

from fmsh.assembly import make_program
from fmsh.machine import code as op
from fmsh.machine.effects import Display
from fmsh.machine.events import RequestCompleted
from fmsh.machine.facts import Facts
from fmsh.machine.machine import Machine
from fmsh.spans import Source
from tests.machine import programs


def test_each_operation_has_its_name() -> None:
    for name, number in vars(op).items():
        if name.isupper() and type(number) is int and number >= 0:
            assert op.OPERATIONS[number] == name


def test_slots_have_names_of_their_own() -> None:
    for seed in range(100):
        program = make_program(Source("x", programs.text(programs.make(seed))))[1]
        for code in program.codes.values():
            assert len(set(code.slots)) == len(code.slots), (seed, code.id)


def test_every_wait_point_is_found_again() -> None:
    for seed in range(100):
        program = make_program(Source("x", programs.text(programs.make(seed))))[1]
        for code in program.codes.values():
            assert [code.pc_of(code.point(pc)) for pc in range(len(code.instructions))] == [
                *range(len(code.instructions))
            ], (seed, code.id)


def test_a_block_in_an_error_survives_a_snapshot() -> None:
    text = (
        "let n = 5\nlet e = try { fail {message: m, run: { $n + 1 }} } catch e { $e }\nsleep 1s\nprint (call $e.run)\n"
    )
    machine = Machine(make_program(Source("x", text))[1], Facts(1, None, None, [], "/", "UTC"), {})
    machine.run(1000)
    machine.take_effects()
    restored = Machine.restore(machine.program, {}, machine.snapshot())
    restored.feed(RequestCompleted(1))
    restored.run(1000)
    assert restored.take_effects()[0] == Display("6\n", "out", 6)
