"""`follow`: the lines of a file that grows, also across its rotation, as a stream.

Operation "lines". Arguments: `path`, absolute; `from`, `{"inode", "at"}`: where to begin, in which file of that name.
Items are lines without their ends; a line counts when its end is there. It never ends by itself.

A position is a file, by its inode, and an offset. When a file was read to its end and another has its name, that one is
next, from its beginning; a last line without an end counts then. After a crash a file that was renamed meanwhile is
looked for in its directory. One that became shorter was emptied, and is read from its beginning.

Nothing is left behind and nothing is running: an attempt that another process began goes on at its last position. A
*fold* begins where the stream began. Files are looked at in the engine's thread, only while somebody waits for lines.
"""

from __future__ import annotations

import os

from fmsh.connectors.base import Cancelled, Done, Failed, Items
from fmsh.connectors.streaming import BATCH_BYTES, BATCH_ITEMS, FOLD, LINE_BYTES_MAX, size_of, without_returns
from fmsh.connectors.ticking import Ticker
from fmsh.values import Raised, error_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from fmsh.connectors.base import Attempt, AttemptId, Outcome, Post
    from fmsh.values import ErrorValue, Value

POLL_S = (0.01, 0.2)  # first and longest wait for more; nobody sees a fifth of a second in a log


class FollowConnector:
    """Follows files. `after(seconds, callback)` calls back once."""

    def __init__(self, after: Callable[[float, Callable[[], None]], object]) -> None:
        self._after = after
        self._running: dict[AttemptId, _Following] = {}

    def start(self, attempt: Attempt, post: Post) -> None:
        assert attempt.operation == "lines", attempt.operation

        def give(answer: Outcome | Items) -> None:
            if not isinstance(answer, Items):
                self.forget(attempt.id)
            post(attempt.id, answer)

        following = self._running[attempt.id] = _Following(attempt, give, self._after)
        following.begin()

    def read(self, id: AttemptId, position: Value) -> None:
        """Asks for the next lines."""
        if id in self._running:
            self._running[id].ask()

    def cancel(self, id: AttemptId) -> None:
        if id in self._running:
            self._running[id].give(Cancelled())

    def forget(self, id: AttemptId) -> None:
        following = self._running.pop(id, None)
        if following is not None:
            following.close()

    def close(self) -> None:
        for id in list(self._running):
            self.forget(id)


class _Following:
    """One attempt."""

    def __init__(
        self,
        attempt: Attempt,
        give: Callable[[Outcome | Items], None],
        after: Callable[[float, Callable[[], None]], object],
    ) -> None:
        assert attempt.make_chain is not None
        position: Any = attempt.position or attempt.arguments["from"]
        self.give = give
        self._path: str = attempt.arguments["path"]
        self._inode: int = position["inode"]
        self._at: int = position["at"]
        self._make_chain: Callable[[], Any] = attempt.make_chain
        self._chain = self._make_chain()
        if attempt.position is not None:
            self._chain.restore(position["stages"])
        self._is_over = position.get("over", False)
        self._is_fold = attempt.arguments["output"] == FOLD
        self._is_asked = self._is_fold
        self._collected: list[Value] = []
        self._fd = -1
        self._ticker = Ticker(after, self._look, POLL_S)

    def begin(self) -> None:
        self._ticker.soon()

    def ask(self) -> None:
        self._is_asked = True
        self._ticker.soon()

    def close(self) -> None:
        self._ticker.stop()
        self._leave_file()

    def _look(self) -> bool | None:
        """Reads on as long as lines are wanted."""
        try:
            is_moving = self._advance()
        except Raised as problem:
            self.give(Failed(problem.error))
            return None
        except OSError as problem:
            self.give(Failed(self._refused(problem)))
            return None
        return is_moving if self._is_asked else None

    def _advance(self) -> bool:
        """Reads a batch, if there is one and it is wanted. Raises: Raised, OSError."""
        if self._is_over or self._chain.is_done:
            self._finish([])
        elif self._is_asked and self._open():
            lines, position = self._read()
            if lines:
                self._take(lines, position)
                return True
            return self._go_on_after_rotation()
        return False

    def _take(self, lines: list[str], position: int) -> None:
        """Puts lines through the stages. Raises: Raised, when what stands before the failure is handed over."""
        before = None if self._is_fold else self._chain.state()
        try:
            made = self._chain.feed(without_returns(lines))
        except Raised:
            made, position = ([], self._at) if before is None else self._made_before(before, lines)
            if not made:
                raise
        self._at = position
        if self._chain.is_done:
            self._finish(made)
        else:
            self._hand_over(made)

    def _made_before(self, state: Any, lines: list[str]) -> tuple[list[Value], int]:
        """What the lines before a failing one give, and the position of that: it is read again when these are taken."""
        made: list[Value] = []
        position = self._at
        self._restore(state)
        for line in lines:
            state = self._chain.state()
            try:
                made += self._chain.feed(without_returns([line]))
            except Raised:
                self._restore(state)
                break
            position += size_of([line])
        return made, position

    def _restore(self, state: Any) -> None:
        self._chain = self._make_chain()
        self._chain.restore(state)

    def _hand_over(self, made: list[Value]) -> None:
        if self._is_fold:
            self._collected += made
        elif made:
            self._is_asked = False
            position = {"inode": self._inode, "at": self._at, "stages": self._chain.state(), "over": self._is_over}
            self.give(Items(made, position))

    def _finish(self, made: list[Value]) -> None:
        """No more is wanted: the last of it, and the outcome. Raises: Raised."""
        if not self._is_over:
            made = [*made, *self._chain.finish()]
        self._is_over = True
        self._hand_over(made)
        value: dict[str, Value] = {"statuses": []}
        if self._is_fold:
            value["value"] = self._chain.value() if self._chain.is_fold else self._collected
        self.give(Done(value))

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
        self._leave_file()
        self._inode, self._at = _inode_of(self._path) or 0, 0
        return True

    def _leave_file(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

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
