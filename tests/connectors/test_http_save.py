"""An answer that goes into a file: whole or not at all, in little memory."""

from __future__ import annotations

import gzip
import os
import resource
import stat
import zlib
from pathlib import Path

import pytest

from fmsh.connectors.base import Done, Failed
from tests.connectors.http_client import Client, Serve
from tests.connectors.http_server import answer, cut_after

MIB = 1024 * 1024


def names(directory: Path) -> list[str]:
    return sorted(os.listdir(directory))


def test_the_file_is_replaced_and_keeps_its_mode(client: Client, serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "target").write_text("old")
    os.chmod(tmp_path / "target", 0o640)
    os.symlink("target", tmp_path / "link")
    server = serve(answer(200, b"new\xff", "text/plain", X_One="1"))
    here = {"directory": str(tmp_path)}
    assert client.value("GET", server.url, save="link", changes=here) is None
    assert (tmp_path / "target").read_bytes() == b"new\xff" and os.path.islink(tmp_path / "link")
    assert stat.S_IMODE(os.stat(tmp_path / "target").st_mode) == 0o640
    whole = client.value("GET", server.url, save="fresh", full=True, changes=here | {"umask": 0o027})
    assert isinstance(whole, dict) and (whole["status"], whole["body"], whole["headers"]["x-one"]) == (200, None, "1")
    assert stat.S_IMODE(os.stat(tmp_path / "fresh").st_mode) == 0o640
    assert names(tmp_path) == ["fresh", "link", "target"]
    assert server.seen[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("data", [b"", b"x", b"abc" * 500_000])
def test_compressed_answers_are_saved_as_they_are_meant(
    client: Client, serve: Serve, tmp_path: Path, data: bytes
) -> None:
    path = str(tmp_path / "f")
    raw = zlib.compressobj(wbits=-15)
    for encoding, body in (
        ("gzip", gzip.compress(data)),
        ("gzip", gzip.compress(data[:7]) + gzip.compress(data[7:]) + b"\0\0"),
        ("deflate", zlib.compress(data)),
        ("deflate", raw.compress(data) + raw.flush()),
        ("gzip, deflate", zlib.compress(gzip.compress(data))),
    ):
        client.value("GET", serve(answer(200, body, Content_Encoding=encoding)).url, save=path)
        assert Path(path).read_bytes() == data, encoding


def test_a_bad_answer_leaves_the_old_file(client: Client, serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text("old")
    data = answer(200, b"x" * 1000)
    packed = gzip.compress(b"x" * 1000)
    for bad, kind in (
        (cut_after(data[:-1]), "network"),
        (answer(404, "no"), "http"),
        (answer(200, packed[:-9], Content_Encoding="gzip"), "parse"),
        (answer(200, b"plain", Content_Encoding="gzip"), "parse"),
        (answer(200, b"plain", Content_Encoding="br"), "parse"),
    ):
        failed = client.failure("GET", serve(bad).url, save=str(path))
        assert failed.error.kind == kind
        assert path.read_text() == "old" and names(tmp_path) == ["f"], kind
    assert failed.should_retry is False


def test_where_it_cannot_be_saved_nothing_is_asked(client: Client, serve: Serve, tmp_path: Path) -> None:
    server = serve(answer(200, "x"))
    for path in (tmp_path, tmp_path / "gone" / "f"):
        failed = client.failure("GET", server.url, save=str(path))
        assert failed.error.kind == "path" and "cannot write to" in failed.error.message
    assert not server.seen


def test_what_is_no_regular_file_is_written_directly(client: Client, serve: Serve, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    client.value("GET", serve(answer(200, b"abc")).url, save=str(tmp_path / "pipe"))
    assert os.read(reader, 10) == b"abc" and names(tmp_path) == ["pipe"]
    os.close(reader)


def test_what_a_dead_attempt_left_is_removed(client: Client, serve: Serve, tmp_path: Path) -> None:
    (tmp_path / ".fmsh-k1.0123").write_text("half")
    changes = {"idempotency_key": "k1", "is_resumed": True}
    client.value("GET", serve(answer(200, b"abc")).url, save=str(tmp_path / "f"), changes=changes)
    assert names(tmp_path) == ["f"]


def test_a_big_answer_costs_little_memory(client: Client, serve: Serve, tmp_path: Path) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (96 * MIB)

    def send(connection: object) -> None:
        connection.sendall(head)  # type: ignore[attr-defined]
        for _ in range(96):
            connection.sendall(bytes(MIB))  # type: ignore[attr-defined]

    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcome = client.ask("GET", serve(send).url, save=str(tmp_path / "big"))
    assert isinstance(outcome, Done), outcome
    assert os.path.getsize(tmp_path / "big") == 96 * MIB
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 32 * 1024


def test_a_full_disk_is_a_final_error(client: Client, serve: Serve) -> None:
    outcome = client.ask("GET", serve(answer(200, b"x" * 100)).url, save="/dev/full")
    assert isinstance(outcome, Failed) and outcome.error.kind == "path" and "no space" in outcome.error.message
