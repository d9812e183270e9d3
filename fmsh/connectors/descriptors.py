"""What a wrapper inherits (the numbers are told in `wrapper`): opened for one start, and closed after it."""

from __future__ import annotations

import fcntl
import os

from fmsh.connectors import spool, wrapper
from fmsh.values import Handle, text_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from fmsh.connectors.base import Attempt
    from fmsh.values import Secret, Value

LOWEST_SOURCE_FD = 10  # above every number that a wrapper gets, so that none is overwritten before it is copied


class Sources:
    """Descriptors of ours, by the number that the child knows them under."""

    __slots__ = ("by_target", "feed")

    def __init__(self) -> None:
        self.by_target: dict[int, int] = {}
        self.feed = -1  # the end of a pipe that we write to, until somebody takes it

    def copy(self, target: int, fd: int) -> None:
        self.by_target[target] = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, LOWEST_SOURCE_FD)

    def take(self, target: int, fd: int) -> None:
        if fd >= LOWEST_SOURCE_FD:
            self.by_target[target] = fd
            return
        self.copy(target, fd)
        os.close(fd)

    def close(self) -> None:
        for fd in (*self.by_target.values(), *([self.feed] if self.feed >= 0 else ())):
            os.close(fd)


def mode_of(attempt: Attempt) -> str:
    """How an attempt is run: "spool", "terminal" or "tty"."""
    if attempt.terminal is None or attempt.arguments["output"] != "display":
        return "spool"
    return "tty" if attempt.terminal.is_tty else "terminal"


def spooled_outputs(attempt: Attempt) -> tuple[str, ...]:
    """Which outputs go to files."""
    if mode_of(attempt) == "spool":
        return ("out", "err")
    return ("err",) if attempt.arguments.get("errors") == "capture" or _is_relayed(attempt) else ()


def is_heard(attempt: Attempt) -> bool:
    """Whether somebody is to hear at once what is written to the file that keeps stderr."""
    return attempt.terminal is not None and (mode_of(attempt) == "spool" or _is_relayed(attempt))


def _is_relayed(attempt: Attempt) -> bool:
    return (
        attempt.terminal is not None
        and attempt.terminal.is_stderr_relayed
        and attempt.arguments.get("errors") != "capture"
    )


def open_sources(
    sources: Sources, attempt: Attempt, *, directory: str, lock: int, reveal: Callable[[Secret], str]
) -> None:
    """Opens all that the wrapper inherits. Raises: OSError; the caller closes `sources` either way."""
    _open_input(sources, attempt, directory, reveal)
    _open_outputs(sources, attempt, directory)
    sources.take(7, spool.allocate_status(directory, stage_count(attempt)))
    command_lock = spool.take_lock(directory, "command.lock")
    assert command_lock is not None, "only who holds wrapper.lock may take command.lock"
    sources.take(8, command_lock)
    sources.copy(9, lock)


def _open_input(sources: Sources, attempt: Attempt, directory: str, reveal: Callable[[Secret], str]) -> None:
    terminal, value = attempt.terminal, attempt.arguments["input"]
    if type(value) is Handle:
        if terminal is None:
            raise wrapper.Unstartable("what the job was to read has gone with the process that began it", kind="lost")
        sources.copy(0, terminal.stdin)
    elif type(value) is dict:
        from fmsh.connectors.feeding import open_pipe

        fd, sources.feed = open_pipe(directory)
        sources.take(0, fd)
    elif value is not None:
        sources.take(0, _spool_input(value, directory, reveal))
    elif terminal is not None and (terminal.is_tty or mode_of(attempt) != "spool"):
        sources.copy(0, terminal.stdin)
    else:
        sources.take(0, os.open("/dev/null", os.O_RDONLY))


def _open_outputs(sources: Sources, attempt: Attempt, directory: str) -> None:
    terminal, spooled = attempt.terminal, spooled_outputs(attempt)
    sources.take(2, os.open("/dev/null", os.O_WRONLY))
    for target, name in ((1, "out"), (6, "err")):
        if terminal is None or name in spooled:
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND
            sources.take(target, os.open(f"{directory}/{name}", flags, 0o600))
        else:
            sources.copy(target, terminal.stdout if target == 1 else terminal.stderr)


def _spool_input(value: Value, directory: str, reveal: Callable[[Secret], str]) -> int:
    """Writes the whole input into a file without a name: the wrapper needs no other, and none is left behind."""
    text = value if isinstance(value, str | bytes) else reveal(value)
    data = text_bytes(text) if isinstance(text, str) else text
    path = f"{directory}/in"
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    os.unlink(path)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(fd, rest) :]
        os.lseek(fd, 0, os.SEEK_SET)
    except BaseException:
        os.close(fd)
        raise
    return fd


def stage_count(attempt: Attempt) -> int:
    """How many stages the wrapper has: a stream comes through one more (`feeding`)."""
    return len(attempt.arguments["stages"]) + (type(attempt.arguments["input"]) is dict)


def check_directory(directory: str) -> None:
    """Raises: Unstartable when the task's directory is gone."""
    if not os.path.isdir(directory):
        raise wrapper.Unstartable(f"the working directory {directory} does not exist any more: cd somewhere else")


def has_redirections(attempt: Attempt) -> bool:
    return any("redirections" in stage for stage in attempt.arguments["stages"])


def prepare_stages(
    attempt: Attempt, spool_directory: str, reveal: Callable[[Secret], str], environments: wrapper.Environments
) -> list[wrapper.Stage]:
    """Turns the stages into what a wrapper is planned from. Raises: Unstartable, OSError."""
    arguments: list[dict[str, Value]] = attempt.arguments["stages"]
    redirections: list[tuple[tuple[str, bytes | None], ...]] = [()] * len(arguments)
    if has_redirections(attempt):
        from fmsh.connectors.redirecting import prepare

        redirections = prepare(arguments, attempt.directory, spool_directory, reveal)
    prepared = [
        wrapper.prepare_stage(
            stage["argv"],
            attempt.environment,
            stage["environment"],
            attempt.directory,
            environments,
            redirected,
        )
        for stage, redirected in zip(arguments, redirections, strict=True)
    ]
    if type(attempt.arguments["input"]) is dict:
        from fmsh.connectors import feeding

        argv = feeding.stage(spool_directory)
        prepared.insert(0, wrapper.prepare_stage(argv, attempt.environment, {}, attempt.directory, environments))
    return prepared
