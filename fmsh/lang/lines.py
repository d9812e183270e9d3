"""A line at a prompt: a program that begins where the lines before it ended.

It sees their variables, and those of their definitions (`def`, `alias`, `use`) that it needs, which are a file of the
program beside its own: compiled first, in the scope of the line, so that a function sees the variables of the session
as in any shell. A definition that cannot be used any more (its module is gone, or its variable) fails the lines that
need it, and no others.
"""

from __future__ import annotations

from fmsh.lang import statements
from fmsh.lang import syntax as s
from fmsh.lang.calls import plain_text
from fmsh.lang.modules import module_name, path_of
from fmsh.lang.parser import parse
from fmsh.lang.tree import walk
from fmsh.record import Record
from fmsh.spans import Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from fmsh.lang.bodies import Body
    from fmsh.lang.context import Compiler

COMMAND, USE = "command ", "use "  # how the names of definitions begin
API = "api "  # how the variables of services begin, which no program can read: fmsh.lang.requests


class Before(Record):
    """What a line finds: `variables` by name; `file` is the index of the file with the definitions.

    `others`: names of more variables, which may have been meant where a name is not known.
    """

    variables: tuple[str, ...]
    file: int
    others: tuple[str, ...] = ()


def begin(c: Compiler, main: Body, tree: s.Program, before: Before) -> None:
    """Makes what was before known to the line that is compiled now."""
    c.others = before.others
    for name in before.variables:
        main.declare(name, tree.body)
    body = c.files[before.file].tree.body
    own = c.enter_file(before.file)
    statements.announce_all(c, main, body)
    for statement in body.statements:
        statements.compile_statement(c, main, statement, is_last=False)
    aliases = c.aliases
    c.leave_file(own)
    c.aliases.update(aliases)


def definitions_of(source: Source, tree: s.Program, absolute: Callable[[str], str]) -> dict[str, str]:
    """The texts of what a line defines, each by a name that a later definition of the same takes over.

    `absolute` makes a path of a module independent of the directory.
    """
    found = {}
    for statement in tree.body.statements:
        text = source.text[statement.span[0] : statement.span[1]]
        if isinstance(statement, s.Def):
            help = "".join(f"# {line}\n" for line in statement.help.splitlines())
            found[f"{COMMAND}{statement.name}"] = help + text
        elif isinstance(statement, s.Alias):
            found[f"{COMMAND}{statement.name}"] = text
        elif isinstance(statement, s.Use):
            path = absolute(path_of(statement) or "").replace("'", "\\'")
            found[f"{USE}{path}"] = f"use '{path}'{' *' if statement.is_open else ''}"
    return found


def needed_by(tree: s.Program, definitions: Mapping[str, str]) -> list[str]:
    """The texts of the definitions that a line needs, also through one another, in the order of their definition.

    A module that is used without its prefix may define any command, so every line needs it.
    """
    needed = {name for name, text in definitions.items() if name.startswith(USE) and text.endswith("*")}
    waiting = [tree]
    while waiting:
        called = {plain_text(node.name) for node in walk(waiting.pop()) if isinstance(node, s.Command)}
        for name, text in definitions.items():
            if name not in needed and called_as(name) in called:
                needed.add(name)
                waiting.append(parse(Source("session", text)))
    return [text for name, text in definitions.items() if name in needed]


def called_as(name: str) -> str:
    """The first word by which what has this name among the definitions is called."""
    return module_name(name.removeprefix(USE)) if name.startswith(USE) else name.removeprefix(COMMAND)


def seen_by(trees: Iterable[s.Program], names: Iterable[str]) -> tuple[str, ...]:
    """Those of the variables of a session that a line and the definitions can see."""
    read = {node.name for tree in trees for node in walk(tree) if isinstance(node, s.Variable)}
    return tuple(name for name in names if name in read or name.startswith(API))
