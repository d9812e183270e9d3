"""What the world can reach: one address per callback, `/cb/TOKEN`, and nothing else.

A delivery is answered 202 after the store has it. Everything that is not an open address is the same 404, whatever the
reason. A token is known here only for as long as it takes to hash it. `Authorization` and `Cookie` headers are not
kept: what a job receives is written to its history, and a history holds no credentials.

The body of a delivery becomes a value by its type: JSON (under whatever type, if it is an object or an array), a form,
text, or else bytes.
"""

from __future__ import annotations

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
from fmsh.daemon.problems import Problem, answer_fault, answer_http_exception, problem_response
from fmsh.errors import StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from starlette.datastructures import Headers
    from starlette.types import ASGIApp, Receive, Scope, Send

    from fmsh.daemon.store_thread import StoreThread
    from fmsh.values import Value

BODY_BYTES_MAX = 1 << 20  # GitHub sends up to 25 MB, but what a job waits for is a result, not an archive
DELIVERY_ID_CHARACTERS_MAX = 200
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

    def __init__(self, store: StoreThread, *, body_bytes_max: int) -> None:
        self._store = store
        self._body_bytes_max = body_bytes_max

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
        data_json = delivery_json(request, body)
        try:
            delivery = await self._store.call(
                lambda store: store.deliver_callback(
                    token_hash,
                    data_json,
                    dedupe_id=delivery_id(request.headers, body),
                    method=request.method,
                    now_ms=time.time_ns() // 1_000_000,
                )
            )
        except StoreError:
            raise Problem(503, "it could not be stored; send it again", headers={"Retry-After": "5"}) from None
        if delivery is None:
            raise Problem(404)
        if delivery.is_moved:  # who knows the address may know why it serves nobody, and our log tells the user
            sys.stderr.write(f"a call for job {delivery.job_id} was refused: it was moved to another store\n")
            raise Problem(404, "the job that waited here was moved elsewhere")
        return JSONResponse({"job": delivery.job_id}, 202)


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


def public_app(store: StoreThread, *, hosts: Callable[[], Iterable[str]], body_bytes_max: int) -> ASGIApp:
    """Makes the public application. `hosts` names the hosts that it answers for, as they are at the time."""
    routes = CallbackRoutes(store, body_bytes_max=body_bytes_max)
    app = Starlette(
        routes=[Route("/cb/{token}", routes.answer, methods=["GET", "POST", "PUT"])],
        exception_handlers={HTTPException: answer_http_exception, Exception: answer_fault},
    )
    app.router.redirect_slashes = False
    return HostGuard(app, hosts=hosts)


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


def delivery_json(request: Request, body: bytes) -> str:
    """Writes what arrived as a record of the language, in the wire form."""
    record: dict[str, Value] = {
        "method": request.method,
        "headers": _headers(request.headers),
        "query": _record(parse_qsl(request.url.query, keep_blank_values=True)),
    }
    try:
        return wire.encode(record | {"body": decode_body(body, request.headers.get("content-type", ""))})
    except RecursionError:  # nested deeper than a value may be: what arrived is kept, as text
        return wire.encode(record | {"body": body.decode("utf-8", "surrogateescape")})


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
