"""`lock` and `limit`: blocks that wait for what the jobs of a store share.

    handle = claim a place: a step, whose answer says whether it is granted
    wait for that in the inbox, at most as long as `--timeout`
    of a rate: reserve the next moment, and sleep until then
    run the block

All of it is one body with the claim as its own: however it is left, the commit that leaves it gives the claim back.
The requests to an `api` with a `--rate` reserve their moments in the same way, under the address of the service.
"""

from __future__ import annotations

from fmsh.lang import generated as g
from fmsh.lang.bodies import Body, Label
from fmsh.lang.calls import plain_text
from fmsh.lang.given import Given, nothing, record
from fmsh.lang.piped import Piped, position_of
from fmsh.lang.statements import plain_block
from fmsh.machine import code as op
from fmsh.values import Duration, Secret, raised

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _ast
    from collections.abc import Callable

    from fmsh.lang.context import Compiler
    from fmsh.lang.syntax import Node
    from fmsh.values import Handle, Value

UNITS_S = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
RATE_HINT = "such as 10/s, 100/m or 1/h"


def compile_claim(c: Compiler, b: Body, given: Given, mode: str) -> Piped:
    """Emits the block of a `lock` or a `limit`."""
    node, line, kind = given.node, given.node.id, given.signature.name
    values = given.values("name", *(("concurrency", "rate") if kind == "limit" else ()), "timeout")
    block = given.block("block")
    if kind == "limit" and not (given.has("concurrency") or given.has("rate")):
        c.problem(node, "`limit` needs --rate or --concurrency", "such as `limit api --rate 10/s { … }`")
    if block is None or "name" not in values:
        return nothing(node)
    claim = _Claim(c, b, given)
    claim.keep(b, {name: value for name, value in values.items() if name not in ("timeout", "rate")}, values)
    if kind == "lock" or "concurrency" in values:
        claim.take(kind, has_timeout="timeout" in values)
    if "rate" in values:
        claim.pace()
    claim.body.emit(op.BODY, node, 0, plain_block(c, claim.body, block), "tail")
    slot = b.hide(node)
    b.emit(op.BODY, node, slot, c.add(claim.body), position_of(mode))
    return Piped(g.slot_of(0, slot, line), node, displays="never")


def compile_service_pace(c: Compiler, b: Body, node: Node, service: _ast.expr, name: str) -> None:
    """Emits the wait for the next moment of a service, if it was named with a `--rate`."""
    asked, has_rate, now = b.hide(node), b.hide(node), Label()
    b.emit(op.EVAL, node, asked, _function(c, node, _call(c, node, service_pace, service, g.constant(name, node.id))))
    b.emit(op.EVAL, node, has_rate, _function(c, node, _call(c, node, is_given, g.slot_of(0, asked, node.id))))
    b.emit(op.BRANCH, node, has_rate, now)
    _wait_for_moment(c, b, node, g.slot_of(0, asked, node.id), now)
    b.mark(now)


def rate_interval(c: Compiler, given: Given, value: _ast.expr) -> _ast.expr:
    """What gives the time from one to the next of a `--rate`. One that is written out is checked."""
    node = given.node_of("rate")
    text = plain_text(node) if node is not None else None
    if node is not None and text is not None and interval_of(text) is None:
        c.problem(node, f"{text!r} is no rate", RATE_HINT)
    return _call(c, given.node, interval, value)


def _wait_for_moment(c: Compiler, b: Body, node: Node, asked: _ast.expr, now: Label) -> None:
    """Reserves the next moment of a rate, and waits for it; goes to `now` where that is not needed."""
    at, is_later = b.hide(node), b.hide(node)
    b.emit(op.REQUEST, node, at, "limit", "reserve", _function(c, node, asked))
    moment = g.slot_of(0, at, node.id)
    b.emit(op.EVAL, node, is_later, _function(c, node, _call(c, node, is_given, moment)))
    b.emit(op.BRANCH, node, is_later, now)
    until = _function(c, node, record({"until": moment}, node.id))
    b.emit(op.REQUEST, node, b.hide(node), "timer", "sleep", until)


def _call(c: Compiler, node: Node, function: Callable[..., Value], *arguments: _ast.expr) -> _ast.expr:
    """A call of a function that generated code does not know by a name of its own: few programs need these."""
    return g.call(c.generator.bind("k", function), list(arguments), node.id)


def _function(c: Compiler, node: Node, value: _ast.expr) -> Callable[..., Value]:
    return c.generator.function(value, node.id)  # type: ignore[no-any-return]


class _Claim:
    """The body around the block. What was given is in slots outside of it, so that it is computed before all else."""

    def __init__(self, c: Compiler, b: Body, given: Given) -> None:
        self.c = c
        self.given = given
        self.node = given.node
        self.body = Body(-given.node.id, "body", b)
        self.asked, self.timeout, self.interval = b.hide(given.node), b.hide(given.node), b.hide(given.node)

    def keep(self, b: Body, asked: dict[str, _ast.expr], values: dict[str, _ast.expr]) -> None:
        """Computes what was given, outside of the body."""
        line = self.node.id
        b.emit(op.EVAL, self.node, self.asked, self._function(self._call(claimed, record(asked, line))))
        if "timeout" in values:
            b.emit(op.EVAL, self.node, self.timeout, self._function(values["timeout"]))
        if "rate" in values:
            rate = rate_interval(self.c, self.given, values["rate"])
            b.emit(op.EVAL, self.node, self.interval, self._function(rate))

    def take(self, kind: str, *, has_timeout: bool) -> None:
        """Asks for the claim, and waits until it is granted."""
        body, node = self.body, self.node
        handle, is_waiting, granted = body.hide(node), body.hide(node), Label()
        body.emit(op.HOLD, node, handle, kind, self._function(self._slot(1, self.asked)))
        body.emit(op.EVAL, node, is_waiting, self._function(self._call(must_wait, self._slot(0, handle))))
        body.emit(op.BRANCH, node, is_waiting, granted)
        if has_timeout:
            waiting = Body(-self.given.bound["block"][0].id, "body", body)
            waiting.emit(op.AWAIT, node, waiting.hide(node), self._function(self._slot(1, handle)))
            timeout = self._function(self._slot(1, self.timeout))
            body.emit(op.WITHIN, node, body.hide(node), self.c.add(waiting), timeout, "drop")
        else:
            body.emit(op.AWAIT, node, body.hide(node), self._function(self._slot(0, handle)))
        body.mark(granted)

    def pace(self) -> None:
        """Reserves the next moment of a rate, and waits for it."""
        now = Label()
        name = self._call(name_of, self._slot(1, self.asked))
        asked = record({"name": name, "interval": self._slot(1, self.interval)}, self.node.id)
        _wait_for_moment(self.c, self.body, self.node, asked, now)
        self.body.mark(now)

    def _slot(self, depth: int, slot: int) -> _ast.expr:
        return g.slot_of(depth, slot, self.node.id)

    def _call(self, function: Callable[..., Value], *arguments: _ast.expr) -> _ast.expr:
        return _call(self.c, self.node, function, *arguments)

    def _function(self, value: _ast.expr) -> Callable[..., Value]:
        return _function(self.c, self.node, value)


# ---- What the code calls ---------------------------------------------------------------------------------------------


def claimed(given: dict[str, Value]) -> dict[str, Value]:
    """What is claimed: a name, and how many may have it at a time."""
    name, size = given["name"], given.get("concurrency", 1)
    if not name or not name.isprintable():
        raise raised("type", "the name of a lock or limit is a text of printable characters")
    if size < 1:
        raise raised("type", "--concurrency says how many may be in the block at a time, so it is at least 1")
    return {"name": name, "size": size}


def name_of(asked: dict[str, Value]) -> Value:
    return asked["name"]


def must_wait(handle: Handle) -> bool:
    return handle.fields_["is_granted"] is not True


def is_given(value: Value) -> bool:
    return value is not None


def service_pace(service: dict[str, Value], name: str) -> Value:
    """What is reserved for a request to a service: a moment under its address; null if it has no rate."""
    if "interval" not in service:
        return None
    url = service["url"]
    return {"name": name if isinstance(url, Secret) else url, "interval": service["interval"]}


def interval(rate: str) -> Duration:
    """The time from one to the next at a rate such as `10/s`. Raises: Raised."""
    found = interval_of(rate)
    if found is None:
        raise raised("type", f"{rate!r} is no rate", hint=RATE_HINT)
    return found


def interval_of(rate: str) -> Duration | None:
    count, slash, unit = rate.partition("/")
    try:
        per_unit = float(count)
    except ValueError:
        return None
    if not slash or unit not in UNITS_S or not 0 < per_unit < float("inf"):
        return None
    return Duration(max(1000, round(UNITS_S[unit] * 1e9 / per_unit)))
