"""Sources: what a stream is read from, as long as nobody reads it.

A source is a value that only `$in` can have: a block whose code is one `op.SOURCE`, or the handle of the job's standard
input. It is begun by the instruction that reads it (`op.FOLD`, `op.STREAM`), in whatever frame that stands; until then
nothing has happened. A source may be another one behind some stages; what is no source at all is its own items.
"""

from __future__ import annotations

from fmsh.machine.code import is_source
from fmsh.record import Record
from fmsh.values import Block

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from fmsh.machine.code import Instruction
    from fmsh.machine.state import Scope
    from fmsh.values import Value

INPUT_NAME = "standard input"
COPY = "cat"  # reads it for us, and goes on to do so when we are gone


class Source(Record):
    """What a source was found to be: a request with `arguments`, or else `items`. `makers` make its stages, in order.

    `names` are those of its commands, `node` the place of the first.
    """

    arguments: dict[str, Value] | None
    items: Value
    names: list[str]
    node: int
    makers: list[tuple[Callable[[Scope], Any], Scope]]

    def chain(self) -> Any:
        """Makes the chain of all stages."""
        made: Any = None
        for make, scope in self.makers:
            made = make(scope) if made is None else make(scope).after(made)
        return made


def begun(given: Block) -> Source:
    """What a source is, that somebody begins."""
    return source_of((0, 0, 0, lambda _scope: given, None, 0), given.scope)


def source_of(instruction: Instruction, scope: Scope) -> Source:
    """What an instruction that opens a stream reads."""
    _op, node, _slot, fn, make, names = instruction
    makers = [] if make is None else [(make, scope)]
    given = fn(scope)
    if type(names) is list:
        return Source(given, None, names, node, makers)
    while type(given) is Block and is_source(given):
        _op, node, fn, make, names = given.code.instructions[0]
        if make is not None:
            makers.insert(0, (make, given.scope))
        given, scope = fn(given.scope), given.scope
        if names is not None:
            return Source(given, None, names, node, makers)
    if is_source(given):
        arguments = {"stages": [{"argv": [COPY], "environment": {}}], "input": given}
        return Source(arguments, None, [INPUT_NAME], node, makers)
    return Source(None, given, [], node, makers)
