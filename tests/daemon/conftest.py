"""A real server on loopback over a real store, and a job with an open callback address."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from fmsh.daemon.client import UnixConnection
from fmsh.daemon.connections import ConnectionLimits
from fmsh.daemon.http_api import HttpServer, HttpSettings
from fmsh.store.base import EventStore, NewCallback, NewEvent, NewJob, NewProgram, Summary
from fmsh.store.memory import MemoryStore
from fmsh.store.memory_disk import MemoryDisk
from fmsh.store.sqlite import SqliteStore

NOW_MS = 1_700_000_000_000


class World:
    """A server, the store behind it, and what a test asks of both."""

    def __init__(self, store: EventStore, reopen: Callable[[], EventStore], directory: Path) -> None:
        self.store = store
        self.reopen = reopen
        self.directory = directory
        self.stop_asked = threading.Event()
        self.servers: list[HttpServer] = []

    def start(self, **settings: Any) -> HttpServer:
        options = {"socket_path": str(self.directory / "run" / "control.sock"), "version": "1.2.3"} | settings
        reveal = options.pop("reveal", None)
        server = HttpServer(
            settings=HttpSettings(**options), open_store=self.reopen, on_stop=self.stop_asked.set, reveal=reveal
        )
        server.start()
        self.servers.append(server)
        return server

    def open_callback(self, token: str, **options: Any) -> int:
        program = NewProgram("hash", "a.fmsh", "await", "{}")
        new = NewJob(os.urandom(8).hex(), "a.fmsh", "a.fmsh", NOW_MS, program)
        job, _, _ = self.store.create_job(new, [NewEvent("JobStarted", NOW_MS, "{}")], Summary("waiting"), lease=False)
        token_hash = hashlib.sha256(token.encode()).digest()
        self.store.open_callback(NewCallback(job.id, "hook", token_hash, options.pop("expires_at_ms", None), **options))
        return job.id

    def move_out(self, job_id: int) -> None:
        job = self.store.job(job_id)
        assert job is not None and self.store.hold(job_id)
        self.store.move_out(job, inbox_id=0, at_ms=NOW_MS)

    def received(self, job_id: int) -> list[dict[str, Any]]:
        return [json.loads(row.data_json)["delivery"] for row in self.store.inbox(job_id)]


@pytest.fixture(params=["sqlite", "memory"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    disk = MemoryDisk()
    if request.param == "sqlite":
        sqlite = SqliteStore.open(str(tmp_path / "state"), kind="daemon")
        made = World(sqlite, sqlite.reopen, tmp_path)
    else:
        made = World(MemoryStore(disk), lambda: MemoryStore(disk), tmp_path)
    yield made
    for server in made.servers:
        server.stop(0.5)
    made.store.close()


@pytest.fixture
def server(world: World) -> HttpServer:
    return world.start()


@pytest.fixture
def quick_limits() -> ConnectionLimits:
    """Deadlines that a test can wait for."""
    return ConnectionLimits(request_deadline_s=0.5, peer_connections_max=8)


class Answer:
    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ask(target: HttpServer | str, method: str, path: str, body: bytes | str | None = None, **headers: str) -> Answer:
    """Sends one request to the public port of a server, or to a Unix socket; `_` in header names stands for `-`."""
    connection: HTTPConnection
    if isinstance(target, str):
        connection = UnixConnection(target, timeout_s=5)
    else:
        connection = HTTPConnection(target.address.host, target.address.port, timeout=5)
    connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    response = connection.getresponse()
    answer = Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
    connection.close()
    return answer
