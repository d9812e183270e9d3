"""The connectors that fmsh brings, each in its world."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fmsh.conformance import ConnectorSuite, World
from fmsh.connectors.base import Attempt, Connector
from fmsh.connectors.files import FileConnector
from fmsh.connectors.http_request import HttpConnector
from fmsh.connectors.process import ProcessConnector
from fmsh.connectors.timer import TimerConnector
from fmsh.values import Duration, Secret
from tests.connectors.http_server import Seen, Server, json_answer, stall
from tests.connectors.loop import attempt_of, process_attempt


class ProcessWorld(World):
    def __init__(self, directory: Path) -> None:
        super().__init__()
        self._directory = str(directory)

    def open(self) -> Connector:
        loop = self.loop
        return ProcessConnector(f"{self._directory}/fx", loop.watch, loop.unwatch, str, loop.after)

    def quick(self) -> Attempt:
        return process_attempt(["true"], id=self.next_id())

    def slow(self) -> Attempt:
        id = self.next_id()
        script = f"touch {self._directory}/{id.step}; exec sleep 300"
        return process_attempt(["sh", "-c", script], id=id)

    def bad(self) -> list[Attempt]:
        commands = ["no such command", "", "a\0b", "/", self._directory]
        gone = process_attempt(["true"], id=self.next_id(), directory="/no/such/directory")
        return [gone, *(process_attempt([command], id=self.next_id()) for command in commands)]

    def await_begun(self, attempt: Attempt) -> None:
        path = f"{self._directory}/{attempt.id.step}"
        self.loop.run_until(lambda: os.path.exists(path), poll_s=0.01)


class TimerWorld(World):
    def open(self) -> Connector:
        return TimerConnector(self.loop.after, self)

    def wall_ms(self) -> int:
        return int(time.time() * 1000)

    def boot_ms(self) -> int:
        return int(time.clock_gettime(time.CLOCK_BOOTTIME) * 1000)

    def quick(self) -> Attempt:
        return attempt_of("sleep", {"duration": Duration(10**6)}, id=self.next_id())

    def slow(self) -> Attempt:
        return attempt_of("sleep", {"until": datetime(2999, 1, 1, tzinfo=UTC)}, id=self.next_id())

    def bad(self) -> list[Attempt]:
        return []


class HttpWorld(World):
    def __init__(self) -> None:
        super().__init__()
        self._quick, self._slow = Server(json_answer("1")), Server(stall)

    def open(self) -> Connector:
        return HttpConnector(str, lambda: lambda text: Secret((text,)))

    def quick(self) -> Attempt:
        return attempt_of("request", {"method": "POST", "url": self._quick.url}, id=self.next_id())

    def slow(self) -> Attempt:
        id = self.next_id()
        return attempt_of("request", {"method": "POST", "url": f"{self._slow.url}/{id.step}"}, id=id)

    def bad(self) -> list[Attempt]:
        requests: list[dict[str, object]] = [
            {"url": "not an address"},
            {"url": "http://127.0.0.1:1/"},
            {"url": self._quick.url, "body": {"x": float("nan")}},
            {"url": self._quick.url, "headers": {"a b": "c"}},
        ]
        return [attempt_of("request", {"method": "POST"} | request, id=self.next_id()) for request in requests]

    def await_begun(self, attempt: Attempt) -> None:
        def is_target(seen: Seen) -> bool:
            return seen.target == f"/{attempt.id.step}"

        self.loop.run_until(lambda: any(map(is_target, self._slow.seen)), poll_s=0.01)

    def is_unknowable(self) -> bool:
        return True

    def close(self) -> None:
        super().close()
        self._quick.close()
        self._slow.close()


class FileWorld(World):
    """A named pipe that nobody reads is what does not end by itself."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self._directory = str(directory)
        os.mkfifo(f"{self._directory}/pipe")

    def open(self) -> Connector:
        return FileConnector(str)

    def quick(self) -> Attempt:
        return self._write("file")

    def slow(self) -> Attempt:
        return self._write("pipe")

    def bad(self) -> list[Attempt]:
        return [self._write(path) for path in ("no/such/file", ".", "/", "pipe/x", "n" * 300)]

    def _write(self, path: str) -> Attempt:
        arguments: dict[str, object] = {"path": path, "data": "text", "append": False}
        return attempt_of("write", arguments, id=self.next_id(), directory=self._directory)

    def is_unknowable(self) -> bool:
        return True


class TestFile(ConnectorSuite):
    @pytest.fixture
    def world(self, tmp_path: Path) -> Iterator[FileWorld]:
        world = FileWorld(tmp_path)
        yield world
        world.close()


class TestProcess(ConnectorSuite):
    @pytest.fixture
    def world(self, tmp_path: Path) -> Iterator[ProcessWorld]:
        world = ProcessWorld(tmp_path)
        yield world
        world.close()


class TestProcessWithoutPidfd(ConnectorSuite):
    """As on macOS and old kernels, where the end of a process has to be asked for."""

    @pytest.fixture
    def world(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ProcessWorld]:
        monkeypatch.delattr(os, "pidfd_open")
        world = ProcessWorld(tmp_path)
        yield world
        world.close()


class TestTimer(ConnectorSuite):
    @pytest.fixture
    def world(self) -> Iterator[TimerWorld]:
        world = TimerWorld()
        yield world
        world.close()


class TestHttp(ConnectorSuite):
    @pytest.fixture
    def world(self) -> Iterator[HttpWorld]:
        world = HttpWorld()
        yield world
        world.close()
