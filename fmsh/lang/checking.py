"""The check of a program as a whole: all its problems and warnings, also of what stands beside a syntax error.

What cannot be read is left out, and the rest is checked without it. A name that occurs in what was left out may be
declared there, so nothing is said about it: each problem that is shown is one.
"""

from __future__ import annotations

from fmsh.lang.compiler import check_program
from fmsh.lang.lint import lint
from fmsh.lang.parser import Parsed, parse_partly
from fmsh.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from fmsh.errors import Diagnostic
    from fmsh.lang.modules import Module, Read
    from fmsh.lang.syntax import Program
    from fmsh.machine.library import Library
    from fmsh.spans import Source


class Checked(Record):
    """The problems of a program, in order, and the files that could be read, the main one first.

    `unsure`: the names that occur in what was left out of them.
    """

    problems: Sequence[Diagnostic]
    files: Sequence[tuple[Source, Program]]
    unsure: set[str]


def check_source(source: Source, library: Library, read: Read) -> Checked:
    """Checks a source and its modules. With a module that is missing, only what can be read of the files."""
    parsed = parse_partly(source)
    syntax = list(parsed.problems)
    if parsed.program is None:
        return Checked(syntax, (), set())
    files: list[Module] = []
    broken = {source.name: parsed} if syntax else {}
    if "use" in source.text:
        from fmsh.lang.modules import gather_partly

        files, broken_modules, wrong_uses = gather_partly(source, parsed.program, read)
        broken |= broken_modules
        syntax += [problem for each in broken_modules.values() for problem in each.problems]
        if wrong_uses or any(each.program is None for each in broken_modules.values()):
            return Checked(_in_order([*syntax, *wrong_uses], source, files), (), set())
    trees = [(file.source, file.tree) for file in files] or [(source, parsed.program)]
    found = list(check_program(source, parsed.program, library, files=files)[1])
    for each in trees:
        found += lint(*each)
    unsure = {name for each in broken.values() for text in _lost_texts(each) for name in _names(text)}
    sure = [problem for problem in found if not broken or _is_sure(problem, broken, unsure)]
    return Checked(_in_order(syntax + sure, source, files), trees, unsure)


def _in_order(problems: list[Diagnostic], source: Source, files: Sequence[Module]) -> list[Diagnostic]:
    order = [source.name, *(file.source.name for file in files[1:])]
    return sorted(problems, key=lambda problem: (order.index(problem.source.name), problem.span))


def _lost_texts(parsed: Parsed) -> list[str]:
    text = parsed.problems[0].source.text
    return [text[start:end] for start, end in parsed.lost]


def _is_sure(problem: Diagnostic, broken: dict[str, Parsed], unsure: set[str]) -> bool:
    """Whether something stays wrong when the syntax errors are gone."""
    start, end = problem.span
    name = problem.source.name
    if name in broken and any(lost_start <= end and start <= lost_end for lost_start, lost_end in broken[name].lost):
        return False
    return not unsure.intersection(_names(problem.source.text[start:end].partition("\n")[0]))


def _names(text: str) -> set[str]:
    """The names that occur in a text."""
    plain = "".join(c if c.isalnum() or c in "_-" else " " for c in text)
    return {word for word in plain.split() if not word[0].isdecimal()}
