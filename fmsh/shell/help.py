"""`fmsh help [NAME]`: what each command does and takes."""

from __future__ import annotations

from fmsh.assembly import LIBRARY
from fmsh.lang import pages


def text(names: list[str]) -> str:
    """Gives the help of one command, which may have two words, or the list of all. Raises: UsageError."""
    return pages.help_of(" ".join(names), LIBRARY)


def first_line(name: str) -> str:
    """What a command of fmsh does, in one line."""
    return pages.first_line(name, LIBRARY)
