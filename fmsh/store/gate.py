"""A fair queue in front of the database: one `flock`, held from BEGIN IMMEDIATE to COMMIT and around checkpoints.

SQLite's own busy handler lets waiters sleep and try again, and under load one of them never wins. The kernel grants
`flock` in order of arrival. The lock goes with its open file: a killed process gives it back.

A blocking `flock` knows no time limit. So a contended wait happens in a thread of its own, and whoever asked waits for
that thread with a limit. The limit is for one holder that is stuck: a queue that moves is waited for, however long it
is, since a thousand shells at once are each served in turn. A gate belongs to one thread of the program at a time.
"""

from __future__ import annotations

import _thread
import fcntl
import os

from fmsh.errors import StoreBusy, StoreError
from fmsh.store import faults

GATE_WAIT_S = 5.0  # a commit takes milliseconds, and a checkpoint of the whole log less than a second
QUEUE_WAIT_S_MAX = 60.0  # whatever moves


class Gate:
    """The right to write to a database with this log. Use it in `with`.

    Raises: StoreBusy: for `wait_s` nobody has written, and one who has the gate keeps it; names them.
    """

    __slots__ = ("_fd", "_log", "path", "wait_s")

    def __init__(self, path: str, log: str, *, wait_s: float = GATE_WAIT_S) -> None:
        self.path = path
        self._log = log
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
            self._wait(place)
        finally:
            place.leave()
            if not place.is_ours:
                self._fd = _open(self.path)  # the old one stays with the thread that still waits in it
        if place.fault is not None:
            raise StoreError(f"the store's gate cannot be locked: {place.fault}") from place.fault
        if not place.is_ours:
            raise StoreBusy(
                f"{holder_of(self.path)} has kept the store locked for over {self.wait_s:g} s ({self.path})",
                hint="If it is stopped, continue it or kill it; then try again.",
            )

    def _wait(self, place: _Place) -> None:
        """Waits until it is our turn, or until nobody has written to the log for as long as one holder may take."""
        place.stand_in_line()
        waited_s, before = 0.0, self._written()
        while not place.has_come(self.wait_s) and waited_s < QUEUE_WAIT_S_MAX:
            now = self._written()
            if now == before:
                return
            waited_s, before = waited_s + self.wait_s, now

    def _written(self) -> int:
        """When the log was last written to, which every commit does."""
        try:
            return os.stat(self._log).st_mtime_ns
        except OSError:
            return 0


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

    def stand_in_line(self) -> None:
        _thread.start_new_thread(self._stand, ())

    def has_come(self, wait_s: float) -> bool:
        """Waits at most so long; says whether the wait is over."""
        return self._arrival.acquire(timeout=wait_s)

    def leave(self) -> None:
        """From here on the lock is ours, or never will be."""
        with self._mutex:
            self.is_left = not self.is_ours

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
