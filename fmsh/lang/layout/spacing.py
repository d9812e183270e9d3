"""Where blanks stand inside a stage: everywhere but where this module says otherwise."""

from __future__ import annotations

from fmsh.lang.layout.leaves import Leaf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fmsh.lang.layout.shapes import Bracket, Condition

# A long expression goes on to a new line after its loosest operators.
RANKS = {"OR": 1, "AND": 2, "COALESCE": 3, "PLUS": 4, "MINUS": 4, "MULTIPLY": 5}
ARITHMETIC = frozenset(("PLUS", "MINUS", "MULTIPLY", "POWER"))
OPERATORS = ARITHMETIC | {"OR", "AND", "NOT", "CMP", "COALESCE", "RANGE", "ASSIGN", "COMMA", "COLON"}
OPERAND_ENDS = frozenset(("LIT", "STR", "WORD", "COMPOUND", "VAR", "FIELD", "RPAR", "RSQB", "RBRACE", "NAME", "KEY"))
GLUED_TO_NEXT = frozenset(("ENV", "FLAGEQ", "SPREAD", "CARET", "KEYDOT"))
GLUED_TO_LAST = frozenset(("COMMA", "COLON", "LINDEX"))


class Nested:
    """A bracket or condition among leaves, by its first and last leaf."""

    __slots__ = ("first", "last", "shape")

    def __init__(self, first: Leaf, last: Leaf, shape: Bracket | Condition) -> None:
        self.first = first
        self.last = last
        self.shape = shape


def first_of(item: Leaf | Nested) -> Leaf:
    return item if isinstance(item, Leaf) else item.first


def last_of(item: Leaf | Nested) -> Leaf:
    return item if isinstance(item, Leaf) else item.last


def spaces(items: list[Leaf | Nested]) -> list[bool]:
    """Tells of each item of a stage whether a blank stands before it."""
    signs = _signs(items)
    return [index > 0 and index - 1 not in signs and _has_space(items, index, signs) for index in range(len(items))]


def _has_space(items: list[Leaf | Nested], index: int, signs: set[int]) -> bool:
    last, item = last_of(items[index - 1]), items[index]
    following = first_of(item)
    if last.type in GLUED_TO_NEXT or following.type in GLUED_TO_LAST:
        return False
    if last.type == "RANGE":
        return _is_loose(items, index - 1, signs)
    if following.type == "RANGE":
        return last.type not in OPERAND_ENDS or _is_loose(items, index, signs)
    if following.type in ("FIELD", "KEYDOT"):
        return following.mark == "IT"
    if isinstance(item, Nested) and item.first.type == "LPAR":
        return last.type != "NAME" or first_of(items[index - 2]).type != "DEF"
    return not (last.type == "REDIR" and last.text == "<<")


def _is_loose(items: list[Leaf | Nested], index: int, signs: set[int]) -> bool:
    """Whether an operand of the `..` at `index` is a word, which would take in the dots, or itself a calculation."""
    for step in (-1, 1):
        at = index + step
        if 0 <= at < len(items) and first_of(items[at]).type in ("WORD", "COMPOUND"):
            return True
        while 0 <= at < len(items) and (first_of(items[at]).type not in OPERATORS or at in signs):
            at += step
        if 0 <= at < len(items) and first_of(items[at]).type in ARITHMETIC:
            return True
    return False


def _signs(items: list[Leaf | Nested]) -> set[int]:
    """Gives the places of `-` that stand before one operand."""
    return {
        index
        for index, item in enumerate(items)
        if first_of(item).type == "MINUS" and (index == 0 or last_of(items[index - 1]).type not in OPERAND_ENDS)
    }
