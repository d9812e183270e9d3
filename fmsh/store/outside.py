"""What a store guarantees to those outside of its jobs: the callers of addresses, and who waits for an answer.

Each method is one durable transaction. What it tells a job is a row in the inbox of that job, in the same transaction.
"""

from __future__ import annotations

from fmsh.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Protocol

    from fmsh.store.base import Delivery, NewCallback
else:
    Protocol = object


JOBS = "jobs"  # the topic on which the store itself tells of every change of a job's state


class Call(Record):
    """One call of an address, as it came. `data_json` is what the job receives of it."""

    token_hash: bytes
    data_json: str
    dedupe_id: str
    method: str
    now_ms: int


class TopicEvent(Record):
    seq: int  # in the store: a topic has gaps
    topic: str
    at_ms: int
    data_json: str


class Subscription(Record):
    """That a job hears of a topic: of events after `after`, or from now on, or else since the job was created."""

    job_id: int
    handle_id: str
    topic: str
    group: str | None = None
    after: int | None = None
    is_from_now: bool = False


class NewCall(Record):
    """A call of a function that a program outside implements. `attempts_max`: how many workers may try."""

    id: str
    job_id: int
    handle_id: str
    name: str
    value_json: str
    attempts_max: int
    expires_at_ms: int | None


class LeasedCall(Record):
    id: str
    name: str
    value_json: str
    attempt: int
    deadline_ms: int


class CallOutcome(Record):
    """What the worker of an attempt says: `data_json` is `{"value", "error"}` in the wire form."""

    id: str
    attempt: int
    data_json: str
    is_retryable: bool = False
    retry_after_ms: int = 0


class NewClaim(Record):
    """That a step of a job wants a lock or a place under a limit. `size`: how many may have one at a time.

    `inside`: the steps of the job's claims within whose blocks it asks: they last until this one is over.
    """

    job_id: int
    step: int
    kind: str  # lock, limit
    name: str
    size: int
    inside: tuple[int, ...] = ()


class Claim(Record):
    """`since_ms`: when it was asked for, or granted. `inside`: as in `NewClaim`."""

    job_id: int
    step: int
    kind: str
    name: str
    size: int
    inside: tuple[int, ...]
    is_granted: bool
    since_ms: int


class Place(Record):
    """What became of a claim. `circle`: it was refused, for these, one after the other, would wait for it."""

    is_granted: bool
    circle: tuple[Claim, ...] = ()


class Outside(Protocol):
    # -- callbacks
    def open_callback(self, new: NewCallback) -> None:
        """Opens an address; opening the same (job, handle) again replaces its token.

        An address that another handle had before comes to this one with what was delivered there, so that a repeat of
        it is still a repeat. Raises: StoreTaken: it is still open there.
        """
        ...

    def callback_options(self, token_hash: bytes) -> str | None:
        """The options of an address, whether it is open or not. None: unknown."""
        ...

    def reply(self, job_id: int, request_id: str, data_json: str) -> bool:
        """Keeps what a job answers to a call. False: that was answered before, and nothing is changed."""
        ...

    def reply_to(self, request_id: str) -> str | None: ...

    def deliver_callback(
        self, token_hash: bytes, data_json: str, *, dedupe_id: str, method: str, now_ms: int
    ) -> Delivery | None:
        """Accepts one call of an address, as `deliver_calls` does several."""
        ...

    def deliver_calls(self, calls: Sequence[Call]) -> list[Delivery | None]:
        """Accepts calls of addresses, in one transaction with their inbox rows; one answer per call.

        A row is of kind `callback`, its data `{"handle": ID, "delivery": …}` with the data given.

        None: unknown, expired, or used with another `dedupe_id`; callers cannot tell which.
        """
        ...

    # -- topics
    def publish(self, topic: str, data_json: str, *, dedupe_id: str | None, at_ms: int) -> int:
        """Adds an event to a topic, tells those who subscribed, and gives its number.

        With a `dedupe_id` that was there before nothing is added. An event becomes a row of kind `topic` in the inbox
        of every job that hears of the topic, and of one member of each group, with the data
        `{"handle": ID, "delivery": {"seq", "at_ms", "body"}}`.
        """
        ...

    def subscribe(self, new: Subscription) -> None: ...
    def hears_of(self, job_id: int, topic: str) -> bool: ...
    def hear_of_end(self, job_id: int, of: int) -> bool:
        """From here on a job gets the row of kind `job` that tells the parent of another job of its end.

        It comes in the commit of that end. False: that job is over, or gone, and nothing will come.
        """
        ...

    def hear_of_call(self, job_id: int, handle_id: str) -> None:
        """Tells a job, in its inbox, what comes to an address that an earlier line left to its session, or came.

        `handle_id` is `kept_handle` of that. Of an address that takes many calls it gets one, which nobody else gets;
        when it has taken that, it asks for the next. An address that is not kept any more is told as a call with
        `{"gone": WHY}`.
        """
        ...

    def lines_in_use(self, *, since_ms: int) -> set[int]:
        """The jobs whose addresses are open, and of a session that had a line since a moment."""
        ...

    def topic_events(self, topic: str | None, *, after: int, limit: int) -> list[TopicEvent]: ...

    # -- calls
    def open_call(self, new: NewCall) -> None:
        """Offers a call to workers; the same id again changes nothing."""
        ...

    def lease_call(self, name: str, *, now_ms: int, lease_ms: int) -> LeasedCall | None:
        """Gives the oldest call of a function that nobody works on, to one worker, for `lease_ms`."""
        ...

    def beat_call(self, id: str, *, attempt: int, until_ms: int) -> bool: ...
    def finish_call(self, outcome: CallOutcome, *, now_ms: int) -> bool:
        """Takes the outcome of an attempt into the inbox of the job, as a row of kind `call`; or lets others try.

        False: the call is over, or another worker has it.
        """
        ...

    # -- locks and limits: who has what is known here and nowhere else
    def claim(self, new: NewClaim, *, now_ms: int) -> Place:
        """Lets a job that this process holds queue up, first come first served; asking again changes nothing.

        What is not granted at once is told later, by a row of the claim's kind in the inbox of the job, with the data
        `{"handle": STEP, "delivery": {"body": true}}`. A claim lasts until an append names it in `unclaimed`, or the
        job is over: whoever is next has it in the same transaction. Raises: StoreFenced: another process holds the job.
        """
        ...

    def claims(self, kind: str, name: str) -> list[Claim]:
        """Those who have a lock or a place, and then those who wait for it, in their order."""
        ...

    def reserve(self, name: str, *, interval_us: int, now_us: int) -> int:
        """Gives the next free moment of a rate, in microseconds since 1970, and keeps others away for an interval."""
        ...
