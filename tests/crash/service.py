"""A small service that logs what it is asked, checks that each request was recorded first, and calls back.

What it sees in the store while a request arrives is acknowledged: nothing of it may ever be lost or change.
"""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from fmsh.engine.dispatcher import idempotency_key
from fmsh.store.base import Job, StoredEvent
from fmsh.store.sqlite import SqliteStore

EVENTS = 2
CALL_AGAIN_S = 0.05
CALL_FOR_S = 60.0


class Asked(NamedTuple):
    case: str
    method: str
    path: str
    key: str


class QuietServer(ThreadingHTTPServer):
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing of a client that was killed."""


class Service:
    """`log` holds the requests, `unrecorded` those without an intent in the store of `state`.

    `seen` holds by case the longest history that was there when a request arrived.
    """

    def __init__(self, state: str) -> None:
        self.state = state
        self.log: list[Asked] = []
        self.unrecorded: list[Asked] = []
        self.seen: dict[str, list[StoredEvent]] = {}
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                service.take(self, json.loads(body) if body else None)

            do_GET = do_POST

            def log_message(self, *_: Any) -> None:
                """Says nothing."""

        self._server = QuietServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def take(self, handler: BaseHTTPRequestHandler, body: Any) -> None:
        _, case, path = handler.path.split("/")
        asked = Asked(case, handler.command, path, handler.headers.get("Idempotency-Key", ""))
        history, is_recorded = look(self.state, asked)
        if not is_recorded:
            self.unrecorded.append(asked)
        if len(history) > len(self.seen.get(case, ())):
            self.seen[case] = history
        self.log.append(asked)
        if path == "hook":
            threading.Thread(target=_call_back, args=(body["url"],), daemon=True).start()
        answer = json.dumps({"path": path}).encode()
        try:
            if path == "events":
                _send_events(handler)
                return
            handler.send_response(500 if path == "fail" else 200)
            handler.send_header("Content-Type", "application/json")
            handler.send_header("Content-Length", str(len(answer)))
            handler.end_headers()
            handler.wfile.write(answer)
        except OSError:  # killed meanwhile
            handler.close_connection = True

    def of(self, case: str) -> list[Asked]:
        return [asked for asked in self.log if asked.case == case]


def _send_events(handler: BaseHTTPRequestHandler) -> None:
    """Sends the next of two events, after the one that the client had last, and breaks off."""
    number = int(handler.headers.get("Last-Event-ID", 0)) + 1
    handler.send_response(200 if number <= EVENTS else 204)
    handler.send_header("Content-Type", "text/event-stream")
    handler.end_headers()
    if number <= EVENTS:
        handler.wfile.write(f"retry: 1\nid: {number}\ndata: {number}\n\n".encode())
    handler.close_connection = True


def job_of(store: SqliteStore, case: str) -> Job | None:
    """Gives the job of a case, which is its key or its name."""
    return store.job_by_key(case) or next(iter(store.jobs_by_name(case)), None)


def look(state: str, asked: Asked) -> tuple[list[StoredEvent], bool]:
    """Reads the history of a request that is just arriving; and says whether its intent is in there."""
    store = SqliteStore.open(state, kind="shell")
    try:
        job = job_of(store, asked.case)
        if job is None:
            return [], False
        history = list(store.events(job.id))
        made = [event for event in history if event.type == "RequestMade"]
        if asked.key:
            return history, any(idempotency_key(job.uid, event.step or 0) == asked.key for event in made)
        return history, any(f"/{asked.case}/{asked.path}" in event.data_json for event in made)
    finally:
        store.close()


def _call_back(url: str) -> None:
    """Calls until somebody answers, as a service that delivers web hooks does."""
    give_up_at = time.monotonic() + CALL_FOR_S
    while time.monotonic() < give_up_at:
        request = urllib.request.Request(url, b'{"answer": 42}', {"Content-Type": "application/json"})
        try:
            urllib.request.urlopen(request, timeout=5).close()
            return
        except urllib.error.HTTPError as answer:
            if answer.code == 404:  # an address that nobody knows any more
                return
        except OSError:
            pass
        time.sleep(CALL_AGAIN_S)
