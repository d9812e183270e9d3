"""External commands beside bash, as whole processes in turn: the speed of a pipeline, and of commands in a loop.

A command of fmsh is on disk before it starts, and its outcome before the next does; bash writes nothing. Exits with 1
below a limit.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time

RUNS = 5
PIPED_MIB = 4096
COMMANDS = 500
PIPELINE_MIN = 0.9  # of the bytes/s of bash
LOOP_MIN = 0.2  # of the commands/s of bash

PIPELINE = f"head -c {PIPED_MIB}M /dev/zero | cat | cat > /dev/null"
LOOP_OF_BASH = f"for ((i = 0; i < {COMMANDS}; i++)); do /bin/true; done"
LOOP = f"for i in 0..{COMMANDS - 1} {{ /bin/true }}"


def main() -> int:
    with tempfile.TemporaryDirectory() as directory:
        environment = os.environ | {"FMSH_STATE_DIR": directory, "FMSH_NO_DAEMON": "1"}
        piped = compare(PIPELINE, PIPELINE, environment)
        looped = compare(LOOP_OF_BASH, LOOP, environment)
    is_good = [
        tell(f"a pipeline of {PIPED_MIB} MiB", piped, PIPED_MIB, "MiB/s", PIPELINE_MIN),
        tell(f"{COMMANDS} commands in a loop", looped, COMMANDS, "commands/s", LOOP_MIN),
    ]
    return 0 if all(is_good) else 1


def compare(of_bash: str, of_fmsh: str, environment: dict[str, str]) -> tuple[float, float]:
    """Runs both in turn; gives the medians in seconds."""
    bash_s, fmsh_s = [], []
    for _ in range(RUNS):
        bash_s.append(seconds(["bash", "-c", of_bash], environment))
        fmsh_s.append(seconds([sys.executable, "-m", "fmsh", "-c", of_fmsh], environment))
    return statistics.median(bash_s), statistics.median(fmsh_s)


def tell(what: str, took_s: tuple[float, float], amount: int, unit: str, share_min: float) -> bool:
    of_bash, of_fmsh = amount / took_s[0], amount / took_s[1]
    share = of_fmsh / of_bash
    verdict = "good" if share >= share_min else "BAD"
    print(f"{verdict:<5} {what}: {of_fmsh:,.0f} {unit}, bash {of_bash:,.0f}, share {share:.2f} (limit {share_min})")
    return share >= share_min


def seconds(command: list[str], environment: dict[str, str]) -> float:
    begin = time.perf_counter()
    subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - begin


if __name__ == "__main__":
    sys.exit(main())
