"""What a process writes, as a stream: read while the process goes on, from the file that it writes to.

There are two ways. A *fold* reads on as fast as it can and puts everything through a chain of stages that ends in one
value; that value is all that is recorded of it. A *stream* reads only when it is asked for items, and hands over one
batch at a time with the position after it; what is before a position that was handed back is never needed again.

Both keep to bounded space: what has been read, and recorded, is released from the file, and a process that is too far
ahead is stopped until it is not. When the chain wants no more, or a stream is cancelled, the process is told so as a
pipe would tell it: by SIGPIPE.

After a crash a stream goes on at its position. A fold begins again with the file, if nothing of that was released, else
with a new process.
"""

from __future__ import annotations

import os

from fmsh.connectors.base import Done, Failed, Items
from fmsh.connectors.cutting import punch_hole
from fmsh.connectors.ticking import Ticker
from fmsh.values import Handle, Raised, error_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable
    from typing import Any

    from fmsh.connectors.base import Attempt, Outcome
    from fmsh.values import Value
else:
    import _signal  # importing signal itself would cost its enums

FOLD, STREAM = "fold", "stream"
FOLD_BYTES = 1 << 20  # read at once: some milliseconds of work, so that others have their turn
BATCH_BYTES = 64 * 1024  # ARCHITECTURE 8.9, as are the next two
BATCH_ITEMS = 1024
AHEAD_BYTES_MAX = 64 << 20
AHEAD_BYTES_AGAIN = AHEAD_BYTES_MAX // 2
RELEASE_BYTES = 8 << 20  # released at once
INPUT_KEPT_BYTES = 1 << 30  # of what a fold has read of our standard input, which nobody could read again after a crash
LINE_BYTES_MAX = 256 << 20
POLL_S = (0.002, 0.1)  # first and longest wait for more; nobody sees a tenth of a second in a log


class ProcessStream:
    """One attempt. `signal(number)` reaches its process group, `after` calls back once, `settle` looks at its end.

    `hand_over` posts items; `end_gently` makes an end of a process that does not heed SIGPIPE.
    """

    def __init__(
        self,
        attempt: Attempt,
        directory: str,
        *,
        signal: Callable[[int], None],
        after: Callable[[float, Callable[[], None]], object],
        settle: Callable[[], None],
        hand_over: Callable[[Items], None],
        end_gently: Callable[[], None],
    ) -> None:
        assert attempt.make_chain is not None
        self._path = f"{directory}/out"
        self._marker = f"{directory}/released"
        self._is_fold = attempt.arguments["output"] == FOLD
        self._kept = INPUT_KEPT_BYTES if self._is_fold and type(attempt.arguments["input"]) is Handle else 0
        self._make_chain: Callable[[], Any] = attempt.make_chain
        self._signal = signal
        self._settle = settle
        self._hand_over = hand_over
        self._end_gently = end_gently
        self._chain = self._make_chain()
        self._collected: list[Value] = []
        self._position = 0
        self._released = 0
        self._fd = -1
        self._ticker = Ticker(after, self._look, POLL_S)
        self._failure: Raised | None = None  # of a stage, or a line that is too long
        self._is_asked = False
        self._has_returns = False
        self.has_ended = False  # the process
        self._is_over = False  # all of it has gone through the chain, or no more is wanted
        self._is_closed = False
        self._is_held = attempt.is_resumed  # stopped, or perhaps stopped by who had it before
        self._is_enough = False
        self.must_run_again = self._is_fold and attempt.is_resumed and os.path.exists(self._marker)
        if attempt.position is not None:
            self._go_to(attempt.position)

    # -- what the connector says

    def begin(self) -> None:
        """Starts reading."""
        if self.must_run_again or self._is_over:
            self._end_gently()
        else:
            self._ticker.soon()

    def ask(self, position: Value) -> None:
        """Asks for the next items. Nothing before `position` is needed any more."""
        self._is_asked = True
        if position is not None:
            self._release(position["at"])
        self._ticker.soon()

    def close(self) -> None:
        self._is_closed = True
        self._ticker.stop()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def is_drained(self) -> bool:
        """Whether all that a process has written is read, now that it has ended. If not, `settle` is called then."""
        if not self.has_ended:
            self.has_ended = True
            self._ticker.soon()
        return self._is_over

    def outcome(self, value: dict[str, Value]) -> Outcome:
        """The outcome of a drained stream; `value` is what is told of any process."""
        if self._failure is not None:
            return Failed(self._failure.error)
        if self._is_fold:
            try:
                value["value"] = self._chain.value() if self._chain.is_fold else self._collected
            except Raised as problem:
                return Failed(problem.error)
        return Done({**value, "is_enough": True} if self._is_enough else value)

    # -- reading

    def _look(self) -> bool | None:
        """Reads on, until all is read."""
        is_moving = self._advance()
        return None if self._is_over or self._is_closed else is_moving

    def _advance(self) -> bool:
        """Reads a batch, if it is wanted. True: there may be more at once."""
        if self._is_closed or self._is_over or not (self._is_fold or self._is_asked):
            self._hold_back()
            return False
        try:
            lines, position = self._read()
        except Raised as problem:
            self._fail(problem)
            return False
        self._hold_back()
        if lines:
            self._take(lines, position)
            return True
        if self.has_ended and position >= self._size():
            self._finish()
        return False

    def _take(self, lines: list[str], position: int) -> None:
        """Puts lines through the chain."""
        before = None if self._is_fold else self._chain.state()
        try:
            made = self._chain.feed(without_returns(lines) if self._has_returns else lines)
        except Raised as problem:
            made, position = ([], position) if before is None else self._made_before(before, lines)
            if position == self._position or before is None:
                self._failure = problem
        self._position = position
        if self._is_fold:
            self._collected += made
            self._release(position)
        if self._failure is not None or self._chain.is_done:
            made += self._want_no_more()
        self._give(made)

    def _made_before(self, state: Any, lines: list[str]) -> tuple[list[Value], int]:
        """What the lines before a failing one give, and the position of that: it is read again when these are taken."""
        made: list[Value] = []
        position = self._position
        self._chain = self._make_chain()
        self._chain.restore(state)
        try:
            for line in lines:
                state = self._chain.state()
                made += self._chain.feed(without_returns([line]))
                position += size_of([line])
        except Raised:
            self._chain = self._make_chain()
            self._chain.restore(state)
        return made, position

    def _give(self, made: list[Value]) -> None:
        """Hands over a batch of a stream; where there is none yet, goes on reading."""
        if self._is_fold or (not made and not self._is_over):
            return
        self._is_asked = False
        if made:
            position = {"at": self._position, "stages": self._chain.state(), "over": self._is_over}
            self._hand_over(Items(made, {**position, "enough": self._is_enough}))
        if self._is_over and self.has_ended:
            self._settle()

    def _finish(self) -> None:
        """All is read: what the stages still hold comes last."""
        self._is_over = True
        made: list[Value] = []
        try:
            made = self._chain.finish()
        except Raised as problem:
            self._failure = problem
        self._collected += made
        if self._is_fold:
            self._settle()
        else:
            self._give(made)

    def _want_no_more(self) -> list[Value]:
        """The chain has all it needs, or has failed: the process is of no use. Gives what is left for a stream."""
        rest: list[Value] = []
        if not self._is_over and self._failure is None:
            try:
                rest = self._chain.finish()
            except Raised as problem:
                self._failure = problem
        if self._is_fold:
            self._collected += rest
        self._is_over = self._is_enough = True  # also of one that has ended: perhaps whoever had it before ended it
        if not self.has_ended:
            self._end_gently()
        elif self._is_fold:
            self._settle()
        return [] if self._is_fold else rest

    def _fail(self, problem: Raised) -> None:
        self._failure = problem
        self._want_no_more()
        self._give([])

    def _read(self) -> tuple[list[str], int]:
        """The next lines and the position after them; none if no whole one is there."""
        size = FOLD_BYTES if self._is_fold else BATCH_BYTES
        while True:
            data = self._bytes(size)
            end = data.rfind(b"\n") + 1
            if end == 0 and len(data) == size:
                if size >= LINE_BYTES_MAX:
                    message = f"a line is longer than {LINE_BYTES_MAX >> 20} MiB (LINE_BYTES_MAX)"
                    raise Raised(error_value("limit", message))
                size *= 8
                continue
            if len(data) < size and self.has_ended:
                end = len(data)  # the last line, which may have no end
            return self._cut(data[:end])

    def _cut(self, data: bytes) -> tuple[list[str], int]:
        if not data:
            return [], self._position
        text = data.decode("utf-8", "surrogateescape")
        self._has_returns = self._has_returns or "\r" in text
        lines = text.split("\n")
        if not lines[-1]:
            lines.pop()
        position = self._position + len(data)
        if not self._is_fold and len(lines) > BATCH_ITEMS:
            lines = lines[:BATCH_ITEMS]
            position = self._position + size_of(lines)
        return lines, position

    def _bytes(self, size: int) -> bytes:
        return os.pread(self._fd, size, self._position) if self._is_open() else b""

    def _size(self) -> int:
        return os.fstat(self._fd).st_size if self._is_open() else 0

    def _is_open(self) -> bool:
        """Opens the file, if it is there."""
        if self._fd < 0:
            try:
                self._fd = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
            except FileNotFoundError:
                return False
        return True

    def _go_to(self, position: Any) -> None:
        self._position = position["at"]
        self._is_over = position["over"]
        self._is_enough = position.get("enough", False)
        self._chain.restore(position["stages"])

    # -- keeping the space small

    def _hold_back(self) -> None:
        """Stops a process that is far ahead, and lets it go on when it is not."""
        if self.has_ended or self._is_over:
            return
        ahead = self._size() - self._position
        if not self._is_held and ahead > AHEAD_BYTES_MAX:
            self._is_held = True
            self._signal(_signal.SIGSTOP)
        elif self._is_held and ahead < AHEAD_BYTES_AGAIN:
            self._is_held = False
            self._signal(_signal.SIGCONT)

    def _release(self, position: int) -> None:
        """Gives the space before a position back to the file system, where that can be."""
        end = position - self._kept - position % RELEASE_BYTES
        if end <= self._released or self._fd < 0:
            return
        if self._is_fold and self._released == 0:
            os.close(os.open(self._marker, os.O_WRONLY | os.O_CREAT, 0o600))
        punch_hole(self._fd, self._released, end - self._released)
        self._released = end


def size_of(lines: list[str]) -> int:
    return sum(len(line.encode("utf-8", "surrogateescape")) + 1 for line in lines)


def without_returns(lines: list[str]) -> list[str]:
    """Lines without the CR of a CR LF."""
    return [line[:-1] if line.endswith("\r") else line for line in lines]
