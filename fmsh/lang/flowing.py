"""An `each` with effects whose values go on one at a time: through stages that only compute, and into a further `each`.

    seq 100 | each { |n| GET ci/builds/$n } | where { .status == failed } | first 3

is a loop over the source. Its turn runs the block, puts the value through the stages, and goes over what they give with
the next block. So nothing is asked for that nobody needs: where a stage has had enough, the loops around it find that
their sources are at their end. What stages know lies in slots of the frame that owns the loop, as values, so a snapshot
may fall anywhere.
"""

from __future__ import annotations

from itertools import takewhile

from fmsh.lang import generated as g
from fmsh.lang import streams
from fmsh.lang import syntax as s
from fmsh.lang.bodies import EACH, Body, Label
from fmsh.lang.forms import has_no_value, items_of_each
from fmsh.lang.piped import Piped
from fmsh.machine import code as op
from fmsh.machine.code import UNSET
from fmsh.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from fmsh.lang.context import Compiler
    from fmsh.values import Value

    Text = Callable[[list[Any]], str]

COLLECTING = ("unique", "count-by", "group-by")  # what these know is no small value: they take the whole list


class Leg(Record):
    """Stages that only compute, and perhaps the `each` that takes what they give."""

    chain: list[s.Command]
    each: s.Command | None


def legs_of(c: Compiler, b: Body, rest: Sequence[s.Stage]) -> tuple[list[Leg], int]:
    """How the values of an `each` go on, and how many stages these are."""
    legs: list[Leg] = []
    taken = 0
    while taken < len(rest):
        found = streams.streamable(c, b, rest[taken:], gives_lines=False)
        chain = [*takewhile(lambda stage: c.literal_name(stage) not in COLLECTING, found)]
        taken += len(chain)
        following = rest[taken] if taken < len(rest) else None
        ends = len(chain) < len(found) or (chain and streams.is_fold(c, chain[-1]))
        if not ends and isinstance(following, s.Command) and streams.is_plain_each(c, b, following):
            legs.append(Leg(chain, following))
            taken += 1
            continue
        if chain:
            legs.append(Leg(chain, None))
        break
    return legs, taken


def flowing_list(
    c: Compiler, b: Body, each: s.Command, rest: Sequence[s.Stage], piped: Piped, mode: str
) -> tuple[Piped, int] | None:
    """Compiles an `each` over a list with the stages through which its values flow; None if there are none."""
    if not streams.is_plain_each(c, b, each):
        return None
    legs, taken = legs_of(c, b, rest)
    if not legs:
        return None
    flow = Flow(c, each, legs)
    given = g.own_slot(items_of_each(c, b, each, piped))
    inner = Body(each.id, "body", b)
    source, made, end = inner.hide(each), inner.hide(each), Label()
    inner.emit(op.EVAL, each, source, lambda scope: scope.parent.slots[given])
    inner.emit(op.EVAL, each, made, lambda scope: [])
    kept = op.UNKEPT if mode == "drop" and taken == len(rest) and not flow.is_fold else made
    flow.emit_loop(inner, source, end, kept, None)
    inner.mark(end)
    flow.emit_value(inner, kept, None)
    slot = b.hide(each)
    b.emit(op.BODY, each, slot, c.add(inner), "drop" if kept == op.UNKEPT else "capture")
    return Piped(g.slot_of(0, slot, each.id), each, displays="never" if flow.is_silent else "show"), taken


class Flow:
    """How the values of an `each` go on. The body of the frame that owns its loop is given when that is compiled."""

    def __init__(self, c: Compiler, first: s.Command, legs: list[Leg]) -> None:
        self._c = c
        self._first = first
        self._legs = legs
        self._owner = Body(0, "body", None)
        self._states: list[int] = []
        self._overs: list[int] = []  # slots of whether the loop before a leg is over
        self._turn_code = 0
        self._sources: list[tuple[Body, int]] = []  # of the loops around, outermost first

    @property
    def is_fold(self) -> bool:
        chain = self._legs[-1].chain
        return bool(chain) and streams.is_fold(self._c, chain[-1])

    @property
    def is_silent(self) -> bool:
        """Whether the last block has no value."""
        each = self._legs[-1].each
        return each is not None and has_no_value(self._c, self._owner, _block_of(each).body)

    def emit_loop(self, owner: Body, source: int, end: Label, kept: int, text: Text | None) -> None:
        """Emits the loop over what is in the slot `source`, up to `end`; `kept` and `text` are as in `op.FOR`."""
        self._owner, self._sources = owner, [(owner, source)]
        self._states = [owner.hide(self._first) for _ in self._legs]
        self._overs = [owner.hide(self._first) for _ in self._legs]
        shown = self._shown(text)
        self._turn_code = self._turn(self._first, owner, 0)
        owner.emit(op.FOR, self._first, owner.hide(self._first), source, self._turn_code, end, kept, shown)

    def emit_value(self, owner: Body, kept: int, text: Text | None) -> None:
        """Emits what comes behind the loop: what the stages still hold goes on, too; then the value of it all."""
        first, last, end, over = self._first, owner.hide(self._first), Label(), self._overs[0]
        owner.emit(op.EVAL, first, over, lambda scope: True)
        owner.emit(op.EVAL, first, last, lambda scope: [None])
        owner.emit(op.FOR, first, owner.hide(first), last, self._turn_code, end, kept, self._shown(text))
        owner.mark(end)
        if self.is_fold:
            value = self._stepped(owner, len(self._legs) - 1, lambda chain, scope: chain.value())
            owner.emit(op.EVAL, first, 0, lambda scope: scope.slots[value])
        else:
            owner.emit(op.EVAL, first, 0, lambda scope: None if kept < 0 else _joined(scope.slots[kept]))

    def _shown(self, text: Text | None) -> Text | None:
        if text is None:
            return None
        is_silent = self.is_silent
        return lambda lists: "" if is_silent else text(_joined(lists))

    def _turn(self, each: s.Command, around: Body, number: int) -> int:
        """The turn of a loop; its value is the list of what comes out at the end. `number`: of the leg behind it.

        It is done once more when the loop is over, without an item.
        """
        turn = Body(-each.id, EACH, around)  # an id of its own: nothing is written for it
        item, items, values = turn.slot(f"item@{each.id}"), turn.hide(each), turn.hide(each)
        turn.code.parameters = [item]
        is_over = self._over_in(turn, number)
        turn.emit(op.EVAL, each, items, lambda scope: [] if is_over(scope) else [scope.slots[item]])
        self._emit_for(
            turn, each, items, self._c.parts.compile_block(self._c, turn, _block_of(each), kind=EACH), values
        )
        sources = self._sources_from(turn)

        def end_loops_after_break(scope: Any) -> None:
            if not (scope.slots[values] or is_over(scope)):
                _empty(scope, sources)

        turn.emit(op.EVAL, each, turn.hide(each), end_loops_after_break)
        result = values
        if number < len(self._legs):
            if self._legs[number].chain:
                result = self._stepped(
                    turn,
                    number,
                    lambda chain, scope: chain.finish() if is_over(scope) else chain.feed(scope.slots[values]),
                )
            result = self._onwards(turn, number, result)
        turn.emit(op.EVAL, each, 0, lambda scope: scope.slots[result])
        return self._c.add(turn)

    def _over_in(self, b: Body, number: int) -> Callable[[Any], bool]:
        """Whether the loop before a leg is over; behind the last leg nobody asks."""
        if number == len(self._legs):
            return lambda scope: False
        over, above = self._overs[number], _levels(b, self._owner)
        return lambda scope: _up(scope, above).slots[over] is True

    def _onwards(self, b: Body, number: int, items: int) -> int:
        """The slot of what comes out at the end for the items that a leg gave."""
        each = self._legs[number].each
        if each is None:
            return items
        self._sources.append((b, items))
        code_id = self._turn(each, b, number + 1)
        made, result = b.hide(each), b.hide(each)
        self._emit_for(b, each, items, code_id, made)
        self._sources.pop()
        if number + 1 == len(self._legs):
            b.emit(op.EVAL, each, result, lambda scope: _joined(scope.slots[made]))
            return result
        last, rest, over, above = b.hide(each), b.hide(each), self._overs[number + 1], _levels(b, self._owner)
        is_over = self._over_in(b, number)

        def last_items(scope: Any) -> Value:
            _up(scope, above).slots[over] = is_over(scope)
            return [None] if is_over(scope) else []

        b.emit(op.EVAL, each, last, last_items)
        self._emit_for(b, each, last, code_id, rest)
        b.emit(op.EVAL, each, result, lambda scope: _joined([*scope.slots[made], *scope.slots[rest]]))
        return result

    def _emit_for(self, b: Body, each: s.Command, items: int, code_id: int, values: int) -> None:
        """A loop over a list, whose values go into a slot."""
        end = Label()
        b.emit(op.EVAL, each, values, lambda scope: [])
        b.emit(op.FOR, each, b.hide(each), items, code_id, end, values, None)
        b.mark(end)

    def _sources_from(self, b: Body) -> list[tuple[int, int]]:
        return [(_levels(b, body), source) for body, source in self._sources]

    def _stepped(self, b: Body, number: int, use: Callable[[Any, Any], Value]) -> int:
        """The slot of what is made of the stages of a leg, which go on from their state and leave the one after it."""
        leg = self._legs[number]
        node, state, above, sources = leg.chain[0], self._states[number], _levels(b, self._owner), self._sources_from(b)

        def step(chain: Any, scope: Any) -> Value:
            slots = _up(scope, above).slots
            if slots[state] is not UNSET:
                chain.restore(slots[state])
            given = use(chain, scope)
            slots[state] = chain.state()
            if chain.is_done:
                _empty(scope, sources)
            return given

        slot = b.hide(node)
        arguments = [streams.chain_of(self._c, b, leg.chain, node), g.name("s", node.id)]
        stepped = g.call(self._c.generator.bind("b", step), arguments, node.id)
        b.emit(op.EVAL, node, slot, self._c.generator.function(stepped, node.id))
        return slot


def _empty(scope: Any, sources: list[tuple[int, int]]) -> None:
    """Lets no loop around have another turn: each finds that its source is at its end."""
    for levels, source in sources:
        _up(scope, levels).slots[source] = []


def _joined(lists: list[list[Value]] | None) -> Value:
    return None if lists is None else [item for items in lists for item in items]


def _block_of(each: s.Command) -> s.BlockLiteral:
    return next(argument for argument in each.arguments if isinstance(argument, s.BlockLiteral))


def _levels(b: Body, above: Body) -> int:
    """How many scopes lie between the scope of a body and that of one around it."""
    levels = 0
    while b is not above:
        assert isinstance(b.parent, Body)
        b, levels = b.parent, levels + 1
    return levels


def _up(scope: Any, levels: int) -> Any:
    for _ in range(levels):
        scope = scope.parent
    return scope
