"""Modules: the files that a program uses, found, parsed and numbered, and how they are stored with it.

A program is its main file and the modules that it and they use, in the order in which they are first named. Their nodes
are numbered on from those before, so that an id names a node of the whole. A module is loaded once, however many use
it; modules that use one another in a circle are refused. What a file holds is asked of a function: this reads nothing.
"""

from __future__ import annotations

from fmsh.errors import Diagnostic, FmshError, SourceError
from fmsh.lang import syntax as s
from fmsh.lang.parser import Parsed, parse_partly
from fmsh.lang.tree import from_data, number, to_data, walk
from fmsh.record import Record
from fmsh.spans import Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    # (the path as written, the name of the file that uses it) → (what the file is known by, its source)
    Read = Callable[[str, str], tuple[str, Source]]


class Module(Record):
    """One file of a program. `used`: for each `use` in it, in order, the index of the module among the files.

    `is_standard`: it is of the standard library, and nothing uses it by name.
    """

    source: Source
    tree: s.Program
    used: Sequence[int]
    is_standard: bool = False

    @property
    def by_use(self) -> dict[int, int]:
        """The index of the module that each `use` names, by its node."""
        return {node.id: index for node, index in zip(uses(self.tree), self.used, strict=True)}


def uses(tree: s.Program) -> Iterator[s.Use]:
    """The `use`s of a file; they stand at its top."""
    return (statement for statement in tree.body.statements if isinstance(statement, s.Use))


def gather(
    source: Source, tree: s.Program, read: Read, *, beside: tuple[Source, s.Program] | None = None
) -> list[Module]:
    """Loads all modules of a program; gives its files, the main one first; one `beside` it may use modules too.

    Raises: SourceError with every problem that was found.
    """
    gathering = _Gathering(read)
    gathering.add(source, tree)
    if beside is not None:
        gathering.add(*beside)
    if gathering.problems:
        raise SourceError(gathering.problems)
    return gathering.numbered()


def gather_partly(
    source: Source, tree: s.Program, read: Read
) -> tuple[list[Module], dict[str, Parsed], list[Diagnostic]]:
    """The same with what can be read of modules: the files, those with syntax errors by name, and what is wrong with
    `use` itself."""
    gathering = _Gathering(read)
    gathering.add(source, tree)
    return gathering.numbered(), gathering.broken, [each for each in gathering.problems if each.code == "use"]


class _Gathering:
    """The files found so far, and the problems."""

    def __init__(self, read: Read) -> None:
        self.read = read
        self.files: list[tuple[Source, s.Program]] = []
        self.used: list[list[int]] = []
        self.problems: list[Diagnostic] = []
        self.broken: dict[str, Parsed] = {}  # files with syntax errors
        self.known: dict[str, int] = {}
        self.open: list[int] = []  # those that are being added, outermost first

    def add(self, source: Source, tree: s.Program) -> int:
        index = len(self.files)
        self.files.append((source, tree))
        self.used.append([])
        self.open.append(index)
        for node in uses(tree):
            self.used[index].append(self._find(source, node))
        self.open.pop()
        return index

    def numbered(self) -> list[Module]:
        """The files, whose nodes are numbered on from one to the next."""
        first = 0
        for _source, tree in self.files:
            number(tree, first)
            first += sum(1 for _ in walk(tree))
        return [Module(*file, used) for file, used in zip(self.files, self.used, strict=True)]

    def _find(self, source: Source, node: s.Use) -> int:
        """Gives the index of the module that a `use` names; 0 if there is a problem, which is noted."""
        path = path_of(node)
        if path is None:
            hint = "write it as it is, without variables: what a program is made of is known before it runs"
            self._note(source, node, "the path of a module must be plain text", hint)
            return 0
        try:
            identity, found = self.read(path, source.name)
        except FmshError as problem:
            self._note(source, node, problem.message, problem.hint)
            return 0
        if identity not in self.known:
            self.known[identity] = len(self.files)
            parsed = parse_partly(found)
            if parsed.problems:
                self.problems.extend(parsed.problems)
                self.broken[found.name] = parsed
            return 0 if parsed.program is None else self.add(found, parsed.program)
        if self.known[identity] in self.open:
            circle = self.open[self.open.index(self.known[identity]) :]
            names = [self.files[index][0].name for index in (*circle, circle[0])]
            hint = "put what both need into a third file"
            self._note(source, node, f"modules use one another in a circle: {' → '.join(names)}", hint)
        return self.known[identity]

    def _note(self, source: Source, node: s.Use, message: str, hint: str) -> None:
        self.problems.append(Diagnostic(source, node.path.span, message, hint, "error", "use"))


def path_of(node: s.Use) -> str | None:
    """The path of a module as it is written; None if it is not known before the program runs."""
    text = ""
    for part in node.path.parts:
        if isinstance(part, s.Tilde):
            text += f"~{part.user}"
        elif isinstance(part, s.Literal):
            text += part.value if isinstance(part.value, str) else part.spelling
        else:
            return None
    return text


def name_of(node: s.Use) -> str:
    """The name under which a module's functions are called."""
    return module_name(path_of(node) or "")


def module_name(path: str) -> str:
    return path.rpartition("/")[2].removesuffix(".fmsh")


# ---- The stored form -------------------------------------------------------------------------------------------------


def files_to_data(files: Sequence[Module]) -> dict[str, Any]:
    """The trees of a program that has modules, with the texts of these."""
    main, *modules = files
    return {
        "tree": to_data(main.tree),
        "used": list(main.used),
        "modules": [
            {"name": each.source.name, "text": each.source.text, "tree": to_data(each.tree), "used": list(each.used)}
            | ({"standard": True} if each.is_standard else {})
            for each in modules
        ],
    }


def files_from_data(data: dict[str, Any], source: Source) -> list[Module]:
    """Reads them back, ids included. Raises: ValueError when they were written in a newer form, or are none."""
    first, files = 0, []
    for each in (data, *data["modules"]):
        own = source if each is data else Source(each["name"], each["text"])
        files.append(Module(own, from_data(each["tree"], first), each["used"], each.get("standard", False)))
        first += len(each["tree"][1])
    return files
