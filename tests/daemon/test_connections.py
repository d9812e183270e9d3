"""Nobody keeps others out by being slow, by being many, or by never ending."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection

from fmsh.daemon.connections import ConnectionLimits
from fmsh.daemon.http_api import HttpServer

from .conftest import World, ask


def _connect(server: HttpServer, sent: bytes = b"") -> socket.socket:
    connection = socket.create_connection((server.address.host, server.address.port), timeout=5)
    connection.sendall(sent)
    return connection


@contextmanager
def _dripping(server: HttpServer, count: int, sent: bytes) -> Iterator[list[socket.socket]]:
    connections = [_connect(server, sent) for _ in range(count)]
    yield connections
    for connection in connections:
        connection.close()


def _seconds_until_closed(connection: socket.socket, drip: bytes) -> float:
    """Sends a byte every 50 ms until the other side has enough."""
    began = time.monotonic()
    connection.settimeout(0.05)
    while time.monotonic() - began < 5:
        try:
            connection.sendall(drip)
            if connection.recv(1000) == b"":
                break
        except TimeoutError:
            continue
        except OSError:
            break
    return time.monotonic() - began


def test_900_dripping_connections_do_not_keep_out_a_real_delivery(world: World, server: HttpServer) -> None:
    job_id = world.open_callback("T")
    with _dripping(server, 900, b"POST /cb/T HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nx"):
        assert ask(server, "POST", "/cb/T", "real").status == 202
    assert [data["body"] for data in world.received(job_id)] == ["real"]


def test_a_header_that_drips_ends_at_the_deadline(world: World, quick_limits: ConnectionLimits) -> None:
    server = world.start(limits=quick_limits)
    assert 0.4 < _seconds_until_closed(_connect(server, b"POST /cb/T HTTP/1.1\r\nX: "), b"x") < 2


def test_a_body_that_drips_ends_at_the_deadline(world: World, quick_limits: ConnectionLimits) -> None:
    server = world.start(limits=quick_limits)
    job_id = world.open_callback("T")
    head = b"POST /cb/T HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"
    assert 0.4 < _seconds_until_closed(_connect(server, head), b"x") < 2
    assert world.received(job_id) == []


def test_a_late_request_is_told_so(world: World, quick_limits: ConnectionLimits) -> None:
    connection = _connect(world.start(limits=quick_limits), b"POST")
    assert connection.recv(100).startswith(b"HTTP/1.1 408")
    assert connection.recv(100) == b""


def test_the_deadline_of_a_second_request_starts_with_its_first_byte(
    world: World, quick_limits: ConnectionLimits
) -> None:
    connection = _connect(world.start(limits=quick_limits))
    request = b"GET /cb/T HTTP/1.1\r\nHost: localhost\r\n\r\n"
    for _ in range(3):
        connection.sendall(request)
        received = b""
        while not received.endswith(b"nothing.</p>\n"):
            received += connection.recv(10_000)
        assert received.startswith(b"HTTP/1.1 200")
        time.sleep(0.3)  # longer than what is left of the deadline of the request before
    connection.sendall(request[:10])
    assert 0.4 < _seconds_until_closed(connection, b"") < 2


def test_a_request_begun_together_with_another_has_a_deadline_too(world: World, quick_limits: ConnectionLimits) -> None:
    connection = _connect(world.start(limits=quick_limits), b"GET /cb/T HTTP/1.1\r\nHost: localhost\r\n\r\nGET /cb")
    assert _seconds_until_closed(connection, b"x") < 2


def test_pipelined_requests_are_all_answered(world: World, quick_limits: ConnectionLimits) -> None:
    connection = _connect(world.start(limits=quick_limits), b"GET /cb/T HTTP/1.1\r\nHost: localhost\r\n\r\n" * 5)
    received = b""
    while received.count(b"HTTP/1.1 200") < 5:
        chunk = connection.recv(10_000)
        assert chunk
        received += chunk


def test_who_closes_its_half_after_a_request_gets_the_answer(world: World, server: HttpServer) -> None:
    job_id = world.open_callback("T")
    connection = _connect(server, b"POST /cb/T HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx")
    connection.shutdown(socket.SHUT_WR)
    assert connection.recv(100).startswith(b"HTTP/1.1 202")
    assert len(world.received(job_id)) == 1


def test_a_body_cut_short_is_not_a_delivery(world: World, server: HttpServer) -> None:
    job_id = world.open_callback("T")
    connection = _connect(server, b"POST /cb/T HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nhalf")
    connection.shutdown(socket.SHUT_WR)
    assert b"202" not in connection.recv(1000)
    assert world.received(job_id) == []


def test_the_oldest_unfinished_connection_gives_way(world: World, quick_limits: ConnectionLimits) -> None:
    limits = quick_limits.replace(request_deadline_s=5.0)
    server = world.start(limits=limits)
    with _dripping(server, limits.peer_connections_max + 1, b"POST") as connections:
        connections[0].settimeout(2)
        try:
            assert connections[0].recv(1) == b""
        except ConnectionResetError:
            pass
        connections[-1].sendall(b" /cb/T HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert connections[-1].recv(100).startswith(b"HTTP/1.1 404")


def test_nonsense_is_refused_and_the_server_lives(world: World, server: HttpServer) -> None:
    world.open_callback("T")
    for nonsense in (b"\x16\x03\x01\x02\x00\x01\x00", b"GET\r\n\r\n", b"\x00" * 100, b"A" * 100_000):
        connection = _connect(server, nonsense + b"\r\n\r\n")
        assert not connection.recv(1000).startswith(b"HTTP/1.1 2")
    assert ask(server, "POST", "/cb/T", "x").status == 202


def test_answers_are_sent_at_once(server: HttpServer) -> None:
    """With Nagle's algorithm each answer on a connection that is used again took 40 ms."""
    connection = HTTPConnection(server.address.host, server.address.port, timeout=5)
    times = []
    for _ in range(15):
        began = time.monotonic()
        connection.request("GET", "/cb/T")
        connection.getresponse().read()
        times.append(time.monotonic() - began)
    connection.close()
    assert sorted(times)[7] < 0.03
