"""A small HTTP service on loopback, for the examples of the documentation: builds that passed or failed."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

BUILDS = [
    {"id": 7, "service": "api", "status": "passed", "seconds": 41},
    {"id": 8, "service": "web", "status": "failed", "seconds": 12},
    {"id": 9, "service": "api", "status": "passed", "seconds": 38},
]


CHANGES = [
    {"build": 7, "status": "running"},
    {"build": 8, "status": "running"},
    {"build": 7, "status": "passed"},
    {"build": 8, "status": "failed"},
]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        if path == "/builds":
            wanted = dict(pair.split("=", 1) for pair in query.split("&") if pair)
            self._answer(200, [b for b in BUILDS if all(str(b.get(name)) == value for name, value in wanted.items())])
        elif path.startswith("/builds/"):
            found = [build for build in BUILDS if str(build["id"]) == path.removeprefix("/builds/")]
            self._answer(200, found[0]) if found else self._answer(404, {"message": "no such build"})
        elif path == "/changes":
            self._send_changes(int(self.headers.get("last-event-id", 0)))
        else:
            self._answer(404, {"message": f"nothing at {path}"})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        self._answer(201, {"id": 10, "status": "queued", **json.loads(body or b"{}")})

    def _send_changes(self, after: int) -> None:
        """Server-sent events; the connection ends after two of them, as one that a balancer closes."""
        self.send_response(200 if after < len(CHANGES) else 204)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        for number, change in list(enumerate(CHANGES, 1))[after : after + 2]:
            self.wfile.write(f"retry: 1\nid: {number}\ndata: {json.dumps(change)}\n\n".encode())

    def _answer(self, status: int, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Says nothing."""


class Service:
    def __init__(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
