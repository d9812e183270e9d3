"""How fast the prompt is: from the start to the first prompt, and from a key to its echo. Exits with 1 above a limit.

At a terminal of its own, in a store with 100,000 lines of history, with colours, suggestions and completion on. Lines
are typed key by key as a person does: the next key comes when the last one was shown and the editor is at rest. Some
are of the history, some of nothing in it; Tab completes in between. The echo is the first that comes after a key.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import select
import signal
import statistics
import struct
import sys
import tempfile
import termios
import time

from bench_engine_steps import judge, program_of

from fmsh.machine import events
from fmsh.shell.session import SOURCE
from fmsh.store.base import NewEvent, NewJob, Summary
from fmsh.store.sqlite import SqliteStore

LINES = 100_000
STARTS = 5
TYPED = 25  # lines
FIRST_PROMPT_MS_MAX = 300.0
P50_MS_MAX, P99_MS_MAX = 7.0, 21.0
REST_S = 0.03
TIMEOUT_S = 20.0
SAMPLES = (
    "git commit -m 'message 77' file",
    "ls /etc | lines | where { $it =~ conf } | count",
    'let found = POST https://ci.local/builds {service: api, tags: ["a", "b"]}',
    "kubectl get pods -l app=api",
    "nosuchcommand --with flags and /etc/passwd",
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--lines", type=int, default=LINES)
    parser.add_argument("--directory", help="where to make the store (default: the temporary directory)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.directory) as directory:
        make_history(f"{directory}/s", arguments.lines)
        starts_ms = [first_prompt_ms(directory) for _ in range(STARTS)]
        echoes_ms = echoes(directory)
    start_ms = statistics.median(starts_ms)
    echoes_ms.sort()
    p50_ms, p99_ms = echoes_ms[len(echoes_ms) // 2], echoes_ms[len(echoes_ms) * 99 // 100]
    is_good = judge("ms to the first prompt (median)", start_ms, start_ms <= FIRST_PROMPT_MS_MAX, FIRST_PROMPT_MS_MAX)
    is_good &= judge(f"ms from a key to its echo, p50 of {len(echoes_ms)}", p50_ms, p50_ms <= P50_MS_MAX, P50_MS_MAX)
    is_good &= judge(f"ms from a key to its echo, p99 of {len(echoes_ms)}", p99_ms, p99_ms <= P99_MS_MAX, P99_MS_MAX)
    return 0 if is_good else 1


def make_history(directory: str, count: int) -> None:
    """Makes ended jobs of a prompt: every third line is one of its own, the others come again and again."""
    store = SqliteStore.open(directory, kind="shell")
    stored, _ = program_of("^true")
    history = [
        NewEvent("JobStarted", 1, events.encode(events.JobStarted(stored.hash, [], "", "/", "UTC", {}))),
        NewEvent("JobEnded", 1, events.encode(events.JobEnded())),
    ]
    row = Summary("succeeded", None, 2, value_json="null", exit_status=0, ended_at_ms=1)
    for number in range(count):
        text = f"git commit -m 'message {number % 5000}' file{number}.txt" if number % 3 else f"make target{number}"
        store.create_job(NewJob(f"uid-{number}", SOURCE, text, 1, stored), history, row, lease=False)
    store.close()


class Terminal:
    """fmsh at a terminal of its own."""

    def __init__(self, directory: str) -> None:
        environment = os.environ | {
            "FMSH_STATE_DIR": f"{directory}/s", "FMSH_RUNTIME_DIR": f"{directory}/r", "FMSH_NO_DAEMON": "1",
            "FMSH_CONFIG_DIR": f"{directory}/c", "TERM": "xterm-256color", "PROMPT_TOOLKIT_NO_CPR": "1",
        }  # fmt: skip
        environment.pop("NO_COLOR", None)
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(directory)  # so that the fmsh that is installed is measured, and not one that lies here
            os.execve(sys.executable, [sys.executable, "-m", "fmsh"], environment)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))

    def read_until(self, text: bytes) -> None:
        seen = b""
        while text not in seen:
            found = self.read(TIMEOUT_S)
            if not found:
                raise SystemExit(f"the terminal did not show {text!r}, but {seen!r}")
            seen += found

    def read(self, timeout_s: float) -> bytes:
        ready = select.select([self.fd], [], [], timeout_s)[0]
        return os.read(self.fd, 65536) if ready else b""

    def press(self, key: str) -> None:
        while self.read(REST_S):
            pass
        os.write(self.fd, key.encode())

    def echo_ms(self, key: str) -> float:
        """Presses a key when nothing is shown any more, and waits until something is."""
        while self.read(REST_S):
            pass
        begin = time.perf_counter()
        os.write(self.fd, key.encode())
        if not self.read(TIMEOUT_S):
            raise SystemExit(f"the key {key!r} was not shown")
        return (time.perf_counter() - begin) * 1000

    def close(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.fd)


def first_prompt_ms(directory: str) -> float:
    begin = time.perf_counter()
    terminal = Terminal(directory)
    terminal.read_until(b" >")
    took_ms = (time.perf_counter() - begin) * 1000
    terminal.close()
    return took_ms


def echoes(directory: str) -> list[float]:
    terminal = Terminal(directory)
    terminal.read_until(b" >")
    took_ms = []
    for number in range(TYPED):
        text = SAMPLES[number % len(SAMPLES)]
        took_ms += [terminal.echo_ms(key) for key in text]
        terminal.press("\x15")  # Ctrl-U
        took_ms += [terminal.echo_ms(key) for key in ("l", "s", " ", "/", "e", "t", "c", "/", "\t")]
        terminal.press("\x15")
    terminal.close()
    return took_ms


if __name__ == "__main__":
    sys.exit(main())
