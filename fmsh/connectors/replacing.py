"""Replacing a file in one move: who reads it, and who comes after a crash, finds the old file or the new one, whole.

The new one is written beside the old under the name of its step, synced, given the mode of the old one, and renamed.
"""

from __future__ import annotations

import os
import stat


class Replacement:
    """A new file that takes the place of `path` at `commit`. `path` is without symbolic links.

    `key` names the step, so that what a dead attempt of it left (`is_resumed`) is removed. Raises: OSError.
    """

    def __init__(self, path: str, key: str, *, is_resumed: bool) -> None:
        self.path = path
        self._above = os.path.dirname(path)
        prefix = f".fmsh-{key}."
        if is_resumed:
            _remove_beginning(self._above, prefix)
        self._beside = f"{self._above}/{prefix}{os.urandom(4).hex()}"
        self._fd = os.open(self._beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)

    def write(self, data: bytes) -> None:
        """Raises: OSError."""
        write_all(self._fd, data)

    def commit(self, umask: int | None) -> None:
        """`umask` is for a file that is new; None for our own. Raises: OSError; then nothing was replaced."""
        try:
            _take_over(self._fd, os.stat(self.path) if os.path.exists(self.path) else None, umask)
            os.fsync(self._fd)
            os.rename(self._beside, self.path)
        except OSError:
            self.abandon()
            raise
        os.close(self._fd)
        _sync_directory(self._above)

    def abandon(self) -> None:
        os.close(self._fd)
        os.unlink(self._beside)


def write_all(fd: int, data: bytes) -> None:
    """Raises: OSError."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]


def _remove_beginning(directory: str, prefix: str) -> None:
    for name in os.listdir(directory):
        if name.startswith(prefix):
            os.unlink(f"{directory}/{name}")


def _take_over(fd: int, old: os.stat_result | None, umask: int | None) -> None:
    """Gives a new file the mode and, if we may, the owner of the one that it replaces."""
    if old is None:
        if umask is not None:
            os.fchmod(fd, 0o666 & ~umask)
        return
    made = os.fstat(fd)
    if (made.st_uid, made.st_gid) != (old.st_uid, old.st_gid):
        try:
            os.fchown(fd, old.st_uid, old.st_gid)
        except PermissionError:
            pass
    os.fchmod(fd, stat.S_IMODE(old.st_mode))


def _sync_directory(path: str) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
