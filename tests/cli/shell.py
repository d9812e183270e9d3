"""Real fmsh processes on a private state directory; all that they start is ended with the test."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pexpect

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TIMEOUT_S = 30.0
POLL_S = 0.01


def until(condition: Callable[[], Any], what: str = "", *, timeout_s: float = TIMEOUT_S) -> Any:
    """Waits for a condition and gives what it gave."""
    give_up_at = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < give_up_at, f"{what or condition} did not come true in {timeout_s} s"
        time.sleep(POLL_S)
    return found


class Result:
    def __init__(self, status: int, out: str, err: str) -> None:
        self.status = status
        self.out = out
        self.err = err

    def __repr__(self) -> str:
        return f"status {self.status}\n--- out\n{self.out}\n--- err\n{self.err}"


class Shell:
    """Runs fmsh. `directory` is where its commands run, unless `cwd` is set to another one."""

    def __init__(self, directory: Path) -> None:
        self.directory = self.cwd = directory
        self.state = directory / "state"
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("FMSH_") and name not in ("NO_COLOR", "COLUMNS")  # what runs the tests may have them
        }
        self.environment |= {
            "FMSH_STATE_DIR": str(self.state),
            "FMSH_RUNTIME_DIR": str(directory / "r"),
            "FMSH_CONFIG_DIR": str(directory / "config"),
            "PYTHONPATH": ROOT,
            "HOME": str(directory),
            "TZ": "UTC",
        }
        self.prefix: list[str] = []  # what runs it as somebody else
        self._started: list[subprocess.Popen[str]] = []
        self._terminals: list[pexpect.spawn] = []

    # -- running

    def command(self, *arguments: str) -> list[str]:
        return [*self.prefix, sys.executable, "-m", "fmsh", *arguments]

    def run(self, *arguments: str, input: str | None = None, **environment: str) -> Result:
        """Runs fmsh to its end."""
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.cwd,
            env=self.environment | environment,
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert "Traceback" not in done.stderr + done.stdout, done.stderr
        return Result(done.returncode, done.stdout, done.stderr)

    def ok(self, *arguments: str, **environment: str) -> str:
        """Runs what must succeed; gives what it wrote."""
        result = self.run(*arguments, **environment)
        assert result.status == 0, result
        return result.out

    def json(self, *arguments: str) -> Any:
        return json.loads(self.ok(*arguments, "--json"))

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """Starts fmsh beside the test."""
        environment = self.environment | options.pop("environment", {})
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
        process = subprocess.Popen(self.command(*arguments), cwd=self.cwd, env=environment, text=True, **options)
        self._started.append(process)
        return process

    def terminal(self, *arguments: str, dimensions: tuple[int, int] = (24, 200), **environment: str) -> pexpect.spawn:
        """Starts fmsh at a terminal of its own."""
        argv = self.command(*arguments)
        child = pexpect.spawn(
            argv[0],
            argv[1:],
            cwd=str(self.cwd),
            env=self.environment | environment,
            encoding="utf-8",
            timeout=TIMEOUT_S,
            dimensions=dimensions,
        )
        self._terminals.append(child)
        return child

    def script(self, text: str, name: str = "script.fmsh") -> str:
        (self.directory / name).write_text(text)
        return name

    # -- looking

    def file(self, name: str) -> str | None:
        path = self.directory / name
        return path.read_text() if path.exists() else None

    def await_file(self, name: str) -> str:
        """Waits until a command has written a whole line into a file."""
        return str(until(lambda: (text := self.file(name)) and text.endswith("\n") and text, f"file {name}"))

    def job(self, number: int | str) -> Any:
        return self.json("jobs", "show", str(number))

    def await_state(self, number: int, *states: str) -> Any:
        def found() -> Any:
            job = self.job(number)
            return job if job["state"] in states else None

        return until(found, f"job {number} to be {states}")

    def await_state_whatever_it_says(self, number: int, *states: str) -> Any:
        """Waits for the state of a job of which `jobs show` may say that it is damaged."""

        def found() -> Any:
            job = json.loads(self.run("jobs", "show", str(number), "--json").out)
            return job if job["state"] in states else None

        return until(found, f"job {number} to be {states}")

    def daemon_status(self) -> Any:
        return json.loads(self.run("daemon", "status", "--json").out)

    # -- the end

    def end(self) -> None:
        """Kills, by their ids, all processes that have our state directory in their environment."""
        for terminal in self._terminals:
            terminal.close(force=True)
        while pids := self._pids():
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            for process in self._started:
                process.poll()
            time.sleep(POLL_S)
        for process in self._started:
            process.communicate(timeout=10)

    def _pids(self) -> list[int]:
        mark = f"FMSH_STATE_DIR={self.state}\0".encode()
        found = []
        for name in os.listdir("/proc"):
            try:
                if name.isdigit() and mark in Path(f"/proc/{name}/environ").read_bytes():
                    found.append(int(name))
            except OSError:
                continue
        return found


@contextmanager
def a_shell() -> Iterator[Shell]:
    """A shell in a short directory of its own: the path of a socket is limited."""
    directory = Path(tempfile.mkdtemp(prefix="fmsh-"))
    shell = Shell(directory)
    try:
        yield shell
    finally:
        shell.end()
        shutil.rmtree(directory)
