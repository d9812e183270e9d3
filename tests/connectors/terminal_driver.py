"""Runs one displayed command at a terminal, as a shell does, and tells what it sees on descriptor 3.

    python -m tests.connectors.terminal_driver FX COMMAND

It must be the leader of a session whose terminal is its standard input.
"""

from __future__ import annotations

import os
import signal
import sys
import termios

from fmsh.connectors.base import AttemptId, Terminal
from fmsh.connectors.process import ProcessConnector
from tests.connectors.loop import Loop, process_attempt


def tell(*words: object) -> None:
    os.write(3, (" ".join(map(str, words)) + "\n").encode())


def echoes() -> bool:
    return bool(termios.tcgetattr(0)[3] & termios.ECHO)


def main(fx_directory: str, command: str) -> None:
    signal.signal(signal.SIGINT, lambda *_: tell("interrupted"))
    loop = Loop()

    def stopped(id: AttemptId) -> None:
        tell("stopped", "owner" if os.tcgetpgrp(0) == os.getpgrp() else "other", "echo" if echoes() else "silent")
        connector.resume(id, in_foreground=True)

    connector = ProcessConnector(fx_directory, loop.watch, loop.unwatch, str, loop.after, stopped)
    attempt = process_attempt(["sh", "-c", command], output="display", terminal=Terminal(0, 1, 2, True))
    connector.start(attempt, loop.post)
    outcome = loop.outcome_of(attempt.id)
    tell("owner" if os.tcgetpgrp(0) == os.getpgrp() else "other", "echo" if echoes() else "silent")
    tell(outcome.value["statuses"])  # type: ignore[union-attr]


if __name__ == "__main__":
    main(*sys.argv[1:])
