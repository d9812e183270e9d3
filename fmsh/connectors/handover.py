"""How commands get the terminal and give it back, so that no key that somebody presses is lost.

The signal of a key goes to the process group that owns the terminal. A shell that starts a program is deaf for some
moments: what it catches is forgotten by its child, and what it forwards comes too late. So the terminal is only with
a group that is not:

    the wrapper starts                               ours: Ctrl-C cancels the job
    each stage says that its signals are its own,    ours
    and waits at a gate
    the terminal is lent; then the gate opens        theirs: Ctrl-C ends a stage, be it at the gate or a program by now
    all stages have ended, the wrapper says so       theirs: the wrapper writes down that a Ctrl-C came
    and waits at a second gate
    the terminal is taken back; that gate opens      ours

Both gates are pipes that are read until their end, which also comes when we die.
"""

from __future__ import annotations

import os

from fmsh.connectors import spool
from fmsh.connectors.foreground import Foreground
from fmsh.connectors.wrapper import ENDED, READY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from fmsh.connectors.descriptors import Sources

READ_BYTES = 4096


class Handover(Foreground):
    """The terminal on descriptor `fd`, on its way to an attempt and back. `is_refused`: the attempt is cancelled."""

    __slots__ = (
        "_directory",
        "_gate_of_end",
        "_gate_of_start",
        "_heard",
        "_stage_count",
        "_told",
        "_unwatch",
        "is_refused",
    )

    def __init__(self, fd: int, directory: str, stage_count: int) -> None:
        super().__init__(fd)
        self._directory = directory
        self._stage_count = stage_count
        self._heard = ""
        self._told = self._gate_of_end = self._gate_of_start = -1
        self._unwatch: Callable[[int], None] | None = None
        self.is_refused = False

    def give(self, sources: Sources) -> None:
        """Opens the pipes, and gives their other ends to the wrapper. Raises: OSError; `close` is due either way."""
        self._told, said = os.pipe()
        sources.take(3, said)
        waits, self._gate_of_end = os.pipe()
        sources.take(4, waits)
        waits, self._gate_of_start = os.pipe()
        sources.take(5, waits)

    def follow(
        self,
        group: int,
        terminate: Callable[[], None],
        watch: Callable[[int, Callable[[], None]], None],
        unwatch: Callable[[int], None],
    ) -> None:
        """Lends the terminal to `group` when that is ready, and takes it back. `terminate` ends one that is refused."""
        self._unwatch = unwatch
        watch(self._told, lambda: self._hear(group, terminate))

    def close(self) -> None:
        """Opens the gates and listens no more."""
        self._gate_of_start = _close(self._gate_of_start)
        self._gate_of_end = _close(self._gate_of_end)
        if self._unwatch is not None:
            self._unwatch(self._told)
            self._unwatch = None
        self._told = _close(self._told)

    def _hear(self, group: int, terminate: Callable[[], None]) -> None:
        data = os.read(self._told, READ_BYTES)
        self._heard += data.decode("latin-1")
        has_ended = ENDED in self._heard or not data
        if self._gate_of_start >= 0 and not has_ended and self._heard.count(READY) == self._stage_count:
            if self.is_refused:
                terminate()  # the first time it may have been deaf
            else:
                self.lend(group)
            self._gate_of_start = _close(self._gate_of_start)
        if has_ended:
            statuses = spool.written_statuses(self._directory)
            self.take_back(is_restored=any(128 < status < 160 for status in statuses))
            self.close()


def _close(fd: int) -> int:
    if fd >= 0:
        os.close(fd)
    return -1
