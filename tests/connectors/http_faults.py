"""A server on loopback that does to each address what a table says, so that many faults can be met at once."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

from tests.connectors.http_server import Server, cut_after, reset

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.connectors.http_server import Act, Seen

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


class FaultyServer(Server):
    """`acts`: by target, what it does there."""

    def __init__(self, secure: Callable[[socket.socket], socket.socket] | None = None) -> None:
        self.acts: dict[str, bytes | Act] = {}
        self.has_closed = threading.Event()
        super().__init__(secure=secure)

    def close(self) -> None:
        self.has_closed.set()
        super().close()

    def answer_to(self, seen: Seen) -> bytes | Act:
        return self.acts.get(seen.target, b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n")

    def add(self, act: bytes | Act) -> str:
        """Gives the address at which it does so."""
        target = f"/{len(self.acts)}"
        self.acts[target] = act
        return self.url + target

    # -- what it may do

    def stall_after(self, data: bytes) -> Act:
        """Sends this much, and no more; the connection stays."""

        def act(connection: socket.socket) -> None:
            connection.sendall(data)
            self.has_closed.wait()

        return act

    def pour(self, head: bytes, piece: bytes) -> Act:
        """Sends without end."""

        def act(connection: socket.socket) -> None:
            connection.sendall(head)
            while not self.has_closed.is_set():
                connection.sendall(piece)

        return act


def half_close_after(data: bytes) -> Act:
    """Sends this much and says that no more comes, but goes on listening."""

    def act(connection: socket.socket) -> None:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)

    return act


def reset_after(data: bytes) -> Act:
    """Sends this much and tears the connection."""

    def act(connection: socket.socket) -> None:
        connection.sendall(data)
        reset(connection)

    return act


ENDS = {"closed": cut_after, "half-closed": half_close_after, "reset": reset_after}
