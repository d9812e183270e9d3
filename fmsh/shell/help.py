"""`fmsh help [NAME]`: what each command does and takes, in lines that fit a terminal of 80 columns."""

from __future__ import annotations

import re
from textwrap import fill, wrap

from fmsh.assembly import LIBRARY
from fmsh.builtins.text import plain_json
from fmsh.lang import pages

CELLS = 80
HELP = """usage: fmsh help [NAME] [--json]

Says what a command of the language does and takes, or lists all of them.

Examples: fmsh help where
          fmsh help str replace
"""


def page(arguments: list[str]) -> str:
    """Gives what `fmsh help` writes. Raises: UsageError."""
    names = [argument for argument in arguments if argument != "--json"]
    if names in (["--help"], ["-h"]):
        return HELP
    if len(names) == len(arguments):
        return text(names)
    known = pages.names(LIBRARY)
    document = {"name": " ".join(names), "text": text(names)} if names else list(map(_summary, known))
    return plain_json(document) + "\n"


def _summary(name: str) -> dict[str, str]:
    return {"name": name, "summary": first_line(name)}


def text(names: list[str]) -> str:
    """Gives the help of one command, which may have two words, or the list of all. Raises: UsageError."""
    return "\n\n".join(_fitted(block) for block in pages.help_of(" ".join(names), LIBRARY).split("\n\n"))


def first_line(name: str) -> str:
    """What a command of fmsh does, in one line."""
    return pages.first_line(name, LIBRARY)


def _fitted(block: str) -> str:
    """Fits what stands between two blank lines: an example as it is, prose as one paragraph, else line by line."""
    if block.startswith("> "):
        return block
    lines = block.split("\n")
    is_prose = not any(line.startswith("usage") or "  " in line for line in lines)
    if is_prose and any(len(line) > CELLS for line in lines):
        return fill(block.strip("\n"), CELLS) + "\n" * block.endswith("\n")
    return "\n".join(part for line in lines for part in (_wrapped(line) if len(line) > CELLS else [line]))


def _wrapped(line: str) -> list[str]:
    """Breaks a line: below the second column where it has two, and never within the brackets of a flag."""
    columns = re.match(r"usage: \S* ?| *\S+(?: \S+)*  +", line)
    indent = " " * (columns.end() if columns else 0)
    kept = re.sub(r"\[[^]]*\]", lambda flag: flag[0].replace(" ", "\0"), line) if line.startswith("usage") else line
    broken = wrap(kept, CELLS, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    return [part.replace("\0", " ") for part in broken]
