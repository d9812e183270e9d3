"""Runs the release of `release.fmsh` against three local services, and ends everything that it started.

    run.py [SERVICE] [--version VERSION]

Try `--version 2.0.0-broken` (the build fails) and `--version 2.0.0-leaky` (it shows errors once it runs, and is rolled
back). Jobs are kept in a directory of this run alone, unless FMSH_STATE_DIR names another one.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

HERE = os.path.dirname(os.path.abspath(__file__))
FMSH = [sys.executable, "-m", "fmsh"]


@contextmanager
def services() -> Iterator[dict[str, str]]:
    """Starts the services, gives their addresses, and ends them."""
    command = [sys.executable, os.path.join(HERE, "services.py")]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()


@contextmanager
def state(environment: dict[str, str]) -> Iterator[dict[str, str]]:
    """Gives an environment whose jobs are its own, and stops the daemon that was started for them."""
    if "FMSH_STATE_DIR" in environment:
        yield environment
        return
    with tempfile.TemporaryDirectory(prefix="fmsh-example-") as directory:
        private = environment | {"FMSH_STATE_DIR": directory, "FMSH_RUNTIME_DIR": os.path.join(directory, "run")}
        try:
            yield private
        finally:
            subprocess.run([*FMSH, "daemon", "stop"], env=private, stdin=subprocess.DEVNULL, capture_output=True)


def release(service: str, version: str, *, addresses: dict[str, str], environment: dict[str, str]) -> int:
    """Runs the script in the foreground, showing each step as it happens; gives its exit status."""
    with tempfile.TemporaryDirectory(prefix="fmsh-packages-") as out:
        arguments = ["--verbose", "release.fmsh", service, "--version", version, "--out", out]
        for name, address in addresses.items():
            arguments += [f"--{name}", address]
        print("$ fmsh", shlex.join(arguments), flush=True)
        return subprocess.run([*FMSH, *arguments], cwd=HERE, env=environment).returncode


def main() -> int:
    parser = argparse.ArgumentParser(description="Release a service to local services, with fmsh.")
    parser.add_argument("service", nargs="?", default="api")
    parser.add_argument("--version", default="1.4.0")
    options = parser.parse_args()
    with services() as addresses, state(dict(os.environ)) as environment:
        return release(options.service, options.version, addresses=addresses, environment=environment)


if __name__ == "__main__":
    sys.exit(main())
