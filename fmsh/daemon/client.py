"""Short calls of the daemon over its control socket, with nothing but the standard library: 0.3 ms instead of 1.5.

Nobody listening is not a fault but an answer. Somebody who listens and does not answer is a `DaemonError`.
"""

from __future__ import annotations

import json
import socket
import time
from http.client import HTTPConnection, HTTPException, IncompleteRead

from fmsh.daemon.sockets import is_held, short_path
from fmsh.errors import DaemonError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

POLL_S = 0.02
BROKEN_OFF_MAX = 5
BROKEN_OFF = (ConnectionError, IncompleteRead)


class UnixConnection(HTTPConnection):
    """An HTTP connection to a Unix socket, whatever the length of its path."""

    def __init__(self, path: str, *, timeout_s: float) -> None:
        super().__init__("fmsh", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        with short_path(self._path) as short:
            self.sock.connect(short)


def status(socket_path: str, *, timeout_s: float = 5.0) -> dict[str, Any] | None:
    """Gives the status of the daemon that listens there; None: there is none. Raises: DaemonError."""
    return _ask(socket_path, "GET", "/v1/status", timeout_s)


def stop(socket_path: str, *, timeout_s: float = 10.0) -> bool:
    """Asks the daemon to end; waits until it gave up the socket; False if there is none. Raises: DaemonError."""
    give_up_at = time.monotonic() + timeout_s
    answer = _ask(socket_path, "POST", "/v1/stop", timeout_s)
    if answer is None:
        return False
    while is_held(socket_path):
        if time.monotonic() > give_up_at:
            raise DaemonError(f"the daemon (process {answer['pid']}) was asked to end and did not in {timeout_s:g} s")
        time.sleep(POLL_S)
    return True


def _ask(socket_path: str, method: str, path: str, timeout_s: float) -> dict[str, Any] | None:
    """Asks again where the connection was broken off: the daemon has just died, or there is a new one by then."""
    for _ in range(BROKEN_OFF_MAX):
        try:
            return _ask_once(socket_path, method, path, timeout_s)
        except BROKEN_OFF:
            time.sleep(POLL_S)
    raise DaemonError(f"the daemon at {socket_path} breaks its connections off")


def _ask_once(socket_path: str, method: str, path: str, timeout_s: float) -> dict[str, Any] | None:
    connection = UnixConnection(socket_path, timeout_s=timeout_s)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        answer = json.loads(response.read())
    except (FileNotFoundError, ConnectionRefusedError):
        return None
    except BROKEN_OFF:
        raise
    except (OSError, HTTPException, ValueError) as fault:
        raise DaemonError(f"the daemon at {socket_path} does not answer: {fault!r}") from fault
    finally:
        connection.close()
    if response.status >= 400:
        raise DaemonError(f"the daemon answered {response.status}: {answer.get('detail', answer.get('title'))}")
    return dict(answer)
