"""Connectors whose effects are done in the store at once: what jobs say to one another, and to people.

`acts` holds a function per operation. It gives the value of the step, or raises Raised or FmshError. It is called again
when a process dies before the outcome is recorded: `idempotency_key` is the same then, and makes it one effect.
"""

from __future__ import annotations

from fmsh.connectors.base import Done, Failed, refused_by_store
from fmsh.errors import FmshError, StoreBusy, StoreFull
from fmsh.values import Raised, error_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fmsh.connectors.base import Attempt, AttemptId, Post
    from fmsh.values import Value


class MessageConnector:
    """Holds nothing, so there is nothing to cancel. `name` is the kind of its errors that have none of their own."""

    def __init__(self, name: str, acts: Mapping[str, Callable[[Attempt], Value]]) -> None:
        self._name = name
        self._acts = acts

    def start(self, attempt: Attempt, post: Post) -> None:
        try:
            post(attempt.id, Done(self._acts[attempt.operation](attempt)))
        except Raised as problem:
            post(attempt.id, Failed(problem.error))
        except (StoreFull, StoreBusy) as error:
            post(attempt.id, refused_by_store(error))
        except FmshError as error:
            message = error.message + (f" ({error.hint})" if error.hint else "")
            post(attempt.id, Failed(error_value(self._name, message)))

    def cancel(self, id: AttemptId) -> None:
        """Does nothing: an attempt is over when `start` returns."""

    def close(self) -> None:
        """Does nothing: nothing is held."""
