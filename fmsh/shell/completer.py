"""Completion at the prompt: what may stand at the cursor, with what it is.

Nothing here reads anything but directories. What begins as it is typed goes before what begins so in other letters, and
that before what only contains it.
"""

from __future__ import annotations

import fnmatch
import os
import re

from fmsh.shell.candidates import Candidate, contains, starts_whatever_case
from fmsh.shell.cursor import command_around, escaped, in_marks, spot_of, unescaped
from fmsh.shell.described import DIRECTORIES, FILES, NOTHING, Offer
from fmsh.shell.fields import of_it, of_pipe, of_variables

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from fmsh.machine.signature import Parameter, Signature
    from fmsh.shell.candidates import World
    from fmsh.shell.cursor import Around
    from fmsh.values import Value

BOOLS = {"true": "", "false": ""}
SEPARATORS = ("..", "@", ":", ",")  # within a word: `main..topic`, `root@host`
REFERENCE = re.compile(r"\$\{?([A-Za-z_]\w*)((?:\.\w+)*)\}?")


def complete(text: str, world: World) -> list[Candidate]:
    """The candidates for the end of a text, which is where the cursor is."""
    if "\0" in text:  # no name of anything has it
        return []
    for fits in (world.fits, starts_whatever_case, contains):
        found = _complete(text, world.replace(fits=fits))
        if found:
            return found
    return []


def _complete(text: str, world: World) -> list[Candidate]:
    spot = spot_of(text)
    if spot.code:
        inner = _complete(text[spot.code :], world)
        return [candidate.replace(start=candidate.start + spot.code) for candidate in inner]
    mark = "" if spot.quote is None else text[spot.quote]
    found = None if mark == "'" else of_variables(text, world, in_quotes=mark != "" and not _is_key(text, spot.quote))
    if found is None and not mark:
        found = of_it(text, world)
    if found is not None:
        return found
    around = command_around(text[: spot.word])
    if spot.quote is not None:
        return list(_in_quotes(text, spot.word, spot.quote, around, world))
    word = text[spot.word :]
    if not around.name:
        if around.is_known:
            return list(_commands(spot.word, word, world))
        return list(_paths(spot.word, word, world)) if word else []
    return _arguments(text, spot.word, word, around, world)


def _is_key(text: str, quote: int | None) -> bool:
    """Whether quotes are those of a key: `$build."odd`."""
    return quote is not None and text[:quote].endswith(".") and "$" in text[:quote].rpartition(" ")[2]


def _arguments(text: str, start: int, word: str, around: Around, world: World) -> list[Candidate]:
    if text[:start].rstrip(" ").endswith((">", "<")):
        return list(_paths(start, word, world))
    signature, words = _signature(around, world)
    offer = world.arguments(around.name, around.words, unescaped(word))
    if signature is not None and offer is None:
        return _of_signature(signature, words, text, start, word, around, world)
    offered = list(_offered(start, word, offer, world)) if offer is not None else []
    if word.startswith("-") and signature is not None:
        return offered or list(_flags(start, word, signature, world))
    if offered or word.startswith("-") or (offer is not None and not word):
        return offered
    at = start + word.startswith("@")  # curl --data @file
    return list(_subcommands(start, word, around, world)) or list(_paths(at, word.removeprefix("@"), world))


def _signature(around: Around, world: World) -> tuple[Signature | None, list[str]]:
    """That of a command of one or two words, with the words behind these."""
    if around.words:
        found = world.signature(f"{around.name} {around.words[0]}")
        if found is not None:
            return found, around.words[1:]
    return world.signature(around.name), around.words


def _of_signature(
    signature: Signature, words: list[str], text: str, start: int, word: str, around: Around, world: World
) -> list[Candidate]:
    """What may stand in a call of a command of fmsh, or of a function."""
    parameter = _parameter(signature, words, start, text)
    if parameter is None or parameter.kind != "flag":
        if word.startswith("-"):
            return list(_flags(start, word, signature, world))
        found = [*_subcommands(start, word, around, world)]
        if found or parameter is None:
            return found or (list(_paths(start, word, world)) if "/" in word else [])
    type_name = parameter.type_name
    if type_name in ("field", "field path or block"):
        return of_pipe(text, around.stage, start, word, world)
    if type_name == "bool":
        return list(_offered(start, word, Offer(BOOLS), world))
    if type_name == "path":
        paths = DIRECTORIES if signature.name == "cd" else FILES
        return list(_offered(start, word, Offer({}, paths), world))
    return list(_paths(start, word, world)) if word and type_name in ("any", "string", "word") else []


def _parameter(signature: Signature, words: list[str], start: int, text: str) -> Parameter | None:
    """The one whose argument stands behind some words."""
    positionals = 0
    flag: Parameter | None = None
    for each in words:
        if flag is not None:
            flag = None
        elif each.startswith("-") and len(each) > 1:
            named = signature.flag_named(each.partition("=")[0])
            takes_next = named is not None and named.type_name != "bool" and not each.partition("=")[2]
            flag = named if takes_next else None
        else:
            positionals += 1
    if flag is not None:
        return flag
    return signature.positionals[positionals] if positionals < len(signature.positionals) else signature.rest


def _flags(start: int, word: str, signature: Signature, world: World) -> Iterator[Candidate]:
    for parameter in signature.parameters:
        if parameter.kind == "flag":
            about = parameter.help or ("" if parameter.type_name == "bool" else parameter.type_name)
            for flag in (parameter.short, parameter.flag):
                if flag and world.fits(flag, word):
                    yield Candidate(start, flag, about, end=" ")


def _offered(start: int, word: str, offer: Offer, world: World) -> Iterator[Candidate]:
    found = list(_of_texts(start, word, offer, world))
    for separator in SEPARATORS:
        head, mark, tail = word.rpartition(separator)
        if not found and mark and "/" not in tail:
            found = list(_of_texts(start + len(head + mark), tail, offer, world))
    yield from found
    if offer.paths != NOTHING:
        for candidate in _paths(start, word, world):
            if offer.paths != DIRECTORIES or candidate.text.endswith("/"):
                yield candidate


def _of_texts(start: int, word: str, offer: Offer, world: World) -> Iterator[Candidate]:
    wanted = unescaped(word)
    for text, about in offer.texts.items():
        if world.fits(text, wanted):
            yield Candidate(start, escaped(text), about, end="" if text.endswith(("=", "/", ":", " ")) else " ")


def _in_quotes(text: str, start: int, quote: int, around: Around, world: World) -> Iterator[Candidate]:
    """What may stand in quotes that are not closed: they are closed behind it, but for a directory."""
    mark, wanted = text[quote], text[quote + 1 :]
    before = unescaped(text[start:quote])
    if around.name and not before:
        offer = world.arguments(around.name, around.words, wanted)
        for each, about in (offer.texts if offer is not None else {}).items():
            if world.fits(each, wanted):
                yield Candidate(quote, mark + in_marks(each, mark) + mark, about, each, " ")
    where = world if not before else world.replace(directory=_place(before, world) or world.directory)
    for candidate in _paths(quote, wanted, where, mark=mark):
        is_directory = candidate.text.endswith("/")
        if is_directory or around.name != "cd":
            yield candidate.replace(text=mark + candidate.text + ("" if is_directory else mark))


def _commands(start: int, word: str, world: World) -> Iterator[Candidate]:
    if word.startswith("^"):
        start, word = start + 1, word[1:]
        known: dict[str, str] = {}  # they are not meant
    else:
        known = world.commands()
    first_words: dict[str, str] = {}
    for name, about in known.items():
        first, blank, _ = name.partition(" ")
        first_words.setdefault(first, f"{first} …" if blank else about)
    for name, about in sorted(first_words.items()):
        if world.fits(name, word):
            yield Candidate(start, name, about, end=" ")
    if word:
        programs = sorted({name for name in world.programs() if world.fits(name, word)} - first_words.keys())
        yield from (Candidate(start, name, end=" ") for name in programs)
        if "/" in word or word.startswith("~"):
            yield from _paths(start, word, world)


def _subcommands(start: int, word: str, around: Around, world: World) -> Iterator[Candidate]:
    """The second words of commands like `str upper`."""
    if around.words:
        return
    for name, about in sorted(world.commands().items()):
        first, _, second = name.partition(" ")
        if first == around.name and second and world.fits(second, word):
            yield Candidate(start, second, about, end=" ")


# ---- Paths


def _paths(start: int, word: str, world: World, *, mark: str = "") -> Iterator[Candidate]:
    """Paths that a word begins, or that it means with `*` and `?`, in quotes if there is a `mark`."""
    above, slash, name = word.rpartition("/")
    if word.startswith("~") and not slash and not mark:
        yield from _homes(start, word, world)
        return
    place = _place(above + slash, world, mark=mark)
    if place is None:
        return
    pattern = re.compile(fnmatch.translate(name)) if not mark and re.search(r"(?<!\\)[*?]", name) else None
    wanted = name if mark else unescaped(name)
    if name == "..":
        yield Candidate(start, f"{word}/")
    try:
        entries = sorted(os.scandir(place), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        is_meant = pattern.match(entry.name) if pattern else world.fits(entry.name, wanted)
        if is_meant and (name.startswith(".") or not entry.name.startswith(".")):
            end = "/" if entry.is_dir() else ""
            shown = in_marks(entry.name, mark) if mark else escaped(entry.name)
            yield Candidate(start, above + slash + shown + end, shown=shown + end, end="" if end else " ")


def _place(above: str, world: World, *, mark: str = "") -> str | None:
    """The directory that what stands before a name means; None: nobody knows which."""
    path = above if mark else os.path.expanduser(unescaped(above))
    if mark != "'":
        references = list(REFERENCE.finditer(path))
        for found in reversed(references):
            value = _text_of(found[1], found[2], world)
            if value is None:
                return None
            path = path[: found.start()] + value + path[found.end() :]
    return os.path.join(world.directory, path)


def _text_of(name: str, path: str, world: World) -> str | None:
    try:
        value: Value = world.environment() if name == "env" else world.value(name)
        for key in path.split(".")[1:]:
            value = value[key]
    except (KeyError, TypeError):
        return None
    return value if isinstance(value, str) else None


def _homes(start: int, word: str, world: World) -> Iterator[Candidate]:
    import pwd

    if word == "~":
        yield Candidate(start, "~/", os.path.expanduser("~"))
        return
    for user in sorted(pwd.getpwall(), key=lambda user: user.pw_name):
        if world.fits(user.pw_name, word[1:]):
            yield Candidate(start, f"~{user.pw_name}/", user.pw_dir)
