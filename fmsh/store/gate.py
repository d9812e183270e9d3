"""A fair queue in front of the database: one `flock`, held from BEGIN IMMEDIATE to COMMIT and around checkpoints.

SQLite's own busy handler lets waiters sleep and try again, and under load one of them never wins. The kernel grants
`flock` in order of arrival. The lock goes with its open file: a killed process gives it back.

A blocking `flock` knows no time limit. So a contended wait happens in a thread of its own, and whoever asked waits for
that thread with a limit. A gate belongs to one thread of the program at a time.
"""

from __future__ import annotations

import _thread
import fcntl
import os

from fmsh.errors import StoreBusy, StoreError
from fmsh.store import faults

GATE_WAIT_S = 5.0  # 1000 commits of 1 ms in front of us take a second; five mean that somebody is stuck


class Gate:
    """The right to write. Use it in `with`. Raises: StoreBusy, which names the holder, after `wait_s`."""

    __slots__ = ("_fd", "path", "wait_s")

    def __init__(self, path: str, *, wait_s: float = GATE_WAIT_S) -> None:
        self.path = path
        self.wait_s = wait_s
        self._fd = _open(path)

    def __enter__(self) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._queue_up()
        except OSError as fault:
            raise faults.from_system(fault, self.path) from fault

    def __exit__(self, *_: object) -> None:
        fcntl.flock(self._fd, fcntl.LOCK_UN)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _queue_up(self) -> None:
        place = _Place(self._fd)
        try:
            place.wait(self.wait_s)
        except BaseException:
            if place.is_ours:
                os.close(self._fd)
            self._fd = _open(self.path)  # the old one stays with the thread that still waits in it
            raise
        if place.is_ours:
            return
        self._fd = _open(self.path)
        raise StoreBusy(
            f"{holder_of(self.path)} has kept the store locked for over {self.wait_s:g} s ({self.path})",
            hint="If it is stopped, continue it or kill it; then try again.",
        )


class _Place:
    """One place in the queue: a thread that blocks in `flock`, and gives the lock back if nobody wants it any more."""

    __slots__ = ("_arrival", "_fd", "_mutex", "fault", "is_left", "is_ours")

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._mutex = _thread.allocate_lock()
        self._arrival = _thread.allocate_lock()
        self._arrival.acquire()
        self.is_ours = False
        self.is_left = False
        self.fault: OSError | None = None

    def wait(self, wait_s: float) -> None:
        try:
            _thread.start_new_thread(self._stand, ())
            self._arrival.acquire(timeout=wait_s)
        finally:
            with self._mutex:
                self.is_left = not self.is_ours
        if self.fault is not None:
            raise StoreError(f"the store's gate cannot be locked: {self.fault}") from self.fault

    def _stand(self) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX)
        except OSError as fault:
            self.fault = fault
        with self._mutex:
            self.is_ours = self.fault is None and not self.is_left
        if not self.is_ours:
            os.close(self._fd)
        self._arrival.release()


def holder_of(path: str) -> str:
    """Names the process that holds the lock on `path`, as far as the system tells."""
    try:
        inode = str(os.stat(path).st_ino)
        with open("/proc/locks") as lines:
            for line in lines:
                fields = line.split()
                if fields[1] == "FLOCK" and fields[5].rpartition(":")[2] == inode:
                    return _named(fields[4])
    except (OSError, IndexError):
        pass
    return "another process"


def _named(pid: str) -> str:
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        words = file.read(80).replace(b"\0", b" ").decode(errors="replace").strip()
    return f"process {pid} ({words})"


def _open(path: str) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as fault:
        raise faults.from_system(fault, path) from fault
