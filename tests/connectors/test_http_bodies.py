"""Forms, files, pages: what a request sends besides a value, and answers that come in parts."""

from __future__ import annotations

import os
import resource
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from fmsh.connectors.http_body import Body, FilePiece
from fmsh.values import Duration, Secret, SecretReference
from tests.connectors.http_client import Client, Serve, seal
from tests.connectors.http_server import answer, json_answer

MIB = 1024 * 1024


def test_a_file_is_the_body(client: Client, serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "data.json").write_bytes(b'{"a": 1}')
    server = serve(answer())
    client.value("PUT", server.url, file="data.json", changes={"directory": str(tmp_path)})
    seen = server.seen[0]
    assert seen.body == b'{"a": 1}' and seen.headers["content-type"] == "application/json"
    assert seen.headers["content-length"] == "8"


def test_a_form_in_parts_with_files(client: Client, serve: Serve, tmp_path: Path) -> None:
    (tmp_path / 'o"dd.png').write_bytes(b"\x89PNG\r\n\xff")
    (tmp_path / "b.txt").write_text("b")
    server = serve(answer())
    client.value(
        "POST",
        server.url,
        multipart={"name": "me", "n": 3, "gone": None, "key": Secret((SecretReference("TOKEN"),)), "r": {"a": [1]}},
        attach={"photo": 'o"dd.png', "more": ["b.txt", "b.txt"]},
        changes={"directory": str(tmp_path), "idempotency_key": "k1"},
    )
    seen = server.seen[0]
    assert seen.headers["content-type"] == "multipart/form-data; boundary=fmsh-k1"
    parts = [part.strip(b"\r\n") for part in seen.body.split(b"--fmsh-k1")]
    form = b'Content-Disposition: form-data; name="'
    assert parts == [
        b"",
        form + b'name"\r\n\r\nme',
        form + b'n"\r\n\r\n3',
        form + b'key"\r\n\r\nhunter2secret',
        form + b'r"\r\n\r\n{"a":[1]}',
        form + b'photo"; filename="o%22dd.png"\r\nContent-Type: image/png\r\n\r\n\x89PNG\r\n\xff',
        form + b'more"; filename="b.txt"\r\nContent-Type: text/plain\r\n\r\nb',
        form + b'more"; filename="b.txt"\r\nContent-Type: text/plain\r\n\r\nb',
        b"--",
    ]


@pytest.mark.parametrize(
    ("arguments", "kind", "says"),
    [
        ({"file": "gone"}, "path", "cannot read gone, which --file names: no such file or directory"),
        ({"file": "."}, "path", "is a directory"),
        ({"file": "pipe"}, "path", "is not a regular file"),
        ({"attach": {"a": 3}}, "type", "--attach takes a record of paths"),
        ({"file": "a", "body": 1}, "type", "one body"),
        ({"form": {"a": 1}, "attach": {"b": "a"}}, "type", "one body"),
    ],
)
def test_a_body_that_cannot_be_is_an_error(
    client: Client, serve: Serve, tmp_path: Path, arguments: dict[str, object], kind: str, says: str
) -> None:
    (tmp_path / "a").touch()
    os.mkfifo(tmp_path / "pipe")
    server = serve(answer())
    if arguments.get("file") == "pipe":
        keep = os.open(tmp_path / "pipe", os.O_RDWR)  # opening it must not wait, here or there
    else:
        keep = os.open(tmp_path / "a", os.O_RDONLY)
    failed = client.failure("POST", server.url, changes={"directory": str(tmp_path)}, **arguments)
    os.close(keep)
    assert failed.error.kind == kind and says in failed.error.message and not server.seen
    assert not failed.should_retry


class RawServer:
    """Takes one connection and hands it to `act`, having read nothing."""

    def __init__(self, act: Callable[[socket.socket], None]) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._act = act
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection:
            self._act(connection)

    def close(self) -> None:
        self._thread.join()
        self._listener.close()


def test_a_big_file_is_sent_in_little_memory(client: Client, tmp_path: Path) -> None:
    with open(tmp_path / "big", "wb") as file:
        file.truncate(64 * MIB)
    received = []

    def count(connection: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(1)
        received.append(0)
        while received[0] < 64 * MIB:
            received[0] += len(connection.recv(MIB))
        connection.sendall(answer())

    server = RawServer(count)
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    client.value("PUT", server.url, file=str(tmp_path / "big"))
    server.close()
    assert received == [64 * MIB]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 24 * 1024


def test_a_file_that_shrinks_meanwhile_is_a_final_error(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"abc")
    body = Body("", (FilePiece(str(tmp_path / "f"), 5),))
    with pytest.raises(OSError, match="became shorter"):
        list(body.chunks())


def test_the_time_out_of_a_file_is_one_of_silence(client: Client, tmp_path: Path) -> None:
    """A server that takes some every tenth of a second is slow but alive; one that stops is given up."""
    (tmp_path / "f").write_bytes(b"x" * 16 * MIB)
    stop, taken = threading.Event(), []

    def read_slowly_then_stop(connection: socket.socket) -> None:
        for _ in range(8):
            stop.wait(0.1)
            taken.append(len(connection.recv(2 * MIB, socket.MSG_WAITALL)))
        stop.wait()

    server = RawServer(read_slowly_then_stop)
    timeout = Duration(5 * 10**8)
    failed = client.failure("PUT", server.url, file=str(tmp_path / "f"), timeout=timeout, retries=0)
    stop.set()
    server.close()
    assert failed.error.kind == "timeout" and taken == [2 * MIB] * 8


# -- pages


def page(body: str, link: str = "") -> bytes:
    return json_answer(body, **({"Link": link} if link else {}))  # type: ignore[arg-type]


def test_the_lists_of_all_pages_become_one(client: Client, serve: Serve) -> None:
    server = serve(
        page("[1, 2]", '</x?page=2>; rel="next", </x?page=9>; rel="last"'),
        page("[3]", '<x?page=3>; title="a, b"; rel="prev NEXT"'),
        page("[]", "</x?page=1>; rel=first"),
    )
    value = client.value("GET", server.url + "/x", pages=True, headers={"X-Key": "k"})
    assert value == [1, 2, 3]
    assert [seen.target for seen in server.seen] == ["/x", "/x?page=2", "/x?page=3"]
    assert {seen.headers.get("x-key") for seen in server.seen} == {"k"}


def test_pages_with_full_and_without_further_ones(client: Client, serve: Serve) -> None:
    server = serve(page("[1]", '<?p=2>; rel="next"'), page("[2]"))
    whole = client.value("GET", server.url, pages=True, full=True)
    assert isinstance(whole, dict) and whole["body"] == [1, 2] and whole["status"] == 200
    assert client.value("GET", serve(json_answer('{"a": 1}')).url, pages=True) == {"a": 1}


def test_a_page_of_another_origin_gets_no_header_of_ours(client: Client, serve: Serve) -> None:
    other = serve(page("[2]"))
    server = serve(page("[1]", f'<{other.url}/n>; rel="next"'))
    value = client.value("GET", server.url, pages=True, headers={"X-Key": "k"}, auth="bearer:TOKEN")
    assert value == [1, 2]
    assert "x-key" not in other.seen[0].headers and "authorization" not in other.seen[0].headers


def test_pages_that_cannot_be_joined_or_fail_are_errors(client: Client, serve: Serve) -> None:
    odd = client.failure("GET", serve(page("[1]", '</b>; rel="next"'), page('{"a": 1}')).url, pages=True)
    assert odd.error.kind == "type" and "a page is none" in odd.error.message
    gone = client.failure("GET", serve(page("[1]", '</b>; rel="next"'), answer(404)).url, pages=True)
    assert gone.error.kind == "http" and gone.error.fields["status"] == 404
    bad = client.failure("GET", serve(page("[1]", '<ftp://x/>; rel="next"')).url, pages=True)
    assert bad.error.kind == "type" and "http" in bad.error.message


def test_pages_have_a_limit(client: Client, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fmsh.connectors.http_request.PAGES_MAX", 3)
    failed = client.failure("GET", serve(page("[1]", '</again>; rel="next"')).url, pages=True)
    assert failed.error.kind == "limit" and "more than 3 pages" in failed.error.message


def test_secret_fields_of_pages(client: Client, serve: Serve) -> None:
    server = serve(page('[{"t": "a"}]', '</b>; rel="next"'), page('[{"t": "b"}]'))
    assert client.value("GET", server.url, pages=True, secret=["0.t", "1.t"]) == [{"t": seal("a")}, {"t": seal("b")}]


@pytest.mark.parametrize("ok", ["404,409", [404, 409], 404, "404"])
def test_ok_takes_a_word_a_list_or_a_number(client: Client, serve: Serve, ok: object) -> None:
    assert client.value("GET", serve(answer(404)).url, ok=ok) is None


@pytest.mark.parametrize("ok", ["abc", 4.5, True, ["x"], 99, {"a": 1}])
def test_ok_refuses_what_is_no_status(client: Client, serve: Serve, ok: object) -> None:
    server = serve(answer(404))
    assert client.failure("GET", server.url, ok=ok).error.kind == "type" and not server.seen
