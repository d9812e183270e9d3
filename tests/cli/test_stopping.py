"""The end of the daemon while others wait at it: each gets an answer, and what they began goes on with the next one."""

from __future__ import annotations

import json
import os
import signal
import socket
from concurrent.futures import Future, ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlsplit

import pytest

from fmsh.daemon.client import UnixConnection
from tests.cli.shell import Shell, until

SERVICE = (
    "let h = callback --many --reply; print $h.url; for r in $h { for x in (inbox go) { break }; reply $r {n: 5} }"
)
LONG_WAIT = "wait=60s"


class Clients:
    """Programs that ask a daemon, each in a thread of its own. An answer: its status and body, or why there is none."""

    def __init__(self, shell: Shell) -> None:
        self.socket = str(json.loads(shell.ok("daemon", "start", "--json"))["socket"])
        self.pool = ThreadPoolExecutor(16)

    def ask(self, path: str, method: str = "GET", body: str | None = None, **headers: str) -> tuple[int, bytes] | str:
        connection: HTTPConnection = UnixConnection(self.socket, timeout_s=30)
        if path.startswith("http:"):
            url = urlsplit(path)
            connection, path = HTTPConnection(str(url.hostname), url.port or 80, timeout=30), url.path
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, HTTPException) as fault:
            return type(fault).__name__
        finally:
            connection.close()

    def begin(self, path: str, method: str = "GET", body: str | None = None, **headers: str) -> Future[Any]:
        return self.pool.submit(self.ask, path, method, body, **headers)


def drip(url: str) -> socket.socket:
    """Sends half a delivery."""
    to = urlsplit(url)
    half = socket.create_connection((str(to.hostname), to.port or 80), timeout=30)
    half.sendall(f"POST {to.path} HTTP/1.1\r\nHost: {to.netloc}\r\nContent-Length: 9\r\n\r\n123".encode())
    return half


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_who_waits_at_a_daemon_that_ends_is_answered_and_loses_nothing(shell: Shell, end: str) -> None:
    clients = Clients(shell)
    shell.ok("-d", "-c", SERVICE)
    shell.ok("-d", "-c", "sh -c 'until [ -e done ]; do sleep 0.05; done'; print finished")
    shell.ok("-d", "-c", "print (invoke double 5)")
    url = until(lambda: shell.ok("jobs", "output", "1").strip())
    terminal = shell.terminal("jobs", "attach", "2")
    leased = json.loads(clients.ask(f"/v1/functions/double/calls?lease=1s&{LONG_WAIT}")[1])
    stream = {"Accept": "text/event-stream"}
    streams = [clients.begin("/v1/jobs/2/events", **stream), clients.begin("/v1/events/t", **stream)]
    polls = [
        clients.begin(f"{path}?{LONG_WAIT}") for path in ("/v1/events/t", "/v1/functions/none/calls", "/v1/jobs/2")
    ]
    delivery = clients.begin(url, "POST", '{"a": 1}')
    half = drip(url)
    until(lambda: any(event["type"] == "InboxTaken" for event in shell.json("jobs", "log", "1")), "the delivery")
    pid = shell.daemon_status()["pid"]
    if end == "stop":
        assert shell.ok("daemon", "stop") == "the daemon has ended\n"
        assert [stream.result()[0] for stream in streams] == [200, 200], "ended as streams end"
        assert b"event: RequestMade" in streams[0].result()[1]
        assert [poll.result()[0] for poll in polls] == [200, 204, 200], "as if the time were over"
        status, body = delivery.result()
        assert status == 503 and b"send it again" in body
        assert (shell.state / "daemon.errors.log").read_text() == ""
        terminal.expect_exact("the daemon was stopped; job 2 goes on with the next")
        assert not shell.daemon_status()["running"]
        shell.ok("daemon", "start")
    else:
        os.kill(pid, signal.SIGKILL)
        assert {type(each.result()) for each in [*streams, *polls, delivery]} == {str}, "broken off"
        until(lambda: shell.daemon_status()["pid"] not in (None, pid), "the daemon that the terminal starts")
    assert half.recv(100) == b"", "it has seen the end, too"
    (shell.directory / "done").touch()
    terminal.expect_exact("finished")
    again = clients.begin(url, "POST", '{"a": 1}')
    shell.ok("jobs", "signal", "1", "go")
    assert again.result() == (200, b'{"n":5}')
    second = json.loads(clients.ask(f"/v1/functions/double/calls?{LONG_WAIT}")[1])
    assert (second["value"], second["attempt"]) == (5, leased["attempt"] + 1)
    late, taken = (clients.ask(f"/v1/calls/{call['id']}/result", "POST", "10")[0] for call in (leased, second))
    assert (late, taken) == (409, 204)
    shell.await_state(3, "succeeded")
    assert shell.ok("jobs", "output", "3") == "10\n"
