"""What a job's events tell of its steps: each with its attempts, who ran the job when, and when it was held.

An attempt begins with its request, or when the attempt before it said that another may; its end is the next event that
says so. When the job changes hands, what is in flight is begun anew by the new holder, but for what goes on by itself:
a program with its wrapper, and a wait.
"""

from __future__ import annotations

from fmsh.jobs.documents import read_event
from fmsh.machine.events import AttemptFailed, HandedOver, Parked, RequestCompleted, RequestMade
from fmsh.record import Record
from fmsh.render.jobs import outcome_label, request_label

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from fmsh.machine.events import Event
    from fmsh.store.base import EventStore, Job, StoredEvent
    from fmsh.values import ErrorValue, Value

GOES_ON_BY_ITSELF = ("process", "timer")  # connectors whose effects a new holder picks up
AWAITED = (
    "callback",
    "job",
    "topic",
    "call",
    "answer",
    "signal",
)  # kinds of rows of the inbox that a program waits for
LOST_SIGHT = "interrupted"  # the outcome of an attempt that was begun anew elsewhere


class Attempt:
    """One try of a step. `ended_at_ms` and `outcome` are None while it runs; `error` is why it failed.

    `timings` say in milliseconds where its time went, of those whose connector tells.
    """

    __slots__ = ("ended_at_ms", "error", "is_takeover", "outcome", "started_at_ms", "timings")

    def __init__(self, started_at_ms: int) -> None:
        self.started_at_ms = started_at_ms
        self.ended_at_ms: int | None = None
        self.outcome: str | None = None
        self.error: ErrorValue | None = None
        self.timings: dict[str, Value] | None = None
        self.is_takeover = False  # another holder began it: the one before it had not heard its outcome

    def end(self, at_ms: int, outcome: str, error: ErrorValue | None = None) -> None:
        self.ended_at_ms, self.outcome, self.error = at_ms, outcome, error


class Step:
    """A step. `label` says what it does; `node` is the syntax node that asked for it."""

    __slots__ = ("attempts", "connector", "label", "made_at_ms", "node", "number", "operation", "parked_at_ms", "task")

    def __init__(self, number: int, made: RequestMade | None, at_ms: int) -> None:
        self.number = number
        self.made_at_ms = at_ms
        self.attempts = [Attempt(at_ms)]
        self.parked_at_ms: int | None = None  # its outcome is unknown since then
        self.task = "0" if made is None else made.task
        self.connector = "" if made is None else made.connector
        self.operation = "" if made is None else made.operation
        self.node = None if made is None else made.node
        self.label = "(expired)" if made is None else request_label(_data_of(made))

    @property
    def last(self) -> Attempt:
        return self.attempts[-1]

    @property
    def is_over(self) -> bool:
        return self.last.ended_at_ms is not None


class Holder(Record):
    """Who ran the job from a moment on. `kind`: shell, daemon, or None where the first one is not known any more."""

    at_ms: int
    kind: str | None
    pid: int | None
    reason: str  # started, takeover, detached, restart


class Hold(Record):
    """A time in which the job was paused, or parked for `error`; `until_ms` is None while it is."""

    kind: str
    at_ms: int
    until_ms: int | None
    error: ErrorValue | None = None
    step: int | None = None


class History:
    """Steps, holders and holds, from the events that were read. `first_seq` is the first of these."""

    def __init__(self, first_seq: int) -> None:
        self.first_seq = first_seq
        self.first_at_ms = 0
        self.last_at_ms = 0
        self.steps: dict[int, Step] = {}
        self.holders: list[Holder] = []
        self.holds: list[Hold] = []
        self.waits: list[tuple[str, int, int]] = []  # for what came through the inbox: what, since, until when

    @property
    def first_step(self) -> int:
        """The number of the first step that was read; 0 if there is none."""
        return min(self.steps, default=0)

    def take(self, stored: StoredEvent, read: Callable[[StoredEvent], Event | None]) -> None:
        """Takes the next event in."""
        self.first_at_ms = self.first_at_ms or stored.at_ms
        before_ms, self.last_at_ms = self.last_at_ms, max(self.last_at_ms, stored.at_ms)
        if stored.type == "InboxTaken":
            self._inbox_taken(stored, read(stored), before_ms)
        take = _TAKE.get(stored.type)
        if take is not None:
            take(self, stored, read(stored))

    def _request_made(self, stored: StoredEvent, event: Any) -> None:
        assert stored.step is not None
        self.steps[stored.step] = Step(stored.step, event, stored.at_ms)

    def _attempt_failed(self, stored: StoredEvent, event: AttemptFailed | None) -> None:
        step = self.steps.get(stored.step or 0)
        if step is None:
            return
        error = None if event is None else event.error
        step.last.end(stored.at_ms, "failed" if error is None else f"{error.kind}: {error.message}", error)
        step.last.timings = None if event is None else event.timings
        step.parked_at_ms = None
        step.attempts.append(Attempt(stored.at_ms if event is None else max(event.next_at_ms, stored.at_ms)))

    def _request_completed(self, stored: StoredEvent, event: RequestCompleted | None) -> None:
        step = self.steps.get(stored.step or 0)
        if step is None:
            return
        step.parked_at_ms = None
        label = "done" if event is None else outcome_label(_data_of(event))
        step.last.end(stored.at_ms, label, None if event is None else event.error)
        step.last.timings = None if event is None else event.timings

    def _inbox_taken(self, stored: StoredEvent, event: Any, before_ms: int) -> None:
        """What a job that had nothing to do was waiting for is known when it comes."""
        is_idle = before_ms and all(step.is_over or step.connector == "timer" for step in self.steps.values())
        if event is None or event.kind not in AWAITED or not is_idle or stored.at_ms <= before_ms:
            return
        data = event.data if isinstance(event.data, dict) else {}
        label = data.get("handle") or data.get("name") or ""
        self.waits.append((f"{event.kind} {label}".rstrip(), before_ms, stored.at_ms))

    def _handed_over(self, stored: StoredEvent, event: HandedOver | None) -> None:
        owner: dict[str, Value] = {} if event is None else event.owner
        reason = "takeover" if event is None else event.reason
        self.holders.append(Holder(stored.at_ms, owner.get("kind"), owner.get("pid"), reason))
        for step in self.steps.values():
            if not step.is_over and step.parked_at_ms is None and step.connector not in GOES_ON_BY_ITSELF:
                if step.last.started_at_ms > stored.at_ms:
                    continue  # it had not begun
                step.last.end(stored.at_ms, LOST_SIGHT)
                step.attempts.append(Attempt(stored.at_ms))
                step.last.is_takeover = True

    def _paused(self, stored: StoredEvent, event: Event | None) -> None:
        self.holds.append(Hold("paused", stored.at_ms, None))

    def _parked(self, stored: StoredEvent, event: Parked | None) -> None:
        error = None if event is None else event.error
        self.holds.append(Hold("parked", stored.at_ms, None, error, stored.step))
        step = self.steps.get(stored.step or 0)
        if step is not None and not step.is_over:
            step.parked_at_ms = stored.at_ms

    def _resumed(self, stored: StoredEvent, event: Event | None) -> None:
        for place, hold in enumerate(self.holds):
            if hold.until_ms is None:
                self.holds[place] = hold.replace(until_ms=stored.at_ms)


_TAKE: dict[str, Callable[[History, StoredEvent, Any], None]] = {
    "RequestMade": History._request_made,
    "AttemptFailed": History._attempt_failed,
    "RequestCompleted": History._request_completed,
    "HandedOver": History._handed_over,
    "Paused": History._paused,
    "Parked": History._parked,
    "Resumed": History._resumed,
}


def read_history(store: EventStore, job: Job, *, events_max: int | None = None) -> History:
    """Reads what is kept of a job's history, or the last events of it. Raises: StoreCorrupt."""
    first = max(job.trimmed_seq, 1)
    if events_max is not None:
        first = max(first, job.head - events_max + 1)
    history = History(first)
    for stored in store.events(job.id, after=first - 1):
        history.take(stored, lambda event: read_event(store, event))
    if first == 1:
        history.holders.insert(0, _first_holder(job, history))
    return history


def _first_holder(job: Job, history: History) -> Holder:
    """Who began the job. That of one that was taken over before it was detached is not recorded."""
    kind: str | None = "daemon" if job.is_detached else "shell"
    if history.holders:
        kind = {"detached": "shell", "restart": "daemon"}.get(
            history.holders[0].reason, None if job.is_detached else "shell"
        )
    return Holder(job.created_at_ms, kind, None, "started")


def _data_of(event: Event) -> dict[str, Value]:
    return {field: getattr(event, field) for field in event.fields}
