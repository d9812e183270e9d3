"""Completion of variables, and of the fields of the actual values: of `$build.`, of `$it.`, of `… | get `."""

from __future__ import annotations

import re

from fmsh.errors import FmshError
from fmsh.shell.candidates import Candidate
from fmsh.shell.cursor import block_of, piped_into, quoted
from fmsh.values import Handle, kind_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fmsh.shell.candidates import World
    from fmsh.values import Value

SHOWN_CHARACTERS = 40
ITEMS_LOOKED_AT = 20  # of a list whose records are asked for their fields
INDEXES_MAX = 20
NAME = r"[A-Za-z_]\w*"
STEP = r"\??(?:\.\w+|\.\"[^\"\n]*\"|\[-?\d+\])"
VARIABLE = re.compile(r"(?<!\\)\$(\{?)(?P<begin>\w*)$")
FIELD = re.compile(
    rf"(?<!\\)\$(?P<brace>\{{?)(?P<name>{NAME})(?P<path>(?:{STEP})*)\??"
    r"(?:\.(?P<part>[\w-]*|\"[^\"\n]*)|\[(?P<index>-?\d*))$"
)
OF_IT = re.compile(rf"(?:^|[\s(\[{{,|])(?P<path>(?:\.{NAME})*)\.(?P<part>[\w-]*)$")
STEPS = re.compile(r"\.(\w+)|\.\"([^\"]*)\"|\[(-?\d+)\]")
DECLARED = re.compile(rf"\b(?:let|catch|for)\s+({NAME})(?:\s*,\s*({NAME}))?|[|,]\s*({NAME})(?=[^|\n]*\|)")
DECLARING = (r"\{{ *\| *{0}\b", r"\bfor +{0} +in +([^\n{{]+)", r"\blet +{0} *= *([^\n;]+)")
OF_ITEMS = ("where", "each", "any", "all", "take-while", "sort-by", "group-by", "count-by", "unique")
JOB = {"id": "its number", "key": "its key", "name": "its name"}
ABOUT = {"env": "the environment", "job": "this job", "it": "the item of this block"}


def of_variables(text: str, world: World, *, in_quotes: bool) -> list[Candidate] | None:
    """What may follow at the end of a text that is within `$name.a.b`; None: it is not."""
    found = VARIABLE.search(text)
    if found is not None:
        return list(_names(text, found.start("begin"), found["begin"], world))
    found = FIELD.search(text)
    if found is None:
        return None
    name, path = found["name"], _steps(found["path"])
    try:
        value = _at(_variable(name, text[: found.start()], world), path)
    except (KeyError, IndexError, ValueError, TypeError):
        return []
    if found["index"] is not None:
        return list(_indexes(found.start("index"), found["index"], value, world))
    may_quote = not in_quotes or bool(found["brace"])
    return list(_keys(found.start("part"), found["part"], value, world, may_quote=may_quote, is_shown=name != "env"))


def of_it(text: str, world: World) -> list[Candidate] | None:
    """What may follow at the end of a text that is within `.a.b` in a block; None: it is not."""
    found = OF_IT.search(text)
    if found is None or found["part"] is None:
        return None
    item = _item(text[: found.start("path")], world)
    try:
        value = _at(item, _steps(found["path"]))
    except (KeyError, IndexError, ValueError, TypeError):
        return None
    keys = list(_keys(found.start("part"), found["part"], value, world, may_quote=True))
    return keys or None


def of_pipe(text: str, stage: int, start: int, word: str, world: World) -> list[Candidate]:
    """The fields that a word, a path such as `a.b`, may name of what comes from the pipe."""
    above, dot, part = word.rpartition(".")
    try:
        value = _at(_sample(_piped(text, stage, world)), _steps("." + above if above else ""))
    except (KeyError, IndexError, ValueError, TypeError):
        return []
    return list(_keys(start + len(above + dot), part, _sample(value), world, may_quote=True))


# ---- Values


def _steps(path: str) -> list[str | int]:
    return [int(found[3]) if found[3] else found[1] or found[2] or "" for found in STEPS.finditer(path)]


def _at(value: Value, path: list[str | int]) -> Value:
    for key in path:
        value = _fields(value)[key] if isinstance(key, str) else value[key]
    return value


def _fields(value: Value) -> Mapping[str, Value]:
    """Raises: TypeError, if it has none."""
    found = value.fields_ if isinstance(value, Handle) else getattr(value, "fields", value)
    if not isinstance(found, dict):
        raise TypeError
    return found


def _variable(name: str, text: str, world: World) -> Value:
    """That of the session, or else of what stands before in a text: a block's parameter, a loop, a `let`."""
    if name == "env":
        return dict(sorted(world.environment().items()))
    if name == "it":
        return _item(text, world)
    for pattern in DECLARING:
        declared = list(re.finditer(pattern.format(name), text))
        value: Value = None
        if declared and declared[-1].lastindex:
            value = _value(declared[-1][1], world)
            value = value if "let" in pattern else _sample(value)
        elif declared:
            value = _item(text[: declared[-1].end()].rpartition("|")[0], world)
        if value is not None:
            return value
    try:
        return world.value(name)
    except KeyError:
        return JOB if name == "job" else None


def _piped(text: str, stage: int, world: World) -> Value:
    return _value(piped_into(text, stage), world)


def _value(pipeline: str, world: World) -> Value:
    try:
        return world.evaluate(pipeline) if pipeline else None
    except FmshError:  # it has an effect, or is wrong
        return None


def _item(text: str, world: World) -> Value:
    """An item of what is piped into the command in whose block a text ends."""
    around = block_of(text)
    return _sample(_piped(text, around.stage, world)) if around is not None and around.name in OF_ITEMS else None


def _sample(value: Value) -> Value:
    """A record with all fields of the records of a list; other values as they are."""
    if not isinstance(value, list | tuple):
        return value
    fields: dict[str, Value] = {}
    for item in value[:ITEMS_LOOKED_AT]:
        for key, each in item.items() if isinstance(item, dict) else ():
            fields.setdefault(key, each)
    return fields


# ---- Candidates


def _names(text: str, start: int, begin: str, world: World) -> Iterator[Candidate]:
    declared = {name for found in DECLARED.findall(text) for name in found if name}
    names = sorted({*world.variables, *declared, "env", "job", *(["it"] if "{" in text else [])})
    for name in names:
        if world.fits(name, begin) and " " not in name:  # others no line can name
            yield Candidate(start, name, _about(name, world))


def _about(name: str, world: World) -> str:
    try:
        return shown(world.value(name))
    except KeyError:
        return ABOUT.get(name, "")


def _keys(
    start: int, part: str, value: Value, world: World, *, may_quote: bool, is_shown: bool = True
) -> Iterator[Candidate]:
    try:
        fields = _fields(value)
    except TypeError:
        return
    typed = part.removeprefix('"')
    for key, item in fields.items():
        is_plain = re.fullmatch(NAME, key) is not None
        if world.fits(key, typed) and (is_plain or may_quote) and not (is_plain and part.startswith('"')):
            text = key if is_plain else quoted(key)
            yield Candidate(start, text, shown(item) if is_shown else "")


def _indexes(start: int, part: str, value: Value, world: World) -> Iterator[Candidate]:
    if isinstance(value, list | range):
        for index in range(min(len(value), INDEXES_MAX)):
            if world.fits(str(index), part):
                yield Candidate(start, f"{index}]", shown(value[index]))


def shown(value: Value) -> str:
    """A few words about a value."""
    from fmsh.builtins.display import plain_display
    from fmsh.render.cells import visible

    if isinstance(value, list | range):
        return f"list of {len(value)}"
    if isinstance(value, dict):
        return f"record of {len(value)}"
    text = visible(plain_display(value).rstrip("\n").partition("\n")[0])
    return f"{kind_of(value)} {text[:SHOWN_CHARACTERS]}".rstrip()
