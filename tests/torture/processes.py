"""Processes of fmsh from a zygote, as a test holds them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from tests.cli.shell import ROOT
from tests.torture.zygote import MESSAGE_BYTES_MAX

WAIT_S = 60.0


class Process:
    """One process of fmsh. `status` is its exit status, or minus the signal that ended it."""

    def __init__(self, pid: int, out: Path | None) -> None:
        self.pid = pid
        self.out = out
        self.status: int | None = None
        self._has_ended = threading.Event()

    def ended(self, status: int) -> None:
        self.status = status
        self._has_ended.set()

    @property
    def is_over(self) -> bool:
        return self._has_ended.is_set()

    def signal(self, number: int) -> None:
        try:
            if not self.is_over:
                os.kill(self.pid, number)
        except ProcessLookupError:  # it ended, and we are about to be told
            return

    def kill(self) -> bool:
        """Kills it with SIGKILL. False: it had ended by itself."""
        self.signal(signal.SIGKILL)
        return self.wait() == -signal.SIGKILL

    def wait(self, timeout_s: float = WAIT_S) -> int:
        assert self._has_ended.wait(timeout_s), f"process {self.pid} did not end in {timeout_s} s: {self.said()[-500:]}"
        assert self.status is not None
        return self.status

    def said(self) -> str:
        """What it wrote to standard output and error."""
        return self.out.read_text(errors="surrogateescape") if self.out is not None and self.out.exists() else ""


class Zygote:
    """Starts processes of fmsh with one environment. All of them are killed by `close`."""

    def __init__(self, directory: Path, environment: Mapping[str, str], *, ttl_s: float = 0.0) -> None:
        self.directory = directory
        self.environment = dict(environment)
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.torture.zygote", str(theirs.fileno()), str(ttl_s)],
            cwd=ROOT, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": environment.get("PYTHONPATH", ROOT)},
        )  # fmt: skip
        theirs.close()
        self._lock = threading.Lock()
        self._processes: dict[int, Process] = {}
        self._answers: dict[int, tuple[threading.Event, Path | None]] = {}
        self._started: dict[int, Process] = {}
        self._count = 0
        assert json.loads(self._socket.recv(MESSAGE_BYTES_MAX)) == {"ready": True}
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def start(self, *arguments: str, stdin: int | None = None, out: int | None = None, **environment: str) -> Process:
        """Starts fmsh in the directory. What it says goes into a file (`said`), or to the descriptor `out`."""
        with self._lock:
            self._count += 1
            number = self._count
            answer = threading.Event()
            path = self.directory / f"said-{os.getpid()}-{id(self)}-{number}" if out is None else None
            self._answers[number] = (answer, path)
        fds = [
            os.open(os.devnull, os.O_RDONLY) if stdin is None else os.dup(stdin),
            os.open(path, os.O_WRONLY | os.O_CREAT, 0o600) if path is not None else os.dup(out or 0),
        ]
        request = {
            "number": number,
            "arguments": arguments,
            "environment": self.environment | environment,
            "directory": str(self.directory),
        }
        try:
            socket.send_fds(self._socket, [json.dumps(request).encode()], [*fds, fds[1]])
        finally:
            for fd in fds:
                os.close(fd)
        assert answer.wait(WAIT_S), "the zygote does not answer"
        return self._started.pop(number)

    def run(self, *arguments: str, **environment: str) -> tuple[int, str]:
        """Runs fmsh to its end: its status, and what it said."""
        process = self.start(*arguments, **environment)
        status = process.wait()
        said = process.said()
        if process.out is not None:
            process.out.unlink()
        return status, said

    def close(self) -> None:
        for process in list(self._processes.values()):
            process.signal(signal.SIGCONT)
            process.kill()
        self._socket.shutdown(socket.SHUT_RDWR)
        self._process.kill()
        self._process.wait()
        self._reader.join()
        self._socket.close()

    def _read(self) -> None:
        while message := self._receive():
            told = json.loads(message)
            if "started" in told:
                answer, path = self._answers.pop(told["started"])
                process = self._started[told["started"]] = self._processes[told["pid"]] = Process(told["pid"], path)
                answer.set()
            elif process := self._processes.pop(told["ended"], None):
                process.ended(told["status"])

    def _receive(self) -> bytes:
        try:
            return self._socket.recv(MESSAGE_BYTES_MAX)
        except OSError:
            return b""
