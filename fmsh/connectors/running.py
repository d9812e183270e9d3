"""One attempt to run external commands, between its start and its outcome."""

from __future__ import annotations

from fmsh.connectors import descriptors
from fmsh.connectors.base import Failed
from fmsh.values import Handle, error_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fmsh.connectors.base import Attempt, Post
    from fmsh.connectors.cutting import Bounds
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
        "handover",
        "is_cancelled",
        "is_child",
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
        self.poll_s = 0.0
        self.launched_at_s = 0.0
        self.wait_status: int | None = None
        self.was_launched = self.is_cancelled = self.is_killed = self.is_stopped = self.is_too_long = False

    @property
    def stage_count(self) -> int:
        return len(self.attempt.arguments["stages"])

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
    error = error_value("lost", message, retryable=should_retry, command=running.command)
    return Failed(error, should_retry=should_retry)
