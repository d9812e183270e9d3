"""Operations on the whole tree: ids, walking, and the form in which a tree is stored with its job.

The stored form is `[TREE_VERSION, [node, …]]`, the nodes in preorder, so a node's index is its id; in a module, its id
is beyond those of the files before it. A node is `[kind, start, end, field…]`; in a field `[7]` is node 7,
`["", item, …]` a tuple, a dict with one `$` key a value that JSON lacks, anything else itself. It is flat so that
neither side recurses: the depth of a program costs no stack.
This module knows the fields of nodes, never what they mean.
"""

from __future__ import annotations

from fmsh.lang import syntax
from fmsh.lang.syntax import TREE_VERSION, Node, Program
from fmsh.record import RecordType
from fmsh.values import Duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

NODE_KINDS: dict[str, type[Node]] = {
    name: kind for name, kind in vars(syntax).items() if isinstance(kind, RecordType) and issubclass(kind, Node)
}

INTEGER_MAX = 2**53  # what every JSON reader keeps exactly


def children(node: Node) -> list[Node]:
    """Gives the nodes directly below a node, in the order of its fields."""
    found: list[Node] = []
    for field in node.fields:
        value = getattr(node, field)
        if isinstance(value, Node):
            found.append(value)
        elif type(value) is tuple:
            found.extend(item for item in value if isinstance(item, Node))
    return found


def walk(node: Node) -> Iterator[Node]:
    """Gives a node and all below it in preorder, without recursion."""
    waiting = [node]
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(children(node)[::-1])


def number(program: Program, first: int = 0) -> tuple[int, Node]:
    """Gives every node its id: its preorder index, from `first`. Tells how deep the tree is, and its deepest node."""
    waiting: list[tuple[Node, int]] = [(program, 1)]
    index, deepest, depth_max = first, waiting[0][0], 0
    while waiting:
        node, depth = waiting.pop()
        node.id = index
        index += 1
        if depth > depth_max:
            deepest, depth_max = node, depth
        waiting.extend([(child, depth + 1) for child in children(node)[::-1]])
    return depth_max, deepest


def to_data(program: Program) -> list[Any]:
    """Gives the stored form of a tree: nested lists that any JSON writer takes. The program must be numbered."""
    return [TREE_VERSION, [_node_to_data(node) for node in walk(program)]]


def from_data(data: list[Any], first: int = 0) -> Program:
    """Reads a stored tree back, ids included; `first` is that of the program.

    Raises: ValueError when it was written in a newer form, or is none.
    """
    version, rows = data
    if version != TREE_VERSION:
        raise ValueError(f"a syntax tree of version {version}; this fmsh reads version {TREE_VERSION}")
    nodes: dict[int, Node] = {}
    for index in range(len(rows) - 1, -1, -1):  # a child has a higher index than its parent
        kind, start, end, *fields = rows[index]
        node = NODE_KINDS[kind]((start, end), *(_value_from_data(field, nodes) for field in fields))
        node.id = first + index
        nodes[node.id] = node
    program = nodes[first]
    if not isinstance(program, Program):
        raise ValueError("a stored syntax tree begins with its program")
    return program


def _node_to_data(node: Node) -> list[Any]:
    fields = [_value_to_data(getattr(node, field)) for field in node.fields[1:]]
    return [type(node).__name__, node.span[0], node.span[1], *fields]


def _value_to_data(value: Any) -> Any:
    if isinstance(value, Node):
        return [value.id]
    if type(value) is tuple:
        return ["", *map(_value_to_data, value)]
    if value is None or type(value) is bool:
        return value
    if type(value) is int:
        return value if abs(value) <= INTEGER_MAX else {"$int": _integer_text(value)}
    if type(value) is float:
        return value if value - value == 0 else {"$float": repr(value)}
    if type(value) is str:
        return value if _is_unicode(value) else {"$text": value.encode("utf-8", "surrogatepass").hex()}
    if type(value) is Duration:
        return {"$duration": str(value.nanoseconds)}
    return {"$datetime": value.isoformat()}


def _integer_text(value: int) -> str:
    return hex(value)  # Python refuses the decimal form of very long integers


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _value_from_data(value: Any, nodes: dict[int, Node]) -> Any:
    if type(value) is list:
        if value and value[0] == "" and type(value[0]) is str:
            return tuple(_value_from_data(item, nodes) for item in value[1:])
        return nodes[value[0]]
    if type(value) is dict:
        [(tag, text)] = value.items()
        return _TAGS[tag](text)
    return value


def _datetime(text: str) -> Any:
    from datetime import datetime

    return datetime.fromisoformat(text)


_TAGS: dict[str, Callable[[str], Any]] = {
    "$int": lambda text: int(text, 16),
    "$float": float,
    "$text": lambda text: bytes.fromhex(text).decode("utf-8", "surrogatepass"),
    "$duration": lambda text: Duration(int(text)),
    "$datetime": _datetime,
}
