"""What `fmsh -c` imports: the start-up budget is spent on modules, so each that comes in has to be asked for here."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import apsw
import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PROGRAM = """
import sys
before = set(sys.modules)
from fmsh.cli import run
status = run(["-c", sys.argv[1]])
sys.stderr.write(f"{status} " + " ".join(set(sys.modules) - before))
"""
# What else than fmsh a line needs that runs one process: the store, hashing, waiting, and the small print of Python.
ALLOWED = frozenset(
    """__future__ _ast _blake2 _collections _collections_abc _functools _heapq _json _operator _queue _signal _stat apsw
    collections collections.abc encodings.ascii errno fcntl functools genericpath itertools keyword operator os os.path
    posixpath reprlib select stat termios types zlib _abc abc""".split()  # noqa: SIM905 - names in lines read better than a column of strings
)
COSTLY = frozenset(
    """argparse asyncio dataclasses enum httpx json lark logging msgspec pathlib platformdirs re selectors signal socket
    sqlite3 starlette subprocess threading typing uvicorn""".split()  # noqa: SIM905 - names in lines read better than a column of strings
)
LISTENING = frozenset({"_socket"})  # a job that lives for a tenth of a second, as on a busy machine, can be woken
MODULES_MAX = 107  # of fmsh; each costs about 0.2 ms


def imported_by(text: str, directory: Path) -> set[str]:
    site = os.path.dirname(os.path.dirname(os.path.abspath(apsw.__file__ or "")))
    path = os.pathsep.join([ROOT, site])
    environment = os.environ | {"FMSH_STATE_DIR": str(directory), "FMSH_NO_DAEMON": "1", "PYTHONPATH": path}
    command = [sys.executable, "-S", "-c", PROGRAM, text]  # without site, which imports things of its own
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=True
    )
    status, *modules = done.stderr.splitlines()[-1].split()
    assert status == "0", done.stderr
    return set(modules)


@pytest.mark.parametrize("text", ["true", "^true", "echo hello"])
def test_a_line_imports_nothing_that_costs_much(text: str, tmp_path: Path) -> None:
    assert not imported_by(text, tmp_path) & COSTLY


def test_a_line_imports_only_what_is_listed_here(tmp_path: Path) -> None:
    others = {name for name in imported_by("^true", tmp_path) if name.partition(".")[0] != "fmsh"}
    assert others <= ALLOWED | LISTENING, others - ALLOWED


def test_a_line_imports_few_modules_of_our_own(tmp_path: Path) -> None:
    own = [name for name in imported_by("true", tmp_path) if name.partition(".")[0] == "fmsh"]
    assert len(own) <= MODULES_MAX, len(own)
