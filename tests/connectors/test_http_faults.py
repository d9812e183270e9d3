"""Servers that break off, stall, tear and lie: each request ends in one result or in one clear error, in time.

The faults of a test are met all at once, for most of them are waits.
"""

from __future__ import annotations

import gzip
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fmsh.connectors import http_answer
from fmsh.connectors.base import AttemptId, Done, Failed, Outcome
from fmsh.connectors.http_transport import Transport
from fmsh.values import Duration
from tests.connectors.certificates import self_signed
from tests.connectors.http_client import Client
from tests.connectors.http_faults import CHUNKED, ENDS, HEAD, FaultyServer
from tests.connectors.http_server import Act, Server, answer, drip, json_answer, reset

TIMEOUT = Duration(400 * 10**6)
LATE_S_MAX = 15.0  # of a whole table, on a machine that does much else: a hang is one of the table's own limit


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    server = FaultyServer()
    yield server
    server.close()


def outcomes(client: Client, ids: list[AttemptId]) -> list[Outcome]:
    """The outcomes of attempts that run at once: exactly one each."""
    wanted = set(ids)
    client.loop.run_until(lambda: wanted <= {id for id, _ in client.loop.outcomes}, timeout_s=LATE_S_MAX, poll_s=0.05)
    found = dict(client.loop.outcomes)
    assert len(found) == len(client.loop.outcomes), "an attempt has two outcomes"
    return [found[id] for id in ids]


def assert_clear(outcome: Outcome, *kinds: str) -> None:
    """It is an error that a person can read: one sentence, what was asked, and nothing of the inside."""
    assert isinstance(outcome, Failed), outcome
    message = outcome.error.message
    assert outcome.error.kind in kinds, message
    assert message.startswith(("GET http", "POST http")) and "\n" not in message, message
    assert not any(word in message for word in ("Error", "Exception", "b'", "None", "IncompleteRead")), message


ANSWERS = {
    "a length": HEAD + b"Content-Length: 12\r\nX-More: yes\r\n\r\nhello, world",
    "chunks": CHUNKED + b"5;a=b\r\nhello\r\n7\r\n, world\r\n0\r\nX-Trailer: yes\r\n\r\n",
    "interim answers": b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + HEAD + b"Content-Length: 2\r\n\r\nok",
    "gzip": answer(200, gzip.compress(b"hello" * 40), "text/plain", Content_Encoding="gzip"),
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("shape", ANSWERS)
def test_an_answer_that_ends_at_each_byte_is_one_error(
    client: Client, server: FaultyServer, shape: str, end: str
) -> None:
    whole = ANSWERS[shape]
    urls = [server.add(ENDS[end](whole[:length])) for length in range(len(whole))]
    found = outcomes(client, [client.start("GET", url) for url in urls])
    for outcome in found:
        assert_clear(outcome, "network")
        assert isinstance(outcome, Failed) and outcome.should_retry and outcome.error.fields["retryable"]
    assert isinstance(client.ask("GET", server.add(ENDS["closed"](whole))), Done)


def test_an_answer_that_stalls_at_each_byte_is_a_time_out(client: Client, server: FaultyServer) -> None:
    urls = [
        server.add(server.stall_after(whole[:length]))
        for whole in ANSWERS.values()
        for length in range(0, len(whole), 7)
    ]
    found = outcomes(client, [client.start("GET", url, timeout=TIMEOUT) for url in urls])
    for outcome in found:
        assert_clear(outcome, "timeout")
        assert isinstance(outcome, Failed) and "no whole answer within 400ms" in outcome.error.message


def _chunks(text: bytes) -> bytes:
    return CHUNKED + text


def _large_head(line: bytes) -> bytes:
    return HEAD + line * 200 + b"Content-Length: 0\r\n\r\n"


LIES = {
    "two lengths": HEAD + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "two lengths in one": HEAD + b"Content-Length: 3, 4\r\n\r\nabcd",
    "a negative length": HEAD + b"Content-Length: -1\r\n\r\nabc",
    "a length that is no number": HEAD + b"Content-Length: many\r\n\r\nabc",
    "a length with a sign": HEAD + b"Content-Length: +3\r\n\r\nabc",
    "a length that is too long": HEAD + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\nabc",
    "a coding of the transfer that is unknown": HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "a chunk without a size": _chunks(b"\r\nabc\r\n0\r\n\r\n"),
    "a chunk of a negative size": _chunks(b"-1\r\nabc\r\n0\r\n\r\n"),
    "a chunk with a sign": _chunks(b"+3\r\nabc\r\n0\r\n\r\n"),
    "a chunk with a prefix": _chunks(b"0x3\r\nabc\r\n0\r\n\r\n"),
    "a chunk with an underscore": _chunks(b"0_3\r\nabc\r\n0\r\n\r\n"),
    "a chunk of a size that is no number": _chunks(b"zz\r\nabc\r\n0\r\n\r\n"),
    "a chunk of a size without end": _chunks(b"0" * 70_000 + b"3\r\nabc\r\n0\r\n\r\n"),
    "a chunk that is longer than it says": _chunks(b"3\r\nabcdef\r\n0\r\n\r\n"),
    "a chunk that is larger than anything": _chunks(b"f" * 40 + b"\r\nabc\r\n0\r\n\r\n"),
    "a trailer without end": _chunks(b"3\r\nabc\r\n0\r\n" + b"X-A: b\r\n" * 5000),
    "a status that is no number": b"HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n",
    "a status of two digits": b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
    "a status that cannot be": b"HTTP/1.1 999999 OK\r\nContent-Length: 0\r\n\r\n",
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n",
    "the next version": b"HTTP/2 200\r\n\r\n",
    "an answer of the first version": b"<html>hello</html>\r\n",
    "another protocol, unasked": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
    "a line that is no header": HEAD + b"this is no header\r\nContent-Length: 3\r\n\r\nabc",
    "a header without a name": HEAD + b": x\r\nContent-Length: 3\r\n\r\nabc",
    "a name with a blank": HEAD + b"Content-Length : 3\r\n\r\nabc",
    "a first header that goes on with another": b"HTTP/1.1 200 OK\r\n x\r\nContent-Length: 3\r\n\r\nabc",
    "too many headers": _large_head(b"X-A: b\r\n"),
    "a header that is too long": HEAD + b"X-A: " + b"b" * 70_000 + b"\r\n\r\n",
    "bytes of nothing": bytes(range(256)) * 10,
    "line ends of nothing": b"\r\n" * 1000,
}


@pytest.mark.parametrize("ending", ["closed", "open"])
def test_what_breaks_the_rules_of_http_is_one_error(client: Client, server: FaultyServer, ending: str) -> None:
    make: Callable[[bytes], object] = ENDS["closed"] if ending == "closed" else server.stall_after
    ids = {
        name: client.start("GET", server.add(make(data)), timeout=Duration(5 * 10**9)) for name, data in LIES.items()
    }  # type: ignore[arg-type]
    for name, outcome in zip(ids, outcomes(client, list(ids.values())), strict=True):
        assert isinstance(outcome, Failed), (name, outcome)
        assert_clear(outcome, "network")
        assert "is not HTTP" in outcome.error.message, (name, outcome.error.message)


GOOD = {
    "the same length twice": (HEAD + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", "abc"),
    "more than it says": (HEAD + b"Content-Length: 3\r\n\r\nabcdef", "abc"),
    "a length that is not heeded": (CHUNKED[:-2] + b"Content-Length: 99\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "abc"),
    "the end of the connection": (HEAD + b"\r\nabc", "abc"),
    "an old version": (b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nabc", "abc"),
    "no reason": (b"HTTP/1.1 200\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nabc", "abc"),
    "lines that end as on Unix": (b"HTTP/1.1 200 OK\nContent-Type: text/plain\nContent-Length: 3\n\nabc", "abc"),
    "a header that goes on": (HEAD + b"X-A: b\r\n c\r\nContent-Length: 3\r\n\r\nabc", "abc"),
    "chunks in capitals and with blanks": (CHUNKED + b"00A ;x\r\nabcdefghij\r\n0\r\n\r\n", "abcdefghij"),
    "no body by its status, whatever it says": (b"HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n", None),
    "an interim answer": (b"HTTP/1.1 100 Continue\r\n\r\n" * 3 + HEAD + b"Content-Length: 3\r\n\r\nabc", "abc"),
    "a multipart body": (
        b"HTTP/1.1 200 OK\r\nContent-Type: multipart/mixed; boundary=x\r\nContent-Length: 3\r\n\r\n--x",
        b"--x",
    ),
}


def test_what_is_odd_but_clear_is_read(client: Client, server: FaultyServer) -> None:
    ids = [client.start("GET", server.add(ENDS["closed"](data))) for data, _ in GOOD.values()]
    for name, outcome in zip(GOOD, outcomes(client, ids), strict=True):
        assert outcome == Done(GOOD[name][1]), name


def test_nothing_of_one_answer_is_taken_for_the_next(client: Client, server: FaultyServer) -> None:
    smuggled = json_answer("1") + json_answer('"smuggled"')
    first, second = server.add(smuggled), server.add(json_answer("2"))
    assert client.value("GET", first) == 1
    assert client.value("GET", second) == 2
    assert [seen.connection for seen in server.seen] == [1, 2]


def test_what_comes_slowly_or_never_ends_does_not_outlast_the_time_out(client: Client, server: FaultyServer) -> None:
    urls = [
        server.add(drip(HEAD + b"X: " + b"y" * 1000, 0.05)),
        server.add(drip(HEAD + b"Content-Length: 1000\r\n\r\n" + b"y" * 1000, 0.05)),
        server.add(drip(CHUNKED + b"1\r\ny\r\n" * 500, 0.05)),
        server.add(server.pour(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n")),
        server.add(server.pour(HEAD + b"Content-Length: 0\r\nX: ", b"")),
    ]
    for outcome in outcomes(client, [client.start("GET", url, timeout=TIMEOUT) for url in urls]):
        assert_clear(outcome, "timeout")


def test_what_has_no_end_is_a_limit_error(
    client: Client, server: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fmsh.connectors.http_transport.RESPONSE_BYTES_MAX", 1_000_000)
    piece = b"10000\r\n" + bytes(65536) + b"\r\n"
    urls = [server.add(server.pour(HEAD + b"\r\n", bytes(65536))), server.add(server.pour(CHUNKED, piece))]
    for outcome in outcomes(client, [client.start("GET", url) for url in urls]):
        assert_clear(outcome, "limit")


def test_bombs_are_limit_or_parse_errors_and_take_little_time(client: Client, server: FaultyServer) -> None:
    bomb = gzip.compress(bytes(80 << 20), 9)
    bombs = {
        "limit": [
            answer(200, bomb, "text/plain", Content_Encoding="gzip"),
            answer(200, gzip.compress(bomb), "text/plain", Content_Encoding="gzip, gzip"),
            answer(200, gzip.compress(bytes(9 << 20)) * 10, "text/plain", Content_Encoding="gzip"),
            answer(200, b"x", "text/plain", Content_Encoding=", ".join(["gzip"] * 500)),
        ],
        "parse": [
            answer(200, gzip.compress(bytes(1 << 20))[:-10], "text/plain", Content_Encoding="gzip"),
            answer(200, gzip.compress(b"abc")[:-1], "text/plain", Content_Encoding="gzip"),
        ],
    }
    for kind, answers in bombs.items():
        for outcome in outcomes(client, [client.start("GET", server.add(data)) for data in answers]):
            assert_clear(outcome, kind)
    client.loop.outcomes.clear()
    # As many empty members as there is room for: each costs the same, however many come after it.
    members = gzip.compress(b"") * 100_000 + gzip.compress(b"end")
    assert client.value("GET", server.add(answer(200, members, "text/plain", Content_Encoding="gzip"))) == "end"
    failed = client.failure("GET", server.add(answer(500, bomb, "text/plain", Content_Encoding="gzip")))
    assert failed.error.fields["status"] == 500 and len(failed.error.fields["body"]) <= http_answer.ERROR_BODY_BYTES_MAX


def test_nobody_there_is_one_error(client: Client, server: FaultyServer) -> None:
    with socket.socket() as unused, socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        unused.bind(("127.0.0.1", 0))
        filler = [socket.create_connection(full.getsockname()) for _ in range(1)]
        urls = {
            f"http://127.0.0.1:{unused.getsockname()[1]}/": "connection refused",
            "http://no-such-host.invalid/": "was not found",
            "http://[::ffff:0:0]:1/": "no connection",
            server.add(reset): "broke the connection off",
            server.add(b"").replace("/", "/", 1): "no whole answer within",
        }
        ids = [client.start("GET", url, timeout=TIMEOUT) for url in urls]
        for says, outcome in zip(urls.values(), outcomes(client, ids), strict=True):
            assert_clear(outcome, "network", "timeout")
            assert isinstance(outcome, Failed) and outcome.should_retry and says in outcome.error.message
        for connection in filler:
            connection.close()


# -- TLS


def _on_accept(act: Callable[[socket.socket], None]) -> Callable[[socket.socket], socket.socket]:
    """In the place of a handshake."""

    def secure(connection: socket.socket) -> socket.socket:
        act(connection)
        raise OSError("there is no TLS here")

    return secure


def _tls(path: str) -> Callable[[socket.socket], socket.socket]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return lambda connection: context.wrap_socket(connection, server_side=True)


def test_bad_tls_is_one_error(tmp_path: Path) -> None:
    late, other = self_signed(tmp_path, days=-1), self_signed(tmp_path, name="other.example")
    trusted = ssl.create_default_context()
    for path in (late, other):
        trusted.load_verify_locations(path)
    unknown = self_signed(tmp_path, days=2)
    wait = FaultyServer()
    servers = {
        "expired": Server(b"", secure=_tls(late)),
        "not valid for '127.0.0.1'": Server(b"", secure=_tls(other)),
        "self-signed": Server(b"", secure=_tls(unknown)),
        "wrong version": Server(
            b"", secure=_on_accept(lambda connection: connection.sendall(b"HTTP/1.1 400 X\r\n" * 9))
        ),
        "eof": Server(b"", secure=_on_accept(lambda connection: connection.shutdown(socket.SHUT_RDWR))),
        "reset": Server(b"", secure=_on_accept(reset)),
        "no connection within 400ms": Server(
            b"", secure=_on_accept(lambda _connection: wait.has_closed.wait() and None)
        ),
    }
    client = Client(Transport(lambda: trusted))
    try:
        ids = [client.start("GET", server.url, timeout=TIMEOUT) for server in servers.values()]
        for says, outcome in zip(servers, outcomes(client, ids), strict=True):
            assert_clear(outcome, "network", "timeout")
            assert isinstance(outcome, Failed) and says in outcome.error.message.lower(), outcome
            assert outcome.should_retry == ("not trusted" not in outcome.error.message)
            assert not any(server.seen for server in servers.values())
    finally:
        client.close()
        for server in (*servers.values(), wait):
            server.close()


def test_a_body_that_tls_did_not_end_is_cut_off(tmp_path: Path) -> None:
    """Its end is that of the connection, and anybody between could have made that."""
    path = self_signed(tmp_path)
    server = FaultyServer(secure=_tls(path))
    trusted = ssl.create_default_context(cafile=path)
    client = Client(Transport(lambda: trusted))
    try:
        cut, ended = server.add(_torn_tls(HEAD + b"\r\nabc")), server.add(_ended_tls(HEAD + b"\r\nabc"))
        assert_clear(client.ask("GET", cut), "network")
        assert client.value("GET", ended) == "abc"
    finally:
        client.close()
        server.close()


def _torn_tls(data: bytes) -> Act:
    def act(connection: socket.socket) -> None:
        connection.sendall(data)
        socket.socket.shutdown(connection, socket.SHUT_RDWR)

    return act


def _ended_tls(data: bytes) -> Act:
    def act(connection: socket.socket) -> None:
        assert isinstance(connection, ssl.SSLSocket)
        connection.sendall(data)
        connection.unwrap()

    return act


# -- redirects


def test_redirects_of_all_kinds_end(client: Client, server: FaultyServer) -> None:
    def to(location: str, status: int = 302) -> str:
        return server.add(answer(status, "", Location=location))

    end = server.add(json_answer("7"))
    good = {
        end: 7,
        end.removeprefix("http:"): 7,
        end.removeprefix(server.url): 7,
        end + "#part": 7,
        "": None,
    }
    for location, value in good.items():
        for status in (301, 302, 303, 307, 308):
            assert client.value("GET", to(location, status)) == value
    assert client.value("GET", server.add(answer(304, "", Location=end))) is None
    bad = {
        "ftp://127.0.0.1/x": "type",
        "javascript:alert(1)": "type",
        "http://127.0.0.1:99999/": "type",
        "http://[::1/": "type",
        "http://" + "a" * 300 + "/": "type",
        "http://a..b/": "type",
        "file:///etc/passwd": "type",
        "http://no-such-host.invalid/": "network",
        "http://127.0.0.1:1/": "network",
    }
    itself = f"/{len(server.acts)}"
    assert_clear(client.ask("GET", to(itself)), "http")
    client.loop.outcomes.clear()
    ids = {location: client.start("GET", to(location)) for location in bad}
    for location, outcome in zip(ids, outcomes(client, list(ids.values())), strict=True):
        assert_clear(outcome, bad[location])


def test_a_redirect_to_another_origin_is_told_nothing(client: Client, server: FaultyServer) -> None:
    """Another origin: another port, another host, or another scheme; by any status, at once or by a way round."""
    other = FaultyServer()
    try:
        there = other.add(json_answer("1"))
        headers = {"X-Api-Key": "k", "Cookie": "c", "Authorization": "a", "Accept": "text/csv", "User-Agent": "me"}
        for status in (301, 302, 303, 307, 308):
            for location in (there, there.replace("127.0.0.1", "localhost")):
                here = server.add(answer(status, "", Location=location))
                client.value("PUT", server.add(answer(307, "", Location=here)), headers=headers, auth="basic:me:TOKEN")
        assert len(other.seen) == 10
        for seen in other.seen:
            assert not {"x-api-key", "cookie", "authorization", "referer"} & set(seen.headers)
            assert seen.headers["accept"] == "*/*" and seen.headers["user-agent"].startswith("fmsh/")
        # And back to the first, nobody hands them over again.
        end = server.add(json_answer("1"))
        back = other.add(answer(302, "", Location=end))
        client.value("GET", server.add(answer(302, "", Location=back)), headers=headers)
        assert server.seen[-1].target in end and "x-api-key" not in server.seen[-1].headers
    finally:
        other.close()
