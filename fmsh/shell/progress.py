"""The line that tells what the job in the foreground is at. It stands at the terminal and goes away again.

It comes when the job has lasted a moment, so that short ones show nothing, and is drawn a few times a second, by the
engine's loop: how far the files are that are streamed up or down, else what the job waits for. Whoever writes to the
terminal calls `erase` before; the line comes back by itself, below what was written. It is not drawn while a program
has the terminal, or a question is open.
"""

from __future__ import annotations

from collections import deque
from time import monotonic

from fmsh.render import passing
from fmsh.render.doing import doing_text
from fmsh.render.transfers import transfer_text
from fmsh.shell import terminal
from fmsh.shell.doing import count_of, doing_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from fmsh.connectors.http_answer import Progress
    from fmsh.engine.loop import Loop, Timer
    from fmsh.engine.worker import Worker

STDERR = 2
TRANSFER_AFTER_S = 0.5
DRAW_EVERY_S = 0.2
RATE_OVER_S = 5.0


class ProgressLine:
    """`is_free` tells whether nobody else uses the terminal now; `worker` gives the job in the foreground."""

    def __init__(
        self,
        loop: Loop,
        is_free: Callable[[], bool],
        worker: Callable[[], Worker | None],
        wall_ms: Callable[[], int],
    ) -> None:
        self._loop = loop
        self._is_free = is_free
        self._worker = worker
        self._wall_ms = wall_ms
        self._is_job_told = False
        self._transfers: list[tuple[str, Progress]] = []
        self._bytes_over = 0  # of transfers that ended while others went on
        self._samples: deque[tuple[float, int]] = deque()
        self._timer: Timer | None = None
        self.is_drawn = False

    def add(self, name: str, progress: Progress) -> None:
        """A transfer begins."""
        self._transfers.append((name, progress))
        if self._timer is None:
            self._timer = self._loop.after(TRANSFER_AFTER_S, self._turn)

    def tell_of_job(self) -> None:
        """The job in the foreground has lasted a moment."""
        self._is_job_told = True
        if self._timer is None:
            self._turn()

    def erase(self) -> None:
        """Makes room for somebody else."""
        if self.is_drawn:
            self.is_drawn = False
            _write(passing.GONE)

    def leave(self) -> None:
        """The job is not in the foreground any more."""
        self.erase()
        self._transfers.clear()
        self._is_job_told = False
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
            self._bytes_over = 0
            self._samples.clear()
        if not self._transfers and not self._is_job_told:
            self.erase()
            self._rest()
            return
        if self._is_free():
            columns = passing.room(terminal.width())
            self._draw(self._of_transfers(columns) if self._transfers else self._of_job(columns))
        self._timer = self._loop.after(DRAW_EVERY_S, self._turn)

    def _of_job(self, columns: int) -> str:
        worker = self._worker()
        if worker is None:
            return ""
        return doing_text(doing_of(worker), count_of(worker), self._wall_ms(), columns=columns)

    def _of_transfers(self, columns: int) -> str:
        name, first = self._transfers[0]
        done, total = self._bytes_over + sum(progress.bytes_done for _, progress in self._transfers), None
        if len(self._transfers) > 1:
            name = f"{len(self._transfers)} files"
        elif not self._bytes_over:
            total = first.bytes_all
        return transfer_text(name, done, total, self._rate(done), columns=columns)

    def _draw(self, text: str) -> None:
        if not text:
            self.erase()
            return
        _write(passing.drawn(text, terminal.width(), color=terminal.has_colors(STDERR), is_there=self.is_drawn))
        self.is_drawn = True

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
