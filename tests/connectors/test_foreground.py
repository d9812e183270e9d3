"""Processes at a real terminal: who owns it, whose signals they are, and what is left of its modes."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


class AtTerminal:
    """The driver in a session of its own on a fresh terminal; `shown` is what appears on it, `told` what it reports."""

    def __init__(self, fx_directory: str, command: str) -> None:
        self.master, slave = pty.openpty()
        self._reports, told = os.pipe()
        argv = [sys.executable, "-m", "tests.connectors.terminal_driver", fx_directory, command]
        shell = 'exec 3>&"$0" "$@"'  # the report's descriptor becomes 3, whatever its number was
        self.process = subprocess.Popen(
            ["bash", "-c", shell, str(told), *argv],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            pass_fds=[told],
            cwd=Path(__file__).parents[2],
            preexec_fn=_own_terminal,
        )
        os.close(slave)
        os.close(told)
        self.shown = self.told = ""

    def read_until(self, is_there: Callable[[], bool], timeout_s: float = 10.0) -> None:
        deadline = time.monotonic() + timeout_s
        sources = [self.master, self._reports]
        while not is_there():
            assert sources and time.monotonic() < deadline, f"shown: {self.shown!r}, told: {self.told!r}"
            for source in select.select(sources, [], [], 0.2)[0]:
                data = _read(source)
                if not data:
                    sources.remove(source)
                elif source == self.master:
                    self.shown += data
                else:
                    self.told += data

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self._reports)


def _own_terminal() -> None:
    import fcntl
    import termios

    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _read(fd: int) -> str:
    try:
        return os.read(fd, 4096).decode()
    except OSError:
        return ""


@pytest.fixture
def at_terminal(tmp_path: Path) -> Iterator[Callable[[str], AtTerminal]]:
    opened: list[AtTerminal] = []

    def start(command: str) -> AtTerminal:
        opened.append(AtTerminal(str(tmp_path / f"fx{len(opened)}"), command))
        return opened[-1]

    yield start
    for terminal in opened:
        terminal.close()


Start = Callable[[str], AtTerminal]

STAT = "cut -d' ' -f5,8 /proc/$$/stat"  # its process group, and the one that owns the terminal


def test_a_displayed_command_owns_the_terminal_and_gives_it_back(at_terminal: Start) -> None:
    terminal = at_terminal(f"echo groups $({STAT}); read -r line; echo got $line; exit 4")
    terminal.read_until(lambda: "groups" in terminal.shown and "\n" in terminal.shown.partition("groups")[2])
    own, owner = terminal.shown.partition("groups")[2].split()[:2]
    assert own == owner
    terminal.type("typed\n")
    terminal.read_until(lambda: terminal.told.count("\n") == 2)
    assert "got typed" in terminal.shown
    assert terminal.told == "owner echo\n[4]\n"


def test_ctrl_c_goes_to_the_program_alone(at_terminal: Start) -> None:
    # Not in sh: dash forgets a signal that comes while it starts a program.
    program = "import signal, time; signal.signal(2, signal.SIG_DFL); print('ready', flush=True); time.sleep(300)"
    terminal = at_terminal(f'exec {sys.executable} -I -c "{program}"')
    terminal.read_until(lambda: "ready" in terminal.shown)
    terminal.type("\x03")
    terminal.read_until(lambda: terminal.told.count("\n") == 2)
    assert terminal.told == f"owner echo\n[{128 + signal.SIGINT}]\n"


def test_modes_of_a_killed_program_are_put_back_and_those_of_an_ended_one_stay(at_terminal: Start) -> None:
    killed = at_terminal("stty -echo; kill -KILL $$")
    killed.read_until(lambda: killed.told.count("\n") == 2)
    assert killed.told == "owner echo\n[137]\n"
    ended = at_terminal("stty -echo; true")
    ended.read_until(lambda: ended.told.count("\n") == 2)
    assert ended.told == "owner silent\n[0]\n"


def test_a_stopped_program_gives_the_terminal_back_and_goes_on_with_its_modes(at_terminal: Start) -> None:
    terminal = at_terminal("stty -echo; echo ready; read -r line; echo again $line; stty -a | grep -o -e '-echo '")
    terminal.read_until(lambda: "ready" in terminal.shown)
    terminal.type("\x1a")
    terminal.read_until(lambda: "stopped" in terminal.told)
    terminal.type("more\n")
    terminal.read_until(lambda: terminal.told.count("\n") == 3)
    assert "again more" in terminal.shown and "-echo" in terminal.shown
    assert terminal.told == "stopped owner echo\nowner silent\n[0]\n"


def test_a_program_survives_the_kill_of_its_shell(at_terminal: Start, tmp_path: Path) -> None:
    done = tmp_path / "done"
    terminal = at_terminal(f"trap '' HUP; echo ready; while [ ! -e {tmp_path}/go ]; do sleep 0.02; done; touch {done}")
    terminal.read_until(lambda: "ready" in terminal.shown)
    terminal.process.kill()
    terminal.process.wait()
    (tmp_path / "go").touch()
    status = tmp_path / "fx0" / "0a1b2c" / "1-1" / "status.new"
    deadline = time.monotonic() + 5
    while not (done.exists() and status.read_bytes().startswith(b"0 0\n")):
        assert time.monotonic() < deadline, "the program did not end"
        select.select([], [], [], 0.02)
