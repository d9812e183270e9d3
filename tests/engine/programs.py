"""Programs written in the machine's own instructions, so that the tests of the engine need no language."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fmsh.machine import code as op
from fmsh.machine.code import Code, Program, ScriptParameters, Unit
from fmsh.machine.signature import Signature
from fmsh.spans import Source
from fmsh.store.base import NewProgram
from fmsh.values import Duration, ErrorValue, Handle

Line = tuple[Any, ...]
__all__ = ["Handle", "Program", "op"]

SLOTS = 8  # of every body; slot 0 is its value


class Assembler:
    """Puts bodies together. Node ids count from 1; each stands at a line of its own in the source."""

    def __init__(self) -> None:
        self.codes: dict[int, Code] = {}
        self.nodes = 0

    def node(self) -> int:
        self.nodes += 1
        return self.nodes

    def body(self, *lines: Line, parameters: tuple[int, ...] = ()) -> int:
        code = Code(self.node(), "")
        code.slots = [f"%{code.id}.{slot}" for slot in range(SLOTS)]
        code.parameters = parameters
        code.instructions = [(line[0], self.node(), *line[1:]) for line in lines]
        self.codes[code.id] = code
        return code.id

    def program(self, *lines: Line, name: str = "main") -> Program:
        main = self.body(*lines)
        source = Source("test.fmsh", "\n" * (self.nodes + 1))
        unit = Unit(source, [(node, node) for node in range(self.nodes + 1)], 0)
        return Program(name, main, self.codes, (unit,), ScriptParameters(Signature(name), {}))


def request(operation: str, *, slot: int = 1, connector: str = "world", **arguments: Any) -> Line:
    return (op.REQUEST, slot, connector, operation, lambda scope: arguments)


def request_with(operation: str, fn: Callable[[Any], dict[str, Any]], *, slot: int = 1) -> Line:
    return (op.REQUEST, slot, "world", operation, fn)


def sleep(milliseconds: int) -> Line:
    return request("sleep", connector="timer", duration=Duration(milliseconds * 10**6))


def observe(operation: str, slot: int) -> Line:
    return (op.OBSERVE, slot, operation, lambda scope: {})


def show(text: str, stream: str = "out") -> Line:
    return (op.DISPLAY, lambda scope: (text, stream), "always")


def evaluate(slot: int, fn: Callable[[Any], Any]) -> Line:
    return (op.EVAL, slot, fn)


def fail(error: ErrorValue) -> Line:
    return (op.FAIL, lambda scope: error)


def finish(status: int) -> Line:
    return (op.EXIT, lambda scope: status)


def try_(body: int, catch: int, catch_slot: int = 1) -> Line:
    return (op.TRY, 0, body, catch, catch_slot, None, "capture", None)


def defer(body: int) -> Line:
    return (op.DEFER, body)


def undo(body: int) -> Line:
    return (op.UNDO, body)


def once(body: int) -> Line:
    return (op.ONCE, 0, body, "capture")


def parallel(body: int, items: list[Any], limit: int = 100) -> Line:
    return (op.EACH_PARALLEL, 0, body, lambda scope: (items, limit))


def within(body: int, milliseconds: int) -> Line:
    return (op.WITHIN, 0, body, lambda scope: Duration(milliseconds * 10**6), "capture")


def await_(fn: Callable[[Any], Any], slot: int = 0) -> Line:
    return (op.AWAIT, slot, fn)


def count_to(limit: int, *, at: int, slot: int = 7) -> list[Line]:
    """A loop of pure instructions that begins at instruction `at` of its body: three instructions a turn."""

    def count(scope: Any) -> int:
        value = scope.slots[slot]
        return value + 1 if type(value) is int else 1

    return [
        (op.EVAL, slot, count),
        (op.EVAL, slot - 1, lambda scope: scope.slots[slot] < limit),
        (op.BRANCH, slot - 1, at + 4),
        (op.JUMP, at),
    ]


def steps(count: int) -> Program:
    """A job of so many steps that succeed at once."""
    return Assembler().program(*[request("done", value=number) for number in range(1, count + 1)])


def stored(program: Program) -> NewProgram:
    return NewProgram(hash=program.hash, name="test.fmsh", text="", tree_json="{}")
