"""`fmsh fmt [--check] FILE…`: puts programs into their one layout.

A file that cannot be parsed is left alone, and so is one that already stands as it should. Others are replaced in one
move, with their mode, so that a crash leaves the old text or the new one.
"""

from __future__ import annotations

import os
import sys

from fmsh.connectors.replacing import Replacement
from fmsh.errors import SourceError, UsageError
from fmsh.lang.formatter import format_program
from fmsh.render.diagnostics import render, to_json
from fmsh.shell.script import read_source
from fmsh.shell.terminal import has_colors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from fmsh.errors import Diagnostic

KEPT, WOULD_CHANGE, PROBLEMS = 0, 1, 2

HELP = """usage: fmsh fmt [--check] [--json] FILE…

Puts programs into their one layout; their meaning and their comments stay.
The FILE - is read from standard input and written to standard output.

  --check   change nothing: list the files that would change; the exit status
            is 1 if there are any
  --json    with --check: for each file its name, whether it would change, and
            its syntax errors

Example: fmsh fmt --check *.fmsh
"""


def run(arguments: list[str]) -> int:
    """Formats or checks every file that can be read and parsed; gives the exit status. Raises: UsageError."""
    if arguments[:1] in (["--help"], ["-h"]):
        sys.stdout.write(HELP)
        return KEPT
    names, is_check, is_json = _parse(arguments)
    outcomes = [_Outcome(name, is_check=is_check) for name in names]
    if is_json:
        import json

        sys.stdout.write(json.dumps([outcome.to_json() for outcome in outcomes]) + "\n")
    else:
        for outcome in outcomes:
            outcome.show()
    if any(outcome.is_bad for outcome in outcomes):
        return PROBLEMS
    return WOULD_CHANGE if is_check and any(outcome.changes for outcome in outcomes) else KEPT


def _parse(arguments: list[str]) -> tuple[list[str], bool, bool]:
    names, switches = [], set()
    is_end = False
    for argument in arguments:
        if argument == "--" and not is_end:
            is_end = True
        elif argument.startswith("-") and argument != "-" and not is_end:
            if argument not in ("--check", "--json"):
                raise UsageError(f"fmsh fmt has no option {argument}", hint="see fmsh fmt --help")
            switches.add(argument)
        else:
            names.append(argument)
    if not names:
        raise UsageError("fmsh fmt needs a file", hint="such as `fmsh fmt script.fmsh`; - is standard input")
    if "--json" in switches and "--check" not in switches:
        raise UsageError("--json tells what would change: it needs --check")
    return names, "--check" in switches, "--json" in switches


class _Outcome:
    """What was done, or would be, with one file. `failure` is what kept it from being read or written."""

    def __init__(self, name: str, *, is_check: bool) -> None:
        self.name = name
        self.is_check = is_check
        self.changes = False
        self.problems: tuple[Diagnostic, ...] = ()
        self.failure: UsageError | None = None
        try:
            self._format()
        except SourceError as error:
            self.problems = error.diagnostics
        except UsageError as error:
            self.failure = error

    def _format(self) -> None:
        source = read_source(self.name)
        text = format_program(source)
        self.changes = text != source.text
        if self.is_check:
            return
        if self.name == "-":
            sys.stdout.write(text)
        elif self.changes:
            replace_file(self.name, text)

    @property
    def is_bad(self) -> bool:
        return self.failure is not None or bool(self.problems)

    def show(self) -> None:
        sys.stderr.write(render(self.problems, color=has_colors(2)))
        if self.failure is not None:
            sys.stderr.write(f"fmsh: {self.failure.message}\n")
        if self.is_check and self.changes:
            sys.stdout.write(f"{self.name}\n")

    def to_json(self) -> dict[str, Any]:
        errors = [to_json(problem) for problem in self.problems]
        if self.failure is not None:
            errors.append({"file": self.name, "message": self.failure.message})
        return {"file": self.name, "changes": self.changes, "errors": errors}


def replace_file(name: str, text: str) -> None:
    """Replaces the text of a file in one move, through symbolic links, and keeps its mode. Raises: UsageError."""
    try:
        new = Replacement(os.path.realpath(name), "fmt", is_resumed=False)
        new.write(text.encode())
        new.commit(None)
    except OSError as error:
        raise UsageError(f"cannot write {name}: {os.strerror(error.errno or 0)}") from error
