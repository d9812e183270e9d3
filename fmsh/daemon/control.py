"""The control interface: what the user's own programs may ask of the daemon, on a Unix socket for that user alone.

A request that carries an `Origin` comes from a page in a browser and is refused.
"""

from __future__ import annotations

import os

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from fmsh.daemon.jobs_api import JobRoutes
from fmsh.daemon.messages_api import MessageRoutes
from fmsh.daemon.metrics import MEDIA_TYPE
from fmsh.daemon.operations import Operation, document, routes_of
from fmsh.daemon.problems import Problem, answer_fault, answer_http_exception, problem_response
from fmsh.daemon.schemas import SCHEMAS
from fmsh.errors import StoreError
from fmsh.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Receive, Scope, Send

    from fmsh.daemon.metrics import Metrics
    from fmsh.daemon.starting import Starting
    from fmsh.daemon.store_thread import StoreThread
    from fmsh.daemon.streams import Ending


class Whereabouts(Record):
    """Where the daemon is, as its status says it. `reason`: why callbacks cannot arrive, where `listen` is None."""

    version: str
    listen: str | None
    public_url: str | None
    socket: str
    reason: str | None = None


class ControlRoutes:
    """The routes of the control application."""

    def __init__(
        self,
        store: StoreThread,
        *,
        whereabouts: Callable[[], Whereabouts],
        on_stop: Callable[[], None],
        metrics: Metrics,
        ending: Ending,
        starting: Starting | None = None,
    ) -> None:
        self._metrics = metrics
        self._others = [*JobRoutes(store, ending, starting).operations(), *MessageRoutes(store, ending).operations()]
        self._store = store
        self._whereabouts = whereabouts
        self._on_stop = on_stop

    def operations(self) -> list[Operation]:
        """All operations of the interface."""
        plain = {"type": "object"}
        return [
            Operation("GET", "/healthz", "Whether the daemon serves.", self.show_health, gives=plain),
            Operation(
                "GET",
                "/metrics",
                "What it counts, for Prometheus.",
                self.show_metrics,
                gives={"type": "string"},
                media_type="text/plain",
            ),
            Operation("GET", "/openapi.json", "This document.", self.show_document, gives=plain),
            Operation(
                "GET", "/v1/status", "Where the daemon is, and its jobs by state.", self.show_status, gives=plain
            ),
            Operation("POST", "/v1/stop", "Ask the daemon to end.", self.stop, gives=plain, answers={202: "it ends"}),
            *self._others,
        ]

    async def show_metrics(self, request: Request) -> Response:
        jobs = await self._store.call(lambda store: dict(store.count_by_state()))
        return Response(self._metrics.text(jobs), media_type=MEDIA_TYPE)

    async def show_document(self, request: Request) -> Response:
        return JSONResponse(document(self.operations(), self._whereabouts().version, SCHEMAS))

    async def show_health(self, request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def show_status(self, request: Request) -> Response:
        where = self._whereabouts()
        try:
            jobs = await self._store.call(lambda store: dict(store.count_by_state()))
        except StoreError as fault:
            raise Problem(503, fault.message) from None
        return JSONResponse(
            {
                "pid": os.getpid(),
                "version": where.version,
                "listen": where.listen,
                "public_url": where.public_url,
                "socket": where.socket,
                "reason": where.reason,
                "jobs": jobs,
            }
        )

    async def stop(self, request: Request) -> Response:
        """Answers first, and then asks the daemon to end."""
        return JSONResponse({"pid": os.getpid()}, 202, background=BackgroundTask(self._on_stop))


class OriginGuard:
    """Refuses what comes from a page in a browser."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and "origin" in Request(scope).headers:
            await problem_response(403, "not for pages in a browser")(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def control_app(routes: ControlRoutes) -> ASGIApp:
    app = Starlette(
        routes=routes_of(routes.operations()),
        exception_handlers={HTTPException: answer_http_exception, Exception: answer_fault},
    )
    app.router.redirect_slashes = False
    return OriginGuard(app)
