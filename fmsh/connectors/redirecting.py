"""The redirections of external commands: what the wrapper opens, checked before anything starts.

A redirection is a pair `[operator, target]` of a stage, in the order in which they were written. The wrapper opens the
files itself, in the job's own directory, as any shell does; so a named pipe holds up the command alone, and a process
that outlives us goes on writing. What can be known to fail is found here, so that then no stage has begun. The text of
`<<` and `<<<` is a file beside the other files of the attempt, until the attempt has ended.
"""

from __future__ import annotations

import os

from fmsh.connectors.wrapper import Unstartable
from fmsh.observing import why_not_writable
from fmsh.values import Secret, text_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fmsh.values import Value

TEXTS = ("<<", "<<<")
READS = ("<",)
TEXT_FILES = "in."  # what their names begin with

Redirection = tuple[str, bytes | None]


def prepare(
    stages: Sequence[dict[str, Value]], directory: str, spool: str, reveal: Callable[[Secret], str]
) -> list[tuple[Redirection, ...]]:
    """Gives the redirections of each stage, as the wrapper takes them. Raises: Unstartable, OSError."""
    made: list[tuple[Redirection, ...]] = []
    written: set[str] = set()  # what an earlier redirection will have made
    for index, stage in enumerate(stages):
        own: list[Redirection] = []
        for operator, target in stage.get("redirections", ()):
            if target is None:
                own.append((operator, None))
            elif operator in TEXTS:
                path = f"{spool}/{TEXT_FILES}{index}.{len(own)}"
                _write_text(path, target if isinstance(target, str | bytes) else reveal(target))
                own.append((operator, os.fsencode(path)))
            else:
                _check(operator, os.path.join(directory, target), target, str(stage["argv"][0]), written)
                own.append((operator, os.fsencode(target)))
        made.append(tuple(own))
    return made


def remove_texts(spool: str, stages: Sequence[dict[str, Value]]) -> None:
    """Removes the texts of an attempt that has ended: nothing reads them any more, and they may hold secrets."""
    for index, stage in enumerate(stages):
        for number, (operator, _target) in enumerate(stage.get("redirections", ())):
            if operator in TEXTS:
                try:
                    os.unlink(f"{spool}/{TEXT_FILES}{index}.{number}")
                except FileNotFoundError:
                    pass


def _write_text(path: str, text: str | bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        rest = memoryview(text_bytes(text) if isinstance(text, str) else text)
        while rest:
            rest = rest[os.write(fd, rest) :]
    finally:
        os.close(fd)


def _check(operator: str, path: str, name: str, command: str, written: set[str]) -> None:
    """Refuses what cannot be opened. Raises: Unstartable."""
    path = os.path.realpath(path)
    if operator in READS:
        if path not in written:
            _check_readable(path, name, command)
        return
    written.add(path)
    reason = why_not_writable(path)
    if reason:
        raise Unstartable(f"cannot write to {name}: {reason}", status=1, kind="path", command=command)


def _check_readable(path: str, name: str, command: str) -> None:
    reason = ""
    if not os.path.exists(path):
        reason = "it does not exist"
    elif os.path.isdir(path):
        reason = "it is a directory"
    elif not os.access(path, os.R_OK):
        reason = "permission denied"
    if reason:
        raise Unstartable(f"cannot read {name}: {reason}", status=1, kind="path", command=command)
