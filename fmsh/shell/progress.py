"""The line that tells how far files are that are streamed up or down. It stands at the terminal and goes away again.

It comes when a transfer has lasted a moment, so that short ones show nothing, and is drawn a few times a second, by
the engine's loop: the transfer itself only counts. Whoever writes to the terminal calls `erase` before; the line comes
back by itself, below what was written. It is not drawn while a program has the terminal, or a question is open.
"""

from __future__ import annotations

from collections import deque
from time import monotonic

from fmsh.render.transfers import transfer_text
from fmsh.shell import terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from fmsh.connectors.http_answer import Progress
    from fmsh.engine.loop import Loop, Timer

STDERR = 2
SHOWN_AFTER_S = 0.5
DRAW_EVERY_S = 0.2
RATE_OVER_S = 5.0


class ProgressLine:
    """`is_free` tells whether nobody else uses the terminal now."""

    def __init__(self, loop: Loop, is_free: Callable[[], bool]) -> None:
        self._loop = loop
        self._is_free = is_free
        self._transfers: list[tuple[str, Progress]] = []
        self._bytes_over = 0  # of transfers that ended while others went on
        self._samples: deque[tuple[float, int]] = deque()
        self._timer: Timer | None = None
        self._is_drawn = False

    def add(self, name: str, progress: Progress) -> None:
        """A transfer begins."""
        self._transfers.append((name, progress))
        if self._timer is None:
            self._timer = self._loop.after(SHOWN_AFTER_S, self._turn)

    def erase(self) -> None:
        """Makes room for somebody else."""
        if self._is_drawn:
            self._is_drawn = False
            _write("\r\x1b[K")

    def leave(self) -> None:
        """The job is not in the foreground any more."""
        self.erase()
        self._transfers.clear()
        self._rest()

    def _rest(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._bytes_over = None, 0
        self._samples.clear()

    def _turn(self) -> None:
        self._bytes_over += sum(progress.bytes_done for _, progress in self._transfers if progress.is_over)
        self._transfers = [entry for entry in self._transfers if not entry[1].is_over]
        if not self._transfers:
            self.erase()
            self._rest()
            return
        if self._is_free():
            self._draw()
        self._timer = self._loop.after(DRAW_EVERY_S, self._turn)

    def _draw(self) -> None:
        columns = terminal.width() - 1  # in the last column the cursor would wrap
        name, first = self._transfers[0]
        done, total = self._bytes_over + sum(progress.bytes_done for _, progress in self._transfers), None
        if len(self._transfers) > 1:
            name = f"{len(self._transfers)} files"
        elif not self._bytes_over:
            total = first.bytes_all
        text = transfer_text(name, done, total, self._rate(done), columns=columns)
        # Behind output without a line end it begins a line of its own: blanks up to the width, as before a prompt.
        begin = "" if self._is_drawn else " " * columns
        self._is_drawn = True
        _write(f"{begin}\r{text}\x1b[K")

    def _rate(self, done: int) -> float:
        """Bytes a second, over the last seconds."""
        samples, now_s = self._samples, monotonic()
        if samples and done < samples[-1][1]:  # it began anew: after a redirect, or with the answer to an upload
            samples.clear()
        samples.append((now_s, done))
        while now_s - samples[0][0] > RATE_OVER_S and len(samples) > 2:
            samples.popleft()
        passed_s = now_s - samples[0][0]
        return (done - samples[0][1]) / passed_s if passed_s > 0 else 0.0


def _write(text: str) -> None:
    try:
        terminal.write(STDERR, text.encode("utf-8", "replace"))
    except OSError:
        pass
