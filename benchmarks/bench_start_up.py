"""What it costs to start fmsh for one line, beside the interpreter alone, as whole processes in one run.

Measures the `fmsh` that is installed beside the interpreter that runs this: a wheel in a virtual environment,
with its compiled files. Exits with 1 above a limit.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time

RUNS = 40
RATIO_MAX = 3.5


def main() -> int:
    fmsh = os.path.join(os.path.dirname(sys.executable), "fmsh")
    if not os.path.exists(fmsh):
        print(f"install fmsh into the environment of {sys.executable} first")
        return 2
    bare = [sys.executable, "-I", "-c", "pass"]
    with tempfile.TemporaryDirectory() as directory:
        environment = os.environ | {"FMSH_STATE_DIR": directory, "FMSH_NO_DAEMON": "1"}
        results = [compare(bare, [fmsh, "-c", text], environment) for text in ("true", "^true", "echo hello")]
    return 0 if all(results[:1]) else 1


def compare(bare: list[str], command: list[str], environment: dict[str, str]) -> bool:
    """Runs both in turn; prints the medians and their ratio."""
    bare_s, command_s = [], []
    for _ in range(RUNS):
        bare_s.append(seconds(bare, environment))
        command_s.append(seconds(command, environment))
    bare_ms, command_ms = statistics.median(bare_s) * 1000, statistics.median(command_s) * 1000
    ratio = command_ms / bare_ms
    verdict = "good" if ratio <= RATIO_MAX else "BAD"
    shown = " ".join(["fmsh", *command[1:]])
    figures = f"{command_ms:.1f} ms, python alone {bare_ms:.1f} ms, ratio {ratio:.2f}"
    print(f"{verdict:<5} {shown}: {figures} (limit {RATIO_MAX})")
    return ratio <= RATIO_MAX


def seconds(command: list[str], environment: dict[str, str]) -> float:
    begin = time.perf_counter()
    subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - begin


if __name__ == "__main__":
    sys.exit(main())
