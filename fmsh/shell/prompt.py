"""The prompt: reads texts from the terminal and runs each in the session, until Ctrl-D or `exit`."""

from __future__ import annotations

import os
import sys

from fmsh.lang.parser import is_complete

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable
    from types import FrameType

    from fmsh.shell.session import Session
else:
    import _signal as signal

INTERRUPTED = 130


def run(session: Session, guarded: Callable[[Callable[[], int]], int]) -> int:
    """Runs the lines of a session; `guarded` turns what one raises into a message and a status.

    Gives the status of the last line.
    """
    import readline  # noqa: F401 - gives input() a line editor and its history

    text = ""
    while not session.has_ended:
        try:
            text += _read("...  " if text else _prompt(session)) + "\n"
        except Left as left:
            return 128 + left.number
        except EOFError:
            sys.stdout.write("\n")
            if text.strip():
                _enter(session, text, guarded)
            break
        except KeyboardInterrupt:
            sys.stdout.write("\n")
            session.status, text = INTERRUPTED, ""
            continue
        if not text.strip():
            text = ""
        elif is_complete(text):
            _enter(session, text, guarded)
            text = ""
    return session.status


class Left(Exception):
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
    raise Left(number)


def _enter(session: Session, text: str, guarded: Callable[[Callable[[], int]], int]) -> None:
    sys.stdout.flush()
    session.status = guarded(lambda: session.run(text.rstrip("\n")))


def _prompt(session: Session) -> str:
    directory = session.directory
    home = os.path.expanduser("~")
    if directory == home or directory.startswith(home + "/"):
        directory = "~" + directory[len(home) :]
    mark = "" if session.status == 0 else f" [{session.status}]"
    return f"{directory}{mark} > "
