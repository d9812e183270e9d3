"""Where fmsh keeps things: whether the place is fit for it, whether others can look in, whether there is room."""

from __future__ import annotations

import os
import stat
import sys

from fmsh import configuration
from fmsh.doctor import finding as f
from fmsh.errors import UsageError
from fmsh.store import examination, files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from fmsh.doctor.finding import Finding
    from fmsh.doctor.patient import Patient

ROOM_LOW_BYTES = 100 << 20  # what a large output takes; below it a person should know
STORE_FILES = ("store.db", "store.db-wal", "store.db-shm", "store.gate")
PRIVATE_FILES = (*STORE_FILES, "daemon.log", "daemon.errors.log", "faults.log")
VERSION_TIMEOUT_S = 20.0


def versions(patient: Patient) -> Iterator[Finding]:
    from fmsh import __version__

    python = ".".join(map(str, sys.version_info[:3]))
    found = f"fmsh {__version__}, Python {python}, {examination.versions()}"
    problem = examination.problem_of_sqlite()
    yield f.ok(found) if problem is None else f.error(f"{problem.message} ({found})", problem.hint)
    yield from _installed(__version__)


def _installed(ours: str) -> Iterator[Finding]:
    """Looks at the command that a person gets who types `fmsh`."""
    import shutil
    import subprocess

    path = shutil.which("fmsh")
    if path is None:
        return
    try:
        done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=VERSION_TIMEOUT_S)
        found = done.stdout.strip() if done.returncode == 0 else ""
    except (OSError, subprocess.TimeoutExpired):
        found = ""
    if found != f"fmsh {ours}":
        text = f"the command {path} is {found or 'no fmsh that runs'}, and this is fmsh {ours}"
        yield f.warning(text, "Upgrade it or remove it: `which -a fmsh` lists all that there are.")


def config(patient: Patient) -> Iterator[Finding]:
    path = patient.settings.config_directory + "/config.toml"
    if not os.path.lexists(path):
        yield f.ok(f"there is no {path}: the defaults hold")
        return
    try:
        chosen = configuration.read(path)
    except UsageError as error:
        yield f.error(error.message, f"Correct {path}; until then no command runs that needs settings.")
        return
    yield f.ok(f"{path} sets {f.count(len(chosen), 'setting')}")


def state(patient: Patient) -> Iterator[Finding]:
    path = patient.state
    if not os.path.lexists(path):
        yield f.note(f"there is no state directory {path} yet", "The first job makes it.")
        return
    if not os.path.isdir(path):
        yield f.error(f"{path} must be a directory", "Move it away, or set FMSH_STATE_DIR.")
        return
    kind = files.file_system_of(path)
    if kind in files.NETWORK_FILE_SYSTEMS:
        text = f"{path} is on a network file system ({kind}), on which locks do not hold"
        yield f.error(text, "Set FMSH_STATE_DIR to a directory on a local disk.")
    if not os.access(path, os.W_OK | os.X_OK):
        yield f.error(f"{path} cannot be written", "Check its permissions, or set FMSH_STATE_DIR.")
    yield f.ok(f"{path}, on {kind or 'a local disk'}")


def disk(patient: Patient) -> Iterator[Finding]:
    path = patient.state
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    found = os.statvfs(path)
    free = found.f_bavail * found.f_frsize
    text = f"{f.size(free)} are free on the disk of {path}"
    advice = "Free some space; `fmsh jobs gc` removes what is older than the settings say."
    if free < files.FREE_BYTES_MIN:
        yield f.error(f"{text}: below {f.size(files.FREE_BYTES_MIN)} nothing new begins", advice)
    elif free < ROOM_LOW_BYTES:
        yield f.warning(text, advice)
    else:
        yield f.ok(text)
    if found.f_files and not found.f_favail:
        yield f.error(f"no file can be made on the disk of {path}: it has no inode left", "Remove some files there.")


def permissions(patient: Patient) -> Iterator[Finding]:
    """Others may read nothing of the state, and change nothing of the settings."""
    settings, problems = patient.settings, 0
    directories = [patient.state, f"{patient.state}/run", f"{patient.state}/fx", settings.runtime_directory]
    wanted = [(path, 0o077, 0o700) for path in dict.fromkeys(directories)]
    wanted += [(f"{patient.state}/{name}", 0o077, 0o600) for name in PRIVATE_FILES]
    wanted += [(f"{patient.state}/secret.key", 0o077, 0o600)]
    config = settings.config_directory
    wanted += [(config, 0o022, 0o755), (config + "/config.toml", 0o022, 0o644), (config + "/init.fmsh", 0o022, 0o644)]
    for path, denied, mode in wanted:
        for finding in _private(patient, path, denied, mode):
            problems += 1
            yield finding
    if not problems:
        yield f.ok("nobody else can read the state or change the settings")


def _private(patient: Patient, path: str, denied: int, mode: int) -> Iterator[Finding]:
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    if stat.S_ISLNK(found.st_mode):
        if path.startswith(patient.state):
            yield f.error(f"{path} is a symbolic link", "Find out who put it there; then put back what it stands for.")
        return
    if found.st_uid != os.geteuid():
        text = f"{path} belongs to the user {found.st_uid}, and you are {os.geteuid()}"
        yield f.error(text, f"Give it to yourself (`chown {os.geteuid()} {path}`), or set FMSH_STATE_DIR.")
    elif found.st_mode & denied:
        what = "read" if denied & 0o044 else "change"
        now = stat.S_IMODE(found.st_mode)
        level = f.ERROR if path.endswith("secret.key") else f.WARNING
        text = f"others can {what} {path} (mode {now:04o})"
        wide = f.Finding(level, text, f"`chmod {mode:o} {path}`, or `fmsh doctor --repair`.")

        def narrow() -> str:
            os.chmod(path, now & ~denied)
            return f"its mode is {now & ~denied:04o} now"

        yield patient.repaired(wide, narrow)
