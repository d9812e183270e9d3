"""The write-ahead log of the database: grown ahead of its use, and folded into the database before it is long.

Why grow it: a commit that makes the file longer also waits for the journal of the file system, and takes half as long
again as one that writes over what is there. So room is made for many commits at once, in zeros behind the end of the
file, where SQLite has written nothing yet and reads nothing: a frame without its checksum is no frame. The log starts
again from its beginning once it is folded, and keeps its length, also between programs.

Everything here happens inside the gate and the write transaction, when nobody else touches the log.
"""

from __future__ import annotations

import os

import apsw

PAGES_MAX = 1000  # SQLite's own default: 4 MiB, recovered in a millisecond when a store is opened
PAGES_GROWN = 64  # some twenty commits; they share the cost of writing 256 KiB
PAGES_SPARE = 8  # what a commit usually needs
FRAME_BYTES = 4096 + 24


class Log:
    """The log at `path` of an open connection."""

    __slots__ = ("_connection", "_pages", "_pages_written", "_path")

    def __init__(self, connection: apsw.Connection, path: str) -> None:
        self._connection = connection
        self._path = path
        self._pages = 0  # in use after our last commit
        self._pages_written = 0  # by that commit
        connection.set_wal_hook(self._see)

    def _see(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        self._pages_written = pages - self._pages
        self._pages = pages
        return apsw.SQLITE_OK

    def make_room(self, size_bytes: int) -> None:
        """Grows the log if the next small commit would; `size_bytes` is its length now. A large one grows it itself."""
        is_near_end = size_bytes < (self._pages + PAGES_SPARE) * FRAME_BYTES
        if not is_near_end or self._pages >= PAGES_MAX or self._pages_written > PAGES_SPARE:
            return
        try:
            fd = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                os.pwrite(fd, bytes(PAGES_GROWN * FRAME_BYTES), size_bytes)
            finally:
                os.close(fd)
        except OSError:  # a full disk: the commit will say so, if it needs the room
            return

    def fold_if_long(self) -> None:
        """Copies the log into the database once it is long. What cannot be copied now is copied later."""
        if self._pages >= PAGES_MAX:
            self.fold()

    def fold(self) -> None:
        """Copies as much of the log as nobody reads."""
        try:
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        except apsw.Error:  # the commit before it stands; the log is only longer than it should be
            return
