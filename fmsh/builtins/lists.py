"""Commands on lists: choosing items, making others of them, walking through.

The compiler fuses runs of pure stages over batches; these are what a stage means, on a whole list. A range is a list
that is not written out, and stays one where it can.
"""

from __future__ import annotations

from fmsh.builtins.access import make_range
from fmsh.builtins.comparison import truth
from fmsh.builtins.complaints import need_int, need_list
from fmsh.builtins.declare import builtin, flag, optional, required

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from fmsh.builtins.builtin import Builtin
    from fmsh.values import Value

    Items = list[Value] | range


def where(items: Items, predicate: Callable[[Value], Value]) -> Value:
    """Keeps the items for which a block is true. The block gets the item as `$it` and must give a bool.

    > [1, 5, 3] | where { $it > 2 }
    5
    3

    > [{name: a, up: true}, {name: b, up: false}] | where { .up } | get name
    a
    """
    found = at_once(predicate, items, gives=bool)
    return [item for item in items if truth(predicate(item))] if found is None else found


def each(items: Items, block: Callable[[Value], Value]) -> Value:
    """Puts every item through a block, in order.

    > [1, 2] | each { $it * 10 }
    10
    20
    """
    found = at_once(block, items, gives=int)
    return [block(item) for item in items] if found is None else found


def at_once(block: Callable[[Value], Value], items: Items, *, gives: type) -> list[Value] | None:
    """Puts all items through a block that `gives` a number (or that chooses: a bool), in its faster form.

    None if the block has none, or not for these items.
    """
    lowered = getattr(block, "lowered", None)
    return lowered.of(items) if lowered is not None and lowered.gives is gives else None


def reduce(items: Items, block: Callable[[Value, Value], Value], **flags: Value) -> Value:
    """Folds a list to one value: the block gets what there is so far and the next item.

    > [1, 2, 3] | reduce --from 10 { |sum, n| $sum + $n }
    16
    """
    result = flags["from"]  # a word of Python, so it cannot be a parameter of its own
    for item in items:
        result = block(result, item)
    return result


def first(items: Items, count: Value = None) -> Value:
    """Takes the first N items; without N the first item itself, null if there is none.

    > [a, b, c] | first
    a

    > [a, b, c] | first 2
    a
    b
    """
    if count is None:
        return items[0] if items else None
    return items[: need_int(count, "the argument of `first`", least=0)]


def last(items: Items, count: Value = None) -> Value:
    """Takes the last N items; without N the last item itself, null if there is none.

    > [a, b, c] | last
    c

    > [a, b, c] | last 2
    b
    c
    """
    if count is None:
        return items[-1] if items else None
    return items[max(0, len(items) - need_int(count, "the argument of `last`", least=0)) :]


def skip(items: Items, count: Value) -> Value:
    """Leaves out the first N items.

    > [a, b, c] | skip 1
    b
    c
    """
    return items[need_int(count, "the argument of `skip`", least=0) :]


def take_while(items: Items, predicate: Callable[[Value], Value]) -> Value:
    """Takes items up to the first for which a block is false.

    > [1, 2, 9, 1] | take-while { $it < 5 }
    1
    2
    """
    taken = []
    for item in items:
        if not truth(predicate(item)):
            break
        taken.append(item)
    return taken


def count(items: Items) -> Value:
    """Counts the items of a list.

    > [a, b] | count
    2
    """
    return len(items)


def flatten(items: Items) -> Value:
    """Puts the items of lists in a list into one list; other items stay. One level only.

    > [[1, 2], 3, [[4]]] | flatten | to json
    [1,2,3,[4]]
    """
    flat: list[Value] = []
    for item in items:
        if type(item) is list or type(item) is range:
            flat.extend(item)
        else:
            flat.append(item)
    return flat


def pair(items: Items, other: Value) -> Value:
    """Goes through two lists side by side, as lists of two, up to the end of the shorter.

    > [a, b] | pair [1, 2]
    ["a",1]
    ["b",2]
    """
    return [list(both) for both in zip(items, need_list(other, "the argument of `pair`"), strict=False)]


def enumerate_(items: Items) -> Value:
    """Numbers the items from 0, as records `{index, item}`.

    > [a, b] | enumerate
    {"index":0,"item":"a"}
    {"index":1,"item":"b"}
    """
    return [{"index": index, "item": item} for index, item in enumerate(items)]


def chunk(items: Items, size: Value, *, every: Value = None) -> Value:
    """Cuts a list into lists of N items. Of a stream, `--every D` gives what there is when that time is over.

    > [1, 2, 3] | chunk 2
    [1,2]
    [3]
    """
    step = need_int(size, "the argument of `chunk`", least=1)
    return [list(items[start : start + step]) for start in range(0, len(items), step)]


def reverse(items: Items) -> Value:
    """Turns a list around.

    > [1, 2, 3] | reverse
    3
    2
    1
    """
    return items[::-1]


def any_(items: Items, predicate: Callable[[Value], Value]) -> Value:
    """Says whether a block is true for at least one item.

    > [1, 5] | any { $it > 3 }
    true
    """
    return any(truth(predicate(item)) for item in items)


def all_(items: Items, predicate: Callable[[Value], Value]) -> Value:
    """Says whether a block is true for every item; of an empty list it is.

    > [1, 5] | all { $it > 3 }
    false
    """
    return all(truth(predicate(item)) for item in items)


def tap(items: Value, block: Callable[[Value], Value]) -> Value:
    """Runs a block with every item and passes the items on unchanged.

    > [1, 2] | tap { $it * 10 } | sum
    3
    """
    for item in items if type(items) in (list, range) else (items,):
        block(item)
    return items


def range_(start: Value, end: Value) -> Value:
    """Gives the whole numbers from A to B, B included; nothing if B is less than A.

    > range 1 3
    1
    2
    3
    """
    return make_range(start, end)


_BLOCK = required("block", "block")
_PREDICATE = required("predicate", "block")

BUILTINS: tuple[Builtin, ...] = (
    builtin("where", where, _PREDICATE, input="list"),
    builtin("each", each, _BLOCK, input="list"),
    builtin("reduce", reduce, required("block", "block", gives=2), flag("from", is_required=True), input="list"),
    builtin("first", first, optional("count", "int"), input="list"),
    builtin("last", last, optional("count", "int"), input="list"),
    builtin("skip", skip, required("count", "int"), input="list"),
    builtin("take-while", take_while, _PREDICATE, input="list"),
    builtin("count", count, input="list"),
    builtin("flatten", flatten, input="list"),
    builtin("pair", pair, required("other", "list"), input="list"),
    builtin("enumerate", enumerate_, input="list"),
    builtin("chunk", chunk, required("size", "int"), flag("every", "duration"), input="list"),
    builtin("reverse", reverse, input="list"),
    builtin("any", any_, _PREDICATE, input="list"),
    builtin("all", all_, _PREDICATE, input="list"),
    builtin("tap", tap, _BLOCK),
    builtin("range", range_, required("start", "int"), required("end", "int"), input="none"),
)
