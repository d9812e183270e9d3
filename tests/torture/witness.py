"""A service on loopback that keeps account of what it is asked, and of whether that was recorded before it came."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any, NamedTuple

from fmsh.engine.dispatcher import idempotency_key
from fmsh.errors import StoreError
from fmsh.store.sqlite import SqliteStore
from tests.crash.service import QuietServer, job_of


class Asked(NamedTuple):
    """One request: `case` and `path` are its address, `key` its Idempotency-Key, `at_s` when it came (monotonic)."""

    case: str
    path: str
    key: str
    body: Any
    at_s: float
    was_recorded: bool


class Witness:
    """Asks the store in `state` about each POST that comes, and tells `react` of it, before it answers."""

    def __init__(self, state: str) -> None:
        self.log: list[Asked] = []
        self.react: Callable[[Asked], object] = lambda asked: None
        self._state = state
        witness = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                _, case, path = self.path.split("/", 2)
                key = self.headers.get("Idempotency-Key", "")
                recorded = witness.is_recorded(case, key)
                asked = Asked(case, path, key, json.loads(body) if body else None, time.monotonic(), recorded)
                witness.log.append(asked)
                witness.react(asked)
                answer = json.dumps({"path": path}).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: Any) -> None:
                """Says nothing."""

        self._server = QuietServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def of(self, case: str) -> list[Asked]:
        return [asked for asked in self.log if asked.case == case]

    def unrecorded(self) -> list[str]:
        return [f"{each.case}/{each.path} came without a record" for each in self.log if not each.was_recorded]

    def is_recorded(self, case: str, key: str) -> bool:
        """Whether the store knows of a request that is just arriving. The case is the key or name of its job."""
        try:
            store = SqliteStore.open(self._state, kind="shell")
        except StoreError:
            return False
        try:
            job = job_of(store, case)
            if job is None:
                return False
            recent = store.events(job.id, after=max(0, job.head - 100))
            made = (event for event in recent if event.type == "RequestMade")
            return any(idempotency_key(job.uid, event.step or 0) == key for event in made)
        finally:
            store.close()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
