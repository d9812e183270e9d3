"""`every` and `cron` with a block: an endless loop whose turns are jobs of their own.

    plan  = observe what comes next: when it is due, and how long that is
    wait for that, by the clock that nobody sets (`every`) or by wall time (`cron`)
    turn  = observe whether it runs, or stands for several that were missed
    start the block as a job; unless turns may overlap, wait for its end
    say what has failed, or fail with it

Of turns that overlap, one that has failed is told about when the next one begins.
"""

from __future__ import annotations

from fmsh.lang import generated as g
from fmsh.lang import scheduled
from fmsh.lang.background import block_parts, undo_started
from fmsh.lang.bodies import Label
from fmsh.lang.calls import plain_text
from fmsh.lang.expressions import time_zone
from fmsh.lang.given import Given, nothing, record
from fmsh.machine import code as op
from fmsh.schedule import MISSED, OVERLAPS

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _ast
    from collections.abc import Callable

    from fmsh.lang import syntax as s
    from fmsh.lang.bodies import Body
    from fmsh.lang.context import Compiler
    from fmsh.lang.piped import Piped
    from fmsh.machine.code import Function
    from fmsh.values import Value

ON_ERROR = ("report", "stop")
CHOICES = {"overlap": OVERLAPS, "missed": MISSED, "on_error": ON_ERROR}


def compile_schedule(c: Compiler, b: Body, given: Given, when: str) -> Piped:
    """Emits the loop. `when`: the parameter that says when turns come, "every" or "cron"."""
    node, line = given.node, given.node.id
    values = given.values(when, "tz")
    block = given.block("block")
    choice = {name: chosen(c, given, name) for name in CHOICES}
    if block is None or when not in values:
        return nothing(node)
    zone = values.get("tz") or (time_zone(c, b, node) if when == "cron" else g.constant("", line))
    loop = _Loop(c, b, node)
    choices = [g.constant(choice[name], line) for name in ("overlap", "missed")]
    loop.set(loop.schedule, scheduled.schedule, g.constant(when, line), values[when], zone, *choices)
    loop.set(loop.turn, scheduled.no_turn)
    loop.set(loop.running, scheduled.no_jobs)
    undo_started(c, b, node, loop.running)
    begin, is_due, job = Label(), b.hide(node), b.hide(node)
    b.mark(begin)
    loop.wait(when)
    loop.set(is_due, scheduled.is_due, loop.of(loop.turn))
    b.emit(op.BRANCH, node, is_due, begin)
    b.emit(op.REQUEST, node, job, "job", "start", c.generator.function(record(block_parts(c, b, block), line), line))
    loop.set(loop.running, scheduled.with_job, loop.of(loop.running), loop.of(job))
    if choice["overlap"] != "allow":
        b.emit(op.ENDED, node, b.hide(node), loop.compiled(loop.of(loop.running)), True)
    loop.settle(stops=choice["on_error"] == "stop")
    b.emit(op.JUMP, node, begin)
    return nothing(node)


def chosen(c: Compiler, given: Given, name: str) -> str:
    """What a flag says, or else the default; `name` is one of `CHOICES`."""
    node = given.node_of(name)
    if node is None:
        return CHOICES[name][0]
    said = plain_text(node)
    if said not in CHOICES[name]:
        flag = "--" + name.replace("_", "-")
        c.problem(node, f"{flag} takes one of {', '.join(CHOICES[name])}", f"such as {flag} {CHOICES[name][1]}")
        return CHOICES[name][0]
    return said


class _Loop:
    """The code of one loop: its slots, and what it does in each turn."""

    def __init__(self, c: Compiler, b: Body, node: s.Command) -> None:
        self.c = c
        self.b = b
        self.node = node
        self.schedule, self.turn, self.running = b.hide(node), b.hide(node), b.hide(node)

    def of(self, slot: int) -> _ast.expr:
        return g.slot_of(0, slot, self.node.id)

    def call(self, function: Callable[..., Value], *arguments: _ast.expr) -> _ast.expr:
        """A call of a function that generated code does not know by a name of its own: few programs need these."""
        return g.call(self.c.generator.bind("k", function), list(arguments), self.node.id)

    def compiled(self, value: _ast.expr) -> Function:
        made: Function = self.c.generator.function(value, self.node.id)
        return made

    def set(self, slot: int, function: Callable[..., Value], *arguments: _ast.expr) -> None:
        self.b.emit(op.EVAL, self.node, slot, self.compiled(self.call(function, *arguments)))

    def wait(self, when: str) -> None:
        """Waits for the next turn, and looks whether it runs."""
        b, node, line = self.b, self.node, self.node.id
        asked = self.compiled(record({"schedule": self.of(self.schedule), "turn": self.of(self.turn)}, line))
        name, field = ("duration", "wait") if when == "every" else ("until", "at")
        until = self.call(scheduled.turn_field, self.of(self.turn), g.constant(field, line))
        b.emit(op.OBSERVE, node, self.turn, "turn", asked)
        b.emit(op.REQUEST, node, b.hide(node), "timer", "sleep", self.compiled(record({name: until}, line)))
        b.emit(op.OBSERVE, node, self.turn, "is_turn", asked)

    def settle(self, *, stops: bool) -> None:
        """Takes out of `running` the jobs that have ended, and says which of them have failed."""
        b, node = self.b, self.node
        over, failed, now = b.hide(node), b.hide(node), b.hide(node)
        b.emit(op.ENDED, node, over, self.compiled(self.of(self.running)), False)
        b.emit(op.OBSERVE, node, now, "now", g.constant_function({}))
        self.set(failed, scheduled.failed_turns, self.of(over))
        self.set(self.running, scheduled.without_jobs, self.of(self.running), self.of(over))
        self.set(self.turn, scheduled.turn_over, self.of(self.turn), self.of(now))
        if not stops:
            text = self.call(scheduled.failed_turns_text, self.of(failed))
            b.emit(op.DISPLAY, node, self.compiled(text), "always")
            return
        passed, has_failed = Label(), b.hide(node)
        self.set(has_failed, scheduled.has_failed, self.of(failed))
        b.emit(op.BRANCH, node, has_failed, passed)
        b.emit(op.FAIL, node, self.compiled(self.call(scheduled.failed_turn, self.of(failed))))
        b.mark(passed)
