"""Commands on records; each applies to a record, or to every record of a list."""

from __future__ import annotations

from fmsh.builtins.access import change_path, get_path, parse_path, plain_steps, without_path
from fmsh.builtins.complaints import mismatch, need_record, need_text, repeated, unknown, wrong_kind, wrong_value
from fmsh.builtins.declare import builtin, required, rest
from fmsh.machine.signature import COMPUTED
from fmsh.values import ErrorValue, Handle, a_kind, kind_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from fmsh.builtins.builtin import Builtin
    from fmsh.values import Value

    Row = dict[str, Value]


def get(value: Value, path: Value) -> Value:
    """Reads a field, from a record or from every record of a list. An index takes an item of the list itself;
    `?` before a step gives null where there is nothing.

    > {a: {b: 1}} | get a.b
    1

    > [{n: 1}, {n: 2}] | get n
    1
    2

    > [{n: 1}, {m: 2}] | get "?n" | to json
    [1,null]
    """
    steps = parse_path(path)
    if type(value) is str:
        raise wrong_kind(value, "record", what="the input of `get`")
    if type(value) in (list, range) and type(_key(steps[0])) is str:
        return [get_path(item, steps) for item in value]
    return get_path(value, steps)


def select(value: Value, *paths: Value) -> Value:
    """Keeps only these fields; a path such as `a.b` becomes the field `b`.

    > {a: 1, b: 2, c: {d: 3}} | select b c.d
    {"b":2,"d":3}
    """
    wanted = [(str(_key(steps[-1])), steps) for steps in map(parse_path, paths)]
    names = [name for name, _ in wanted]
    twice = repeated(names)
    if twice is not None:
        raise wrong_value(f"two of the fields would be called `{twice}`", hint="`rename-keys` gives one another name")
    return _each_record(value, "select", lambda row: {name: get_path(row, steps) for name, steps in wanted})


def reject(value: Value, *paths: Value) -> Value:
    """Drops these fields. A field that is not there is an error. An index drops an item of the list itself.

    > {a: 1, b: 2} | reject a
    {"b":2}

    > [a, b, c] | reject 0 -1
    b
    """
    routes = [plain_steps(path) for path in paths]
    if type(value) in (list, range) and all(len(steps) == 1 and type(steps[0]) is int for steps in routes):
        places = {get_path(range(len(value)), steps) for steps in routes}
        return [item for place, item in enumerate(value) if place not in places]

    dropped = {steps[0] for steps in routes if len(steps) == 1}

    def without(row: Row) -> Value:
        if len(dropped) == len(routes) and all(name in row for name in dropped):
            return {name: item for name, item in row.items() if name not in dropped}
        for steps in routes:
            row = without_path(row, steps)
        return row

    return _each_record(value, "reject", without)


def insert(value: Value, path: Value, new: Value) -> Value:
    """Adds a field; one that exists already is an error (`update` changes it). A block gets the record as `$it`.

    > {a: 1} | insert b 2
    {"a":1,"b":2}

    > [{a: 1}] | insert double { .a * 2 }
    {"a":1,"double":2}
    """
    steps = plain_steps(path)

    def inserted(row: Row) -> Value:
        def fresh(_: Value) -> Value:
            return new(row) if callable(new) else new

        above = get_path(row, steps[:-1])
        if type(steps[-1]) is int:
            hint = "`[...$list, $item]` adds an item, `update` changes one"
            raise mismatch(f"`insert` adds a field to a record; [{steps[-1]}] is an item of a list", hint=hint)
        if type(above) is dict and steps[-1] in above:
            raise unknown(f"the field `{steps[-1]}` is there already", hint="`update` changes a field")
        return change_path(row, steps, fresh, is_new_allowed=True)

    return _each_record(value, "insert", inserted)


def update(value: Value, path: Value, new: Value) -> Value:
    """Changes a field; one that is not there is an error (`insert` adds it). A block gets the old value as `$it`.
    A path that begins with an index changes an item of the list itself.

    > {a: 1} | update a 5
    {"a":5}

    > [{n: 1}, {n: 2}] | update n { $it * 10 } | get n
    10
    20

    > [a, b] | update 1 x
    a
    x
    """
    steps = plain_steps(path)

    def changed(old: Value) -> Value:
        return new(old) if callable(new) else new

    if type(value) in (list, range) and type(steps[0]) is int:
        return change_path(value, steps, changed)
    return _each_record(value, "update", lambda row: change_path(row, steps, changed))


def rename_keys(value: Value, names: Value) -> Value:
    """Gives fields other names, in their places.

    > {a: 1, b: 2} | rename-keys {a: x}
    {"x":1,"b":2}
    """
    for old, name in need_record(names, "the argument of `rename-keys`").items():
        need_text(name, f"the new name of `{old}`")

    def renamed(row: Row) -> Value:
        for old in names:
            get_path(row, [old])
        result = {names.get(key, key): item for key, item in row.items()}
        if len(result) != len(row):
            raise wrong_value("two fields would get the same name")
        return result

    return _each_record(value, "rename-keys", renamed)


def merge(value: Value, other: Value) -> Value:
    """Puts the fields of another record over these.

    > {a: 1, b: 2} | merge {b: 3, c: 4}
    {"a":1,"b":3,"c":4}
    """
    need_record(other, "the argument of `merge`")
    return _each_record(value, "merge", lambda row: {**row, **other})


def keys(value: Value) -> Value:
    """Lists the names of the fields.

    > {a: 1, b: 2} | keys
    a
    b
    """
    return _each_record(value, "keys", list)


def values(value: Value) -> Value:
    """Lists the values of the fields.

    > {a: 1, b: two} | values
    1
    two
    """
    return _each_record(value, "values", lambda row: list(row.values()))


def entries(value: Value) -> Value:
    """Lists the fields as records `{key, value}`.

    > {a: 1} | entries
    {"key":"a","value":1}
    """
    return _each_record(value, "entries", lambda row: [{"key": key, "value": item} for key, item in row.items()])


def _key(step: str | int | tuple[str | int, bool]) -> str | int:
    return step[0] if type(step) is tuple else step  # type: ignore[return-value]


def _each_record(value: Value, name: str, function: Callable[[Row], Value]) -> Value:
    if type(value) is dict:
        return function(value)
    if type(value) is list:
        return [function(_record_of(item, name, "every item of the list for")) for item in value]
    return function(_record_of(value, name, "the input of"))


def _record_of(value: Any, name: str, what: str) -> Row:
    if type(value) is dict:
        return value
    if type(value) is ErrorValue:
        return value.fields
    if type(value) is Handle:
        return {"kind": value.kind, "id": value.id} | value.fields_
    raise mismatch(f"{what} `{name}` must be a record, not {a_kind(kind_of(value))}")


BUILTINS: tuple[Builtin, ...] = (
    builtin("get", get, required("path", "field")),
    builtin("select", select, rest("paths", "field", is_required=True)),
    builtin("reject", reject, rest("paths", "field", is_required=True)),
    builtin("insert", insert, required("path", "field"), required("value", COMPUTED)),
    builtin("update", update, required("path", "field"), required("value", COMPUTED)),
    builtin("rename-keys", rename_keys, required("names", "record")),
    builtin("merge", merge, required("other", "record")),
    builtin("keys", keys),
    builtin("values", values),
    builtin("entries", entries),
)
