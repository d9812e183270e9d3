"""What the system tells about processes, and signals that reach only those that they are meant for."""

from __future__ import annotations

import errno
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
else:
    import _signal  # importing signal itself would cost its enums

PIDFD_SIGNAL_PROCESS_GROUP = 4  # Linux 6.9
CMDLINE_BYTES = 1 << 18  # the directory stands behind the text, which is at most half as long


# What Python ignores, and what an interactive shell ignores or catches. HUP stays as it is: `nohup fmsh` must work.
DEFAULT_SIGNALS = (
    _signal.SIGINT,
    _signal.SIGQUIT,
    _signal.SIGTERM,
    _signal.SIGPIPE,
    _signal.SIGXFSZ,
    _signal.SIGCHLD,
    _signal.SIGTSTP,
    _signal.SIGTTIN,
    _signal.SIGTTOU,
)


def reap(pid: int) -> int | None:
    """The wait status of a child that has ended, else None. Where SIGCHLD was ignored from above it is gone unseen."""
    try:
        found, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return 0
    return status if found else None


def was_stopped(pid: int) -> bool:
    try:
        return os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOHANG) is not None
    except ChildProcessError:
        return False


def is_wrapper(pid: int, directory: str) -> bool:
    """Whether this pid is our wrapper's, as far as the system tells: a claim may come from another pid namespace."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return os.fsencode(directory) in file.read(CMDLINE_BYTES)
    except OSError:
        return False


def has_kept_its_number(pid: int, directory: str) -> bool:
    """A group keeps its number while it has members, its leader gone or not; a pid that is there may be another's."""
    return not os.path.exists(f"/proc/{pid}") or is_wrapper(pid, directory)


def signal_group(pidfd: int, pid: int, number: int) -> None:
    try:
        _signal.pidfd_send_signal(pidfd, number, None, PIDFD_SIGNAL_PROCESS_GROUP)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        _signal.pidfd_send_signal(pidfd, 0)  # raises ProcessLookupError where the leader is gone
        os.killpg(pid, number)


def read_boot_id() -> str:
    """Names this boot of the machine; "unknown" where the system does not say, which then never counts as the same."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return f"unknown-{os.getpid()}"
