"""The plain prompt: every text that is entered is a job of its own, with what it displays and its status.

Nothing is kept from one text to the next, so a text whose last statement would only leave something behind is refused.
"""

from __future__ import annotations

import sys

from fmsh.errors import SourceError
from fmsh.lang import syntax as s
from fmsh.lang.parser import is_complete, parse
from fmsh.spans import Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable
    from types import FrameType
else:
    import _signal as signal

INTERRUPTED = 130
BANNER = "Each text that you enter is a job of its own; its variables and its directory end with it. Ctrl-D leaves."
LEFT_BEHIND: dict[type, str] = {
    s.Let: "let",
    s.Assign: "an assignment",
    s.Def: "def",
    s.Export: "export",
    s.Unset: "unset",
    s.Alias: "alias",
    s.Use: "use",
}


def run(run_text: Callable[[str], int]) -> int:
    """Reads texts from the terminal until Ctrl-D, and runs each; gives the status of the last."""
    import readline  # noqa: F401 - gives input() a line editor and its history

    sys.stdout.write(BANNER + "\n")
    status, text = 0, ""
    while True:
        try:
            text += _read("...  " if text else "fmsh> ") + "\n"
        except _Left as left:
            return 128 + left.number
        except EOFError:
            sys.stdout.write("\n")
            return _enter(text, run_text) if text.strip() else status
        except KeyboardInterrupt:
            sys.stdout.write("\n")
            status, text = INTERRUPTED, ""
            continue
        if not text.strip():
            text = ""
        elif is_complete(text):
            status, text = _enter(text, run_text), ""


class _Left(Exception):
    """A signal ends the prompt."""

    def __init__(self, number: int) -> None:
        self.number = number


def _read(shown: str) -> str:
    """Reads a line. A signal that ends us comes as an exception, so that the editor puts the terminal back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    for number, handler in before.items():
        if handler != signal.SIG_IGN:
            signal.signal(number, _leave)
    try:
        return input(shown)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave(number: int, frame: FrameType | None) -> None:
    raise _Left(number)


def _enter(text: str, run_text: Callable[[str], int]) -> int:
    lost = what_is_lost(text)
    if lost:
        sys.stderr.write(
            f"fmsh: {lost} would end with its line, since each text at this prompt is a job of its own: "
            "write what needs it behind it, after `;`\n"
        )
        return 2
    sys.stdout.flush()
    return run_text(text.rstrip("\n"))


def what_is_lost(text: str) -> str:
    """Names the last statement of a text, if it does nothing but leave something behind."""
    try:
        statements = parse(Source("-c", text)).body.statements
    except SourceError:
        return ""
    if not statements:
        return ""
    last = statements[-1]
    if isinstance(last, s.Chain) and not last.links and len(last.first.stages) == 1:
        stage = last.first.stages[0]
        is_cd = isinstance(stage, s.Command) and _is_named(stage, "cd") and not _has_block(stage)
        return "cd" if is_cd else ""
    return LEFT_BEHIND.get(type(last), "")


def _is_named(command: s.Command, name: str) -> bool:
    parts = command.name.parts
    return len(parts) == 1 and isinstance(parts[0], s.Literal) and parts[0].value == name


def _has_block(command: s.Command) -> bool:
    return any(isinstance(argument, s.BlockLiteral) for argument in command.arguments)
