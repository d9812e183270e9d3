"""Errors of the HTTP interface, as `application/problem+json`. Source: RFC 9457."""

from __future__ import annotations

from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request
    from starlette.responses import Response


class Problem(HTTPException):
    """An answer that says what is wrong. `detail` must say nothing that the asker may not know."""

    def __init__(self, status: int, detail: str = "", *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, detail, headers)


def problem_response(status: int, detail: str = "", *, headers: Mapping[str, str] | None = None) -> JSONResponse:
    body: dict[str, str | int] = {"title": HTTPStatus(status).phrase, "status": status}
    if detail:
        body["detail"] = detail
    return JSONResponse(body, status, headers, media_type="application/problem+json")


async def answer_http_exception(request: Request, fault: Exception) -> Response:
    """Turns what a route raised, and the framework's own 404 and 405, into a problem."""
    assert isinstance(fault, HTTPException)
    detail = fault.detail if isinstance(fault, Problem) else ""
    return problem_response(fault.status_code, detail, headers=fault.headers)


async def answer_fault(request: Request, fault: Exception) -> Response:
    """What we did not foresee: the asker learns only that it was our fault."""
    return problem_response(500)
