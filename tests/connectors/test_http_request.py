from __future__ import annotations

import gzip
import socket
import ssl
import threading
import zlib
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

import pytest

from fmsh.connectors import http_answer
from fmsh.connectors.base import Cancelled, Done, Failed
from fmsh.connectors.http_message import parse_url
from fmsh.connectors.http_proxy import proxy_for
from fmsh.values import Duration, Secret, SecretReference
from tests.connectors.certificates import self_signed
from tests.connectors.http_client import Client, Serve, seal
from tests.connectors.http_server import Server, answer, cut_after, drip, json_answer, reset, stall

SAFE = ("GET", "HEAD", "OPTIONS", "PUT", "DELETE")
UNSAFE = ("POST", "PATCH")


# -- what is sent


def test_a_record_is_sent_as_json_and_the_answer_is_decoded(client: Client, serve: Serve) -> None:
    server = serve(json_answer('{"ok": [1, 2.5, null, "ü"]}'))
    assert client.value("POST", server.url + "/a?b=1", body={"n": 1, "d": Duration(5400 * 10**9), "r": range(2)}) == {
        "ok": [1, 2.5, None, "ü"]
    }
    seen = server.seen[0]
    assert (seen.method, seen.target, seen.body) == ("POST", "/a?b=1", b'{"n":1,"d":"1h30m","r":[0,1]}')
    assert seen.headers["content-type"] == "application/json"
    assert seen.headers["host"] == f"127.0.0.1:{server.port}"


@pytest.mark.parametrize(
    ("body", "content_type", "sent"),
    [
        ("häl\udcff", "text/plain; charset=utf-8", b"h\xc3\xa4l\xff"),
        (b"\x00\xff", "application/octet-stream", b"\x00\xff"),
        ([1, True, None], "application/json", b"[1,true,null]"),
        (10**30, "application/json", b"1" + b"0" * 30),
        (datetime(2026, 1, 2, tzinfo=UTC), "text/plain; charset=utf-8", b"2026-01-02T00:00:00+00:00"),
    ],
)
def test_a_body_has_the_type_of_its_kind(
    client: Client, serve: Serve, body: object, content_type: str, sent: bytes
) -> None:
    server = serve(answer())
    client.value("PUT", server.url, body=body)
    assert server.seen[0].headers["content-type"] == content_type
    assert server.seen[0].body == sent


@pytest.mark.parametrize("body", [{"n": float("nan")}, {"b": b"x"}, ["\udcff"]])
def test_what_json_cannot_hold_is_refused_before_anything_is_sent(client: Client, serve: Serve, body: object) -> None:
    server = serve(answer())
    failed = client.failure("POST", server.url, body=body)
    assert failed.error.kind == "type" and not failed.should_retry and not server.seen


def test_query_headers_form_and_address_are_encoded(client: Client, serve: Serve) -> None:
    server = serve(answer())
    query = {"a": [1, True], "b c": "ü&=", "gone": None, "d": Duration(10**9)}
    client.value("GET", server.url + "/ä b/%2F?x=1#part", query=query, headers={"X-One": "é", "accept": "text/csv"})
    assert server.seen[0].target == "/%C3%A4%20b/%2F?x=1&a=1&a=true&b%20c=%C3%BC%26%3D&d=1s"
    assert server.seen[0].headers["x-one"] == "é" and server.seen[0].headers["accept"] == "text/csv"
    client.value("POST", server.url, form={"a": "1 2", "b": ["x", "y"]})
    assert server.seen[1].body == b"a=1+2&b=x&b=y"
    assert server.seen[1].headers["content-type"] == "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("method", "url", "arguments"),
    [
        ("GET", "ftp://host/", {}),
        ("GET", "/relative", {}),
        ("GET", "http://host:99999/", {}),
        ("GET", "http://host/\r\nX: 1", {}),
        ("GET", "http://127.0.0.1:1/", {"headers": {"X": "a\r\nY: b"}}),
        ("GET", "http://127.0.0.1:1/", {"headers": {"X Y": "a"}}),
        ("GET", "http://127.0.0.1:1/", {"headers": {"content-length": "5"}}),
        ("GET", "http://127.0.0.1:1/", {"query": {"a": {"b": 1}}}),
        ("GET", "http://127.0.0.1:1/", {"auth": "nonsense"}),
    ],
)
def test_what_cannot_be_sent_is_a_type_error(
    client: Client, method: str, url: str, arguments: dict[str, object]
) -> None:
    assert client.failure(method, url, **arguments).error.kind == "type"


@pytest.mark.parametrize("method", [*SAFE, *UNSAFE])
def test_post_and_patch_carry_the_idempotency_key_from_the_start(client: Client, serve: Serve, method: str) -> None:
    server = serve(answer())
    client.value(method, server.url, changes={"idempotency_key": "k-7"})
    assert server.seen[0].headers.get("idempotency-key") == ("k-7" if method in UNSAFE else None)


def test_auth_names_a_secret_or_holds_one(client: Client, serve: Serve) -> None:
    server = serve(answer())
    whole = Secret((SecretReference("TOKEN"),))
    for auth in ("bearer:TOKEN", Secret(("bearer:", SecretReference("TOKEN"))), whole, "basic:me:TOKEN"):
        client.value("GET", server.url, auth=auth)
    client.value("GET", server.url.replace("//", "//me:hunter2secret@"))
    sent = [seen.headers["authorization"] for seen in server.seen]
    assert sent == ["Bearer hunter2secret"] * 3 + ["Basic bWU6aHVudGVyMnNlY3JldA=="] * 2


def test_secrets_reach_the_server_and_no_message(client: Client, serve: Serve) -> None:
    server = serve(answer(500, "no"))
    url = Secret((server.url + "/x?q=", SecretReference("ODD"), "&api_key=plainkey"))
    failed = client.failure(
        "POST",
        url,
        body={"t": Secret((SecretReference("TOKEN"),))},
        headers={"X-Key": Secret((SecretReference("TOKEN"),))},
    )
    assert server.seen[0].body == b'{"t":"hunter2secret"}' and server.seen[0].headers["x-key"] == "hunter2secret"
    assert "a/b%20c&d" in server.seen[0].target
    shown = f"{failed.error.fields}"
    assert not any(text in shown for text in ("hunter2secret", "a/b", "plainkey"))
    refused = client.failure("GET", "http://me:hunter2secret@127.0.0.1:1/?token=abcdef")
    assert "hunter2" not in f"{refused.error.fields}" and "abcdef" not in f"{refused.error.fields}"


def sealed(text: str) -> SecretReference:
    return seal(text).parts[0]  # type: ignore[return-value]


def test_fields_of_an_answer_become_secrets(client: Client, serve: Serve) -> None:
    body = '{"id": 7, "access_token": "abc", "data": [{"token": 123}, {"token": null}]}'
    server = serve(json_answer(body))
    taken = client.value("GET", server.url, secret=["access_token", "data.0.token"])
    assert taken == {"id": 7, "access_token": seal("abc"), "data": [{"token": seal("123")}, {"token": None}]}
    whole = client.value("GET", server.url, secret="data", full=True)
    assert isinstance(whole, dict) and whole["status"] == 200
    assert whole["body"]["data"] == [{"token": seal("123")}, {"token": None}]
    everything = client.value("GET", server.url, secret=True)
    assert everything["access_token"] == seal("abc") and everything["id"] == seal("7")  # type: ignore[index]


def test_a_secret_field_that_is_not_there_is_an_error_that_shows_nothing(client: Client, serve: Serve) -> None:
    server = serve(json_answer('{"token": "abc"}'))
    failed = client.failure("GET", server.url, secret=["tokn"])
    assert failed.error.kind == "type" and "no field tokn" in failed.error.message
    assert "abc" not in str(failed.error.fields) and not failed.should_retry


def test_what_an_answer_echoes_of_a_secret_stays_secret(client: Client, serve: Serve) -> None:
    server = serve(json_answer('{"said": "Bearer hunter2secret!", "n": 1}'), answer(400, b"no: hunter2secret"))
    echo = client.value("GET", server.url, auth="bearer:TOKEN")
    assert echo == {"said": Secret(("Bearer ", sealed("hunter2secret"), "!")), "n": 1}
    failed = client.failure("GET", server.url, auth="bearer:TOKEN")
    assert failed.error.fields["body"] == Secret(("no: ", sealed("hunter2secret")))
    assert "hunter2secret" not in str(failed.error.fields)


def test_a_secret_that_is_not_there_is_an_outcome(client: Client) -> None:
    assert client.failure("GET", "http://127.0.0.1:1/", auth="bearer:NONE").error.kind == "secret"


# -- what comes back


def test_full_gives_the_whole_answer(client: Client, serve: Serve) -> None:
    server = serve(answer(201, "hi", "text/plain", X_Two="2"))
    value = client.value("GET", server.url, full=True)
    assert isinstance(value, dict)
    assert isinstance(value.pop("elapsed"), Duration)
    headers = {"content-type": "text/plain", "content-length": "2", "x-two": "2"}
    assert value == {"status": 201, "headers": headers, "body": "hi", "url": server.url + "/"}


def test_bodies_are_decoded_by_their_type(client: Client, serve: Serve) -> None:
    cases: list[tuple[bytes, object]] = [
        (answer(200, "ü".encode("latin-1"), "text/plain; charset=ISO-8859-1"), "ü"),
        (answer(200, b"a\xff", "text/html"), "a\udcff"),
        (answer(200, b"\x00\x01", "image/png"), b"\x00\x01"),
        (answer(200, '{"a":1}', "application/problem+json"), {"a": 1}),
        (answer(204), None),
        (answer(200, "", "text/plain"), ""),
        (json_answer(""), None),
    ]
    server = serve(*(data for data, _ in cases))
    assert [client.value("GET", server.url) for _ in cases] == [value for _, value in cases]
    assert client.value("HEAD", serve(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n").url) is None


def test_chunks_interim_answers_and_compression_are_undone(client: Client, serve: Serve) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/plain\r\n\r\n"
    chunked = head + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    interim = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    two_members = gzip.compress(b"one ") + gzip.compress(b"two")
    raw = zlib.compressobj(wbits=-15)
    server = serve(
        interim + chunked,
        answer(200, two_members, "text/plain", Content_Encoding="gzip"),
        answer(200, zlib.compress(b"zlib"), "text/plain", Content_Encoding="deflate"),
        answer(200, raw.compress(b"raw") + raw.flush(), "text/plain", Content_Encoding="deflate"),
    )
    assert [client.value("GET", server.url) for _ in range(4)] == ["abcde", "one two", "zlib", "raw"]


def test_a_gzip_bomb_is_a_limit_error_before_it_unfolds(client: Client, serve: Serve) -> None:
    block = gzip.compress(bytes(64 * 1024 * 1024 + 1))
    failed = client.failure("GET", serve(answer(200, block, "text/plain", Content_Encoding="gzip")).url)
    assert failed.error.kind == "limit" and "RESPONSE_BYTES_MAX" in failed.error.message and not failed.should_retry


def test_an_answer_without_end_is_a_limit_error(client: Client, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fmsh.connectors.http_transport.RESPONSE_BYTES_MAX", 100_000)

    def pour(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(bytes(65536))

    assert client.failure("GET", serve(pour).url).error.kind == "limit"


@pytest.mark.parametrize(
    ("text", "kind", "says"),
    [
        ('{"a": \n  oops}', "parse", "line 2, column 3"),
        ('{"a": NaN}', "parse", "NaN"),
        ("[-Infinity]", "parse", "-Infinity"),
        ('{"a": 1, "b": 2, "a": 3}', "parse", "'a' twice"),
        ("[" * 300 + "]" * 300, "limit", "JSON_DEPTH_MAX"),
        ("[" * 100_000, "limit", "JSON_DEPTH_MAX"),
        ("9" * 5000, "limit", "digits"),
        ('"\\ud800"x', "parse", "column"),
    ],
)
def test_broken_json_says_where_and_what(client: Client, serve: Serve, text: str, kind: str, says: str) -> None:
    failed = client.failure("GET", serve(json_answer(text)).url)
    assert failed.error.kind == kind and says in failed.error.message and "GET http://" in failed.error.message
    assert not failed.should_retry and failed.error.fields["status"] == 200


def test_depth_up_to_the_limit_is_fine() -> None:
    depth = http_answer.JSON_DEPTH_MAX
    assert http_answer.parse_json(b"[" * depth + b"]" * depth)


@pytest.mark.parametrize("encoding", ["gzip", "br"])
def test_a_false_encoding_is_a_parse_error(client: Client, serve: Serve, encoding: str) -> None:
    failed = client.failure("GET", serve(answer(200, "plain", "text/plain", Content_Encoding=encoding)).url)
    assert failed.error.kind == "parse" and encoding in failed.error.message


def test_a_refusal_is_an_error_with_everything_in_it(client: Client, serve: Serve) -> None:
    server = serve(json_answer('{"why": "nope"}', 404))
    error = client.failure("GET", server.url + "/x").error
    assert error.kind == "http" and error.fields["status"] == 404 and error.fields["body"] == {"why": "nope"}
    assert error.fields["method"] == "GET" and error.fields["url"] == server.url + "/x"
    assert error.fields["headers"]["content-type"] == "application/json"
    assert error.message == f"GET {server.url}/x was answered with 404 Not Found"
    assert client.failure("GET", serve(json_answer("{broken", 400)).url).error.fields["body"] == "{broken"


def test_ok_makes_a_status_no_error(client: Client, serve: Serve) -> None:
    server = serve(json_answer('{"a":1}', 404))
    assert client.value("GET", server.url, ok=[404, 409]) is None
    value = client.value("GET", server.url, ok=[404], full=True)
    assert isinstance(value, dict) and value["status"] == 404 and value["body"] == {"a": 1}


# -- trying again


@pytest.mark.parametrize("method", [*SAFE, *UNSAFE])
@pytest.mark.parametrize("status", [400, 404, 408, 429, 500, 502, 503, 504])
def test_which_status_is_tried_again(client: Client, serve: Serve, method: str, status: int) -> None:
    failed = client.failure(method, serve(answer(status)).url, retries=4)
    is_retryable = status in (429, 502, 503, 504)
    assert failed.error.fields["retryable"] == is_retryable
    assert failed.should_retry == (is_retryable if method in SAFE else status in (429, 503))
    assert not failed.should_retry or failed.attempts_max == 5


@pytest.mark.parametrize("method", [*SAFE, *UNSAFE])
def test_no_connection_and_no_answer_are_tried_again(client: Client, serve: Serve, method: str) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        refused = client.failure(method, f"http://127.0.0.1:{unused.getsockname()[1]}")
    cut, torn = client.failure(method, serve(cut_after(b"")).url), client.failure(method, serve(reset).url)
    late = client.failure(method, serve(stall).url, timeout=Duration(10**8))
    assert [failed.error.kind for failed in (refused, cut, torn, late)] == ["network"] * 3 + ["timeout"]
    assert all(failed.should_retry and failed.attempts_max == 3 for failed in (refused, cut, torn, late))
    assert all(failed.error.fields["retryable"] for failed in (refused, cut, torn, late))
    assert "--timeout" in late.error.message


@pytest.mark.parametrize("status", [200, 503])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_cut_answer_is_tried_again_unless_it_may_mean_done(
    client: Client, serve: Serve, method: str, status: int
) -> None:
    data = answer(status, "x" * 100, "text/plain")
    for length in (len(data) - 1, len(data) - 100):
        failed = client.failure(method, serve(cut_after(data[:length])).url)
        assert failed.error.kind == "network"
        assert failed.should_retry == (method == "GET" or status == 503)


def test_an_answer_cut_at_each_byte_is_one_error(client: Client, serve: Serve) -> None:
    data = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    server = serve(*(cut_after(data[:length]) for length in range(len(data))))
    for length in range(len(data)):
        failed = client.failure("POST", server.url)
        assert failed.error.kind == "network", length
        # Once the status is known to be 200 the work may be done, so a POST is not sent again.
        assert failed.should_retry == (length < data.index(b"\r\n\r\n") + 4), length
    assert len(server.seen) == len(data)


def test_what_is_not_http_is_a_network_error(client: Client, serve: Serve) -> None:
    for data in (
        b"SSH-2.0-x\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ):
        assert client.failure("GET", serve(cut_after(data)).url).error.kind == "network"


def test_503_then_200_succeeds_with_the_same_key(client: Client, serve: Serve) -> None:
    server = serve(answer(503, Retry_After="2"), json_answer("1"))
    first = client.failure("POST", server.url)
    assert first.should_retry and first.retry_after_ms == 2000
    assert client.value("POST", server.url) == 1
    assert len({seen.headers["idempotency-key"] for seen in server.seen}) == 1


def test_retry_after_as_a_date_and_as_nonsense() -> None:
    now_s = 1_800_000_000.0
    date = format_datetime(datetime.fromtimestamp(now_s + 90, UTC), usegmt=True)
    assert http_answer.retry_after_ms(date, now_s) == 90_000
    assert http_answer.retry_after_ms(date, now_s + 1000) == 0
    assert http_answer.retry_after_ms("5", now_s) == 5000
    for nonsense in ("", "-1", "soon", "²", "9" * 50, "Mon, 99 Foo 2026 00:00:00 GMT"):
        assert http_answer.retry_after_ms(nonsense, now_s) is None


def test_retries_0_is_one_attempt(client: Client, serve: Serve) -> None:
    assert client.failure("GET", serve(answer(503)).url, retries=0).attempts_max == 1


# -- once, and a crash


@pytest.mark.parametrize("act", [stall, reset, cut_after(b""), cut_after(answer(200, "abc")[:-1])])
def test_in_once_an_unknown_outcome_is_lost(client: Client, serve: Serve, act: object) -> None:
    failed = client.failure("POST", serve(act).url, timeout=Duration(10**8), changes={"is_once": True})
    assert failed.error.kind == "lost" and not failed.should_retry and not failed.error.fields["retryable"]


def test_in_once_a_known_failure_is_itself_and_not_tried_again(client: Client, serve: Serve) -> None:
    once: dict[str, object] = {"is_once": True}
    busy = client.failure("POST", serve(answer(503)).url, changes=once)
    refused = client.failure("POST", "http://127.0.0.1:1/", changes=once)
    assert (busy.error.kind, refused.error.kind) == ("http", "network")
    assert not busy.should_retry and not refused.should_retry


def test_a_resumed_request_is_sent_again_unless_in_once(client: Client, serve: Serve) -> None:
    server = serve(json_answer("1"))
    assert client.value("POST", server.url, changes={"is_resumed": True}) == 1
    failed = client.failure("POST", server.url, changes={"is_resumed": True, "is_once": True})
    assert failed.error.kind == "lost" and not failed.should_retry and len(server.seen) == 1


# -- redirects


def test_a_redirect_to_another_origin_carries_none_of_the_callers_headers(client: Client, serve: Serve) -> None:
    other = serve(json_answer("1"))
    server = serve(answer(307, Location="/next"), answer(307, Location=other.url + "/there"))
    arguments = {"headers": {"X-Api-Key": "k", "Cookie": "c"}, "auth": "bearer:TOKEN", "body": {"a": 1}}
    assert client.value("POST", server.url, **arguments) == 1
    here, there = server.seen[1], other.seen[0]
    assert here.target == "/next" and here.headers["x-api-key"] == "k" and "authorization" in here.headers
    assert not {"x-api-key", "cookie", "authorization"} & there.headers.keys()
    assert (there.method, there.body, there.headers["host"]) == ("POST", b'{"a":1}', f"127.0.0.1:{other.port}")


@pytest.mark.parametrize(
    ("status", "method", "becomes"),
    [
        (301, "POST", "GET"),
        (302, "POST", "GET"),
        (303, "POST", "GET"),
        (303, "PUT", "GET"),
        (303, "HEAD", "HEAD"),
        (301, "PUT", "PUT"),
        (307, "POST", "POST"),
        (308, "PATCH", "PATCH"),
    ],
)
def test_the_method_after_a_redirect(client: Client, serve: Serve, status: int, method: str, becomes: str) -> None:
    server = serve(answer(status, Location="?a=ü"), answer(200))
    client.value(method, server.url + "/p", body="x" if method != "HEAD" else None)
    seen = server.seen[1]
    assert (seen.method, seen.target) == (becomes, "/p?a=%C3%BC")
    assert seen.body == (b"x" if becomes == method and method != "HEAD" else b"")
    assert ("content-type" in seen.headers) == bool(seen.body)


def test_redirects_end_after_ten_and_can_be_left_alone(client: Client, serve: Serve) -> None:
    server = serve(answer(302, Location="/again"))
    failed = client.failure("GET", server.url)
    assert failed.error.kind == "http" and "REDIRECTS_MAX" in failed.error.message and len(server.seen) == 11
    assert client.value("GET", server.url, follow=False) is None
    assert client.failure("GET", serve(answer(302, Location="file:///etc/passwd")).url).error.kind == "type"


def test_a_redirect_to_another_origin_is_handed_no_secret_of_the_body(client: Client, serve: Serve) -> None:
    other = serve(json_answer("1"))
    server = serve(answer(307, Location=other.url))
    failed = client.failure("POST", server.url, body={"t": Secret((SecretReference("TOKEN"),))})
    assert failed.error.kind == "http" and "secret" in failed.error.message and not other.seen


# -- proxies


def test_http_goes_through_the_proxy_of_the_environment(client: Client, serve: Serve) -> None:
    proxy, server = serve(json_answer("1")), serve(json_answer("2"))
    environment = {"http_proxy": proxy.url.replace("//", "//me:pw@"), "NO_PROXY": "internal.example"}
    assert client.value("GET", "http://service.example/a?b", changes={"environment": environment}) == 1
    seen = proxy.seen[0]
    assert seen.target == "http://service.example/a?b" and seen.headers["host"] == "service.example"
    assert seen.headers["proxy-authorization"] == "Basic bWU6cHc="
    assert client.value("GET", server.url, changes={"environment": environment | {"NO_PROXY": "127.0.0.0/8"}}) == 2


def test_https_goes_through_a_tunnel(client: Client, serve: Serve) -> None:
    proxy = serve(cut_after(b"HTTP/1.1 403 No\r\n\r\n"))
    failed = client.failure("GET", "https://service.example/", changes={"environment": {"HTTPS_PROXY": proxy.url}})
    assert proxy.seen[0][:2] == ("CONNECT", "service.example:443")
    assert failed.error.kind == "network" and "proxy" in failed.error.message and "403" in failed.error.message


@pytest.mark.parametrize(
    ("exempt", "is_exempt"),
    [
        ("*", True),
        ("example.com", True),
        (".example.com", True),
        ("a.example.com:80", True),
        ("a.example.com:81", False),
        ("other.com, example.com", True),
        ("ample.com", False),
        ("", False),
        ("10.0.0.0/8", False),
    ],
)
def test_who_is_reached_without_the_proxy(exempt: str, is_exempt: bool) -> None:
    url = parse_url("http://a.example.com/")
    assert (proxy_for(url, {"all_proxy": "proxy:3128", "no_proxy": exempt}) is None) == is_exempt


def test_a_proxy_that_is_not_http_is_a_type_error(client: Client) -> None:
    assert (
        client.failure("GET", "http://x/", changes={"environment": {"http_proxy": "socks5://h:1"}}).error.kind == "type"
    )


# -- time, cancelling, connections


@pytest.mark.parametrize("data", [b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\nX: " + b"x" * 900, b"H" * 900])
def test_a_dripping_server_does_not_outlast_the_timeout(client: Client, serve: Serve, data: bytes) -> None:
    failed = client.failure("GET", serve(drip(data, 0.05)).url, timeout=Duration(3 * 10**8))
    assert failed.error.kind == "timeout"


def test_cancel_answers_at_once_and_only_once(client: Client, serve: Serve) -> None:
    server = serve(stall)
    id = client.start("POST", server.url)
    assert server.arrived.acquire(timeout=5)
    client.connector.cancel(id)
    client.connector.cancel(id)
    assert client.loop.outcome_of(id) == Cancelled()
    client.loop.turn(0.05)
    assert len(client.loop.outcomes) == 1


def test_a_connection_is_kept_and_a_dead_one_is_not_noticed(client: Client, serve: Serve) -> None:
    is_dead = threading.Event()

    def last(connection: socket.socket) -> None:
        cut_after(json_answer("3"))(connection)
        is_dead.set()

    server = serve(json_answer("1"), json_answer("2"), last, json_answer("4"))
    assert [client.value("POST", server.url) for _ in range(3)] == [1, 2, 3]
    assert is_dead.wait(5)
    assert client.value("POST", server.url) == 4
    assert [seen.connection for seen in server.seen] == [1, 1, 1, 2]


def test_a_kept_connection_that_dies_under_a_get_costs_nothing(client: Client, serve: Serve) -> None:
    server = serve(json_answer("1"), reset, json_answer("2"))
    assert [client.value("GET", server.url) for _ in range(2)] == [1, 2]
    assert [seen.connection for seen in server.seen] == [1, 1, 2]


def test_in_once_every_connection_is_a_new_one(client: Client, serve: Serve) -> None:
    server = serve(json_answer("1"))
    for _ in range(2):
        client.value("POST", server.url, changes={"is_once": True})
    assert [seen.connection for seen in server.seen] == [1, 2]


def test_more_requests_than_workers_all_get_their_answer(client: Client, serve: Serve) -> None:
    server = serve(json_answer("1"))
    ids = [client.start("GET", server.url) for _ in range(300)]
    assert all(client.loop.outcome_of(id) == Done(1) for id in ids)
    assert len({seen.connection for seen in server.seen}) <= 64


def test_a_certificate_that_is_not_trusted_is_refused_for_good(client: Client, tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        id = client.start("GET", f"https://127.0.0.1:{listener.getsockname()[1]}/")
        connection, _ = listener.accept()
        with pytest.raises(ssl.SSLError):
            context.wrap_socket(connection, server_side=True).recv(1)
        outcome = client.loop.outcome_of(id)
    assert isinstance(outcome, Failed) and outcome.error.kind == "network" and not outcome.should_retry
    assert "certificate" in outcome.error.message and "not trusted" in outcome.error.message


def test_insecure_looks_at_no_certificate(client: Client, tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        id = client.start("GET", f"https://127.0.0.1:{listener.getsockname()[1]}/", insecure=True)
        connection, _ = listener.accept()
        with context.wrap_socket(connection, server_side=True) as secured:
            assert secured.recv(4096).startswith(b"GET / HTTP/1.1")
            secured.sendall(json_answer("1"))
            assert client.loop.outcome_of(id) == Done(1)


def test_where_the_time_of_an_attempt_went_is_told(client: Client, serve: Serve) -> None:
    server = serve(json_answer("1"), json_answer("2"), reset)
    ids = []
    for _ in range(3):
        ids.append(client.start("POST", server.url))
        client.loop.outcome_of(ids[-1])
    fresh, kept, failed = (client.timings[id] for id in ids)
    assert list(fresh) == ["dns", "connect", "first_byte", "total"]
    assert list(kept) == ["first_byte", "total"]  # over a connection that was there
    assert list(failed) == ["total"]
    for timings in (fresh, kept, failed):
        assert all(type(value) is float and value >= 0 for value in timings.values())
        assert sum(timings.values()) - timings["total"] <= timings["total"] + 0.5  # type: ignore[operator, call-overload]


def test_tls_is_told_of_apart(client: Client, tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed(tmp_path))
    server = Server(json_answer("1"), secure=lambda connection: context.wrap_socket(connection, server_side=True))
    id = client.start("GET", server.url, insecure=True)
    assert client.loop.outcome_of(id) == Done(1)
    assert list(client.timings[id]) == ["dns", "connect", "tls", "first_byte", "total"]
    server.close()
