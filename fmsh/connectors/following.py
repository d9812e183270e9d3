"""`follow`: the lines of a file that grows, also across its rotation, as a stream.

Operation "lines". Arguments: `path`, absolute; `from`, `{"inode", "at"}`: where to begin, in which file of that name.
Items are lines without their ends; a line counts when its end is there. It never ends by itself.

A position is a file, by its inode, and an offset. When a file was read to its end and another has its name, that one is
next, from its beginning; a last line without an end counts then. After a crash a file that was renamed meanwhile is
looked for in its directory. One that became shorter was emptied, and is read from its beginning.

A *fold* begins where the stream began, also after a crash.
"""

from __future__ import annotations

import os

from fmsh.connectors.reading import Reading
from fmsh.connectors.streaming import BATCH_BYTES, BATCH_ITEMS, LINE_BYTES_MAX, size_of, without_returns
from fmsh.values import Raised, error_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from fmsh.connectors.base import Attempt
    from fmsh.connectors.reading import Give
    from fmsh.values import ErrorValue, Value

POLL_S = (0.01, 0.2)  # first and longest wait for more; nobody sees a fifth of a second in a log


class Following(Reading):
    """One attempt. `after(seconds, callback)` calls back once."""

    def __init__(self, attempt: Attempt, give: Give, after: Callable[[float, Callable[[], None]], object]) -> None:
        super().__init__(attempt, give, after, POLL_S)
        position: Any = attempt.position or attempt.arguments["from"]
        self._path: str = attempt.arguments["path"]
        self._inode: int = position["inode"]
        self._at: int = position["at"]
        self._fd = -1

    def place(self) -> dict[str, Value]:
        return {"inode": self._inode, "at": self._at}

    def leave(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def advance(self) -> bool:
        """Reads a batch, if there is one."""
        try:
            if not self._open():
                return False
            lines, position = self._read()
            if not lines:
                return self._go_on_after_rotation()
            self._take(lines, position)
        except OSError as problem:
            raise Raised(self._refused(problem)) from None
        return True

    def _take(self, lines: list[str], position: int) -> None:
        """Puts lines through the stages. Raises: Raised, when what stands before the failure is handed over."""
        before = None if self.is_fold else self.chain.state()
        try:
            made = self.chain.feed(without_returns(lines))
        except Raised:
            made, position = ([], self._at) if before is None else self._made_before(before, lines)
            if not made:
                raise
        self._at = position
        self.pass_on(made)

    def _made_before(self, state: Any, lines: list[str]) -> tuple[list[Value], int]:
        """What the lines before a failing one give, and the position of that: it is read again when these are taken."""
        made: list[Value] = []
        position = self._at
        self.restore(state)
        for line in lines:
            state = self.chain.state()
            try:
                made += self.chain.feed(without_returns([line]))
            except Raised:
                self.restore(state)
                break
            position += size_of([line])
        return made, position

    # -- the file

    def _open(self) -> bool:
        """Sees to it that the file that is read is open; False where none is there now."""
        if self._fd < 0:
            path = self._path if _inode_of(self._path) == self._inode else self._renamed()
            if path is None:
                path, self._at = self._path, 0  # it is gone, with what was not read of it
            try:
                self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            except FileNotFoundError:
                return False
            self._inode = os.fstat(self._fd).st_ino
        return True

    def _renamed(self) -> str | None:
        """The file that was read, under its new name."""
        try:
            with os.scandir(os.path.dirname(self._path)) as entries:
                return next((entry.path for entry in entries if entry.inode() == self._inode), None)
        except FileNotFoundError:
            return None

    def _go_on_after_rotation(self) -> bool:
        """Nothing more is in the file that is read: takes the next one of its name, if that is another."""
        size = os.fstat(self._fd).st_size
        if size < self._at:
            self._at = 0
            return size > 0
        if _inode_of(self._path) in (None, self._inode):
            return False
        rest = os.pread(self._fd, LINE_BYTES_MAX, self._at)
        if rest.endswith(b"\n") or b"\n" in rest:
            return True  # it was written to before the other came
        if rest:
            self._take([_text(rest)], self._at + len(rest))
        self.leave()
        self._inode, self._at = _inode_of(self._path) or 0, 0
        return True

    def _read(self) -> tuple[list[str], int]:
        """The next lines and the position after them; none if no whole one is there. Raises: Raised."""
        size = BATCH_BYTES
        while True:
            data = os.pread(self._fd, size, self._at)
            end = data.rfind(b"\n") + 1
            if end or len(data) < size:
                break
            if size >= LINE_BYTES_MAX:
                raise Raised(error_value("limit", f"a line is longer than {LINE_BYTES_MAX >> 20} MiB (LINE_BYTES_MAX)"))
            size *= 8
        if end == 0:
            return [], self._at
        lines = _text(data[: end - 1]).split("\n")[:BATCH_ITEMS]
        return lines, self._at + size_of(lines)

    def _refused(self, problem: OSError) -> ErrorValue:
        reason = os.strerror(problem.errno or 0).lower()
        return error_value("path", f"cannot follow {self._path}: {reason}", path=self._path)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _inode_of(path: str) -> int | None:
    try:
        return os.stat(path).st_ino
    except FileNotFoundError:
        return None
