"""What one connection may cost: uvicorn's HTTP protocol with an absolute deadline and a bound on connections per peer.

The rules, in order of what they protect against:

1. A request, header and body, has been received within `request_deadline_s` of the connection's start (or, on a
   connection that is used again, of the request's first byte), or the connection ends. Each byte that drips in does
   not extend that.
2. A peer holds at most `peer_connections_max` connections, all peers together at most `connections_max`. One more
   takes the place of the oldest one that has not sent a whole request (of that peer, or of the peer that holds most).
   So those who drip lose their places and a real request, which is whole within milliseconds, does not wait for them.
   If all of them are being answered, the new one is closed.
3. On a Unix socket only processes of our own user are served.

Nothing here knows what is asked for. All of it runs in the thread of the event loop.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
import struct
import time
from email.utils import formatdate

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from fmsh.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

TIMED_OUT = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
OUR_USER = "our user"


class ConnectionLimits(Record):
    request_deadline_s: float = 10.0
    peer_connections_max: int = 64
    connections_max: int = 512  # descriptors are usually limited to 1024, and the store and processes need some


class ConnectionTable:
    """Who holds how many connections, oldest first."""

    __slots__ = ("_by_peer", "dated_s", "limits")

    def __init__(self, limits: ConnectionLimits) -> None:
        self.limits = limits
        self.dated_s = 0  # the second that the Date header names
        self._by_peer: dict[str, dict[GuardedProtocol, None]] = {}

    def admit(self, connection: GuardedProtocol, peer: str) -> bool:
        """Gives a connection its place, if need be that of another one. False: there is none."""
        ours = len(self._by_peer.get(peer, ()))
        crowded = None
        if ours >= self.limits.peer_connections_max:
            crowded = peer
        elif sum(map(len, self._by_peer.values())) >= self.limits.connections_max:
            crowded = max(self._by_peer, key=lambda other: len(self._by_peer[other]))
        if crowded is not None and not self._evict_one(crowded):
            return False
        self._by_peer.setdefault(peer, {})[connection] = None
        return True

    def forget(self, connection: GuardedProtocol, peer: str) -> None:
        ours = self._by_peer.get(peer)
        if ours is not None:
            ours.pop(connection, None)
            if not ours:
                del self._by_peer[peer]

    def abort_all(self) -> None:
        """Ends all connections, whatever they are at."""
        for ours in list(self._by_peer.values()):
            for connection in list(ours):
                connection.transport.abort()

    def _evict_one(self, peer: str) -> bool:
        for connection in self._by_peer[peer]:
            if not connection.is_answering:
                self.forget(connection, peer)
                connection.transport.abort()
                return True
        return False


class GuardedProtocol(H11Protocol):
    """One connection. `for_table` makes the class that uvicorn wants, bound to one table."""

    table: ConnectionTable

    @staticmethod
    def for_table(table: ConnectionTable) -> type[GuardedProtocol]:
        class BoundProtocol(GuardedProtocol):
            pass

        BoundProtocol.table = table
        return BoundProtocol

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.peer = ""
        self.is_admitted = False
        self.has_request_begun = True  # the first request of a connection begins with the connection
        self.deadline: asyncio.TimerHandle | None = None

    @property
    def is_answering(self) -> bool:
        """A whole request has arrived and its answer is not yet complete."""
        return self._has_whole_request() and self.cycle is not None and not self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.peer = peer_of(transport)
        self.transport = transport
        self.is_admitted = bool(self.peer) and self.table.admit(self, self.peer)
        if not self.is_admitted:
            transport.abort()
            return
        super().connection_made(transport)
        self._start_deadline()

    def data_received(self, data: bytes) -> None:
        if not self.is_admitted or self.transport.is_closing():
            return
        if not self.has_request_begun:
            self.has_request_begun = True
            self._start_deadline()
        self._date_answers()
        super().data_received(data)
        if self._has_whole_request():
            self._stop_deadline()

    def _date_answers(self) -> None:
        """Sees to it that an answer says when it was given, without a clock that ticks while nobody asks."""
        now_s = int(time.time())
        if now_s != self.table.dated_s:
            self.table.dated_s = now_s
            self.server_state.default_headers = [(b"date", formatdate(now_s, usegmt=True).encode())]

    def on_response_complete(self) -> None:
        self.has_request_begun = False
        self._start_deadline()  # also bounds a next request whose beginning came together with this one
        super().on_response_complete()
        if self._has_whole_request():
            self._stop_deadline()

    def eof_received(self) -> bool:  # type: ignore[override]
        """Keeps the connection for the answer when a client closed its half after a whole request."""
        return self.is_answering

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_deadline()
        self.table.forget(self, self.peer)
        if self.is_admitted:
            super().connection_lost(exc)

    def shutdown(self) -> None:
        """Ends the connection as soon as its answer is complete; one whose request is not whole, at once."""
        if self.cycle is not None and not self._has_whole_request():
            self.transport.close()
        else:
            super().shutdown()

    def _has_whole_request(self) -> bool:
        return self.conn.their_state in (h11.DONE, h11.MUST_CLOSE)

    def _start_deadline(self) -> None:
        self._stop_deadline()
        self.deadline = self.loop.call_later(self.table.limits.request_deadline_s, self._end_late_connection)

    def _stop_deadline(self) -> None:
        if self.deadline is not None:
            self.deadline.cancel()
            self.deadline = None

    def _end_late_connection(self) -> None:
        self.deadline = None
        if self.transport.is_closing():
            return
        if self.cycle is None or not self.cycle.response_started:
            self.transport.write(TIMED_OUT)
        self.transport.close()
        self.loop.call_later(1.0, self.transport.abort)  # for one that does not read what it is sent


def peer_of(transport: asyncio.Transport) -> str:
    """Names who is at the other end: an address, a /64 network of IPv6, or our own user; "" is somebody not served."""
    ours = transport.get_extra_info("socket")
    if ours is not None and ours.family == socket.AF_UNIX:
        return OUR_USER if _is_our_user(ours) else ""
    name = transport.get_extra_info("peername")
    if not name:
        return ""
    address = ipaddress.ip_address(name[0].partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        return str(address.ipv4_mapped or ipaddress.IPv6Network((address, 64), strict=False))
    return str(address)


def _is_our_user(connection: socket.socket) -> bool:
    """Where the system does not tell the user of a peer, the modes of the socket and its directory have to do."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, uid, _ = struct.unpack("3i", credentials)
    return bool(uid in (os.geteuid(), 0))
