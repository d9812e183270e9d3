"""What a connector is: it turns a committed request into something that happens in the world, and reports the outcome.

The rules, checked by the conformance suite for every connector:

1. `start` returns at once and never raises for anything that the world or the user's arguments do: that is an outcome.
2. Each started attempt is answered by exactly one outcome, also after `cancel`. The outcome may still be Done. A stream
   also posts `Items`, once for each `read`, before its outcome.
3. `cancel` of an attempt that is not (or no longer) running does nothing.
4. `post` may be called from any thread, and from inside `start`.
5. An attempt with `is_resumed` may have been started by a process that died: the connector finds out what it can. If it
   cannot know whether the effect happened: with `is_once` it fails as `lost`, else it does it again (for a process:
   Failed with `should_retry`, so that the next attempt gets a number of its own).
6. A connector holds no job state that a crash could lose. It is a constructor argument away from a different world.

It must not know the machine, the engine or the faces.
"""

from __future__ import annotations

from fmsh.record import Record
from fmsh.values import error_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, Protocol

    from fmsh.errors import StoreError
    from fmsh.values import ErrorValue, Secret, Value
else:
    Protocol = object


class AttemptId(Record):
    job_id: int
    step: int
    attempt: int


class Attempt(Record):
    """One try of one request, after its intent was committed.

    `environment` is the job's, changed by the task. `directory` is the task's. `idempotency_key` is the same for every
    attempt of the step. `terminal`: this attempt may use the descriptors of this process (foreground job, not in
    a concurrent block); of a captured process, what it says on stderr is shown. `requested_at_ms` is when the step's
    intent was committed, the first time. `umask` is that of the job, None where it was not recorded.
    `make_chain`, of a request whose answer is read as a stream, gives what its items go through (`feed`, `finish`,
    `is_done`, `is_fold`, `value`, `state`, `restore`); `position` is that of the last items that were recorded.
    `kept` is what earlier attempts of this connector had the job keep, by key. `make_input`, of a process that reads a
    stream, gives what that goes through, as `make_chain`. `begun_by`: the kind of the process (shell, daemon) and the
    boot in which the attempt was to begin, where its intent says so.
    """

    id: AttemptId
    job_uid: str
    operation: str
    arguments: dict[str, Value]
    environment: Mapping[str, str | Secret]
    directory: str
    idempotency_key: str
    requested_at_ms: int
    is_resumed: bool = False
    is_once: bool = False
    terminal: Terminal | None = None
    umask: int | None = None
    make_chain: Callable[[], Any] | None = None
    position: Value = None
    kept: Mapping[str, Value] = {}  # a default that is never changed
    make_input: Callable[[], Any] | None = None
    begun_by: str | None = None


class Terminal(Record):
    """The descriptors that a displayed foreground process inherits. `is_tty`: stdin is a terminal that we own.

            `is_stderr_relayed`: its stderr goes through a file of the attempt, so that the end of it is in its error.
    =======
        `clear` makes room for what it writes; it is to be called before the process starts.
    """

    stdin: int
    stdout: int
    stderr: int
    is_tty: bool
    is_stderr_relayed: bool = False
    clear: Callable[[], object] | None = None


class Done(Record):
    """The effect happened; `value` is its answer. `is_interrupted`: somebody pressed Ctrl-C while it had the terminal,
    and it died of that, or had just ended. `timings` says in milliseconds where the time of the attempt went, by name.
    `kept` gives what the job is to keep for later attempts of this connector, by key (null: no more of it), or None; it
    is called where `start` is.
    """

    value: Value
    is_interrupted: bool = False
    timings: dict[str, Value] | None = None
    kept: Callable[[], dict[str, Value] | None] | None = None


class Failed(Record):
    """The effect failed. `should_retry`: it is safe and sensible to try again, if tries are left.

    `retry_after_ms`: the world asked to wait that long. `attempts_max`: how many attempts the request allows in all
    (None: no limit of its own, as for a process that must be run again after a reboot). `timings`
    and `kept` as in `Done`; the latter counts only where the step ends with this.
    """

    error: ErrorValue
    should_retry: bool = False
    retry_after_ms: int | None = None
    attempts_max: int | None = None
    timings: dict[str, Value] | None = None
    kept: Callable[[], dict[str, Value] | None] | None = None


ROOM_RETRY_MS = 3000  # work resumes within 5 s of there being room


def refused_by_store(error: StoreError) -> Failed:
    """What a step comes to that writes to the store, which has no room or no time for it now: nothing has happened."""
    return Failed(error_value("store", error.message, retryable=True), should_retry=True, retry_after_ms=ROOM_RETRY_MS)


class Items(Record):
    """The next items of a stream, which goes on after `position`; never none."""

    items: list[Value]
    position: Value


class Cancelled(Record):
    """The effect was stopped (or never started) because of `cancel`."""


Outcome = Done | Failed | Cancelled

if TYPE_CHECKING:
    Post = Callable[[AttemptId, Outcome | Items], None]


def sleep_due_ms(arguments: Mapping[str, Value], requested_at_ms: int) -> int:
    """When a sleep ends, in wall time: milliseconds since 1970, rounded up so that it is never early."""
    until = arguments.get("until")
    if until is not None:
        return -int(-until.timestamp() * 1000 // 1)
    return requested_at_ms - int(-arguments["duration"].nanoseconds // 10**6)


class Connector(Protocol):
    """One that leaves something behind for each attempt also has `settled`, as `Keeper` says."""

    def start(self, attempt: Attempt, post: Post) -> None: ...

    def cancel(self, id: AttemptId) -> None: ...

    # Of connectors whose answers can be streams there are two more:
    #   read(id, position): asks for the next items; what is before `position` is recorded, and never needed again
    #   forget(id): somebody else goes on with this attempt: it is left as it is, without an outcome

    def close(self) -> None:
        """Lets go of everything; running processes live on, open requests are dropped without an outcome."""
        ...


class Keeper(Protocol):
    """A connector that keeps what a crash would need, until the outcome of the step is committed."""

    def settled(self, id: AttemptId, job_uid: str, arguments: Mapping[str, Value], outcome: Value) -> None:
        """Lets go of it. `outcome` is what was recorded; None for a step that failed or was cancelled."""
        ...
