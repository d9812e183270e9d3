"""What the arguments of a command of the system may be, as `completions/NAME.fmsh` says it.

The value of such a file is a *description*, a record with some of these fields:

    flags       {"-n --lines": "how many"}, or {about: "how many", value: SOURCE} for one that takes a value; in
                "--color=" it does so behind the `=` only
    before      flags that only stand before its commands, written as `flags`, which may also stand behind these
    commands    {get: "shows things"}, or {about: "shows things", …} with the fields of a description
    arguments   SOURCE for all arguments, or a list of one SOURCE for each; the last is for those that follow, too

A *source* is a list of texts, a record of texts with what they mean, `files`, `directories`, `nothing`, or the name of
a function of the file that gives a list or a record. A function with a parameter is given the words before the cursor.
A text of a list may have what it means behind a tab. Nothing here runs but these functions (`pure`, `outputs`).
"""

from __future__ import annotations

import os

from fmsh.assembly import make_line
from fmsh.errors import FmshError, SourceError, UsageError
from fmsh.lang import syntax as s
from fmsh.lang.lines import COMMAND
from fmsh.lang.parser import parse
from fmsh.record import Record
from fmsh.shell.pure import ProgramFailed
from fmsh.spans import Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from fmsh.machine.code import Program
    from fmsh.values import Value

    Evaluate = Callable[[Program, dict[str, Value]], Value]

FIELDS = ("about", "flags", "before", "commands", "arguments")
OTHERS = "default"  # the file for all commands that have none
PLACES = ("files", "directories", "nothing")
FILES, DIRECTORIES, NOTHING = PLACES
WORDS = "words"  # the variable that a function is given
QUIET_KINDS = ("exit", "path")  # a program or a file has nothing to offer: no fault of who wrote the file


class Offer(Record):
    """Texts with what they mean, and which paths may stand there, too: one of `PLACES`."""

    texts: Mapping[str, str]
    paths: str = NOTHING


class Description(Record):
    """A file that was read. `value`: of the file; `definitions`: its functions, as those of a session."""

    path: str
    value: Mapping[str, Value]
    definitions: dict[str, str]


class Described:
    """The descriptions of `places`, directories of which the first that has a file for a command is asked."""

    def __init__(self, places: Sequence[str]) -> None:
        self._places = places
        self._read: dict[str, tuple[int, Description]] = {}
        self._functions: dict[tuple[str, str], Program] = {}

    def offer(self, name: str, words: list[str], word: str, evaluate: Evaluate) -> Offer | None:
        """What may stand behind the words of a command; None if nothing is known of it.

        `evaluate` gives the value of a program with variables. Raises: FmshError if a file cannot be used; what
        `evaluate` raises.
        """
        found = self._find(name, evaluate)
        if found is None:
            return None
        expected = _expected(found.value, words, word)
        return expected if isinstance(expected, Offer) else self._of_source(found, expected, words, evaluate)

    def other(self, words: list[str], evaluate: Evaluate) -> Offer:
        """What may stand in the place of the last of some words, the first of which is a command without a file."""
        found = self._find(OTHERS, evaluate)
        offer = Offer({}) if found is None else self._of_source(found, found.value.get("arguments"), words, evaluate)
        is_path = {text: os.path.lexists(os.path.expanduser(text).rstrip("/")) for text in offer.texts}
        texts = {text: about for text, about in offer.texts.items() if not is_path[text]}
        return Offer(texts, FILES if not texts or len(texts) < len(offer.texts) else NOTHING)

    def _find(self, name: str, evaluate: Evaluate) -> Description | None:
        if "/" in name:
            return None
        for place in self._places:
            path = os.path.join(place, f"{name}.fmsh")
            try:
                changed_at_ns = os.stat(path).st_mtime_ns
            except OSError:
                continue
            known = self._read.get(path)
            if known is None or known[0] != changed_at_ns:
                known = (changed_at_ns, _read(path, evaluate))
                self._read[path] = known
                self._functions.clear()
            return known[1]
        return None

    def _of_source(self, found: Description, source: Value, words: list[str], evaluate: Evaluate) -> Offer:
        if source in PLACES:
            return Offer({}, str(source))
        if isinstance(source, str):
            return Offer(_texts(self._call(found, source, words, evaluate), found.path))
        return Offer(_texts(source, found.path))

    def _call(self, found: Description, name: str, words: list[str], evaluate: Evaluate) -> Value:
        program = self._functions.get((found.path, name))
        if program is None:
            program = self._functions[found.path, name] = _calling(found, name)
        try:
            return evaluate(program, {WORDS: list(words)})
        except ProgramFailed as problem:
            if problem.error.kind in QUIET_KINDS:
                return []
            raise UsageError(f"{found.path}: {name}: {problem.message}") from None


def _read(path: str, evaluate: Evaluate) -> Description:
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except (OSError, UnicodeDecodeError) as problem:
        raise UsageError(f"{path} cannot be read: {problem}") from problem
    try:
        _, program, definitions = make_line(Source(path, text), {}, [])
        value = evaluate(program, {})
    except SourceError as problem:
        found = problem.diagnostics[0]
        place = found.source.place(found.span[0])
        raise UsageError(f"{place}: {problem.message}", hint=problem.hint) from None
    except FmshError as problem:
        raise UsageError(f"{path}: {problem.message}", hint=problem.hint) from None
    if not isinstance(value, dict):
        raise UsageError(f"{path} has no description as its value: a record with some of {', '.join(FIELDS)}")
    _check(value, path)
    return Description(path, value, definitions)


def _check(value: Mapping[str, Value], path: str) -> None:
    for field in value:
        if field not in (*FIELDS, "value"):
            raise UsageError(f"{path}: there is no field {field!r}", hint=f"there are {', '.join(FIELDS)}")
    for field in ("flags", "before", "commands"):
        parts = value.get(field, {})
        if not isinstance(parts, dict):
            raise UsageError(f"{path}: `{field}` is no record")
        for name, part in parts.items():
            if isinstance(part, dict):
                _check(part, path)
            elif not isinstance(part, str):
                raise UsageError(f"{path}: {name!r} of `{field}` is neither a text nor a record")


def _calling(found: Description, name: str) -> Program:
    text = found.definitions.get(f"{COMMAND}{name}")
    if text is None:
        hint = f"a source is a list, a record, {', '.join(PLACES)}, or the name of a function of the file"
        raise UsageError(f"{found.path} has no function `{name}`", hint=hint)
    defined = next(node for node in parse(Source(found.path, text)).body.statements if isinstance(node, s.Def))
    call = f"{name} ${WORDS}" if defined.parameters else name
    text = f"let found = ({call})\n$found"  # what is displayed could flow, and would leave no value
    return make_line(Source(found.path, text), found.definitions, [WORDS])[1]


def _texts(value: Value, path: str) -> dict[str, str]:
    if isinstance(value, dict):
        return {text: str(about) for text, about in value.items()}
    if not isinstance(value, list):
        raise UsageError(f"{path}: a source gave neither a list of texts nor a record")
    parts = (str(text).partition("\t") for text in value)
    return {text: about.strip() for text, _, about in parts if text}


# ---- What is expected behind some words


def _expected(value: Mapping[str, Value], words: list[str], word: str) -> Offer | Value:
    """The source of what may stand behind some words, or already what that may be."""
    levels: list[Mapping[str, Value]] = [value]  # of the commands so far, the last one first
    arguments, flag, is_past_flags = 0, None, False
    for each in words:
        if flag is not None:
            flag = None
        elif each == "--":
            is_past_flags = True
        elif each.startswith("-") and not is_past_flags:
            flag = _flag_with_value(levels, each)
        elif arguments == 0 and each in _record(levels[0], "commands"):
            levels.insert(0, _described(_record(levels[0], "commands")[each]))
        else:
            arguments += 1
    if flag is not None:
        return flag["value"]
    if word.startswith("-") and not is_past_flags:
        return Offer(dict(_flags(levels)))
    commands = _record(levels[0], "commands")
    source = _argument(levels[0].get("arguments", NOTHING if commands else FILES), arguments)
    if commands and arguments == 0:
        return Offer({name: _about(part) for name, part in commands.items()}, source if source in PLACES else NOTHING)
    return source


def _argument(sources: Value, index: int) -> Value:
    if not isinstance(sources, list):
        return sources
    return sources[min(index, len(sources) - 1)] if sources else NOTHING


def _flag_with_value(levels: list[Mapping[str, Value]], word: str) -> Mapping[str, Value] | None:
    """The description of a flag that takes the next word, or what follows its `=`, as its value."""
    spelling, equals, given = word.partition("=")
    for spellings, part in _all_flags(levels):
        if "value" in part and not given and (spelling in spellings or spelling + equals in spellings):
            return part
    return None


def _flags(levels: list[Mapping[str, Value]]) -> Iterator[tuple[str, str]]:
    for spellings, part in _all_flags(levels):
        yield from ((spelling, _about(part)) for spelling in spellings)


def _all_flags(levels: list[Mapping[str, Value]]) -> Iterator[tuple[list[str], Mapping[str, Value]]]:
    for index, level in enumerate(levels):
        flags = _record(level, "flags") if index else {**_record(level, "flags"), **_record(level, "before")}
        for spellings, part in flags.items():
            yield spellings.split(), _described(part)


def _record(value: Mapping[str, Value], field: str) -> Mapping[str, Value]:
    found: Mapping[str, Value] = value.get(field, {})
    return found


def _described(part: Value) -> Mapping[str, Value]:
    return part if isinstance(part, dict) else {"about": part}


def _about(part: Value) -> str:
    return str(_described(part).get("about", ""))
