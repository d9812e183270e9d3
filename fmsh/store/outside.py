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


class Call(Record):
    """One call of an address, as it came. `data_json` is what the job receives of it."""

    token_hash: bytes
    data_json: str
    dedupe_id: str
    method: str
    now_ms: int


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
