"""A process that starts one attempt, and may be killed at a chosen point.

    python -m tests.connectors.starter FX LOG KILL_AT ONCE

KILL_AT: the number of the operating-system call (of CALLS) made by `start` before which it kills itself with SIGKILL;
"spawned": right after `start`; "running": when the command runs; "none": it waits for the outcome. It prints the number
of calls that `start` made.
"""

from __future__ import annotations

import os
import signal
import sys

from fmsh.connectors.process import ProcessConnector
from tests.connectors.loop import Loop, process_attempt

CALLS = (
    "mkdir",
    "open",
    "flock",
    "write",
    "pwrite",
    "link",
    "fsync",
    "fdatasync",
    "posix_fallocate",
    "posix_spawn",
)  # all that change the world
EFFECT = 'echo ran >> "$LOG"; echo out; echo err >&2'


def effect_attempt(log: str, **changes: object) -> object:
    """A command that leaves a line in LOG, then waits until the file LOG.go is there, if LOG.wait is."""
    script = f'{EFFECT}; while [ -e "$LOG.wait" ] && [ ! -e "$LOG.go" ]; do sleep 0.01; done; exit 3'
    environment: dict[str, object] = {"PATH": os.environ["PATH"], "LOG": log}
    return process_attempt(["sh", "-c", script], environment=environment, **changes)  # type: ignore[arg-type]


def main(fx_directory: str, log: str, kill_at: str, is_once: str) -> None:
    loop = Loop()
    connector = ProcessConnector(fx_directory, loop.watch, loop.unwatch, str, loop.after)
    calls = 0

    def count(_frame: object, event: str, called: object) -> None:
        nonlocal calls
        if event == "c_call" and getattr(called, "__name__", None) in CALLS:
            calls += 1
            if str(calls) == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    attempt = effect_attempt(log, is_once=is_once == "once")
    sys.setprofile(count)
    connector.start(attempt, loop.post)  # type: ignore[arg-type]
    sys.setprofile(None)
    if kill_at == "spawned":
        os.kill(os.getpid(), signal.SIGKILL)
    if kill_at == "running":
        loop.run_until(lambda: os.path.exists(log))
        os.kill(os.getpid(), signal.SIGKILL)
    loop.outcome_of(attempt.id)  # type: ignore[attr-defined]
    print(calls)


if __name__ == "__main__":
    main(*sys.argv[1:])
