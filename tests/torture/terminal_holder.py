"""What a login shell does at a terminal: starts fmsh in the foreground, and looks at the terminal when it has ended.

    python -m tests.torture.terminal_holder ORDERS REPORTS

It is the leader of a session; standard input is its terminal. It takes a line of JSON for each run of fmsh from the
descriptor ORDERS (`arguments`, `environment`, `way`, `after_s`), and answers with one on REPORTS: the status, the
seconds from the signal to the end, and whether the terminal is as it was.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import sys
import termios
import time
from typing import Any

ENDED_S_MAX = 20.0
SIGNALS = {"TERM": signal.SIGTERM, "HUP": signal.SIGHUP, "INT": signal.SIGINT}


def main(orders: str, reports: str) -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    with open(int(orders)) as lines, open(int(reports), "w") as answers:
        for line in lines:
            answers.write(json.dumps(run(json.loads(line))) + "\n")
            answers.flush()


def run(order: dict[str, Any]) -> dict[str, Any]:
    before = termios.tcgetattr(0)
    reader, writer = os.pipe() if order["way"] == "PIPE" else (None, 1)
    process = spawn(order, writer)
    pidfd = os.pidfd_open(process)
    if reader is not None:
        os.close(writer)
    time.sleep(order["after_s"])
    began_s = time.monotonic()
    act(order["way"], process, reader)
    is_over = bool(select.select([pidfd], [], [], ENDED_S_MAX)[0])
    took_s = time.monotonic() - began_s
    if not is_over:
        os.kill(process, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    os.close(pidfd)
    was_restored = termios.tcgetattr(0) == before
    owner = os.tcgetpgrp(0)
    os.tcsetpgrp(0, os.getpgrp())
    termios.tcsetattr(0, termios.TCSANOW, before)
    return {"status": status, "took_s": took_s, "restored": was_restored, "given_back": owner == process}


def spawn(order: dict[str, Any], out: int) -> int:
    """Starts fmsh in a process group of its own, and gives it the terminal."""
    argv = [sys.executable, "-m", "fmsh", *order["arguments"]]
    process = os.posix_spawn(
        sys.executable, argv, order["environment"], setpgroup=0, setsigdef=[signal.SIGTTOU, signal.SIGINT],
        file_actions=[(os.POSIX_SPAWN_DUP2, out, 1)],
    )  # fmt: skip
    os.tcsetpgrp(0, process)
    return process


def act(way: str, process: int, reader: int | None) -> None:
    if way == "KEY":  # what the terminal does at a Ctrl-C
        os.killpg(os.tcgetpgrp(0), signal.SIGINT)
    elif reader is not None:
        os.close(reader)
    else:
        os.kill(process, SIGNALS[way])


if __name__ == "__main__":
    main(*sys.argv[1:])
