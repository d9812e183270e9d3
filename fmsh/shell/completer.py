"""Completion at the prompt: what may stand at the cursor, with what it is.

`World` is what completion knows of the session and the machine; nothing here reads anything else but directories.
"""

from __future__ import annotations

import os
import shlex

from fmsh.lang.lexer import lex
from fmsh.lang.parser import flatten
from fmsh.lang.tokens import BLANKS, NAME_CHARS
from fmsh.record import Record
from fmsh.shell.described import DIRECTORIES, NOTHING, Offer
from fmsh.values import Handle, kind_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from fmsh.machine.signature import Signature
    from fmsh.values import Value

SHOWN_CHARACTERS = 40
QUOTES = ("'", '"')
WORD_ENDS = BLANKS.union("\n;|&({<>=,[")
NAME_IS_NEXT = ("COMMAND", "CARET")
OPENING = ("LPAR", "DLPAR", "LSQB", "LINDEX", "LREC", "LBLOCK", "LGROUP", "LBODY", "LMATCH", "LSUB")
CLOSING = ("RPAR", "RBRACE", "RSQB")


class Candidate(Record):
    """A text for what stands from `start` to the cursor, and a few words about it."""

    start: int
    text: str
    about: str = ""


class World(Record):
    """`commands` gives names with what they do, `programs` those of the system; `value` may raise KeyError.

    `arguments` gives what may stand behind the words of a command, None if nothing is known of it.
    """

    commands: Callable[[], dict[str, str]]
    programs: Callable[[], Iterable[str]]
    signature: Callable[[str], Signature | None]
    arguments: Callable[[str, list[str], str], Offer | None]
    variables: Sequence[str]
    value: Callable[[str], Value]
    directory: str


def complete(text: str, world: World) -> list[Candidate]:
    """The candidates for the end of a text, which is where the cursor is."""
    path = _variable_at_end(text)
    if path is not None:
        return list(_of_variables(*path, world))
    quoted = _open_quote(text)
    if quoted is not None:
        return list(_in_quotes(text, quoted, world))
    start = _word_start(text)
    word = text[start:]
    span = _command_around(text[:start])
    if span is None:
        return list(_commands(start, word, world))
    command, before = text[span[0] : span[1]], text[span[1] : start]
    if word.startswith("-") and world.signature(command) is not None:
        return list(_flags(start, word, command, world))
    offer = world.arguments(command, _words(before), _unescaped(word)) if command else None
    offered = list(_offered(start, word, offer, world)) if offer is not None else []
    if offered or word.startswith("-") or (offer is not None and not word):
        return offered
    return [*_subcommands(start, word, command, text, world), *_paths(start, word, world.directory)]


def _variable_at_end(text: str) -> tuple[int, str, list[str], str] | None:
    """`$name.a.b` at the end: where the last part starts, the name, the path before that part, and the part."""
    index = len(text)
    while index > 0 and (text[index - 1] in NAME_CHARS or text[index - 1] in ".?[]-"):
        index -= 1
    if index == 0 or text[index - 1] != "$":
        return None
    parts = text[index:].replace("?", "").replace("[", ".").replace("]", "").split(".")
    if len(parts) == 1:
        return index, "", [], parts[0]
    return len(text) - len(parts[-1]), parts[0], parts[1:-1], parts[-1]


def _of_variables(start: int, name: str, path: list[str], part: str, world: World) -> Iterator[Candidate]:
    if not name:
        names = sorted({*world.variables, "env", "job"})
        names = [name for name in names if " " not in name and name.startswith(part)]  # others no line can name
        yield from (Candidate(start, each, _about(each, world)) for each in names)
        return
    try:
        value = _at(world.value(name), path) if name != "env" else dict(os.environ)
    except (KeyError, IndexError, ValueError, TypeError):
        return
    fields = value.fields_ if isinstance(value, Handle) else getattr(value, "fields", value)
    if isinstance(fields, dict):
        for key, item in fields.items():
            if key.startswith(part) and key.isidentifier():
                yield Candidate(start, key, "" if name == "env" else _shown(item))


def _at(value: Value, path: list[str]) -> Value:
    for key in path:
        value = value[int(key)] if isinstance(value, list | range) else value[key]
    return value


def _about(name: str, world: World) -> str:
    try:
        return _shown(world.value(name))
    except KeyError:
        return {"env": "the environment", "job": "this job"}.get(name, "")


def _shown(value: Value) -> str:
    from fmsh.builtins.display import plain_display
    from fmsh.render.cells import visible

    if isinstance(value, list | range):
        return f"list of {len(value)}"
    if isinstance(value, dict):
        return f"record of {len(value)}"
    text = visible(plain_display(value).rstrip("\n").partition("\n")[0])
    return f"{kind_of(value)} {text[:SHOWN_CHARACTERS]}"


def _open_quote(text: str) -> int | None:
    """Where a quote stands that is not closed in the last line."""
    at = text.rfind("\n") + 1
    quote: int | None = None
    while at < len(text):
        character = text[at]
        if quote is None and character in QUOTES:
            quote = at
        elif quote is not None and character == text[quote]:
            quote = None
        elif character == "\\" and (quote is None or text[quote] == '"'):
            at += 1
        at += 1
    return quote


def _in_quotes(text: str, quote: int, world: World) -> Iterator[Candidate]:
    """What may stand in quotes that are not closed: they are closed behind it, but for a directory."""
    mark = text[quote]
    wanted = text[quote + 1 :]
    span = _command_around(text[:quote])
    command = text[span[0] : span[1]] if span is not None else ""
    offer = world.arguments(command, _words(text[span[1] : quote]), wanted) if span is not None and command else None
    for each, about in (offer.texts if offer is not None else {}).items():
        if each.startswith(wanted):
            yield Candidate(quote, mark + _in_marks(each, mark) + mark, about)
    for candidate in _paths(quote, wanted, world.directory, escaped=False):
        end = "" if candidate.text.endswith("/") else mark
        yield candidate.replace(text=mark + _in_marks(candidate.text, mark) + end)


def _in_marks(text: str, mark: str) -> str:
    return "".join(f"\\{each}" if mark == '"' and each in '"\\$' else each for each in text)


def _word_start(text: str) -> int:
    index = len(text)
    while index > 0 and (text[index - 1] not in WORD_ENDS or text[max(0, index - 2)] == "\\"):
        index -= 1
    return index


def _command_around(before: str) -> tuple[int, int] | None:
    """Where the name is of the command whose argument stands at the end of a text; None where a command itself stands.

    (0, 0): there is neither. A command in brackets that are closed is over.
    """
    tokens = [token for token in flatten(lex(before + "x")) if token.end > token.start or token.type in NAME_IS_NEXT]
    closed = 0
    for index in range(len(tokens) - 1, -1, -1):
        token = tokens[index]
        if token.type in CLOSING:
            closed += 1
        elif token.type in OPENING:
            closed = max(0, closed - 1)
        elif token.type in NAME_IS_NEXT and not closed:
            name = tokens[index + 1] if index + 1 < len(tokens) else None
            if name is None or name.start >= len(before):
                return None
            return name.start, name.end
    return 0, 0


def _words(text: str) -> list[str]:
    """The words of a text, without their quotes, as far as they are whole."""
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def _offered(start: int, word: str, offer: Offer, world: World) -> Iterator[Candidate]:
    wanted = _unescaped(word)
    for text, about in offer.texts.items():
        if text.startswith(wanted):
            yield Candidate(start, _escaped(text), about)
    if offer.paths != NOTHING:
        for candidate in _paths(start, word, world.directory):
            if offer.paths != DIRECTORIES or candidate.text.endswith("/"):
                yield candidate


def _commands(start: int, word: str, world: World) -> Iterator[Candidate]:
    known = world.commands()
    first_words: dict[str, str] = {}
    for name, about in known.items():
        first, blank, _ = name.partition(" ")
        first_words.setdefault(first, f"{first} …" if blank else about)
    yield from (Candidate(start, name, about) for name, about in sorted(first_words.items()) if name.startswith(word))
    if word:
        programs = sorted({name for name in world.programs() if name.startswith(word)} - first_words.keys())
        yield from (Candidate(start, name) for name in programs)
        if "/" in word or word.startswith((".", "~")):
            yield from _paths(start, word, world.directory)


def _flags(start: int, word: str, command: str, world: World) -> Iterator[Candidate]:
    signature = world.signature(command)
    for parameter in signature.parameters if signature is not None else ():
        if parameter.kind == "flag" and parameter.flag.startswith(word):
            yield Candidate(start, parameter.flag, parameter.help)


def _subcommands(start: int, word: str, command: str, text: str, world: World) -> Iterator[Candidate]:
    """The second words of commands like `str upper`."""
    if text[:start].split()[-1:] != [command]:
        return
    for name, about in sorted(world.commands().items()):
        first, _, second = name.partition(" ")
        if first == command and second and second.startswith(word):
            yield Candidate(start, second, about)


def _paths(start: int, word: str, directory: str, *, escaped: bool = True) -> Iterator[Candidate]:
    """Paths that begin with a word. What the language would read otherwise is quoted by a backslash, if `escaped`."""
    above, slash, name = word.rpartition("/")
    above_it = _unescaped(above) if escaped else above
    name = _unescaped(name) if escaped else name
    place = os.path.join(directory, os.path.expanduser(above_it + slash) if slash else "")
    try:
        entries = sorted(os.scandir(place), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if entry.name.startswith(name) and (name.startswith(".") or not entry.name.startswith(".")):
            is_directory = entry.is_dir()
            name_shown = _escaped(entry.name) if escaped else entry.name
            shown = above + slash + name_shown + ("/" if is_directory else "")
            yield Candidate(start, shown, "directory" if is_directory else "")


def _escaped(name: str) -> str:
    return "".join(f"\\{character}" if character in " \t\"'$|&;()<>[]{}*?#\\`~" else character for character in name)


def _unescaped(word: str) -> str:
    return word.replace("\\", "")
