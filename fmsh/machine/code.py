"""Code: what the compiler makes of a syntax tree, and all that the machine runs. It is never stored.

A body, block or def is one `Code`: a list of instructions over numbered slots of its scope. There is no operand stack:
what an effect answers goes into a slot, and an expression without effects is one Python function `fn(scope) -> value`.
An instruction is a tuple `(operation, node, operand, …)`; `node` is the syntax node that it stands for.

Slots have stable names (`x@12`: the variable declared at node 12; `%45.0`: the first hidden slot of node 45), and wait
points are named by node and operation: a snapshot holds these names and no index, so other code compiled from the same
tree, by a newer compiler, can go on from it.
"""

from __future__ import annotations

from fmsh.record import Record
from fmsh.values import Block, Handle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from fmsh.machine.signature import Signature
    from fmsh.machine.state import Scope
    from fmsh.spans import Source, Span
    from fmsh.values import Raised, Value

    Function = Callable[[Scope], Any]
    Instruction = tuple[Any, ...]

# operation             operands
EVAL = 0  #             slot, fn                            slot = fn(scope)
JUMP = 1  #             target
BRANCH = 2  #           slot, target                        goes on if the bool in slot is true, else jumps
REQUEST = 3  #          slot, connector, operation, fn      fn gives the arguments
PROCESS = 4  #          slot, fn, mode                      a run of externals; mode: "capture" | "display" | "tail"
OBSERVE = 5  #          slot, operation, fn
BODY = 6  #             slot, code, position                runs a body as a frame of its own
TRY = 7  #              slot, code, catch, catch_slot, finally, position, keys; of a retry: the slot of its keys
FOR = 8  #              slot, items_slot, code, exit, out, text_fn    one turn of a loop; slot counts the turns
WHILE = 9  #            code, exit                          one turn of a loop
CALL = 10  #            slot, code, depth, fn, position     fn gives the parameters' values; depth: where it was defined
CALL_BLOCK = 11  #      slot, fn, position                  fn gives (block, arguments)
UNLESS_SET = 12  #      slot, target                        jumps if the slot has a value
RETURN = 13  #          fn
BREAK = 14
CONTINUE = 15
EMIT = 16  #            fn
DEFER = 17  #           code
UNDO = 18  #            code
DISPLAY = 19  #         fn, when                            fn gives (text, stream, or with the value); when: always …
FAIL = 20  #            fn
EXIT = 21  #            fn
SPAWN = 22  #           slot, code, position
AWAIT = 23  #           slot, fn
EACH_PARALLEL = 24  #   slot, code, fn(, None, out, text_fn)   fn gives (items, how many at a time); out as in FOR
WITHIN = 25  #          slot, code, fn, position            fn gives the duration
ENVIRONMENT = 26  #     slot                                slot = the task's environment, a record
SET_ENVIRONMENT = 27  # fn                                  fn gives {name: text or null to unset}
DIRECTORY = 28  #       slot, fn                            changes the task's directory; slot = the old one
RESULT = 29  #          slot, code                          {ok, value, error} of a body
ONCE = 30  #            slot, code, position
CAPTURE = 31  #         slot, code, sink, position          {shown: [[stream, text], …], value} of a body; see Frame
CHANNEL = 32  #         slot, fn                            fn gives how many items it holds
SEND = 33  #            fn                                  fn gives (channel, value)
CLOSE = 34  #           fn                                  fn gives the channel
RACE = 35  #            slot, code, fn                      fn gives how many run; each takes its number, from 0
FOLD = 36  #            slot, fn, chain_fn, names           what a source comes to; see below
STREAM = 37  #          slot, fn, chain_fn, names           the same as a stream, of which the frame is the owner
STREAM_END = 38  #      slot                                slot = what the stream's request answered at last
ENDED = 39  #           slot, fn, waits                     fn gives jobs; slot: [handle, error or null] of the ended
HOLD = 40  #            slot, kind, fn                      fn gives what is claimed; slot: the handle of the claim
SOURCE = 41  #          fn, chain_fn, names                 is never run: all the code of a source (`sources`)
PASS_ON = 42  #         items_slot, exit, out, text_fn      takes what is there of a stream or list; out as in FOR

OPERATIONS = tuple(name for name, value in list(globals().items()) if name.isupper() and type(value) is int)

# `fn` of FOLD, STREAM and SOURCE gives the arguments of a request, and `names` those of its external commands; with
# `source` among the arguments they are for that connector and operation. In FOLD and STREAM `names` may be a slot,
# which gets {names, where}; then `fn` gives a value, perhaps a source. So it does where `names` of a SOURCE is None.
INPUT = "input"  # the kind of the handle that stands for what the job's starter reads on standard input

# `text_fn` of FOR, EACH_PARALLEL and PASS_ON gives what is shown of a list of values.
NO_VALUES = -1  # in the place of FOR's out_slot: its turns have no values
UNKEPT = -2  #    they have, and nobody wants them


GENERATED = "<fmsh>"  # the file name of generated functions; their line numbers are syntax nodes
ZONE = "%zone"  # the slot of the main code that holds the job's time zone, where a date without an offset needs it


class Unset:
    """What a slot holds before it has a value; also an argument that was not given."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "UNSET"


UNSET = Unset()
NOT_YET = "not yet"  # the kind of the handle that stands for a turn of `poll` that failed, with its `error`


class Code:
    """The code of one body. `make_function(scope)` gives a Python callable for a block without effects."""

    __slots__ = ("emits", "id", "instructions", "make_function", "name", "outer", "parameters", "slots", "variables")

    def __init__(self, id: int, name: str) -> None:
        self.id = id  # the node of the body, block or def
        self.name = name  # of the def, for the chain of calls; "" for others
        self.instructions: list[Instruction] = []
        self.slots: list[str] = ["result"]  # the stable name of each slot; slot 0 is the value of the last statement
        self.variables: dict[str, int] = {}  # what a person sees: name → slot
        self.parameters: Sequence[int] = ()  # slots of the parameters of a block or def, in order
        self.emits = False  # its value is the list of what it emits
        self.outer: Sequence[int] = ()  # of a detached part's start: the codes of the scopes around it, outermost first
        self.make_function: Callable[[Scope], Callable[..., Any]] | None = None

    @property
    def stream_pc(self) -> int:
        """Where this code opens its stream."""
        return next(pc for pc, instruction in enumerate(self.instructions) if instruction[0] == STREAM)

    def point(self, pc: int) -> str:
        """Names a wait point, the same in code that a newer compiler makes of the same tree."""
        operation, node = self.instructions[pc][:2]
        before = sum(1 for other in self.instructions[:pc] if other[0] == operation and other[1] == node)
        return f"{node}:{OPERATIONS[operation]}:{before}"

    def pc_of(self, point: str) -> int:
        """Finds a wait point. Raises: KeyError if this code has no such point."""
        node, operation, before = point.split(":")
        wanted = (OPERATIONS.index(operation), int(node))
        found = [pc for pc, instruction in enumerate(self.instructions) if instruction[:2] == wanted]
        if int(before) >= len(found):
            raise KeyError(point)
        return found[int(before)]


def is_source(value: Value) -> bool:
    """Whether a value is what a stream is read from (`sources`). Only `$in` can have one."""
    if type(value) is Handle:
        return value.kind == INPUT
    return type(value) is Block and [instruction[0] for instruction in value.code.instructions[:1]] == [SOURCE]


class Unit(Record):
    """One source of a program, with the spans of its nodes. Its node ids begin at `first_node`.

    `is_standard`: it is of the standard library, which no error points into.
    """

    source: Source
    spans: Sequence[Span]
    first_node: int
    is_standard: bool = False


class ScriptParameters(Record):
    """The parameters of a script, and their slots in its main code."""

    signature: Signature
    slots: dict[str, int]


class Program(Record):
    """All code of a job. `codes` is by node id; `main` the id of where it starts.

    `streams_input`: its main `$in` is read as a stream.
    """

    hash: str
    main: int
    codes: dict[int, Code]
    units: tuple[Unit, ...]
    parameters: ScriptParameters
    streams_input: bool = False

    def place(self, node: int) -> dict[str, Value]:
        """`{file, line, column}` of a node, lines and columns from 1."""
        source, span = self.span(node)
        place = source.place(span[0])
        return {"file": place.file, "line": place.line, "column": place.column}

    def span(self, node: int) -> tuple[Source, Span]:
        unit = self._unit(node)
        return unit.source, unit.spans[node - unit.first_node]

    def is_standard(self, node: int) -> bool:
        """Whether a node is of the standard library."""
        return self._unit(node).is_standard

    def _unit(self, node: int) -> Unit:
        for unit in reversed(self.units):
            if node >= unit.first_node:
                return unit
        raise IndexError(node)


def node_of(problem: Raised) -> int | None:
    """The syntax node at which a generated function failed: its line number."""
    node = None
    traceback = problem.__traceback__
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == GENERATED:
            node = traceback.tb_lineno
        traceback = traceback.tb_next
    return node
