"""Starting the daemon when it is needed, and finding it when it is there."""

from __future__ import annotations

import os
import sys
import time

from fmsh import __version__
from fmsh.daemon import client
from fmsh.daemon.sockets import note_at
from fmsh.errors import ConnectorError, DaemonError
from fmsh.secrets import looks_secret
from fmsh.settings import STORE_NAME

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from fmsh.settings import Settings

START_TIMEOUT_S = 20.0
POLL_S = 0.02
STORE_UNAVAILABLE = 75  # what a process of fmsh ends with that cannot use the store
LOG_TAIL_BYTES = 2000
UNKNOWN = (1 << 30,)  # a version that is older than none


def spawn(settings: Settings, *, replaces: bool = False) -> int:
    """Starts a daemon process in a session of its own, without waiting for it; gives its pid.

    If one is running already the new one finds that out and ends; or, with `replaces`, if that is older, has it hand
    back its jobs and end. Raises: DaemonError: it cannot be started.
    """
    os.makedirs(settings.state_directory, mode=0o700, exist_ok=True)
    log = _errors_path(settings)
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    argv = [sys.executable, "-m", "fmsh", "daemon", "run", *(["--replace"] if replaces else [])]
    inherited = {name: text for name, text in os.environ.items() if not looks_secret(name)}  # jobs bring their own
    environment = inherited | {
        "FMSH_STATE_DIR": settings.state_directory,
        "FMSH_RUNTIME_DIR": settings.runtime_directory,
        "FMSH_CONFIG_DIR": settings.config_directory,
    }
    try:
        return os.posix_spawn(sys.executable, argv, environment, file_actions=actions, setsid=True)
    except OSError as fault:
        reason = os.strerror(fault.errno or 0).lower()
        raise DaemonError(f"the daemon cannot be started, with {log} for its errors: {reason}") from fault


def _errors_path(settings: Settings) -> str:
    return settings.state_directory + "/daemon.errors.log"


def ensure_running(settings: Settings) -> dict[str, Any]:
    """Gives the status of the daemon, which is started if there is none. Raises: DaemonError with the reason."""
    status = client.status(settings.socket_path)
    if status is not None:
        require_our_store(settings)
    replaces = status is not None and settings.may_start_daemon and is_outdated(settings)
    if status is not None and not replaces:
        return status
    if not settings.may_start_daemon:
        message = "the daemon is needed for this, and FMSH_NO_DAEMON=1 forbids to start it"
        raise DaemonError(message, hint="unset FMSH_NO_DAEMON")
    begun_at = os.path.getsize(_errors_path(settings)) if os.path.exists(_errors_path(settings)) else 0
    pid = spawn(settings, replaces=replaces)
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        status = client.status(settings.socket_path)
        if status is not None and not is_outdated(settings):
            return status
        ended_as = _status_of_ended(pid)
        if ended_as is not None:
            status = client.status(settings.socket_path)  # another one won the race
            if status is not None:
                return status
            message = f"the daemon could not start: {_reason(settings, begun_at)}"
            raise DaemonError(message, is_of_store=ended_as == STORE_UNAVAILABLE)
        time.sleep(POLL_S)
    raise DaemonError(f"the daemon did not answer within {START_TIMEOUT_S:.0f} s", hint=f"see {settings.log_path}")


# ---- Whose daemon it is ----------------------------------------------------------------------------------------------


def our_note(settings: Settings) -> str:
    """What a daemon of ours notes beside its socket: version, file of the store, and its directory."""
    return f"{__version__} {_store_file(settings)} {os.path.realpath(settings.state_directory)}"


def is_outdated(settings: Settings) -> bool:
    """Whether the daemon is of an older fmsh, or serves a store that is not there any more, but another in its place.

    Of a version that is not of numbers, and of a daemon without a note, that is not known.
    """
    version, file, directory = _note(settings)
    if version and _numbers(version) < _numbers(__version__):
        return True
    return directory == os.path.realpath(settings.state_directory) and file != _store_file(settings)


def require_our_store(settings: Settings) -> None:
    """Raises: DaemonError: the daemon that listens at our socket serves another store, and would not run our jobs."""
    _, file, directory = _note(settings)
    if directory and file != _store_file(settings) and directory != os.path.realpath(settings.state_directory):
        raise DaemonError(
            f"the daemon at {settings.socket_path} serves the store in {directory}, not that in"
            f" {settings.state_directory}",
            hint="Set FMSH_RUNTIME_DIR, too: each store has a daemon with a socket of its own.",
        )


def _note(settings: Settings) -> tuple[str, str, str]:
    version, _, rest = note_at(settings.socket_path).partition(" ")
    file, _, directory = rest.partition(" ")
    return version, file, directory


def _store_file(settings: Settings) -> str:
    """Which file the store is, whatever its name; "" if there is none."""
    try:
        found = os.stat(settings.state_directory + STORE_NAME)
    except OSError:
        return ""
    return f"{found.st_dev}:{found.st_ino}"


def _numbers(version: str) -> tuple[int, ...]:
    numbers = version.split(".")
    return tuple(map(int, numbers)) if all(each.isascii() and each.isdigit() for each in numbers) else UNKNOWN


def _status_of_ended(pid: int) -> int | None:
    """The exit status of a child that has ended; 0 where it is not known."""
    try:
        ended, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return 0
    return os.waitstatus_to_exitcode(status) if ended == pid else None


def _reason(settings: Settings, begun_at: int) -> str:
    try:
        with open(_errors_path(settings), encoding="utf-8", errors="replace") as log:
            log.seek(begun_at)
            text = log.read()[-LOG_TAIL_BYTES:].strip()
    except OSError:
        text = ""
    return text.removeprefix("fmsh: ") or f"see {settings.log_path}"


def callback_url(settings: Settings) -> str:
    """The base of callback addresses, once the daemon's listener is bound. Raises: ConnectorError."""
    try:
        status = ensure_running(settings)
    except DaemonError as error:
        raise ConnectorError(error.message, hint=error.hint) from error
    if status["public_url"] is None:
        raise ConnectorError(f"callbacks cannot arrive: {status['reason']}")
    return str(status["public_url"])
