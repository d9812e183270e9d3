"""One attempt to run external commands, between its start and its outcome."""

from __future__ import annotations

import errno
import os

from fmsh.connectors import descriptors, spool, terms
from fmsh.connectors.base import Failed
from fmsh.values import Handle, error_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fmsh.connectors.base import Attempt, Post
    from fmsh.connectors.cutting import Bounds
    from fmsh.connectors.feeding import Feed
    from fmsh.connectors.handover import Handover
    from fmsh.connectors.relay import Relay
    from fmsh.connectors.streaming import ProcessStream
    from fmsh.values import Value


class Running:
    """One attempt between its start and its outcome."""

    __slots__ = (
        "attempt",
        "bounds",
        "directory",
        "feed",
        "handover",
        "is_cancelled",
        "is_child",
        "is_cut_off",
        "is_killed",
        "is_stopped",
        "is_too_long",
        "launched_at_s",
        "mode",
        "pid",
        "pidfd",
        "poll_s",
        "post",
        "relay",
        "stream",
        "wait_status",
        "was_launched",
    )

    def __init__(self, attempt: Attempt, directory: str, post: Post) -> None:
        self.attempt = attempt
        self.directory = directory
        self.post = post
        self.mode = descriptors.mode_of(attempt)
        self.pid = 0
        self.pidfd = -1
        self.is_child = False
        self.handover: Handover | None = None
        self.relay: Relay | None = None
        self.bounds: Bounds | None = None
        self.stream: ProcessStream | None = None
        self.feed: Feed | None = None
        self.is_cut_off = False  # from the stream that it reads, which went with another process
        self.poll_s = 0.0
        self.launched_at_s = 0.0
        self.wait_status: int | None = None
        self.was_launched = self.is_cancelled = self.is_killed = self.is_stopped = self.is_too_long = False

    @property
    def stage_count(self) -> int:
        return descriptors.stage_count(self.attempt)

    @property
    def is_fed(self) -> bool:
        """Whether its input is a stream (`feeding`)."""
        return type(self.attempt.arguments["input"]) is dict

    @property
    def has_all_input(self) -> bool:
        """Whether it was told the end of the stream that it reads."""
        return os.path.exists(f"{self.directory}/{spool.END_MARK}")

    @property
    def begun(self) -> terms.Terms | None:
        """In which boot an attempt may have begun, if it matters. Its intent says so, or else a record beside it."""
        attempt = self.attempt
        if attempt.begun_by is None:
            return terms.read(self.directory)
        kind, _, boot_id = attempt.begun_by.partition(" ")
        is_terminal = attempt.arguments["output"] == "display" and kind == "shell"
        if not attempt.is_resumed or not (attempt.is_once or is_terminal):
            return None
        return terms.Terms(boot_id, "terminal" if is_terminal else "spool")

    @property
    def mode_before(self) -> str:
        """How an attempt was begun by another process."""
        claim = spool.read_claim(self.directory)
        return self.mode if claim is None else claim.mode

    @property
    def command(self) -> str:
        return " | ".join(str(stage["argv"][0]) for stage in self.attempt.arguments["stages"] if stage["argv"])


def failure(running: Running, kind: str, message: str, **extra: Value) -> Value:
    return error_value(kind, message, command=running.command, **extra)


def lost(running: Running, mode: str) -> Failed:
    """A process at a terminal is never repeated unasked: a person saw what it did, we did not. Nor can be read again
    what came on our standard input.
    """
    attempt = running.attempt
    reads_ours = type(attempt.arguments["input"]) is Handle
    should_retry = mode == "spool" and not attempt.is_once and attempt.position is None and not reads_ours
    message = f"it is not known how {running.command} ended: it and its wrapper were killed, or the machine went down"
    if running.is_cut_off:
        message = f"{running.command} was ended: what it read came from a process that is not there any more"
    error = error_value("lost", message, retryable=should_retry, command=running.command)
    return Failed(error, should_retry=should_retry)


def too_long(running: Running, bytes_max: int) -> Failed:
    """It wrote more than is taken of an output that becomes a value."""
    limit = f"{bytes_max:,} bytes (the setting limits.output)"
    return Failed(failure(running, "limit", f"{running.command} wrote more than {limit}; write to > FILE"))


def refused_by_system(running: Running, error: OSError) -> Failed:
    """It could not be started."""
    if error.errno == errno.E2BIG:
        message = f"the arguments and environment of {running.command} are longer than the system takes"
        return Failed(failure(running, "limit", message, status=126))
    reason = os.strerror(error.errno or 0).lower()
    where = f" ({error.filename})" if error.filename else ""
    return Failed(failure(running, "exit", f"{running.command} could not be started: {reason}{where}", status=126))
