"""What fmsh writes into files: whole, or not at all."""

from __future__ import annotations

import os
import random
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fmsh.connectors.base import AttemptId, Done, Failed, Outcome
from fmsh.connectors.files import FileConnector
from fmsh.values import REDACTED, Secret, SecretReference
from tests.connectors.loop import Loop, attempt_of

KILLS = 12
WRITER = """
import os, sys
from fmsh.connectors.files import FileConnector
from tests.connectors.loop import Loop, attempt_of
loop, connector = Loop(), FileConnector(str)
print("begun", flush=True)
for turn in range(1000):
    arguments = {"path": "file", "data": "ab"[turn % 2] * 300_000, "append": False}
    attempt = attempt_of("write", arguments, directory=sys.argv[1])
    loop.outcomes.clear()
    connector.start(attempt, loop.post)
    loop.outcome_of(attempt.id)
"""


class Writer:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.loop = Loop()
        self.connector = FileConnector(lambda secret: str(secret).replace(REDACTED, "hunter2"))
        self._step = 0

    def write(self, path: str, data: object, *, append: bool = False, **changes: object) -> Outcome:
        self._step += 1
        arguments: dict[str, object] = {"path": path, "data": data, "append": append}
        fields = {"id": AttemptId(1, self._step, 1), "directory": str(self.directory)} | changes
        attempt = attempt_of("write", arguments, **fields)
        self.connector.start(attempt, self.loop.post)
        return self.loop.outcome_of(attempt.id)

    def reason(self, path: str, **changes: object) -> str:
        outcome = self.write(path, "new", **changes)  # type: ignore[arg-type]
        assert isinstance(outcome, Failed) and outcome.error.kind == "path", outcome
        return outcome.error.message


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    writer = Writer(tmp_path)
    yield writer
    writer.connector.close()
    writer.loop.close()


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_file_has_the_mode_that_the_jobs_umask_gives(writer: Writer, tmp_path: Path) -> None:
    assert writer.write("a", "text", umask=0o027) == Done(None)
    assert writer.write("b", "text", umask=0o077, append=True) == Done(None)
    assert (mode_of(tmp_path / "a"), mode_of(tmp_path / "b")) == (0o640, 0o600)
    assert (tmp_path / "a").read_text() == "text"


def test_text_bytes_nothing_and_a_secret_arrive_as_they_are(writer: Writer, tmp_path: Path) -> None:
    secret = Secret(("key ", SecretReference("TOKEN"), "\n"))
    for data, expected in (
        ("é\udcff", b"\xc3\xa9\xff"),
        (b"\0\xff", b"\0\xff"),
        (None, b""),
        (secret, b"key hunter2\n"),
    ):
        assert writer.write("f", data) == Done(None)
        assert (tmp_path / "f").read_bytes() == expected


def test_a_file_is_replaced_in_one_move_and_keeps_its_mode(writer: Writer, tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text("old")
    path.chmod(0o754)
    with path.open() as reader:
        assert writer.write("f", "new") == Done(None)
        assert reader.read() == "old"  # who has it open goes on reading the old one
    assert (path.read_text(), mode_of(path)) == ("new", 0o754)
    assert os.listdir(tmp_path) == ["f"]


def test_links_stay_and_lead_to_the_new_file(writer: Writer, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    os.symlink("sub/first", tmp_path / "link")
    os.symlink("second", tmp_path / "sub/first")
    assert writer.write("link", "text") == Done(None)
    assert (tmp_path / "sub/second").read_text() == "text"
    assert (tmp_path / "link").is_symlink() and (tmp_path / "sub/first").is_symlink()


def test_appending_goes_to_the_end(writer: Writer, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("a")
    assert writer.write("f", "b", append=True) == Done(None)
    assert (tmp_path / "f").read_text() == "ab"


def test_a_device_is_written_as_it_is(writer: Writer) -> None:
    assert writer.write("/dev/null", "text") == Done(None)
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    assert "no space" in writer.reason("/dev/full")


def test_a_named_pipe_waits_for_its_reader(writer: Writer, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    assert writer.write("pipe", "x" * 200_000) == Done(None)  # more than a pipe holds
    reader.join()
    assert found == [b"x" * 200_000]


def test_what_cannot_be_written_says_why_and_stays(writer: Writer, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "f").write_text("old")
    assert writer.reason("no/f").endswith("no does not exist")
    assert writer.reason("f/x").endswith("f is not a directory")
    assert "is a directory" in writer.reason("d")
    assert "too long" in writer.reason("n" * 300)
    assert sorted(os.listdir(tmp_path)) == ["d", "f"] and (tmp_path / "f").read_text() == "old"


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_permission_is_needed_for_the_file_and_not_for_its_directory(writer: Writer, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    (closed / "mine").write_text("old")
    (closed / "theirs").write_text("old")
    (closed / "theirs").chmod(0o444)
    closed.chmod(0o555)
    try:
        assert writer.write("closed/mine", "new") == Done(None)  # in its place: the directory takes no other file
        assert "permission denied" in writer.reason("closed/theirs")
        assert "permission denied" in writer.reason("closed/another")
        assert (closed / "mine").read_text() == "new"
    finally:
        closed.chmod(0o755)


def test_a_full_disk_leaves_the_old_file(writer: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "f").write_text("old")

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert "no space" in writer.reason("f")
    assert (tmp_path / "f").read_text() == "old" and os.listdir(tmp_path) == ["f"]


def test_killed_at_any_time_the_file_is_the_old_one_or_the_new_one(writer: Writer, tmp_path: Path) -> None:
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    seed = random.randrange(1 << 32)
    draw = random.Random(seed)
    for _ in range(KILLS):
        child = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)], cwd=root, stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": root},
        )  # fmt: skip
        assert child.stdout is not None and child.stdout.readline() == b"begun\n"
        threading.Event().wait(draw.random() * 0.05)  # a random moment, not one to wait for anything
        child.kill()
        child.wait()
        child.stdout.close()
        text = (tmp_path / "file").read_text() if (tmp_path / "file").exists() else "a" * 300_000
        assert text in ("a" * 300_000, "b" * 300_000), f"seed {seed}"
    assert writer.write("file", "last", is_resumed=True) == Done(None)
    assert (tmp_path / "file").read_text() == "last"
    assert os.listdir(tmp_path) == ["file"], "what a dead attempt left beside the file goes away with the next"
