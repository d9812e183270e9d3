"""What the world can reach: one address per callback, `/cb/TOKEN`, and nothing else.

A delivery is answered 202 after the store has it. Everything that is not an open address is the same 404, whatever the
reason. A token is known here only for as long as it takes to hash it. `Authorization` and `Cookie` headers are not
kept: what a job receives is written to its history, and a history holds no credentials.

The body of a delivery becomes a value by its type: JSON (under whatever type, if it is an object or an array), a form,
text, or else bytes.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
import time
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from fmsh import wire
from fmsh.builtins.text import plain_json
from fmsh.daemon.deliveries import Deliveries
from fmsh.daemon.problems import Problem, answer_fault, answer_http_exception, problem_response
from fmsh.daemon.signatures import is_signed
from fmsh.errors import StoreError
from fmsh.store.outside import Call
from fmsh.values import Raised

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from starlette.datastructures import Headers
    from starlette.types import ASGIApp, Receive, Scope, Send

    from fmsh.daemon.store_thread import StoreThread
    from fmsh.daemon.streams import Ending
    from fmsh.store.base import EventStore
    from fmsh.values import Secret, Value

    Reveal = Callable[[EventStore, Secret], str]  # the text of a secret

BODY_BYTES_MAX = 1 << 20  # GitHub sends up to 25 MB, but what a job waits for is a result, not an archive
DELIVERY_ID_CHARACTERS_MAX = 200
REPLY_WAIT_S = 30.0
REPLY_POLL_S, REPLY_POLL_S_MAX = 0.003, 0.1  # a job answers within milliseconds, or when it has time
REPLY_POLL_GROWTH = 1.3
NOT_KEPT = frozenset(("authorization", "cookie", "proxy-authorization"))
ID_HEADERS = {"webhook-id": "webhook", "x-github-delivery": "github", "idempotency-key": "key"}

PAGE = """<!doctype html>
<meta charset="utf-8"><title>A callback address</title>
<h1>This is a callback address</h1>
<p>A job of fmsh, a shell, may be waiting here for a program to POST its result. Opening the address in a browser does
nothing.</p>
"""
PAGE_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class CallbackRoutes:
    """The routes of the public application."""

    def __init__(self, store: StoreThread, *, body_bytes_max: int, reveal: Reveal, ending: Ending) -> None:
        self._store = store
        self._ending = ending
        self._body_bytes_max = body_bytes_max
        self._reveal = reveal
        self._deliveries = Deliveries(store)

    async def answer(self, request: Request) -> Response:
        if request.method in ("GET", "HEAD"):
            return HTMLResponse(PAGE, headers=PAGE_HEADERS)
        return await self.deliver(request)

    async def deliver(self, request: Request) -> Response:
        """Accepts a delivery, and answers when it is durable."""
        try:
            body = await read_body(request, bytes_max=self._body_bytes_max)
        except ClientDisconnect:  # too late or gone: nobody reads the answer
            return Response(status_code=408)
        token_hash = hashlib.sha256(request.path_params["token"].encode("utf-8", "surrogatepass")).digest()
        dedupe_id = delivery_id(request.headers, body)
        id = hashlib.sha256(token_hash + dedupe_id.encode("utf-8", "surrogateescape")).hexdigest()[:32]

        def make(store: EventStore, options: dict[str, Any]) -> Call:
            self._require_signature(store, options, request, body)
            data_json = delivery_json(request, body, id=id if options.get("reply") else None)
            return Call(token_hash, data_json, dedupe_id, request.method, time.time_ns() // 1_000_000)

        try:
            delivery, options = await self._deliveries.deliver(token_hash, make)
        except StoreError:
            raise Problem(503, "it could not be stored; send it again", headers={"Retry-After": "5"}) from None
        if delivery is None:
            raise Problem(404)
        if delivery.is_moved:  # who knows the address may know why it serves nobody, and our log tells the user
            sys.stderr.write(f"a call for job {delivery.job_id} was refused: it was moved to another store\n")
            raise Problem(404, "the job that waited here was moved elsewhere")
        if options.get("reply"):
            return await self._reply(id)
        return JSONResponse({"job": delivery.job_id}, 202)

    def _require_signature(self, store: EventStore, options: dict[str, Any], request: Request, body: bytes) -> None:
        """Refuses what is not signed with the secret of the address. Raises: Problem."""
        scheme = options.get("verify")
        if scheme is None:
            return
        try:
            secret = self._reveal(store, options["secret"])
        except (Raised, StoreError) as fault:
            sys.stderr.write(f"a call was refused, for the secret of its address cannot be had: {fault}\n")
            raise Problem(503, "the signature cannot be verified now", headers={"Retry-After": "60"}) from None
        if not is_signed(scheme, secret, request.headers, body, now_s=time.time()):
            raise Problem(401, f"not signed as {scheme} signs, with the secret of this address, within the last 5 min")

    async def _reply(self, request_id: str) -> Response:
        """Waits for what the job answers to this request."""
        wait_s, until_s = REPLY_POLL_S, time.monotonic() + REPLY_WAIT_S
        while True:
            data_json = await self._store.call(lambda store: store.reply_to(request_id))
            if data_json is not None:
                return reply_response(wire.decode(data_json))
            if self._ending.is_near:  # a repeat is no second request: it waits for the answer to the first
                raise Problem(
                    503, "the job has the request; send it again for the answer", headers={"Retry-After": "1"}
                )
            left_s = until_s - time.monotonic()
            if left_s <= 0:
                raise Problem(504, f"the job has the request, and did not answer within {REPLY_WAIT_S:.0f} s")
            await asyncio.sleep(min(wait_s, left_s))
            wait_s = min(wait_s * REPLY_POLL_GROWTH, REPLY_POLL_S_MAX)


class HostGuard:
    """Serves requests for our own names only, so that no page in a browser reaches us under a name of its own."""

    def __init__(self, app: ASGIApp, *, hosts: Callable[[], Iterable[str]]) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and host_name(Request(scope).headers.get("host", "")) not in self._hosts():
            await problem_response(421, "not a name of this server")(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def public_app(store: StoreThread, *, body_bytes_max: int, reveal: Reveal, ending: Ending) -> ASGIApp:
    """Makes the application that everybody may call."""
    routes = CallbackRoutes(store, body_bytes_max=body_bytes_max, reveal=reveal, ending=ending)
    app = Starlette(
        routes=[Route("/cb/{token}", routes.answer, methods=["GET", "POST", "PUT"])],
        exception_handlers={HTTPException: answer_http_exception, Exception: answer_fault},
    )
    app.router.redirect_slashes = False
    return app


def host_name(header: str) -> str:
    """Gives the host of a Host header without its port, in lower case and without the brackets of IPv6."""
    host = header.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


async def read_body(request: Request, *, bytes_max: int) -> bytes:
    """Reads the body as it comes and stops at the limit.

    Raises: Problem 413 past the limit, 415 for a compressed body; ClientDisconnect.
    """
    too_large = Problem(413, f"a body may have {bytes_max} bytes")
    if request.headers.get("content-encoding", "identity") != "identity":
        raise Problem(415, "send the body as it is, not compressed")
    announced = request.headers.get("content-length", "0")
    if announced.isascii() and announced.isdigit() and int(announced) > bytes_max:
        raise too_large
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > bytes_max:
            raise too_large
    return bytes(body)


def delivery_id(headers: Headers, body: bytes) -> str:
    """Names a delivery, so that a repeat is known: by the id that the sender gave it, else by what it holds."""
    for header, kind in ID_HEADERS.items():
        given = headers.get(header)
        if given:
            if len(given) > DELIVERY_ID_CHARACTERS_MAX:
                given = hashlib.sha256(given.encode()).hexdigest()
            return f"{kind}:{given}"
    return f"body:{hashlib.sha256(body).hexdigest()}"


def delivery_json(request: Request, body: bytes, *, id: str | None) -> str:
    """Writes what arrived as a record of the language, in the wire form. `id`: by which a reply names the request."""
    record: dict[str, Value] = {} if id is None else {"id": id}
    record |= {
        "method": request.method,
        "headers": _headers(request.headers),
        "query": _record(parse_qsl(request.url.query, keep_blank_values=True)),
    }
    try:
        return wire.encode(record | {"body": decode_body(body, request.headers.get("content-type", ""))})
    except RecursionError:  # nested deeper than a value may be: what arrived is kept, as text
        return wire.encode(record | {"body": body.decode("utf-8", "surrogateescape")})


def reply_response(reply: dict[str, Any]) -> Response:
    """Writes what a job answered: a record or list as JSON, a string as text, null as nothing."""
    status, value = reply["status"], reply["value"]
    if value is None:
        return Response(status_code=status or 204)
    if isinstance(value, str):
        return Response(value.encode("utf-8", "surrogateescape"), status or 200, media_type="text/plain; charset=utf-8")
    if isinstance(value, bytes):
        return Response(value, status or 200, media_type="application/octet-stream")
    return Response(plain_json(value), status or 200, media_type="application/json")


def decode_body(body: bytes, content_type: str) -> Value:
    """Turns a body into a value, by its type and by what it is; an empty one is null."""
    if not body:
        return None
    media_type, _, parameters = content_type.partition(";")
    media_type = media_type.strip().lower()
    is_json = media_type == "application/json" or media_type.endswith("+json")
    if is_json or body.lstrip()[:1] in (b"{", b"["):
        found, value = _parse_json(body)
        if found:
            return value
    if media_type == "application/x-www-form-urlencoded":
        return _record(parse_qsl(body.decode("utf-8", "surrogateescape"), keep_blank_values=True))
    if is_json or media_type.startswith("text/"):
        return _decode_text(body, parameters)
    try:
        return body if media_type else body.decode()
    except UnicodeDecodeError:
        return body


def _parse_json(body: bytes) -> tuple[bool, Value]:
    try:
        return True, json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return False, None


def _refuse_constant(name: str) -> Value:
    raise ValueError(f"{name} is not JSON")


def _decode_text(body: bytes, parameters: str) -> str:
    """Decodes by the charset that is named, else as UTF-8; what is neither survives as lone surrogates."""
    name, _, charset = parameters.partition("=")
    try:
        return body.decode(charset.strip(" \"'") if name.strip().lower() == "charset" else "utf-8")
    except (LookupError, UnicodeError):
        return body.decode("utf-8", "surrogateescape")


def _headers(headers: Headers) -> dict[str, Value]:
    names = [name for name in headers if name not in NOT_KEPT]
    return {name: ", ".join(headers.getlist(name)) for name in names}


def _record(pairs: list[tuple[str, str]]) -> dict[str, Value]:
    """Makes a record of names and values; a name that comes twice holds the list of its values."""
    record: dict[str, Value] = {}
    for name, value in pairs:
        if name not in record:
            record[name] = value
        elif isinstance(record[name], list):
            record[name] = [*record[name], value]
        else:
            record[name] = [record[name], value]
    return record
