"""The job connector: operation "start" makes a detached job of a part of the program, which is what `&` does.

The new job's key is made of the parent's uid and step, so a repeated attempt finds the job that the first one made.
"""

from __future__ import annotations

from fmsh.connectors.base import Done, Failed
from fmsh.errors import FmshError
from fmsh.values import Handle, error_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from fmsh.connectors.base import Attempt, AttemptId, Post


class JobConnector:
    """`start_job(attempt)` starts it, once for each idempotency key, and gives its number."""

    def __init__(self, start_job: Callable[[Attempt], int]) -> None:
        self._start_job = start_job

    def start(self, attempt: Attempt, post: Post) -> None:
        assert attempt.operation == "start", attempt.operation
        try:
            number = self._start_job(attempt)
        except FmshError as error:
            post(attempt.id, Failed(error_value("job", f"the job could not be started: {error.message}")))
            return
        post(attempt.id, Done(Handle("job", str(number), {"id": number})))

    def cancel(self, id: AttemptId) -> None:
        """Does nothing: an attempt is over when `start` returns."""

    def close(self) -> None:
        """Does nothing: nothing is held."""
