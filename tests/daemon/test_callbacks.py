"""What the world can and cannot do to a job through a callback address."""

from __future__ import annotations

import json
import os
import threading
from typing import Any

import pytest

from fmsh import wire
from fmsh.daemon.callbacks import decode_body
from fmsh.daemon.http_api import HttpServer

from .conftest import NOW_MS, World, ask

DATA = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "data", "webhooks")
REPEATED = DATA + "-repeated"


def test_a_delivery_is_durable_when_it_is_answered(world: World, server: HttpServer) -> None:
    job_id = world.open_callback("T")
    answer = ask(server, "POST", "/cb/T?try=1&a=x&a=y", '{"status": "passed"}', Content_Type="application/json")
    assert (answer.status, answer.json) == (202, {"job": job_id})
    (data,) = world.received(job_id)
    assert data["method"] == "POST"
    assert data["body"] == {"status": "passed"}
    assert data["query"] == {"try": "1", "a": ["x", "y"]}
    assert data["headers"]["content-type"] == "application/json"


def test_a_put_delivers_too(world: World, server: HttpServer) -> None:
    job_id = world.open_callback("T")
    assert ask(server, "PUT", "/cb/T", "x").status == 202
    assert world.received(job_id)[0]["method"] == "PUT"


@pytest.mark.parametrize(
    ("first", "second", "is_repeat"),
    [
        (("a", {}), ("a", {}), True),
        (("a", {}), ("b", {}), False),
        (("a", {"webhook_id": "1"}), ("b", {"webhook_id": "1"}), True),
        (("a", {"webhook_id": "1"}), ("a", {"webhook_id": "2"}), False),
        (("a", {"X_GitHub_Delivery": "1"}), ("b", {"X_GitHub_Delivery": "1"}), True),
        (("a", {"Idempotency_Key": "1"}), ("b", {"Idempotency_Key": "1"}), True),
        (("a", {"Idempotency_Key": "1"}), ("a", {"X_GitHub_Delivery": "1"}), False),
    ],
)
def test_a_repeat_is_accepted_and_changes_nothing_and_anything_else_is_unknown(
    world: World, server: HttpServer, first: Any, second: Any, is_repeat: bool
) -> None:
    job_id = world.open_callback("T")
    assert ask(server, "POST", "/cb/T", first[0], **first[1]).status == 202
    assert ask(server, "POST", "/cb/T", second[0], **second[1]).status == (202 if is_repeat else 404)
    assert len(world.received(job_id)) == 1


def test_a_thousand_repeats_at_once_are_one_delivery(world: World, server: HttpServer) -> None:
    job_id = world.open_callback("T")
    statuses: list[int] = []

    def repeat() -> None:
        for _ in range(125):
            statuses.append(ask(server, "POST", "/cb/T", "same", webhook_id="1").status)

    threads = [threading.Thread(target=repeat) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [202] * 1000
    assert len(world.received(job_id)) == 1


def test_the_address_of_a_moved_job_says_so(
    world: World, server: HttpServer, capfd: pytest.CaptureFixture[str]
) -> None:
    job_id = world.open_callback("T")
    world.move_out(job_id)
    answer = ask(server, "POST", "/cb/T", "x")
    assert answer.status == 404 and answer.json["detail"] == "the job that waited here was moved elsewhere"
    assert f"a call for job {job_id} was refused" in capfd.readouterr().err
    assert world.received(job_id) == []


def test_unknown_expired_used_and_misplaced_are_the_same_404(world: World, server: HttpServer) -> None:
    world.open_callback("expired", expires_at_ms=NOW_MS)
    world.open_callback("used")
    world.open_callback("put-only", methods=("PUT",))
    assert ask(server, "POST", "/cb/used", "first").status == 202
    paths = ("/cb/unknown", "/cb/expired", "/cb/used", "/cb/put-only", "/", "/cb/", "/cb/used/more", "/cb/%ff%00", "/x")
    answers = [ask(server, "POST", path, "other") for path in paths]
    assert {answer.status for answer in answers} == {404}
    assert len({answer.body for answer in answers}) == 1
    assert {answer.headers["content-type"] for answer in answers} == {"application/problem+json"}


def test_a_browser_gets_a_page_and_changes_nothing(world: World, server: HttpServer) -> None:
    job_id = world.open_callback("T")
    pages = [ask(server, "GET", path) for path in ("/cb/T", "/cb/unknown")]
    assert [page.status for page in pages] == [200, 200]
    assert pages[0].body == pages[1].body
    assert pages[0].headers["content-type"].startswith("text/html")
    assert world.received(job_id) == []
    assert ask(server, "DELETE", "/cb/T").status == 405


def test_only_our_own_host_names_are_served(world: World) -> None:
    server = world.start(public_url="https://Hooks.Example.org/fmsh/")
    port = server.address.port
    good = ("localhost", f"LOCALHOST:{port}", f"127.0.0.1:{port}", f"[::1]:{port}", "hooks.example.org")
    bad = ("", "evil.example.org", "127.0.0.1.evil.org", "hooks.example.org.evil.org", "hooks.example.org@evil.org")
    assert server.public_url == "https://Hooks.Example.org/fmsh"
    assert [ask(server, "GET", "/cb/T", Host=host).status for host in good] == [200] * len(good)
    assert [ask(server, "GET", "/cb/T", Host=host).status for host in bad] == [421] * len(bad)


def test_a_body_over_the_limit_is_refused_and_the_address_stays_open(world: World) -> None:
    server = world.start(body_bytes_max=1000)
    job_id = world.open_callback("T")
    assert ask(server, "POST", "/cb/T", b"x" * 1001).status == 413
    assert ask(server, "POST", "/cb/T", iter([b"x" * 600] * 2)).status == 413  # type: ignore[arg-type]
    assert world.received(job_id) == []
    assert ask(server, "POST", "/cb/T", b"x" * 1000).status == 202


def test_a_compressed_body_is_refused(world: World, server: HttpServer) -> None:
    world.open_callback("T")
    assert ask(server, "POST", "/cb/T", b"\x1f\x8b", Content_Encoding="gzip").status == 415


def test_credentials_of_the_sender_are_not_kept(world: World, server: HttpServer) -> None:
    job_id = world.open_callback("T")
    ask(server, "POST", "/cb/T", "x", Authorization="Bearer canary", Cookie="canary", X_Kept="yes")
    (data,) = world.received(job_id)
    assert data["headers"]["x-kept"] == "yes"
    assert "canary" not in json.dumps(data)


def test_a_delivery_that_cannot_be_stored_is_not_accepted(tmp_path: Any) -> None:
    from fmsh.errors import StoreFull
    from fmsh.store.memory import MemoryStore
    from fmsh.store.memory_disk import MemoryDisk

    disk = MemoryDisk()
    world = World(MemoryStore(disk), lambda: MemoryStore(disk), tmp_path)
    server = world.start()
    try:
        job_id = world.open_callback("T")
        disk.fault = StoreFull("no room")
        answer = ask(server, "POST", "/cb/T", "x")
        assert (answer.status, answer.headers["retry-after"]) == (503, "5")
        disk.fault = None
        assert world.received(job_id) == []
        assert ask(server, "POST", "/cb/T", "x").status == 202
    finally:
        server.stop(0.5)


def captured(path: str) -> tuple[bytes, dict[str, str]]:
    """The body and the headers of a request that was really sent."""
    with open(path, "rb") as file:
        head, _, body = file.read().partition(b"\r\n\r\n")
    lines = [line.split(": ", 1) for line in head.decode().split("\r\n")[1:]]
    return body, {key.replace("-", "_"): value for key, value in lines if key not in ("Host", "Content-Length")}


@pytest.mark.parametrize("name", sorted(os.listdir(DATA)))
def test_what_real_senders_send_arrives(world: World, server: HttpServer, name: str) -> None:
    body, headers = captured(os.path.join(DATA, name))
    job_id = world.open_callback("T")
    assert ask(server, "POST", "/cb/T", body, **headers).status == 202
    assert ask(server, "POST", "/cb/T", body, **headers).status == 202
    (data,) = world.received(job_id)
    assert data["body"] == json.loads(body)


def test_what_real_senders_send_again_arrives_once(world: World, server: HttpServer) -> None:
    """Each was sent three times, after two answers of 503: the same bytes, without an id of the delivery."""
    job_id = world.open_callback("T", is_many=True)
    requests = [captured(os.path.join(REPEATED, name)) for name in sorted(os.listdir(REPEATED))]
    for body, headers in [request for request in requests for _ in range(3)]:
        assert ask(server, "POST", "/cb/T", body, **headers).status == 202
    assert [data["body"] for data in world.received(job_id)] == [json.loads(body) for body, _ in requests]


@pytest.mark.parametrize(
    ("body", "content_type", "value"),
    [
        (b"", "application/json", None),
        (b' {"a": [1, 2.5, null]}', "application/json", {"a": [1, 2.5, None]}),
        (b'"text"', "application/json; charset=utf-8", "text"),
        (b"[1]", "application/vnd.docker.distribution.events.v1+json", [1]),
        (b'{"a": 1}', "application/x-www-form-urlencoded", {"a": 1}),
        (b'{"a": 1}', "", {"a": 1}),
        (b"5", "text/plain", "5"),
        (b"{not json", "application/json", "{not json"),
        (b'{"a": NaN}', "application/json", '{"a": NaN}'),
        (b"a=1&b=x%20y&a=2&c", "application/x-www-form-urlencoded", {"a": ["1", "2"], "b": "x y", "c": ""}),
        (b"gr\xfc\xdfe", "text/plain; charset=latin-1", "grüße"),
        (b"\xff", "text/plain", "\udcff"),
        (b"x", "text/plain; charset=nonsense", "x"),
        (b"x", "application/octet-stream", b"x"),
        (b"x", "", "x"),
        (b"\xff", "", b"\xff"),
    ],
)
def test_a_body_becomes_the_value_that_its_type_says(body: bytes, content_type: str, value: Any) -> None:
    assert decode_body(body, content_type) == value
    assert wire.decode(wire.encode(value)) == value


def test_a_body_that_is_nested_too_deep_arrives_as_text(world: World, server: HttpServer) -> None:
    job_id = world.open_callback("T")
    for depth in (400, 5000):
        ask(server, "POST", "/cb/T", "[" * depth + "]" * depth, Content_Type="application/json")
    (data,) = world.received(job_id)
    assert data["method"] == "POST"


def test_a_waiting_delivery_does_not_hold_up_the_daemon(world: World, server: HttpServer) -> None:
    """The control socket answers while the store is slow."""
    if not hasattr(world.store, "disk"):
        pytest.skip("only the store in memory can be made slow")
    world.open_callback("T")
    with world.store.disk.mutex:
        thread = threading.Thread(target=ask, args=(server, "POST", "/cb/T", "x"))
        thread.start()
        assert ask(str(world.directory / "run" / "control.sock"), "GET", "/healthz").status == 200
    thread.join()
