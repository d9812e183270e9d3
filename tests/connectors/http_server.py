"""A real HTTP server on loopback whose every answer a test writes down beforehand, byte by byte if it likes."""

from __future__ import annotations

import os
import socket
import struct
import threading
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

Act = "Callable[[socket.socket], None]"


class Seen(NamedTuple):
    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    connection: int


class Server:
    """Answers the n-th request with the n-th of `answers` (the last one for all that follow): bytes, or what to do.

    `secure` makes of an accepted connection one with TLS.
    """

    def __init__(self, *answers: bytes | Act, secure: Callable[[socket.socket], socket.socket] | None = None) -> None:
        self.answers: list[bytes | Act] = list(answers)
        self._secure = secure
        self.seen: list[Seen] = []
        self.arrived = threading.Semaphore(0)
        self._lock = threading.Lock()
        self._connections: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http{'s' if self._secure else ''}://127.0.0.1:{self.port}"

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._connections:
            connection.close()

    def answer_to(self, seen: Seen) -> bytes | Act:
        return self.answers[min(len(self.seen), len(self.answers) - 1)]

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connections.append(connection)
            threading.Thread(target=self._serve, args=(connection, len(self._connections)), daemon=True).start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        try:
            if self._secure is not None:
                connection = self._secure(connection)
            reader = connection.makefile("rb")
            while (seen := _read(reader, number)) is not None:
                with self._lock:
                    answer = self.answer_to(seen)
                    self.seen.append(seen)
                self.arrived.release()
                if callable(answer):
                    answer(connection)
                else:
                    connection.sendall(answer)
        except (OSError, ValueError):
            pass  # the client has gone, or does not speak HTTP


def _read(reader: object, number: int) -> Seen | None:
    line = reader.readline()  # type: ignore[attr-defined]
    if not line:
        return None
    method, target, _ = line.decode("latin-1").split()
    headers: dict[str, str] = {}
    while (line := reader.readline().strip()) != b"":  # type: ignore[attr-defined]
        name, _, value = line.decode("utf-8").partition(":")
        headers[name.lower()] = value.strip()
    body = reader.read(int(headers.get("content-length", 0)))  # type: ignore[attr-defined]
    return Seen(method, target, headers, body, number)


def answer(status: int = 200, body: bytes | str = b"", content_type: str = "", **headers: str) -> bytes:
    """A whole answer. `Retry_After="3"` becomes `Retry-After: 3`."""
    data = body.encode() if isinstance(body, str) else body
    fields = {name.replace("_", "-"): value for name, value in headers.items()} | {"Content-Length": str(len(data))}
    if content_type:
        fields["Content-Type"] = content_type
    lines = [f"HTTP/1.1 {status} Said", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
    return "\r\n".join(lines).encode() + data


def json_answer(text: str, status: int = 200, **headers: str) -> bytes:
    return answer(status, text, "application/json", **headers)


def cut_after(data: bytes) -> Act:
    """Sends this much and ends the connection."""

    def act(connection: socket.socket) -> None:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_RDWR)

    return act


def reset(connection: socket.socket) -> None:
    """Ends the connection with RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    os.close(connection.detach())


def stall(_connection: socket.socket) -> None:
    """Says nothing, and keeps the connection."""


def drip(data: bytes, every_s: float) -> Act:
    """Sends byte by byte."""

    def act(connection: socket.socket) -> None:
        pause = threading.Event()
        for index in range(len(data)):
            connection.sendall(data[index : index + 1])
            pause.wait(every_s)

    return act
