"""The line that tells what the job in the foreground is at, and goes away."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from tests.cli.screen import Screen
from tests.cli.shell import Shell, until
from tests.connectors.http_server import Server, answer

HALF = 512 * 1024  # whole pieces, as they are read
UPLOAD_BYTES = 30_000_000  # more than sockets hold
LONG_ENOUGH_S = 0.8  # for the line to come


class Held:
    """A server that moves half of a file, and the rest when it is let go."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.file = b"x" * 2 * HALF
        head = answer(200, self.file)[: -len(self.file)]

        def send(connection: socket.socket) -> None:
            connection.sendall(head + self.file[:HALF])
            self.go.wait()
            connection.sendall(self.file[HALF:])

        self.server = Server(send)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        self.upload_url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._take, daemon=True).start()

    def _take(self) -> None:
        """Reads the body of one request, but not before it may."""
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return
        self.go.wait()
        reader = connection.makefile("rb")
        while reader.readline().strip():
            pass
        reader.read(UPLOAD_BYTES)
        connection.sendall(answer(200, "taken", "text/plain"))
        connection.close()

    def close(self) -> None:
        self.go.set()
        self.server.close()
        self._listener.close()


@pytest.fixture
def held() -> Iterator[Held]:
    held = Held()
    yield held
    held.close()


def test_a_download_is_told_of_while_it_lasts(shell: Shell, held: Held) -> None:
    script = f"printf first; GET {held.server.url} --save big.iso; echo done"
    at = Screen(shell, "-c", script)
    shown = at.see(r"^big\.iso  \[#{10,15}-{10,15}\] +50%  524 KB of 1\.05 MB")
    assert shown.split("\n")[0] == "first"
    held.go.set()
    assert at.see("^done$") == "first\ndone"
    until(lambda: not at.child.isalive(), "its end")
    assert (shell.directory / "big.iso").read_bytes() == held.file


def test_an_upload_and_what_is_shown_beside_it(shell: Shell, held: Held) -> None:
    (shell.directory / "up.bin").write_bytes(bytes(UPLOAD_BYTES))
    script = f"""
      let sent = spawn {{ PUT {held.upload_url} --file up.bin }}
      sleep 1s
      print said
      printf written
      await $sent
    """
    at = Screen(shell, "-c", script, columns=100)
    at.see(r"^up\.bin  \[#*-+\]  +\d+%  .* of 30\.0 MB")
    at.see(r"\Asaid\nwritten\nup\.bin ")
    held.go.set()
    assert at.see("^taken$") == "said\nwritten\ntaken"


def test_a_sleep_and_the_pause_before_a_next_try_are_counted_down(shell: Shell) -> None:
    busy = Server(lambda connection: connection.sendall(answer(503, "busy")))
    at = Screen(shell, "-c", f"print begun; sleep 1500ms; GET {busy.url} --retry 9")
    at.see(r"\Abegun\nsleep 1s500ms  1s left$")
    at.see(rf"\Abegun\nGET {busy.url}.* was answered with 503 .*; try \d in \d+s$")
    at.type("\x03")
    assert at.see("^cancelled$") == "begun\ncancelled"
    busy.close()


def test_work_at_the_same_time_is_counted(shell: Shell) -> None:
    at = Screen(shell, "-c", '1..5 | each --parallel 2 { |n| let x = ^sh -c "until [ -e go$n ]; do sleep .05; done" }')
    at.see(r"\A0 of 5 done, 2 at once  sh -c until \[ -e go[12] \].*  \d+s$")
    for number in (1, 2, 3):
        (shell.directory / f"go{number}").touch()
    at.see(r"\A3 of 5 done, 2 at once  sh -c until \[ -e go[45] \]")
    for number in (4, 5):
        (shell.directory / f"go{number}").touch()
    until(lambda: not at.child.isalive(), "its end")
    assert at.see(r"\A\Z") == ""


def test_output_without_a_line_end_stays_above_it(shell: Shell) -> None:
    at = Screen(shell, "-c", "printf ab; sleep 1h")
    at.see(r"\Aab\nsleep 1h  ")
    at.type("\x03")
    assert at.see("^cancelled$").startswith("ab\n")


def test_what_waits_for_others_says_for_what(shell: Shell) -> None:
    at = Screen(shell, "-c", "let hook = callback; lock deploys { await $hook --timeout 1h }")
    at.see(r"^callback hook  59m 5\ds left$")
    beside = Screen(shell, "-c", "lock deploys { print free }")
    beside.see(r"^lock deploys  \d+s$")
    at.type("\x03")
    beside.see(r"\Afree\Z")


def test_a_key_that_ends_a_job_has_a_line_of_its_own(shell: Shell) -> None:
    at = Screen(shell, "-c", "undo { print undone }; print begun; sleep 1h")
    at.see("^begun$")
    at.type("\x03")
    assert at.see("^cancelled$") in ("begun\n^C\nundone\ncancelled", "begun\nundone\ncancelled")


def test_who_follows_a_job_sees_what_it_waits_for(shell: Shell) -> None:
    shell.ok("-d", "-c", "print begun; let news = await (inbox news); print $news; sleep 1h")
    at = Screen(shell, "jobs", "attach", "1")
    at.see(r"\Abegun\ninbox news$")
    shell.ok("jobs", "signal", "1", "news", "5")
    at.see(r"\Abegun\n5\nsleep until .*\d$")
    at.type("\x03")
    at.see(r"\Abegun\n5\n(\^C\n)?cancelled\Z")


def test_it_is_not_shown_without_a_terminal_nor_in_json(shell: Shell) -> None:
    def send(connection: socket.socket) -> None:
        data = answer(200, b"x" * 100)
        connection.sendall(data[:-50])
        threading.Event().wait(LONG_ENOUGH_S)
        connection.sendall(data[-50:])

    server = Server(send)
    script = f"GET {server.url} --save f"
    piped = shell.start("-c", script)
    at = shell.terminal("--json", "-c", script)
    assert "\r\x1b[K" not in at.read() and "f  [" not in str(at.before)
    assert piped.communicate() == ("", "")
    server.close()
