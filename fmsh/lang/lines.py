"""A line at a prompt: a program that begins where the lines before it ended.

It sees their variables, and their definitions (`def`, `alias`, `use`), which are a file of the program beside its own:
compiled first, in the scope of the line, so that a function sees the variables of the session as in any shell.
"""

from __future__ import annotations

from fmsh.lang import statements
from fmsh.lang import syntax as s
from fmsh.lang.modules import path_of
from fmsh.lang.tree import walk
from fmsh.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from fmsh.lang.bodies import Body
    from fmsh.lang.context import Compiler
    from fmsh.spans import Source

API = "api "  # how the variables of services begin, which no program can read: fmsh.lang.requests


class Before(Record):
    """What a line finds: `variables` by name; `file` is the index of the file with the definitions, if any."""

    variables: tuple[str, ...]
    file: int | None


def begin(c: Compiler, main: Body, tree: s.Program, before: Before) -> None:
    """Makes what was before known to the line that is compiled now."""
    for name in before.variables:
        main.declare(name, tree.body)
    if before.file is None:
        return
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
            found[f"command {statement.name}"] = help + text
        elif isinstance(statement, s.Alias):
            found[f"command {statement.name}"] = text
        elif isinstance(statement, s.Use):
            path = absolute(path_of(statement) or "").replace("'", "\\'")
            found[f"use {path}"] = f"use '{path}'{' *' if statement.is_open else ''}"
    return found


def seen_by(trees: Iterable[s.Program], names: Iterable[str]) -> tuple[str, ...]:
    """Those of the variables of a session that a line and the definitions can see."""
    read = {node.name for tree in trees for node in walk(tree) if isinstance(node, s.Variable)}
    return tuple(name for name in names if name in read or name.startswith(API))
