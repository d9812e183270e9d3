"""A process that has imported fmsh and becomes it, again and again: `python -m tests.torture.zygote FD TTL_S`.

A start of fmsh costs a tenth of a second and one of its daemon half a second, nearly all of it imports. Here they are
paid once: for each request on the socket FD a child is forked, which then is a process of fmsh like any other, with its
own arguments, environment, descriptors and session. What nobody can hurry in earnest can be set for a child: how long
a stopped owner keeps its leases (TTL_S, 0 for the real one), the clocks (`TORTURE_CLOCK`, a file with the offsets of
the wall clock and of the boot clock in milliseconds), and `TORTURE_TIMES`, a file that gets the time of each write to
the store.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import json
import os
import select
import signal
import socket
import sys
import termios
import time
from collections.abc import Callable
from typing import Any

MESSAGE_BYTES_MAX = 1 << 20
PRELOADED = """fmsh.cli fmsh.shell.script fmsh.shell.foreground fmsh.assembly fmsh.daemon.command fmsh.daemon.server
fmsh.daemon.activate fmsh.engine.service fmsh.engine.adopting fmsh.engine.replay fmsh.engine.snapshots fmsh.store.inbox
fmsh.store.deletion fmsh.connectors.process fmsh.connectors.http_request fmsh.connectors.callback fmsh.connectors.timer
fmsh.child_jobs fmsh.builtins.table fmsh.jobs.command fmsh.render.errors fmsh.shell.daemon fmsh.lang.runtime
fmsh.lang.parser uvicorn.protocols.http.h11_impl uvicorn.lifespan.on uvicorn.loops.asyncio logging.handlers asyncio
http.client""".split()  # noqa: SIM905 - names in lines read better than a column of strings


def main(fd: str, ttl_s: str) -> None:
    if float(ttl_s):
        import fmsh.store.base

        fmsh.store.base.RENEWAL_TTL_S = float(ttl_s)
    for name in PRELOADED:
        __import__(name)
    gc.collect()
    gc.freeze()
    asked = socket.socket(fileno=int(fd))
    woken, wake = os.pipe()
    for end in (woken, wake):
        os.set_blocking(end, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake)
    asked.send(b'{"ready": true}')
    while True:
        ready, _, _ = select.select([asked, woken], [], [])
        if woken in ready:
            os.read(woken, 4096)
            bury(asked)
        if asked in ready:
            message, fds, _, _ = socket.recv_fds(asked, MESSAGE_BYTES_MAX, 8)
            if not message:
                return
            request = json.loads(message)
            pid = os.fork()
            if pid == 0:
                asked.close()
                become(request, fds)
            for each in fds:
                os.close(each)
            asked.send(json.dumps({"started": request["number"], "pid": pid}).encode())


def bury(asked: socket.socket) -> None:
    """Tells of the children that have ended."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        asked.send(json.dumps({"ended": pid, "status": os.waitstatus_to_exitcode(status)}).encode())


def become(request: dict[str, Any], fds: list[int]) -> None:
    """Becomes a process of fmsh, and ends."""
    status = 70
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        for number, fd in enumerate(fds):
            os.dup2(fd, number)
        os.closerange(3, 256)
        if os.isatty(0):
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        os.environ.clear()
        os.environ.update(request["environment"])
        os.chdir(request["directory"])
        time.tzset()
        sys.stdin = open(0, closefd=False)  # noqa: SIM115
        sys.stdout, sys.stderr = (open(fd, "w", closefd=False) for fd in (1, 2))  # noqa: SIM115
        if "TORTURE_CLOCK" in os.environ:
            offset_clocks(os.environ.pop("TORTURE_CLOCK"))
        if "TORTURE_TIMES" in os.environ:
            note_times(os.environ.pop("TORTURE_TIMES"))
        from fmsh.cli import run

        status = run(request["arguments"])
    except BaseException as fault:
        with contextlib.suppress(OSError):
            os.write(2, f"the process ended with {fault!r}\n".encode())
    finally:
        os._exit(status)


def offset_clocks(path: str) -> None:
    """Lets a file say by how many milliseconds the wall clock and the boot clock are off."""
    wall_ns, boot_ns = time.time_ns, time.clock_gettime_ns

    def offset_ns(which: int) -> int:
        with open(path) as file:
            return int(file.read().split()[which]) * 10**6

    time.time_ns = lambda: wall_ns() + offset_ns(0)
    time.time = lambda: time.time_ns() / 1e9
    time.clock_gettime_ns = lambda clock: boot_ns(clock) + offset_ns(1)


def note_times(path: str) -> None:
    """Adds what happened and how long it took in milliseconds, a line for each write to the store."""
    from fmsh.store.sqlite import SqliteStore

    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            began_s = time.monotonic()
            outcome = name
            try:
                return function(*arguments, **named)
            except Exception as fault:
                outcome = type(fault).__name__
                raise
            finally:
                os.write(log, f"{outcome} {(time.monotonic() - began_s) * 1000:.3f}\n".encode())

        return call

    for name in ("create_job", "commit"):
        setattr(SqliteStore, name, timed(name, getattr(SqliteStore, name)))


if __name__ == "__main__":
    main(*sys.argv[1:])
