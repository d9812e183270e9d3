from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.connectors.http_client import Client
from tests.connectors.http_server import Server


@pytest.fixture
def client() -> Iterator[Client]:
    client = Client()
    yield client
    client.connector.close()
    client.loop.close()


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def make(*answers: object) -> Server:
        servers.append(Server(*answers))  # type: ignore[arg-type]
        return servers[-1]

    yield make
    for server in servers:
        server.close()
