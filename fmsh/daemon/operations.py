"""The operations of the HTTP interface as data: the routes and the OpenAPI document are both made of one table.

A handler takes the request and gives the response, or raises a Problem. `read_json` and the readers of parameters turn
what is wrong with a request into one.
"""

from __future__ import annotations

import json

from starlette.responses import Response
from starlette.routing import Route

from fmsh.builtins.kinds import duration
from fmsh.builtins.text import plain_json
from fmsh.daemon.problems import Problem
from fmsh.record import Record
from fmsh.values import Raised

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from typing import Any

    from starlette.requests import Request

    from fmsh.values import Value

    Handler = Callable[[Request], Awaitable[Response]]

BODY_BYTES_MAX = 8 << 20  # a script with its arguments, or a result
WAIT_S_MAX = 60.0  # of a long poll; whoever wants to wait longer asks again
PROBLEM = {"$ref": "#/components/schemas/Problem"}


DIGITS_MAX = 20
NUMBER_MAX = 2**53  # what JavaScript, too, can count to
DURATION: dict[str, Any] = {"type": "string", "pattern": r"^[0-9]{1,6}(\.[0-9]{1,3})?(ms|s|m|h)?$"}


def up_to(maximum: int) -> dict[str, Any]:
    """The schema of a whole number."""
    return {"type": "integer", "minimum": 0, "maximum": maximum}


class Parameter(Record):
    """Of the query, a header or the path. `schema`: of JSON Schema."""

    name: str
    text: str
    schema: dict[str, Any] = {"type": "string"}  # noqa: RUF012 - a default that is never changed
    place: str = "query"


class Operation(Record):
    """`answers`: status → what it means. `body` and `gives`: the schemas of request and answer."""

    method: str
    path: str
    summary: str
    handler: Handler
    parameters: tuple[Parameter, ...] = ()
    body: dict[str, Any] | None = None
    gives: dict[str, Any] | None = None
    answers: dict[int, str] = {200: "done"}  # noqa: RUF012 - a default that is never changed
    media_type: str = "application/json"


def routes_of(operations: Iterable[Operation]) -> list[Route]:
    """Gives one route for each path, so that a refused method is told all that there are."""
    by_path: dict[str, dict[str, Handler]] = {}
    for each in operations:
        by_path.setdefault(each.path, {})[each.method] = each.handler
    return [Route(path, _by_method(handlers), methods=[*handlers]) for path, handlers in by_path.items()]


def _by_method(handlers: dict[str, Handler]) -> Handler:
    async def act(request: Request) -> Response:
        return await handlers["GET" if request.method == "HEAD" else request.method](request)

    return act


def document(operations: Iterable[Operation], version: str, schemas: dict[str, Any]) -> dict[str, Any]:
    """Makes the OpenAPI document. Source: OpenAPI 3.1."""
    paths: dict[str, Any] = {}
    for each in operations:
        described = _described(each)
        paths.setdefault(each.path, {})[each.method.lower()] = described
    return {
        "openapi": "3.1.0",
        "info": {"title": "fmsh", "version": version, "description": "The HTTP interface of the daemon of fmsh."},
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }


def _described(operation: Operation) -> dict[str, Any]:
    known = {each.name for each in operation.parameters}
    in_path = [part.strip("{}") for part in operation.path.split("/") if part.startswith("{")]
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in in_path
        if name not in known
    ]
    parameters += [
        {"name": each.name, "in": each.place, "description": each.text, "schema": each.schema}
        | ({"required": True} if each.place == "path" else {})
        for each in operation.parameters
    ]
    answers: dict[str, Any] = {}
    for status, text in operation.answers.items():
        answers[str(status)] = {"description": text}
        if operation.gives is not None and status != 204:
            answers[str(status)]["content"] = {operation.media_type: {"schema": operation.gives}}
    answers["default"] = {"description": "a problem", "content": {"application/problem+json": {"schema": PROBLEM}}}
    words = operation.path.strip("/").replace("v1/", "").replace("{", "").replace("}", "").split("/")
    described: dict[str, Any] = {
        "operationId": "_".join([operation.method.lower(), *words]).replace(".", "_"),
        "summary": operation.summary,
        "parameters": parameters,
        "responses": answers,
    }
    if operation.body is not None:
        content = {"application/json": {"schema": operation.body}}
        described["requestBody"] = {
            "content": content,
            "required": not {"required", "anyOf"}.isdisjoint(operation.body),
        }
    return described


# ---- Reading requests, writing answers -------------------------------------------------------------------------------


async def read_json(request: Request) -> Value:
    """Reads a JSON body; an empty one is null. Raises: Problem."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            raise Problem(413, f"a body may have {BODY_BYTES_MAX} bytes")
    if not body.strip():
        return None
    try:
        return json.loads(bytes(body), parse_constant=_refuse)
    except (ValueError, RecursionError) as fault:
        raise Problem(400, f"the body must be JSON: {fault}") from None


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


async def read_record(request: Request, *allowed: str) -> dict[str, Any]:
    """Reads a JSON object that has no other fields. Raises: Problem."""
    body = await read_json(request)
    body = {} if body is None else body
    if not isinstance(body, dict):
        raise Problem(400, "the body must be a JSON object")
    unknown = sorted(body.keys() - set(allowed))
    if unknown:
        raise Problem(400, f"unknown field {unknown[0]!r}; there are {', '.join(allowed) or 'none'}")
    return body


def whole(request: Request, name: str, default: int, *, maximum: int = NUMBER_MAX) -> int:
    """Reads a whole number from the query. Raises: Problem."""
    text = request.query_params.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= DIGITS_MAX and int(text) <= maximum):
        raise Problem(400, f"{name} must be a whole number up to {maximum}")
    return int(text)


def seconds(request: Request, name: str, default: float, *, maximum: float = WAIT_S_MAX) -> float:
    """Reads a duration from the query, such as 30s or 30. Raises: Problem."""
    text = request.query_params.get(name)
    if text is None:
        return default
    try:
        wait_s = float(text) if text.replace(".", "", 1).isdigit() else duration(text).seconds
    except (Raised, ValueError):
        raise Problem(400, f"{name} must be a duration such as 30s") from None
    return min(max(0.0, wait_s), maximum)


def answer(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Writes a value of the language as JSON; secrets are references."""
    if status == 204:
        return Response(status_code=204)
    return Response(plain_json(value), status, headers, media_type="application/json")
