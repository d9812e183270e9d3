"""Disks that are full, that become read-only, and stores whose files vanish, under a job that is at work.

The disks are real ones, mounted for the trial, which needs root; without it these rows are not tried, and say so.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cli.shell import Shell, until
from tests.torture.processes import Process, Zygote
from tests.torture.rows import Counts, Row, Trial, Verdict, over
from tests.torture.witness import Asked, Witness

PAGE_BYTES = 4096
DISK_PAGES = 2000
PAGES_LEFT_MAX = 12
RESUMED_S_MAX = 5.0
QUIET_S = 0.5  # in which a job that has no room must not act
STORE_UNAVAILABLE = 75

STEPS = """
let url = $args[0]
for i in 1..5 { POST "$url/$i" {n: $i, text: "some text that is kept with each step"} }
let text = sh -c 'echo some output'
POST "$url/text" {text: $text}
echo done
"""
REQUESTS = ["1", "2", "3", "4", "5", "text"]
LOOP = """
let url = $args[0]
for i in 1..1000 {
  POST "$url/$i" {n: $i}
  sleep 20ms
}
"""


class NoDisk(Exception):
    """No disk can be mounted here."""


@contextmanager
def mounted(where: Path, *options: str, source: str = "none") -> Iterator[Path]:
    """Mounts a disk for a while. Raises: NoDisk."""
    where.mkdir(exist_ok=True)
    if os.geteuid() or subprocess.run(["mount", *options, source, str(where)], capture_output=True).returncode:
        raise NoDisk
    try:
        yield where
    finally:
        subprocess.run(["umount", "--lazy", str(where)], check=True)


class Stage:
    """A witness, and shells whose store is in a place that the row chooses."""

    def __init__(self, trial: Trial, state: Path) -> None:
        self.shell = Shell(trial.directory)
        self.shell.script(STEPS, "steps.fmsh")
        self.shell.script(LOOP, "loop.fmsh")
        self.state = state
        environment = self.shell.environment | {"FMSH_STATE_DIR": str(state)}
        self.zygote = Zygote(trial.directory, environment)
        self.witness = Witness(str(state))

    def start(self, *arguments: str) -> Process:
        return self.zygote.start(*arguments, FMSH_NO_DAEMON="1")

    def close(self) -> None:
        self.zygote.close()
        self.witness.close()
        self.shell.end()


def not_here(row: Callable[[Trial], Verdict]) -> Callable[[Trial], Verdict]:
    """Says of a row that it could not be tried, where no disk can be mounted."""

    def run(trial: Trial) -> Verdict:
        try:
            return row(trial)
        except NoDisk:
            return Verdict(0, "not tried: no disk can be mounted here")

    return run


# ---- No room


def full(trial: Trial) -> Verdict:
    """Fills a disk at each request of a job, up to each number of pages that a commit may still need.

    A write that begins something is refused below a floor of free space, any other when there is really none.
    """
    moments = [(request, pages) for request in ("", *REQUESTS) for pages in range(PAGES_LEFT_MAX)]
    trial.choose.shuffle(moments)
    found = {"refused": 0, "waited": 0, "had room": 0}
    violations, resumed_s = list[str](), [0.0]
    with mounted(trial.directory / "disk", "-t", "tmpfs", "-o", f"size={DISK_PAGES * PAGE_BYTES}") as disk:
        stage = FullStage(trial, disk)
        try:
            for number in range(trial.count):
                request, pages = moments[number % len(moments)]
                kind, problems, took_s = stage.run(f"full-{number}", request, pages)
                found[kind] += 1
                violations += [f"{pages} pages free at request {request!r}: {problem}" for problem in problems]
                resumed_s.append(took_s)
        finally:
            stage.close()
    told = ", ".join(f"{count} {kind}" for kind, count in found.items() if count)
    return Verdict(
        trial.count, f"{len(violations)} broken; resumed after {max(resumed_s):.2f} s at most; {told}", violations,
        over(RESUMED_S_MAX, max(resumed_s), "resumed after"),
    )  # fmt: skip


class FullStage(Stage):
    """A disk that is filled when a certain request arrives."""

    def __init__(self, trial: Trial, disk: Path) -> None:
        super().__init__(trial, disk / "state")
        self.disk = disk
        self.filler = os.open(disk / "filler", os.O_CREAT | os.O_WRONLY, 0o600)
        self._when: tuple[str, int] | None = None
        self.witness.react = self._seen

    def _seen(self, asked: Asked) -> None:
        if self._when is not None and asked.path == self._when[0]:
            self._fill(self._when[1])

    def _fill(self, pages_left: int) -> None:
        self._when = None
        taken = os.fstat(self.filler).st_blocks * 512
        os.posix_fallocate(self.filler, 0, taken + (os.statvfs(self.disk).f_bavail - pages_left) * PAGE_BYTES)

    def run(self, name: str, request: str, pages: int) -> tuple[str, list[str], float]:
        """Runs a job, gives it room when it waits: what happened, what is wrong, after how long it went on."""
        subprocess.run(["rm", "-rf", str(self.state)], check=True)
        if request:
            self._when = (request, pages)
        else:
            self._fill(pages)
        try:
            return self._run(name)
        finally:
            os.ftruncate(self.filler, 0)

    def _run(self, name: str) -> tuple[str, list[str], float]:
        process = self.start("--name", name, "steps.fmsh", f"{self.witness.url}/{name}")
        until(lambda: process.is_over or "nothing is lost" in process.said(), f"{name} to end or to wait")
        asked = len(self.witness.of(name))
        if process.is_over:
            if process.status == STORE_UNAVAILABLE:
                return "refused", [f"{asked} effects of a job that was refused"] if asked else [], 0.0
            return "had room", _judge_full(self, name, process), 0.0
        time.sleep(QUIET_S)
        later = len(self.witness.of(name))
        problems = [f"{later - asked} effects after a commit had no room"] if later > asked else []
        os.ftruncate(self.filler, 0)
        freed_s = time.monotonic()
        until(lambda: process.is_over or len(self.witness.of(name)) > later, f"{name} to go on")
        resumed_s = time.monotonic() - freed_s
        process.wait()
        return "waited", problems + _judge_full(self, name, process), resumed_s


def _judge_full(stage: Stage, name: str, process: Process) -> list[str]:
    asked = stage.witness.of(name)
    problems = [f"{each.path} came without a record" for each in asked if not each.was_recorded]
    if process.status != 0 or [each.path for each in asked] != REQUESTS:
        paths = [each.path for each in asked]
        problems.append(f"ended with {process.status} after {paths}: {process.said()[-300:]!r}")
    return problems


# ---- Files that vanish


def unlinked(trial: Trial) -> Verdict:
    """Removes or replaces the database or its log while a shell or a daemon has them open."""
    stage = Stage(trial, trial.directory / "state")
    violations, after = list[str](), 0
    try:
        for number in range(trial.count):
            stage.state = trial.directory / f"state-{number}"
            stage.zygote.environment["FMSH_STATE_DIR"] = str(stage.state)
            stage.zygote.environment["FMSH_RUNTIME_DIR"] = str(trial.directory / f"r-{number}")
            problems, effects = _vanish(stage, trial, number)
            violations += problems
            after = max(after, effects)
    finally:
        stage.close()
    worst = f"{len(violations)} went on; {after} effects after at most (its intent was on disk)"
    return Verdict(trial.count, worst, violations)


def _vanish(stage: Stage, trial: Trial, number: int) -> tuple[list[str], int]:
    name = f"gone-{number}"
    victim = stage.state / ("store.db", "store.db-wal")[number % 2]
    arguments = ("--name", name, "loop.fmsh", f"{stage.witness.url}/{name}")
    is_daemon = number % 4 >= 2
    if is_daemon:
        process = stage.zygote.start("daemon", "run")
        until(lambda: process.is_over or stage.zygote.run("daemon", "status")[0] == 0, "the daemon")
        assert stage.zygote.run("-d", *arguments)[0] == 0
    else:
        process = stage.start(*arguments)
    until(lambda: len(stage.witness.of(name)) > 3, f"the work of {name}")
    time.sleep(trial.choose.random() * 0.05)
    away = victim.with_suffix(".away")
    os.rename(victim, away)
    if number % 8 >= 4:
        victim.write_bytes(away.read_bytes())
    before = len(stage.witness.of(name))
    status = process.wait()
    after = len(stage.witness.of(name)) - before
    problems = [] if after <= 1 else [f"{after} effects after {victim.name} was gone"]
    if status != STORE_UNAVAILABLE or "removed or replaced" not in process.said():
        problems.append(f"{victim.name} was gone, and it ended with {status}: {process.said()[-300:]!r}")
    return problems, after


# ---- A disk that becomes read-only


def read_only(trial: Trial) -> Verdict:
    """Lets a file system find a fault in itself: it becomes read-only under the open files, as on a dying disk."""
    violations, after = list[str](), 0
    for number in range(trial.count):
        image = trial.directory / "image"
        with open(image, "wb") as file:
            file.truncate(8 << 20)
        if subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], capture_output=True).returncode:
            raise NoDisk
        with mounted(trial.directory / "disk", "-o", "loop,errors=remount-ro", source=str(image)) as disk:
            stage = Stage(trial, disk / "state")
            try:
                problems, effects = _turn_read_only(stage, trial, disk, f"read-only-{number}")
            finally:
                stage.close()
        violations += problems
        after = max(after, effects)
        image.unlink()
    worst = f"{len(violations)} went on; {after} effects after at most (its intent was on disk)"
    return Verdict(trial.count, worst, violations)


def _turn_read_only(stage: Stage, trial: Trial, disk: Path, name: str) -> tuple[list[str], int]:
    process = stage.start("--name", name, "loop.fmsh", f"{stage.witness.url}/{name}")
    until(lambda: process.is_over or len(stage.witness.of(name)) > 3, f"the work of {name}")
    time.sleep(trial.choose.random() * 0.05)
    device = subprocess.run(["findmnt", "-n", "-o", "SOURCE", str(disk)], capture_output=True, text=True).stdout.strip()
    trigger = Path(f"/sys/fs/ext4/{os.path.basename(device)}/trigger_fs_error")
    try:
        trigger.write_text("1")
    except OSError:
        raise NoDisk from None
    before = len(stage.witness.of(name))
    status = process.wait()
    after = len(stage.witness.of(name)) - before
    problems = [] if after <= 1 else [f"{after} effects after the disk was read-only"]
    if status != STORE_UNAVAILABLE or "Traceback" in process.said():
        problems.append(f"the disk was read-only, and it ended with {status}: {process.said()[-300:]!r}")
    return problems, after


ROWS = (
    Row("full-disk", "0 effects after a failure, resumed in 5 s", Counts(4, 20, 84), not_here(full)),
    Row("unlinked", "fails closed", Counts(2, 16, 100), unlinked),
    Row("read-only", "fails closed", Counts(1, 5, 20), not_here(read_only)),
)
