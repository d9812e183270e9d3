"""The compiler's view of scopes: which name stands where, while code is made.

A `Body` becomes a `Code` with slots. A `PythonBody` is a block without effects inside a generated function: its names
are Python's own. Both know their parent, so a name is found by walking outwards.
"""

from __future__ import annotations

from fmsh.machine.code import Code

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from fmsh.lang.syntax import Def, Node
    from fmsh.machine.signature import Signature

CONCURRENT = "concurrent"  # the kind of a body that may not assign what lies outside of it
EACH = "each"  # the kind of a block that runs once for each item, one after the other


class FunctionInfo:
    """A `def`: its code's id, its signature, the body that it was defined in."""

    __slots__ = ("body", "code_id", "node", "signature", "streams_input")

    def __init__(self, node: Def, signature: Signature, body: Body, *, streams_input: bool) -> None:
        self.node = node
        self.code_id = node.id
        self.signature = signature
        self.body = body
        self.streams_input = streams_input  # its `$in` may be a source


class Label:
    """A place in a list of instructions that is jumped to."""

    __slots__ = ("pc",)

    def __init__(self) -> None:
        self.pc = -1


class Body:
    """One list of instructions being made. `kind`: main, def, block, body, loop, each, concurrent, defer."""

    def __init__(self, id: int, kind: str, parent: Body | None, name: str = "") -> None:
        self.code = Code(id, name)
        self.kind = kind
        self.parent = parent
        self.names: dict[str, int] = {}
        self.variables = self.code.variables
        self.functions: dict[str, FunctionInfo] = {}
        self.own_functions: dict[str, FunctionInfo] = {}  # but those of modules
        self.modules: dict[str, int] = {}  # by the name that they are used by
        self.hidden: dict[int, int] = {}
        self.kinds: dict[int, str] = {}  # slots whose kind is known, as long as nothing else is assigned to them
        self.own: dict[int, str] = {}  # slots that are known to hold a task or a channel, and which of them
        self.fails_softly = False  # it is the left side of `||`: a false condition is a failure

    def slot(self, label: str) -> int:
        """Adds a slot with a stable name."""
        self.code.slots.append(label)
        return len(self.code.slots) - 1

    def hide(self, node: Node) -> int:
        """Adds a hidden slot for what the effect at a node answers."""
        count = self.hidden.get(node.id, 0)
        self.hidden[node.id] = count + 1
        return self.slot(f"%{node.id}.{count}")

    def declare(self, name: str, node: Node) -> int:
        """Declares a variable; a second one of the same name shadows the first from here on."""
        slot = self.slot(f"{name}@{node.id}")
        self.names[name] = slot
        self.variables[name] = slot
        return slot

    def emit(self, operation: int, node: Node, *operands: Any) -> None:
        self.code.instructions.append((operation, node.id, *operands))

    def mark(self, label: Label) -> None:
        label.pc = len(self.code.instructions)


class PythonBody:
    """A block without effects: its variables are local variables of a generated Python function."""

    def __init__(self, parent: Body | PythonBody) -> None:
        self.parent = parent
        self.locals: dict[str, str] = {}

    def slots_body(self) -> Body:
        """The nearest body with slots."""
        body: Body | PythonBody = self
        while isinstance(body, PythonBody):
            body = body.parent
        return body


class Found:
    """Where a variable was found: a Python name, or a slot `depth` scopes up. `crosses`: kinds of the bodies left."""

    __slots__ = ("crosses", "depth", "python_name", "slot")

    def __init__(self, python_name: str, depth: int, slot: int, crosses: tuple[str, ...]) -> None:
        self.python_name = python_name
        self.depth = depth
        self.slot = slot
        self.crosses = crosses


def find_variable(body: Body | PythonBody, name: str) -> Found | None:
    """Finds a variable from a body outwards."""
    depth = 0
    crosses: list[str] = []
    current: Body | PythonBody | None = body
    while current is not None:
        if isinstance(current, PythonBody):
            if name in current.locals:
                return Found(current.locals[name], 0, 0, tuple(crosses))
        else:
            if name in current.names:
                return Found("", depth, current.names[name], tuple(crosses))
            depth += 1
            crosses.append(current.kind)
        current = current.parent
    return None


def known_kind(body: Body | PythonBody, name: str) -> str:
    """The kind that a variable is known to begin with; "" if it is not known."""
    current: Body | PythonBody | None = body
    while current is not None:
        if isinstance(current, PythonBody):
            if name in current.locals:
                return ""
        elif name in current.names:
            return current.kinds.get(current.names[name], "")
        current = current.parent
    return ""


def visible_names(body: Body | PythonBody) -> list[str]:
    """All variable names in sight, nearest first, for suggestions."""
    names: list[str] = []
    current: Body | PythonBody | None = body
    while current is not None:
        names += current.locals if isinstance(current, PythonBody) else current.names
        current = current.parent
    return [name for name in names if " " not in name]  # an api is a variable that no program can read


def find_function(body: Body | PythonBody, name: str) -> tuple[FunctionInfo, int] | None:
    """Finds a `def` and how many scopes up it was defined."""
    depth = 0
    current: Body | PythonBody | None = body
    while current is not None:
        if isinstance(current, Body):
            if name in current.functions:
                return current.functions[name], depth
            depth += 1
        current = current.parent
    return None


def find_module(body: Body | PythonBody, name: str) -> Body | None:
    """Finds the body that uses a module by that name."""
    current: Body | PythonBody | None = body
    while current is not None:
        if isinstance(current, Body) and name in current.modules:
            return current
        current = current.parent
    return None


def nearest_callable(body: Body | PythonBody) -> Body:
    """The body of the function, block or script that a body belongs to."""
    current = body.slots_body() if isinstance(body, PythonBody) else body
    while current.kind not in ("main", "def", "block", EACH, CONCURRENT) and current.parent is not None:
        current = current.parent
    return current
