"""Files: what fmsh itself writes.

Operation "write". Arguments: `path`, in the task's directory; `data`, null or text, bytes or a secret; `append`. Done
value: null.

A regular file is replaced in one move: written beside it under a name of its own, synced, given the mode of the old
one, and renamed; so whoever reads it, and whoever comes after a crash, finds the old file or the new one. A symbolic
link stays, what it points to is replaced. Anything else (a device, a named pipe) is opened and written; so is a file
whose directory takes no other (`/proc/sys`, a file that is mounted by itself). To append is done at least once.
"""

from __future__ import annotations

import _thread
import errno
import os
import stat
from time import sleep

from fmsh.connectors.base import Cancelled, Done, Failed
from fmsh.connectors.replacing import Replacement, write_all
from fmsh.observing import why_not_writable
from fmsh.values import Raised, error_value, text_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from fmsh.connectors.base import Attempt, AttemptId, Outcome, Post
    from fmsh.values import Secret, Value

# What a directory says that takes no file beside the one that is there.
_NO_OTHER_FILE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.EINVAL, errno.EOPNOTSUPP, errno.EBUSY)
PIPE_POLL_S = 0.05  # how often to look whether a named pipe has a reader, and whether we are still wanted


class _Unwritable(Exception):
    """The file cannot be written; the message says why."""


class _Stopped(Exception):
    """The attempt was cancelled while it waited for the other end of a pipe."""


class FileConnector:
    """Writes files, each in a thread of its own. `umask` is that of jobs that have none, None for our own."""

    def __init__(self, reveal: Callable[[Secret], str], umask: int | None = None) -> None:
        self._reveal = reveal
        self._umask = umask
        self._running: set[AttemptId] = set()
        self._is_closed = False

    def start(self, attempt: Attempt, post: Post) -> None:
        assert attempt.operation == "write", attempt.operation
        self._running.add(attempt.id)
        _thread.start_new_thread(self._run, (attempt, post))

    def cancel(self, id: AttemptId) -> None:
        """Ends the wait for the reader of a named pipe; a file is written to its end."""
        self._running.discard(id)

    def close(self) -> None:
        self._is_closed = True
        self._running.clear()

    def _run(self, attempt: Attempt, post: Post) -> None:
        outcome: Outcome
        try:
            outcome = self._write(attempt)
        except _Stopped:
            outcome = Cancelled()
        except _Unwritable as problem:
            outcome = _failed(attempt, str(problem))
        except Raised as problem:  # a secret that is not there
            outcome = Failed(problem.error)
        except OSError as problem:
            outcome = _failed(attempt, os.strerror(problem.errno or 0).lower())
        if not self._is_closed:
            self._running.discard(attempt.id)
            post(attempt.id, outcome)

    def _write(self, attempt: Attempt) -> Outcome:
        if attempt.is_once and attempt.is_resumed:
            message = f"it is not known whether {attempt.arguments['path']} was written"
            return Failed(error_value("lost", message, path=attempt.arguments["path"]))
        path = os.path.realpath(os.path.join(attempt.directory, attempt.arguments["path"]))
        data = _as_bytes(attempt.arguments["data"], self._reveal)
        reason = why_not_writable(path)
        if reason:
            raise _Unwritable(reason)
        umask = self._umask if attempt.umask is None else attempt.umask
        old = os.stat(path) if os.path.exists(path) else None
        if attempt.arguments["append"] or (old is not None and not stat.S_ISREG(old.st_mode)):
            self._write_directly(attempt, path, data, old, umask)
        else:
            self._replace(attempt, path, data, old, umask)
        return Done(None)

    def _replace(self, attempt: Attempt, path: str, data: bytes, old: os.stat_result | None, umask: int | None) -> None:
        try:
            made = Replacement(path, attempt.idempotency_key, is_resumed=attempt.is_resumed)
        except OSError as problem:
            if old is None or problem.errno not in _NO_OTHER_FILE:
                raise
            return self._write_directly(attempt, path, data, old, umask)
        try:
            made.write(data)
        except OSError:
            made.abandon()
            raise
        try:
            made.commit(umask)
        except OSError as problem:
            if old is None or problem.errno != errno.EBUSY:  # the file is a mount of its own
                raise
            return self._write_directly(attempt, path, data, old, umask)
        return None

    def _write_directly(
        self, attempt: Attempt, path: str, data: bytes, old: os.stat_result | None, umask: int | None
    ) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOCTTY
        flags |= os.O_APPEND if attempt.arguments["append"] else os.O_TRUNC
        if old is not None and not stat.S_ISREG(old.st_mode):
            return self._write_to_device(attempt, path, data, flags)
        fd = os.open(path, flags | os.O_CLOEXEC, 0o666)
        try:
            if old is None and umask is not None:
                os.fchmod(fd, 0o666 & ~umask)
            write_all(fd, data)
            os.fsync(fd)
        finally:
            os.close(fd)
        return None

    def _write_to_device(self, attempt: Attempt, path: str, data: bytes, flags: int) -> None:
        """Writes to what may keep us waiting, as long as this is wanted."""
        fd = -1
        while fd < 0:
            try:
                fd = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)
            except OSError as problem:
                if problem.errno != errno.ENXIO or not stat.S_ISFIFO(os.stat(path).st_mode):
                    raise
                self._pause(attempt)  # a named pipe that nobody reads yet
        try:
            rest = memoryview(data)
            while rest:
                try:
                    rest = rest[os.write(fd, rest) :]
                except BlockingIOError:
                    self._pause(attempt)
        finally:
            os.close(fd)

    def _pause(self, attempt: Attempt) -> None:
        if attempt.id not in self._running:
            raise _Stopped
        sleep(PIPE_POLL_S)


def _failed(attempt: Attempt, reason: str) -> Failed:
    path = attempt.arguments["path"]
    return Failed(error_value("path", f"cannot write to {path}: {reason}", path=path))


def _as_bytes(data: Value, reveal: Callable[[Secret], str]) -> bytes:
    if data is None:
        return b""
    if isinstance(data, bytes):
        return data
    return text_bytes(data if isinstance(data, str) else reveal(data))
