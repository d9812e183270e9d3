"""Another user of the machine: `python -m tests.torture.intruder UID STATE RUNTIME PID…`.

Becomes that user, tries all that a stranger could want of somebody's fmsh, and prints, as JSON, how many attempts it
made and which of them worked.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def main(uid: str, state: str, runtime: str, *pids: str) -> None:
    places = [state, runtime, f"{state}/run", f"{state}/fx"]
    files = [os.path.join(top, name) for place in places for top, _, names in os.walk(place) for name in names]
    os.setgroups([])
    os.setgid(int(uid))
    os.setuid(int(uid))
    tried, worked = 0, list[str]()
    for what, attempt in _attempts(places, files, pids):
        tried += 1
        try:
            answer = attempt()
        except OSError:
            continue
        if answer is not False:
            worked.append(f"{what}: {answer!r}"[:200])
    print(json.dumps({"tried": tried, "worked": worked}))


def _attempts(places: list[str], files: list[str], pids: tuple[str, ...]) -> list[tuple[str, Callable[[], Any]]]:
    found: list[tuple[str, Callable[[], Any]]] = []
    for place in places:
        found += [
            (f"make a file in {place}", lambda place=place: Path(place, "planted").touch()),  # type: ignore[misc]
            (f"make a link in {place}", lambda place=place: os.symlink("/etc/passwd", f"{place}/planted")),  # type: ignore[misc]
            (f"move {place}", lambda place=place: os.rename(place, place + ".moved")),  # type: ignore[misc]
            (f"open {place} to all", lambda place=place: os.chmod(place, 0o777)),  # type: ignore[misc]
        ]
    for path in files:
        found += [
            (f"read {path}", lambda path=path: Path(path).read_bytes()),  # type: ignore[misc]
            (f"write {path}", lambda path=path: os.close(os.open(path, os.O_WRONLY))),  # type: ignore[misc]
            (f"lock {path}", lambda path=path: fcntl.flock(os.open(path, os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)),  # type: ignore[misc]
            (f"remove {path}", lambda path=path: os.unlink(path)),  # type: ignore[misc]
            (f"own {path}", lambda path=path: os.chown(path, os.getuid(), -1)),  # type: ignore[misc]
            (f"ask {path}", lambda path=path: ask(path)),  # type: ignore[misc]
            (f"poke {path}", lambda path=path: poke(path)),  # type: ignore[misc]
        ]
    for pid in pids:
        found += [
            (f"kill {pid}", lambda pid=pid: os.kill(int(pid), signal.SIGTERM)),  # type: ignore[misc]
            (f"read the environment of {pid}", lambda pid=pid: Path(f"/proc/{pid}/environ").read_bytes()),  # type: ignore[misc]
            (f"read the memory of {pid}", lambda pid=pid: os.open(f"/proc/{pid}/mem", os.O_RDONLY)),  # type: ignore[misc]
            (f"read the open files of {pid}", lambda pid=pid: os.listdir(f"/proc/{pid}/fd")),  # type: ignore[misc]
        ]
    return found


def ask(path: str) -> bytes | bool:
    """Asks the daemon something. False: it does not answer us."""
    if not path.endswith(".sock"):
        return False
    with socket.socket(socket.AF_UNIX) as ours:
        ours.settimeout(3)
        ours.connect(path)
        ours.sendall(b"GET /v1/status HTTP/1.1\r\nHost: fmsh\r\n\r\n")
        answer = ours.recv(1000)
        return answer if answer.startswith(b"HTTP/1.1 2") else False


def poke(path: str) -> bool | None:
    if not path.endswith(".sock"):
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ours:
        ours.sendto(b"x", path)
    return None


if __name__ == "__main__":
    main(*sys.argv[1:])
