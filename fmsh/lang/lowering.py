"""A computing block in Python's own operators, over a whole list whose items are of the kinds that it is made for.

The operators of the language look at the kinds of both sides. Where a block says nothing but literals, its item and the
item's fields, what it needs of their kinds is known when it is compiled: `{ .age > 40 and .name == x }` needs a number
and a text. For a list where every item has them Python's operators give the same; for any other list the block is what
it always was. What could give an error or a number that is too large (`*`, `**`, a division by something that is not a
literal) stays a call.
"""

from __future__ import annotations

import _ast
from _operator import itemgetter

from fmsh.lang import generated as g
from fmsh.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from fmsh.values import Value

    Kinds = frozenset[type]
    Inputs = tuple[tuple[str | None, Kinds], ...]

_INT: Kinds = frozenset({int})
_NUMBER: Kinds = frozenset({int, float})
_TEXT: Kinds = frozenset({str})
_BOOL: Kinds = frozenset({bool})

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
_SEARCHES: dict[str, type[_ast.cmpop]] = {"matches": _ast.In, "not_matches": _ast.NotIn}
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 _-,;:=/<>@!%&'\"~#")
_CALLS = ("multiply", "negate", *_DIVISIONS)  # of whole numbers they give whole numbers


class Lowered(Record):
    """What a block is for lists that have its `inputs`, each an item's field or (None) the item, with its kinds.

    `function` takes the items. Of a block that `gives` a bool it chooses items, of one that gives a number it makes a
    list of these.
    """

    function: Callable[[Any], list[Any]]
    inputs: Inputs
    gives: type

    def of(self, items: list[Value] | range) -> list[Value] | None:
        """Puts all items through; None if they are not of the kinds that the block needs."""
        for field, kinds in self.inputs:
            try:
                if field is not None and not kinds.issuperset(map(type, map(itemgetter(field), items))):
                    return None
            except (TypeError, KeyError):
                return None
            if field is None and type(items) is not range and not kinds.issuperset(map(type, items)):
                return None
        return self.function(items)


def lowered(function: Callable[[Any], list[Any]], inputs: Inputs, gives: type) -> Callable[[Any], Any]:
    """The decorator of a block that has such a form. Commands find it as `lowered`."""

    def decorate(block: Any) -> Any:
        block.lowered = Lowered(function, inputs, gives)
        return block

    return decorate


def lower(expression: _ast.expr, item: str, line: int) -> tuple[_ast.expr, Inputs, type] | None:
    """The form of a block whose value is `expression`: its function as a lambda, its inputs, and what it gives.

    None if the block says more than could be known of its kinds.
    """
    for gives in (bool, int):
        lowering = _Lowering(item)
        value = lowering.condition(expression) if gives is bool else lowering.number(expression)
        inputs = lowering.inputs
        if value is None or not inputs or (None in inputs and len(inputs) > 1):
            continue
        target = g.at(_ast.Name(id=item, ctx=_ast.Store()), line)
        tests = [value] if gives is bool else []
        loop = _ast.comprehension(target=target, iter=g.name("items", line), ifs=tests, is_async=0)
        made = g.at(_ast.ListComp(elt=g.name(item, line) if gives is bool else value, generators=[loop]), line)
        return g.function_of(["items"], made, line), tuple(inputs.items()), gives
    return None


class _Lowering:
    """One expression in Python's operators. Every method gives None for what is not known to be of its kind."""

    def __init__(self, item: str) -> None:
        self._item = item
        self.inputs: dict[str | None, Kinds] = {}  # what each must be

    def condition(self, node: _ast.expr) -> _ast.expr | None:
        match node:
            case _ast.Constant(value=bool()):
                return node
            case _ast.Call(func=_ast.Name(id="truth"), args=[inner]):
                return self.condition(inner)
            case _ast.Call(func=_ast.Name(id=function), args=[left, right]) if function in _COMPARISONS:
                return self._comparison(node, _COMPARISONS[function](), left, right)
            case _ast.Call(func=_ast.Name(id=function), args=[left, right]) if function in _SEARCHES:
                return self._search(node, function, left, right)
            case _ast.UnaryOp(op=_ast.Not(), operand=operand):
                inner_value = self.condition(operand)
                return None if inner_value is None else _at(_ast.UnaryOp(op=node.op, operand=inner_value), node)
            case _ast.BoolOp(op=operator, values=values):
                inner_values = [self.condition(value) for value in values]
                known = [value for value in inner_values if value is not None]
                return _at(_ast.BoolOp(op=operator, values=known), node) if len(known) == len(values) else None
        return self._input(node, _BOOL)

    def _comparison(self, node: _ast.expr, operator: _ast.cmpop, left: _ast.expr, right: _ast.expr) -> _ast.expr | None:
        is_text = any(isinstance(side, _ast.Constant) and type(side.value) is str for side in (left, right))
        sides = [self._text(side) if is_text else self._operand(side) for side in (left, right)]
        if sides[0] is None or sides[1] is None:
            return None
        return _at(_ast.Compare(left=sides[0], ops=[operator], comparators=[sides[1]]), node)

    def _search(self, node: _ast.Call, function: str, left: _ast.expr, right: _ast.expr) -> _ast.expr | None:
        """A search for a pattern; one without special characters is found where it stands as it is."""
        text = self._text(left)
        if text is None or not isinstance(right, _ast.Constant) or type(right.value) is not str:
            return None
        if not _PLAIN.issuperset(right.value):
            return _at(_ast.Call(func=node.func, args=[text, right], keywords=[]), node)
        return _at(_ast.Compare(left=right, ops=[_SEARCHES[function]()], comparators=[text]), node)

    def _text(self, node: _ast.expr) -> _ast.expr | None:
        if isinstance(node, _ast.Constant):
            return node if type(node.value) is str else None
        return self._input(node, _TEXT)

    def _operand(self, node: _ast.expr) -> _ast.expr | None:
        """A number of either kind, on a side of a comparison."""
        if isinstance(node, _ast.Constant) and type(node.value) is float:
            return node
        return self._input(node, _NUMBER) or self.number(node)

    def number(self, node: _ast.expr) -> _ast.expr | None:
        """A whole number."""
        if isinstance(node, _ast.Constant):
            return node if type(node.value) is int else None
        match node:
            case _ast.Call(func=_ast.Name(id=function), args=arguments, keywords=[]):
                if function in _CALLS or function in _ARITHMETIC:
                    return self._arithmetic(node, function, arguments)
        return self._input(node, _INT)

    def _arithmetic(self, node: _ast.Call, function: str, arguments: list[_ast.expr]) -> _ast.expr | None:
        found = [self.number(argument) for argument in arguments]
        values = [value for value in found if value is not None]
        if len(values) < len(found):
            return None
        operator = _ARITHMETIC.get(function)
        if function in _DIVISIONS and isinstance(values[1], _ast.Constant) and values[1].value != 0:
            operator = _DIVISIONS[function]
        if operator is None:
            return _at(_ast.Call(func=node.func, args=values, keywords=[]), node)
        return _at(_ast.BinOp(left=values[0], op=operator(), right=values[1]), node)

    def _input(self, node: _ast.expr, kinds: Kinds) -> _ast.expr | None:
        """The item, or a field of it."""
        match node:
            case _ast.Name(id=self._item):
                field = None
            case _ast.Call(
                func=_ast.Name(id="get_field"),
                args=[_ast.Name(id=self._item), _ast.Constant(value=str(field)), _ast.Constant(value=False)],
            ):
                pass
            case _:
                return None
        kinds &= self.inputs.get(field, kinds)
        if not kinds:
            return None
        self.inputs[field] = kinds
        value = g.name(self._item, node.lineno)
        return value if field is None else g.subscript(value, field, node.lineno)


def _at(made: _ast.expr, node: _ast.expr) -> _ast.expr:
    return g.at(made, node.lineno)  # type: ignore[no-any-return]
