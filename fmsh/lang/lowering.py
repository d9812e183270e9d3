"""A computing block for whole numbers: the same in Python's own operators, over a whole list of nothing else.

The operators of the language look at the kinds of both sides. Where a block says nothing but whole numbers and its
item, these kinds are known as soon as the item's is, and Python's operators give the same. What could give an error or
a number that is too large (`*`, `**`, a division by something that is not a literal) stays a call.
"""

from __future__ import annotations

import _ast

from fmsh.lang import generated as g

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_ARITHMETIC: dict[str, type[_ast.operator]] = {"add": _ast.Add, "subtract": _ast.Sub}
_DIVISIONS: dict[str, type[_ast.operator]] = {"modulo": _ast.Mod, "floor_divide": _ast.FloorDiv}
_COMPARISONS: dict[str, type[_ast.cmpop]] = {
    "equal": _ast.Eq,
    "not_equal": _ast.NotEq,
    "less": _ast.Lt,
    "less_equal": _ast.LtE,
    "greater": _ast.Gt,
    "greater_equal": _ast.GtE,
}
_CALLS = ("multiply", "negate", *_DIVISIONS)  # of whole numbers they give whole numbers


def with_ints(of_ints: Callable[[Any], list[Any]], gives: type) -> Callable[[Any], Any]:
    """The decorator of a block that has such a form. Commands find it as `of_ints`, and its kind as `ints_give`."""

    def decorate(block: Any) -> Any:
        block.of_ints, block.ints_give = of_ints, gives
        return block

    return decorate


def for_ints(expression: _ast.expr, item: str, line: int) -> tuple[_ast.expr, type] | None:
    """The form of a block for items that are all whole numbers, and the kind that the block gives.

    Of one that gives a number it is `lambda items: [… for item in items]`; of one that gives a bool
    `lambda items: [item for item in items if …]`. None if the kind of the items is not enough.
    """
    lowered = _lower(expression, item)
    if lowered is None:
        return None
    value, gives = lowered
    target = g.at(_ast.Name(id=item, ctx=_ast.Store()), line)
    tests = [value] if gives is bool else []
    loop = _ast.comprehension(target=target, iter=g.name("items", line), ifs=tests, is_async=0)
    made = g.at(_ast.ListComp(elt=g.name(item, line) if gives is bool else value, generators=[loop]), line)
    return g.function_of(["items"], made, line), gives


def _lower(node: _ast.expr, item: str) -> tuple[_ast.expr, type] | None:
    """The expression in Python's operators, with the kind that it gives."""
    if isinstance(node, _ast.Constant):
        return (node, type(node.value)) if type(node.value) in (int, bool) else None
    if isinstance(node, _ast.Name):
        return (node, int) if node.id == item else None
    if isinstance(node, _ast.Call):
        return _lower_call(node, item)
    if isinstance(node, _ast.UnaryOp) and isinstance(node.op, _ast.Not):
        operand = _lower_all([node.operand], bool, item)
        return None if operand is None else (_at(_ast.UnaryOp(op=node.op, operand=operand[0]), node), bool)
    if isinstance(node, _ast.BoolOp):
        values = _lower_all(node.values, bool, item)
        return None if values is None else (_at(_ast.BoolOp(op=node.op, values=values), node), bool)
    return None


def _lower_call(node: _ast.Call, item: str) -> tuple[_ast.expr, type] | None:
    if not isinstance(node.func, _ast.Name) or node.keywords:
        return None
    function = node.func.id
    if function == "truth":
        inner = _lower_all(node.args, bool, item)
        return None if inner is None else (inner[0], bool)
    arguments = _lower_all(node.args, int, item)
    if arguments is None:
        return None
    if function in _COMPARISONS:
        left, right = arguments
        return _at(_ast.Compare(left=left, ops=[_COMPARISONS[function]()], comparators=[right]), node), bool
    operator = _ARITHMETIC.get(function)
    if function in _DIVISIONS and isinstance(arguments[1], _ast.Constant) and arguments[1].value != 0:
        operator = _DIVISIONS[function]
    if operator is not None:
        left, right = arguments
        return _at(_ast.BinOp(left=left, op=operator(), right=right), node), int
    if function in _CALLS:
        return _at(_ast.Call(func=node.func, args=arguments, keywords=[]), node), int
    return None


def _lower_all(nodes: list[_ast.expr], kind: type, item: str) -> list[_ast.expr] | None:
    found = [_lower(node, item) for node in nodes]
    if any(each is None or each[1] is not kind for each in found):
        return None
    return [each[0] for each in found if each is not None]


def _at(made: _ast.expr, node: _ast.expr) -> _ast.expr:
    return g.at(made, node.lineno)  # type: ignore[no-any-return]
