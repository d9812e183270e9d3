"""`fmsh --check`: the problems of a source, and a warning for each command that this system does not have."""

from __future__ import annotations

import os
import sys
from functools import cache

from fmsh.assembly import LIBRARY, check
from fmsh.errors import Diagnostic
from fmsh.lang import syntax as s
from fmsh.lang.calls import plain_text
from fmsh.lang.elsewhere import ELSEWHERE
from fmsh.lang.forms import FORMS
from fmsh.lang.tree import walk
from fmsh.render.diagnostics import render, to_json
from fmsh.shell.terminal import has_colors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from fmsh.spans import Source

FOUND, PROBLEMS = 0, 2


def run(source: Source, *, is_json: bool) -> int:
    """Shows all problems; 2 if one of them is an error."""
    checked = check(source)
    own = checked.unsure.union(name for _source, tree in checked.files for name in _names(tree))
    problems = [*checked.problems, *(each for file in checked.files for each in missing_commands(*file, own))]
    problems.sort(key=lambda problem: (problem.source is not source, problem.source.name, problem.span))
    if is_json:
        import json

        sys.stdout.write(json.dumps([to_json(problem) for problem in problems]) + "\n")
    else:
        sys.stderr.write(render(problems, color=has_colors(2)))
    return PROBLEMS if any(problem.severity == "error" for problem in problems) else FOUND


def _names(tree: s.Program) -> Iterator[str]:
    """The names that a file gives to commands."""
    from fmsh.lang.modules import name_of

    for node in walk(tree):
        if isinstance(node, s.Def | s.Alias):
            yield node.name
        elif isinstance(node, s.Use):
            yield name_of(node)


def missing_commands(source: Source, tree: s.Program, own: set[str]) -> list[Diagnostic]:
    """Warns of external commands that are not found now; whether they exist is known for sure when they run."""
    nodes = list(walk(tree))
    return [
        Diagnostic(
            source,
            command.name.span,
            f"command not found: {name}",
            hint_for_missing(nodes, command.span[0]),
            "warning",
            "command-not-found",
        )
        for command, name in _commands(nodes)
        if (command.is_external or not (name in own or _is_ours(command, name))) and not _is_found(name)
    ]


def hint_for_missing(nodes: list[s.Node], offset: int) -> str:
    """What was probably meant by a command that is not found and begins at `offset`; "" if nothing is known."""
    names = (node.name for node in nodes if isinstance(node, s.Command) and node.span[0] == offset)
    name = next((plain_text(each) or "" for each in names), "")
    if name in ELSEWHERE:
        return ELSEWHERE[name]
    if _looks_like_a_date(name):
        return f'there is no such day or time; quote it if it is a string: `"{name}"`'
    for node in nodes:
        if isinstance(node, s.For) and (words := _words_of(node.source, offset)):
            if len(words) == 1 and words[0] in {n.name for n in nodes if isinstance(n, s.NamePattern)}:
                return f"write `${words[0]}` for the variable"
            return f"`for` goes over one value; write a list: `[{', '.join(words)}]`"
        value = node.value if isinstance(node, s.Let | s.Assign | s.Return) else None
        value = node.subject if isinstance(node, s.Match) else value
        if value is not None and len(words := _words_of(value, offset)) == 1:
            return f'quote it if it is a string: `"{words[0]}"`'
    family = [known for known in (*LIBRARY.names(), *FORMS) if name and known.startswith(f"{name} ")]
    if family:
        return "fmsh has " + ", ".join(f"`{known}`" for known in family)
    known = [*FORMS, *LIBRARY.names(), *(node.name for node in nodes if isinstance(node, s.Def | s.Alias))]
    close = _close(name, known) or _close(name, _programs()) if name and "/" not in name else ""
    return f"did you mean `{close}`?" if close else ""


def _looks_like_a_date(name: str) -> bool:
    import re

    return re.fullmatch(r"\d{4}-\d\d-\d\d([T ].*)?", name) is not None


def _close(name: str, known: list[str]) -> str:
    """A name with the same letters in another order, else one that differs little; "" if there is none."""
    from difflib import get_close_matches

    letters = sorted(name)
    same = [each for each in known if len(each) == len(name) and sorted(each) == letters]
    return next(iter(same or get_close_matches(name, known, 1, 0.75)), "")


@cache
def _programs() -> list[str]:
    """The names of the programs that the system finds."""
    found: set[str] = set()
    for directory in os.environ.get("PATH", os.defpath).split(os.pathsep):
        try:
            found.update(entry.name for entry in os.scandir(directory or ".") if os.access(entry.path, os.X_OK))
        except OSError:
            continue  # the system does not find any there either
    return sorted(found)


def _words_of(chain: s.Node, offset: int) -> list[str]:
    """The words of a chain that is one command of plain words; [] if it is anything else or begins elsewhere."""
    commands = [node for node in walk(chain) if isinstance(node, s.Command)]
    if len(commands) != 1 or commands[0].span != chain.span or chain.span[0] != offset:
        return []
    words = [commands[0].name, *commands[0].arguments]
    parts = [word.parts[0] if isinstance(word, s.Word) and len(word.parts) == 1 else word for word in words]
    return [str(part.spelling) for part in parts if isinstance(part, s.Literal)] if len(parts) == len(words) else []


def _commands(nodes: list[s.Node]) -> Iterator[tuple[s.Command, str]]:
    """The commands whose name is plain text."""
    for node in nodes:
        if isinstance(node, s.Command) and len(node.name.parts) == 1:
            part = node.name.parts[0]
            if isinstance(part, s.Literal):
                yield node, part.value if isinstance(part.value, str) else part.spelling


def _is_ours(command: s.Command, name: str) -> bool:
    second = plain_text(command.arguments[0]) if command.arguments else None
    names = {name, f"{name} {second}"}
    return not names.isdisjoint(FORMS) or not names.isdisjoint(LIBRARY.names())


def _is_found(name: str) -> bool:
    if "/" in name:
        return os.access(os.path.expanduser(name), os.X_OK)
    directories = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return any(os.access(f"{directory or '.'}/{name}", os.X_OK) for directory in directories)
