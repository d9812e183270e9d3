"""TERM, HUP, INT and a reader that has gone, for fmsh at a real terminal, at any moment from its first import on."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

from tests.cli.shell import ROOT, Shell
from tests.torture.rows import Counts, Row, Trial, Verdict, over

HOLDERS = 4
MOMENT_S = 0.7  # a start takes a tenth of a second, on a busy machine several
ENDED_S_MAX = 2.0
SAID_S_MAX = 5.0
BEFORE_US = "an interpreter that starts itself"

SLEEPING = "sleep 5s"
CAPTURING = "let x = sh -c 'sleep 5'"
COMPUTING = "while true { }"
AT_TERMINAL = 'sh -c "stty -echo -icanon; echo ready; exec sleep 5"'
IN_CLEANUP = "undo { sh -c 'true' }; defer { echo deferred }; sleep 5s"
TALKING = "while true { echo y; sleep 2ms }"
TALKING_PROGRAM = "yes"
PROMPT = ""
TEXTS = {
    "TERM": (SLEEPING, CAPTURING, COMPUTING, AT_TERMINAL, IN_CLEANUP, PROMPT),
    "HUP": (SLEEPING, CAPTURING, AT_TERMINAL, IN_CLEANUP, PROMPT),
    "INT": (SLEEPING, CAPTURING, COMPUTING, AT_TERMINAL, IN_CLEANUP),
    "KEY": (SLEEPING, CAPTURING, COMPUTING, AT_TERMINAL, IN_CLEANUP),
    "PIPE": (TALKING, TALKING_PROGRAM),
}
WAYS = ("TERM", "HUP", "PIPE", "INT", "TERM", "HUP", "PIPE", "KEY")  # INT by both of its ways
STATUSES = {"TERM": (130, 143, -15), "HUP": (129, 130, -1), "INT": (130, -2), "KEY": (130, -2), "PIPE": (141,)}


class Holder:
    """A terminal with a process that holds it. `said` is all that was written to it."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self.shell = Shell(directory)
        master, slave = pty.openpty()
        ours_in, theirs_out = os.pipe()
        theirs_in, ours_out = os.pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.torture.terminal_holder", str(theirs_in), str(theirs_out)],
            cwd=directory, stdin=slave, stdout=slave, stderr=slave, pass_fds=[theirs_in, theirs_out],
            start_new_session=True, env=os.environ | {"PYTHONPATH": ROOT},
        )  # fmt: skip
        for fd in (slave, theirs_in, theirs_out):
            os.close(fd)
        self._orders, self._reports = open(ours_out, "w"), open(ours_in)  # noqa: SIM115
        self._master = master
        self.said = b""
        self._drain = threading.Thread(target=self._read, daemon=True)
        self._drain.start()

    def run(self, way: str, text: str, after_s: float, **environment: str) -> Any:
        order = {
            "arguments": ["-c", text] if text else [],
            "environment": self.shell.environment | {"TERM": "xterm"} | environment,
            "way": way,
            "after_s": after_s,
        }
        self._orders.write(json.dumps(order) + "\n")
        self._orders.flush()
        return json.loads(self._reports.readline())

    def close(self) -> None:
        self._orders.close()
        self._process.wait(30)
        self.shell.end()
        self._drain.join(10)
        os.close(self._master)
        self._reports.close()

    def _read(self) -> None:
        try:
            while data := os.read(self._master, 65536):
                self.said = (self.said + data)[-100_000:]
        except OSError:  # the last one at the terminal has gone
            return


def run(trial: Trial) -> Verdict:
    """`count` signals of each of the four kinds."""
    shares = [range(first, trial.count * 4, HOLDERS) for first in range(HOLDERS)]
    seeds = [trial.choose.randrange(1 << 30) for _ in shares]
    with ThreadPoolExecutor(HOLDERS) as holders:
        told = list(holders.map(_at_one_terminal, [trial] * HOLDERS, range(HOLDERS), shares, seeds))
    violations = [violation for found, _ in told for violation in found]
    took = [each for _, times in told for each in times]
    late = [late for took_s, what in took for late in over(ENDED_S_MAX, took_s, what)]
    before_us = sum(what == BEFORE_US for _, what in took)
    worst = f"ended after {max(took)[0]:.2f} s at most; {len(violations)} broken"
    if before_us:
        worst += f"; {before_us} came before the interpreter had begun with fmsh"
    return Verdict(trial.count * 4, worst, violations, late)


def _at_one_terminal(trial: Trial, number: int, turns: range, seed: int) -> tuple[list[str], list[tuple[float, str]]]:
    holder, choose = Holder(trial.directory / f"terminal-{number}"), Random(seed)
    violations, took = list[str](), list[tuple[float, str]]()
    try:
        for turn in turns:
            way = WAYS[(turn // HOLDERS) % len(WAYS)]
            text = choose.choice(TEXTS[way])
            environment = {"FMSH_NO_DAEMON": "1"} if choose.random() < 0.5 else {}
            report = holder.run(way, text, choose.random() * MOMENT_S, **environment)
            what = f"{way} {environment} at {text or 'the prompt'}"
            if report["status"] == 1:  # what the interpreter says of its end may not have been read yet
                wait(lambda: b"KeyboardInterrupt" in holder.said, SAID_S_MAX)
            if _is_before_our_first_line(holder.said) and report["restored"]:
                took.append((0.0, BEFORE_US))
                holder.said = b""
                continue
            took.append((report["took_s"], what))
            if report["status"] == 0 and report["took_s"] > ENDED_S_MAX:
                continue  # it came in the moment in which a program starts, and was lost: that is told as late
            if report["status"] not in STATUSES[way] or not report["restored"] or not report["given_back"]:
                violations.append(f"{what}: {report}")
            if b"Traceback" in holder.said:
                violations.append(f"{what}: {holder.said[-500:]!r}")
                holder.said = b""
    finally:
        holder.close()
    return violations, took


def wait(is_so: Callable[[], bool], seconds: float) -> None:
    """Waits until something is so, but no longer than that."""
    until_s = time.monotonic() + seconds
    while not is_so() and time.monotonic() < until_s:
        time.sleep(0.01)


def _is_before_our_first_line(said: bytes) -> bool:
    """Whether a Ctrl-C has ended the interpreter while it started itself, or was swallowed by it.

    Nobody but the interpreter can help that.
    """
    _, found, traceback = said.partition(b"Traceback")
    return bool(found) and b"KeyboardInterrupt" in traceback and b"/fmsh/" not in traceback


ROWS = (Row("signals", "ends in 2 s, terminal restored", Counts(4, 60, 500), run),)
