"""Makes the golden store of this version: `python -m tests.golden.make`, once for each version, before it is released.

Real shells and a real daemon make it: jobs in every state, and the daemon is killed in the middle of them. Kept are:

    store.db, secret.key, fx/    the state directory, its log folded in
    expected.json                of each job its documents as they were then, and its ending when it went on

What names the machine is left out (boot, host, directories); what differs each time (numbers of processes, times,
random ids) stays. Everything happens in PLACE, a directory that is the same on every machine.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

import apsw

import fmsh
from fmsh.store.base import JobFilter
from fmsh.store.sqlite import SqliteStore
from tests.cli.shell import ROOT, Shell, until
from tests.golden import going_on
from tests.golden.stories import GO, LEFT, STORIES, UNTIL, Story

HERE = Path(__file__).parent
PLACE = Path("/tmp/fmsh-golden")
BOOT = "golden-boot"
HOST = "golden"
SITE = f"""
import os
found = os.uname()
os.uname = lambda: os.uname_result((found.sysname, "{HOST}", found.release, found.version, found.machine))
"""
READY_S = 26.0  # how long making the jobs may take, before their timers and processes end by themselves


def main() -> None:
    target = HERE / fmsh.__version__
    PLACE.mkdir()  # whoever else makes one now must wait
    shell = golden_shell(PLACE)
    try:
        until_s = make_jobs(shell)
        documents = collect(shell)
        keep(shell.state, target)
        (target / "expected.json").write_text(json.dumps({"jobs": documents}))
        time.sleep(max(0.0, until_s - time.time()))
        endings = going_on.endings(target, PLACE / "again", documents)
        expected = {name: document | {"ending": endings[name]} for name, document in documents.items()}
        (target / "expected.json").write_text(json.dumps({"jobs": expected}, indent=1, ensure_ascii=False) + "\n")
    finally:
        shell.end()
        shutil.rmtree(PLACE)
    print(f"{target}: {sum(path.stat().st_size for path in target.rglob('*') if path.is_file())} bytes")


def golden_shell(place: Path) -> Shell:
    """A shell in whose environment there is nothing of this machine."""
    site = place / "site"
    site.mkdir(parents=True)
    (site / "sitecustomize.py").write_text(SITE)
    (site / "tree").symlink_to(ROOT)
    shell = Shell(place)
    shell.cwd = Path("/")
    kept = {name: text for name, text in shell.environment.items() if name.startswith("FMSH_") or name == "TZ"}
    path = f"{site}:{site}/tree"
    shell.environment = kept | {"PATH": "/usr/bin:/bin", "HOME": "/", "PWD": "/", "PYTHONPATH": path}
    shell.environment |= {"LANG": "C.UTF-8", "DEPLOY_TOKEN": "golden-token"}
    return shell


def make_jobs(shell: Shell) -> int:
    """Makes all jobs; gives the moment from which on they end by themselves."""
    shell.ok("daemon", "start")
    until_s = int(time.time() + READY_S)
    numbers: dict[str, int] = {}
    for story in STORIES:
        numbers[story.name] = start(shell, story, until_s)
    pids = {
        name: wrapper_of(shell, numbers[name]) for name in numbers if name.startswith(("process", "lost", "parked"))
    }
    kill(pids["process-tried-again"])
    kill(pids["parked"])
    shell.ok("jobs", "pause", str(numbers["paused"]))
    shell.ok("jobs", "cancel", str(numbers["cancelled"]))
    shell.ok("secret", "set", "kept", input="a secret of a person\n")
    for story in STORIES:
        number = numbers[story.name]
        until(lambda: shell.job(number)["state"] == story.state, f"{story.name}, job {number}, to be {story.state}")  # noqa: B023
    uid = shell.job(numbers["process-tried-again"])["uid"]
    until(lambda: list((shell.state / "fx" / uid).glob("1-2/claim")), "the second attempt")
    os.kill(shell.daemon_status()["pid"], signal.SIGKILL)
    kill(pids["lost-in-once"])
    kill(pids["process-that-was-lost"])
    finish(shell, numbers)
    assert time.time() < until_s, "making the jobs took too long"
    return until_s


def start(shell: Shell, story: Story, until_s: int) -> int:
    text = story.text.replace(UNTIL, str(until_s)).replace(LEFT, f"{until_s - time.time():.3f}s")
    arguments = ["--name", story.name, "--tag", "kind=golden", "-c", text]
    if story.is_detached:
        return int(shell.ok("-d", *arguments))
    shell.run(*arguments)
    return int(shell.job(story.name)["id"])


def wrapper_of(shell: Shell, number: int) -> Path | None:
    """The directory of a job's process, once it has begun."""
    job = shell.job(number)
    if job["error"] is not None:
        return None
    directory = shell.state / "fx" / job["uid"]
    claim = until(lambda: next(iter(directory.glob("*/claim")), None), f"the process of job {number}")
    until(lambda: claim.read_text().endswith("\n"), "its claim")
    return Path(claim)


def kill(claim: Path | None) -> None:
    """Kills a wrapper and its command, as a crash of the machine does."""
    assert claim is not None
    os.killpg(os.getpgid(int(claim.read_text().split()[0])), signal.SIGKILL)


def finish(shell: Shell, numbers: dict[str, int]) -> None:
    """What only the store itself can do: a delivery while nobody runs the job, and a history that is trimmed."""
    Path(GO).touch()
    uid = shell.job(numbers["process-that-ended-alone"])["uid"]
    until(lambda: list((shell.state / "fx" / uid).glob("*/status")), "the end of the process")
    store = SqliteStore.open(str(shell.state), kind="shell")
    token = going_on.tokens(shell.json("jobs", "log", str(numbers["callback-delivered"])))[0]
    delivery = going_on.delivery("delivered before")
    assert store.deliver_callback(going_on.hash_of(token), delivery, dedupe_id="d", method="POST", now_ms=1)
    store.reap()
    later_ms = int(time.time() * 1000) + 10**6
    store.trim(numbers["trimmed"], before_ms=later_ms, now_ms=later_ms)
    trimmed = store.job(numbers["trimmed"])
    assert trimmed is not None and trimmed.trimmed_seq > 1, "there was no snapshot to trim to"
    assert not list(store.verify())
    assert {job.name for job in store.jobs(JobFilter())} >= {story.name for story in STORIES}
    store.close()


def collect(shell: Shell) -> dict[str, Any]:
    """The documents of all jobs, by their names; a child has that of its parent."""
    documents = {}
    for job in shell.json("jobs", "list", "--all"):
        name = job["name"] or f"job {job['id']}"
        log = shell.json("jobs", "log", str(job["id"]))
        documents[name] = {"show": shell.job(job["id"]), "log": log}
    return documents


def keep(state: Path, target: Path) -> None:
    """Copies a state directory of which nobody runs anything, without what names the machine."""
    if target.exists():
        shutil.rmtree(target)
    target.mkdir(parents=True)
    connection = apsw.Connection(str(state / "store.db"))
    connection.execute("UPDATE owner SET boot_id = ?", (BOOT,))
    connection.execute("VACUUM INTO ?", (str(target / "store.db"),)).fetchall()
    connection.close()
    shutil.copy(state / "secret.key", target / "secret.key")
    shutil.copytree(state / "fx", target / "fx", ignore=shutil.ignore_patterns("*.lock"))
    for path in [*target.rglob("claim"), *target.rglob("terms")]:
        words = path.read_text().split()
        path.write_text(" ".join(BOOT if len(word) == 36 else word for word in words) + "\n")


if __name__ == "__main__":
    sys.exit(main())
