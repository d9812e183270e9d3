"""Other users of the machine, and links that somebody has put where fmsh writes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.cli.shell import ROOT, Shell, until
from tests.torture.rows import Counts, Row, Trial, Verdict

NOBODY = 65534
PRECIOUS = "precious\n"
# Where fmsh writes, in the state directory and (the last two) in that of the socket.
PLANTED = (
    "store.db", "store.gate", "secret.key", "daemon.log", "daemon.errors.log", "faults.log", "run", "fx",
    "r/control.sock", "r/control.sock.lock",
)  # fmt: skip


def other_users(trial: Trial) -> Verdict:
    """Lets another user try everything, while directories are as fmsh made them, and opened by a mistake of ours."""
    if os.geteuid():
        return Verdict(0, "not tried: only root can become somebody else")
    shell = Shell(trial.directory)
    trial.directory.chmod(0o755)
    tried, violations = 0, list[str]()
    try:
        assert shell.run("secret", "set", "KEY", input="canary").status == 0
        shell.ok("daemon", "start")
        shell.ok("-c", "let x = sh -c 'echo kept'; $x")
        job = shell.start("-c", "sh -c 'echo > begun'; sleep 1h")
        shell.await_file("begun")
        socket = until(lambda: next((shell.state / "run").glob("*.sock"), None), "its socket")
        assert socket.exists()
        pids = [str(job.pid), str(shell.daemon_status()["pid"])]
        for is_open in (False, True):
            if is_open:
                for directory in (shell.state, trial.directory / "r", shell.state / "run", shell.state / "fx"):
                    directory.chmod(0o755)
                (trial.directory / "r" / "control.sock").chmod(0o666)
            told = _intrude(shell, trial.directory / "r", pids)
            tried += told["tried"]
            violations += told["worked"]
    finally:
        shell.end()
    return Verdict(tried, f"{len(violations)} of {tried} attempts worked", violations)


def _intrude(shell: Shell, runtime: Path, pids: list[str]) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.torture.intruder", str(NOBODY), str(shell.state), str(runtime), *pids],
        cwd=ROOT, env=shell.environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    told: dict[str, object] = json.loads(done.stdout)
    return told


def planted_links(trial: Trial) -> Verdict:
    """Puts a link to somebody's file or directory in `count` places where fmsh is about to write."""
    violations: list[str] = []
    names = trial.choose.sample(PLANTED, min(trial.count, len(PLANTED)))
    for number, name in enumerate(names):
        directory = trial.directory / str(number)
        directory.mkdir()
        shell = Shell(directory)
        shell.state.mkdir(0o777)
        (directory / "r").mkdir(0o777)
        target = directory / "target"
        link = directory / name if name.startswith("r/") else shell.state / name
        if name in ("run", "fx"):
            target.mkdir()
            os.chown(target, NOBODY if os.geteuid() == 0 else -1, -1)
        else:
            target.write_text(PRECIOUS)
        before = _look(target)
        link.symlink_to(target)
        try:
            for arguments in (("-c", "let x = sh -c 'echo kept'; $x"), ("daemon", "start"), ("-c", "secret KEY")):
                shell.run(*arguments)
            shell.run("daemon", "stop")
            shell.run("daemon", "start", FMSH_LISTEN="nonsense:port")  # which goes into its log
            shell.run("secret", "set", "KEY", input="canary")
        except AssertionError as fault:
            violations.append(f"{name}: {fault}")
        finally:
            shell.end()
        if _look(target) != before:
            violations.append(f"{name}: what the link names was {before}, and is {_look(target)}")
    return Verdict(len(names), f"{len(violations)} of {len(names)} links were followed", violations)


def _look(target: Path) -> tuple[object, ...]:
    found = target.lstat()
    content = sorted(os.listdir(target)) if target.is_dir() else target.read_text()
    return found.st_mode, found.st_uid, content


ROWS = (
    Row("strangers", "0 attempts work", Counts(1, 1, 1), other_users),
    Row("links", "0 followed", Counts(2, 10, 10), planted_links),
)
