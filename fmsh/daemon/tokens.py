"""Tokens with which the control interface may be used on the TCP port. The store keeps their SHA-256 alone."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets

from fmsh.daemon.problems import problem_response

TYPE_CHECKING = False
if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from fmsh.daemon.store_thread import StoreThread
    from fmsh.store.base import EventStore

SETTING = "api_tokens"
TOKENS_MAX = 100
TOKEN_BYTES = 32


def make(store: EventStore) -> str:
    """Makes a token, and keeps what recognises it; the oldest goes when there are too many."""
    token = f"fmsh_{secrets.token_urlsafe(TOKEN_BYTES)}"
    store.set_setting(SETTING, json.dumps([*_kept(store), _hash(token)][-TOKENS_MAX:]))
    return token


def revoke_all(store: EventStore) -> int:
    """Makes all tokens useless; gives how many there were."""
    count = len(_kept(store))
    store.set_setting(SETTING, "[]")
    return count


def is_valid(store: EventStore, token: str) -> bool:
    found = _hash(token)
    return any([hmac.compare_digest(found, kept) for kept in _kept(store)])


def _kept(store: EventStore) -> list[str]:
    return [str(hash) for hash in json.loads(store.setting(SETTING) or "[]")]


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


class TokenGuard:
    """Serves `inner` to who shows a token, and `outer` to everybody else, for whom `inner` is not there at all."""

    def __init__(self, inner: ASGIApp, outer: ASGIApp, store: StoreThread) -> None:
        self._inner = inner
        self._outer = outer
        self._store = store

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scheme, _, token = _authorization(scope).partition(" ")
        if scope["type"] != "http" or scheme.lower() != "bearer" or scope["path"].startswith("/cb/"):
            await self._outer(scope, receive, send)
        elif await self._store.call(lambda store: is_valid(store, token.strip())):
            await self._inner(scope, receive, send)
        else:
            headers = {"WWW-Authenticate": "Bearer"}
            await problem_response(401, "no such token; `fmsh config token` makes one", headers=headers)(
                scope, receive, send
            )


def _authorization(scope: Scope) -> str:
    for name, value in scope.get("headers", ()):
        if name == b"authorization":
            return str(value.decode("latin-1"))
    return ""
