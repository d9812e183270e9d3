"""The callback connector: operation "open" gives a handle with an address that only its holder knows.

The store keeps the SHA-256 of the token alone. Opening again after a crash gives a new token: nobody has seen the old
one, since the handle was not recorded. `base_url()` makes sure that our own listener is bound, raising ConnectorError
when it cannot be.
"""

from __future__ import annotations

from fmsh.connectors.base import Done, Failed
from fmsh.errors import FmshError
from fmsh.values import Handle, error_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from fmsh.connectors.base import Attempt, AttemptId, Outcome, Post
    from fmsh.values import Duration, Value

    # (job id, handle id, SHA-256 of the token, expiry in ms, methods, takes many) → opened in the store
    Open = Callable[[int, str, bytes, int | None, tuple[str, ...], bool], None]

TOKEN_BYTES = 32
METHODS = ("POST", "PUT")


class CallbackConnector:
    """Opens addresses; it holds nothing, so there is nothing to cancel."""

    def __init__(self, open: Open, base_url: Callable[[], str], token: Callable[[int], bytes]) -> None:
        self._open = open
        self._base_url = base_url
        self._token = token

    def start(self, attempt: Attempt, post: Post) -> None:
        assert attempt.operation == "open", attempt.operation
        try:
            post(attempt.id, self._opened(attempt))
        except FmshError as error:
            message = f"callback: {error.message}" + (f" ({error.hint})" if error.hint else "")
            post(attempt.id, Failed(error_value("callback", message)))

    def _opened(self, attempt: Attempt) -> Outcome:
        from base64 import urlsafe_b64encode
        from hashlib import sha256

        arguments = attempt.arguments
        methods = _methods(arguments.get("methods"))
        if methods is None:
            return Failed(error_value("type", "--methods takes POST, PUT or both, such as --methods POST,PUT"))
        base_url = self._base_url()
        token = urlsafe_b64encode(self._token(TOKEN_BYTES)).rstrip(b"=").decode()
        id = str(attempt.id.step)
        is_many = bool(arguments.get("many"))
        expires_at_ms = _expiry(attempt.requested_at_ms, arguments.get("ttl"))
        self._open(attempt.id.job_id, id, sha256(token.encode()).digest(), expires_at_ms, methods, is_many)
        fields: dict[str, Value] = {"id": id, "url": f"{base_url}/cb/{token}"}
        if is_many:
            fields["many"] = True
        if arguments.get("full"):
            fields["full"] = True
        return Done(Handle("callback", id, fields))

    def cancel(self, id: AttemptId) -> None:
        """Does nothing: an attempt is over when `start` returns."""

    def close(self) -> None:
        """Does nothing: nothing is held."""


def _methods(given: str | None) -> tuple[str, ...] | None:
    if given is None:
        return METHODS
    methods = tuple(part.strip().upper() for part in given.split(","))
    return methods if methods and all(method in METHODS for method in methods) else None


def _expiry(requested_at_ms: int, ttl: Duration | None) -> int | None:
    return None if ttl is None else requested_at_ms + ttl.milliseconds
