"""A worker: implements functions that jobs of fmsh call with `invoke`. It needs nothing but Python.

    python examples/worker.py            in one terminal; then in another
    fmsh -c 'invoke word-count "to be or not to be"'

It asks the daemon for a call, works on it, and says what came of it. While it works it says now and then that it is
alive, so that nobody else gets the call. If it dies, another worker gets the call when the lease is over.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections import Counter
from functools import cache
from http.client import HTTPConnection
from typing import Any

LEASE_S = 15


class Retry(Exception):
    """Raised by a function that may succeed when it is tried again."""


def word_count(value: Any) -> Any:
    return Counter(str(value).split())


FUNCTIONS = {"word-count": word_count}


@cache
def control_socket() -> str:
    """Where the daemon listens: fmsh knows."""
    status = subprocess.run(["fmsh", "daemon", "status", "--json"], stdout=subprocess.PIPE, check=True)
    return str(json.loads(status.stdout)["socket"])


class Daemon(HTTPConnection):
    """The daemon of fmsh, on its socket."""

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(control_socket())

    def ask(self, method: str, path: str, value: Any = None) -> tuple[int, Any]:
        self.request(method, path, json.dumps(value) if method == "POST" else None)
        answer = self.getresponse()
        text = answer.read()
        return answer.status, json.loads(text) if text else None


def work(call: dict[str, Any]) -> tuple[str, Any]:
    """Gives the end of the path, and the body, that say what came of a call."""
    try:
        return "result", FUNCTIONS[call["name"]](call["value"])
    except Retry as error:
        return "error", {"message": str(error), "retryable": True}
    except Exception as error:
        return "error", {"message": f"{type(error).__name__}: {error}", "retryable": False}


def serve(name: str, calls_max: int | None) -> None:
    """Works on calls of one function until it is stopped, or has done so many."""
    daemon = Daemon("fmsh")
    done = 0
    while calls_max is None or done < calls_max:
        status, call = daemon.ask("GET", f"/v1/functions/{name}/calls?wait=30s&lease={LEASE_S}s")
        if status == 204:
            continue
        finished = threading.Event()
        beating = threading.Thread(target=beat, args=(call["id"], finished))
        beating.start()
        end, body = work(call)
        finished.set()
        beating.join()
        status, _ = daemon.ask("POST", f"/v1/calls/{call['id']}/{end}", body)
        print(f"{call['id']}: {end}" + ("" if status == 204 else f" came too late ({status})"), file=sys.stderr)
        done += 1


def beat(id: str, finished: threading.Event) -> None:
    while not finished.wait(LEASE_S / 3):
        Daemon("fmsh").ask("POST", f"/v1/calls/{id}/heartbeat?lease={LEASE_S}s")


if __name__ == "__main__":
    serve("word-count", int(sys.argv[1]) if len(sys.argv) > 1 else None)
