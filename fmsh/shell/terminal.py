"""What a foreground job has of the terminal, and what its jobs inherit from this process."""

from __future__ import annotations

import os

from fmsh.connectors.base import Terminal
from fmsh.errors import FmshError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def terminal_of(display_fd: int, clear: Callable[[], object] | None = None) -> Terminal:
    """Says which descriptors displayed processes get. `clear` makes room for what they write.

    They own the terminal only if they also write to it: `fmsh -c make | less` leaves it to `less`. Without it they do
    not read it either, for that would stop them: they read nothing.
    """
    is_tty = os.isatty(0) and owns_terminal() and _is_same_terminal(display_fd)
    stdin = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC) if os.isatty(0) and not is_tty else 0
    is_relayed = not is_tty and _is_stderr_apart(display_fd)
    return Terminal(stdin, display_fd, 2, is_tty, is_stderr_relayed=is_relayed, clear=clear)


def _is_stderr_apart(display_fd: int) -> bool:
    """Whether stderr is no terminal, and leads elsewhere than the display: nobody can tell then how the two interleave.

    Only so can what commands say there go through us, and be kept for their errors; else it is as in any shell.
    """
    try:
        return not os.isatty(2) and not os.path.sameopenfile(2, display_fd)
    except OSError:  # one of them is closed
        return False


def owns_terminal(fd: int = 0) -> bool:
    """Whether we are in the foreground of the terminal that a descriptor is."""
    try:
        return os.tcgetpgrp(fd) == os.getpgrp()
    except OSError:
        return False


def hang_up(fd: int = 0) -> None:
    """Tells the program that has the terminal that it is gone, if that was said to us alone."""
    import signal

    try:
        group = os.tcgetpgrp(fd)
        if group != os.getpgrp():
            os.killpg(group, signal.SIGHUP)
            os.killpg(group, signal.SIGCONT)
    except OSError:  # it is gone indeed, and the kernel has told the program
        pass


def takes_passing_lines(display_fd: int) -> bool:
    """Whether a line may be drawn on stderr that goes away: at a terminal that is ours, and not that of a pager."""
    return owns_terminal(2) and os.isatty(display_fd) and os.environ.get("TERM") not in ("dumb", "")


def _is_same_terminal(fd: int) -> bool:
    try:
        return os.isatty(fd) and os.fstat(fd).st_rdev == os.fstat(0).st_rdev
    except OSError:
        return False


def has_colors(fd: int) -> bool:
    return os.isatty(fd) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def width() -> int:
    """How many cells a line has: as COLUMNS says, else the terminal, else 80."""
    from shutil import get_terminal_size

    return get_terminal_size().columns


def unended_line_mark() -> str:
    """What to write before a prompt or an error: a mark and a new line behind output without a line end, else nothing.

    Blanks up to the width of the line bring the cursor into the next one only if it did not stand at the beginning.
    Source: the option PROMPT_SP of zsh.
    """
    mark = "\x1b[2m⏎\x1b[m" if has_colors(1) else "⏎"
    try:
        return mark + " " * (os.get_terminal_size(1).columns - 1) + "\r\x1b[K"
    except OSError:
        return ""


def write(fd: int, data: bytes) -> None:
    """Writes all of it. Raises: OSError, BrokenPipeError."""
    while data:
        data = data[os.write(fd, data) :]


def current_directory() -> str:
    """The current directory, by the name under which the user knows it. Raises: FmshError: it was removed."""
    named = os.environ.get("PWD", "")
    try:
        if named.startswith("/") and os.path.samefile(named, "."):
            return named
    except OSError:
        pass
    try:
        return os.getcwd()
    except FileNotFoundError:
        raise FmshError("the current directory does not exist any more", hint="change to another one first") from None


def short_directory(path: str) -> str:
    """A directory as prompts show it: `~` for the home of the user."""
    home = os.path.expanduser("~")
    return "~" + path[len(home) :] if path == home or path.startswith(home + "/") else path


def current_umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def time_zone() -> str:
    named = os.environ.get("TZ")
    if named:
        return named
    try:
        path = os.readlink("/etc/localtime")
    except OSError:
        return "UTC"
    return path.partition("zoneinfo/")[2] or "UTC"
