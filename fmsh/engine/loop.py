"""The loop: descriptors, timers, and calls from other threads, one after another in one thread.

Invariants
- Callbacks run in the thread that calls `run_once`, never inside one another.
- `submit` and `wake` may be called from any thread and from a signal's Python function; everything else may not.
- Timers go by a monotonic clock and fire in the order of their due times.

It knows nothing of jobs. Why not `selectors` and `asyncio`: importing them takes 3 and 100 ms, and a job of one process
needs one `poll`. Nothing is opened until the first real sleep.
"""

from __future__ import annotations

import os
import time
from _heapq import heapify, heappop, heappush
from _queue import SimpleQueue

TYPE_CHECKING = False
if TYPE_CHECKING:
    import select
    from collections.abc import Callable
    from typing import Any

    Callback = Callable[[], object]

CANCELLED_TIMERS_MAX = 256  # kept in the heap before it is cleaned: a released job must not leave its timer for days


class Timer:
    """A call that is due at a moment of the loop's clock."""

    __slots__ = ("callback", "due_s", "loop")

    def __init__(self, loop: Loop, due_s: float, callback: Callback) -> None:
        self.loop = loop
        self.due_s = due_s
        self.callback: Callback | None = callback

    def cancel(self) -> None:
        """Makes sure that it does not fire any more; does nothing to one that has fired."""
        if self.callback is not None:
            self.callback = None
            self.loop.forget_cancelled()


class Loop:
    """See the module's docstring. `now_s` is the clock of its timers."""

    __slots__ = (
        "_cancelled",
        "_is_sleeping",
        "_poll",
        "_posted",
        "_timer_count",
        "_timers",
        "_wake_fds",
        "_watched",
        "now_s",
    )

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self.now_s = now_s
        self._watched: dict[int, Callback] = {}
        self._poll: select.poll | None = None
        self._posted: SimpleQueue[tuple[Callable[..., object], tuple[Any, ...]]] = SimpleQueue()
        self._timers: list[tuple[float, int, Timer]] = []
        self._timer_count = 0
        self._cancelled = 0
        self._wake_fds: tuple[int, int] | None = None
        self._is_sleeping = False

    # -- descriptors

    def watch(self, fd: int, callback: Callback) -> None:
        """Calls `callback` whenever `fd` is readable or at its end, until `unwatch`."""
        import select

        if self._poll is None:
            self._poll = select.poll()
        self._poll.register(fd, select.POLLIN)
        self._watched[fd] = callback

    def unwatch(self, fd: int) -> None:
        """Forgets a descriptor; to be called before it is closed. Does nothing for one that is not watched."""
        if self._watched.pop(fd, None) is not None and self._poll is not None:
            self._poll.unregister(fd)

    # -- timers

    def after(self, seconds: float, callback: Callback) -> Timer:
        """Calls `callback` once, not before `seconds` have passed."""
        timer = Timer(self, self.now_s() + max(0.0, seconds), callback)
        self._timer_count += 1
        heappush(self._timers, (timer.due_s, self._timer_count, timer))
        return timer

    def forget_cancelled(self) -> None:
        """Counts one more cancelled timer, and cleans the heap when most of it is of these."""
        self._cancelled += 1
        if self._cancelled > CANCELLED_TIMERS_MAX and self._cancelled * 2 > len(self._timers):
            self._timers = [entry for entry in self._timers if entry[2].callback is not None]
            heapify(self._timers)
            self._cancelled = 0

    # -- from anywhere

    def submit(self, callback: Callable[..., object], *arguments: object) -> None:
        """Calls `callback(*arguments)` in the loop's thread, soon. From any thread or signal."""
        self._posted.put((callback, arguments))
        if self._is_sleeping and self._wake_fds is not None:
            try:
                os.write(self._wake_fds[1], b"\0")
            except BlockingIOError:  # it is full of wake-ups
                return

    def wake(self) -> None:
        """Ends the sleep of `run_once`, or the next one if there is none now. From any thread or signal."""
        self.submit(_do_nothing)

    # -- the loop's thread

    def run_once(self, timeout_s: float | None) -> None:
        """Sleeps until there is something to do, at most `timeout_s` (None: for ever), then does all that is due."""
        wait_s = self._wait_s(timeout_s)
        if wait_s != 0:
            self._sleep(wait_s)
        elif self._poll is not None:
            self._call_ready(self._poll.poll(0))
        if self._timers:
            self._call_due()
        posted = self._posted
        for _ in range(posted.qsize()):
            callback, arguments = posted.get()
            callback(*arguments)

    def close(self) -> None:
        """Closes what the loop itself has opened."""
        if self._wake_fds is not None:
            self.unwatch(self._wake_fds[0])
            for fd in self._wake_fds:
                os.close(fd)
            self._wake_fds = None

    def _wait_s(self, timeout_s: float | None) -> float | None:
        if not self._posted.empty():
            return 0
        timers = self._timers
        while timers and timers[0][2].callback is None:
            heappop(timers)
            self._cancelled = max(0, self._cancelled - 1)
        if not timers:
            return timeout_s
        due_in_s = max(0.0, timers[0][0] - self.now_s())
        return due_in_s if timeout_s is None else min(timeout_s, due_in_s)

    def _sleep(self, wait_s: float | None) -> None:
        if self._wake_fds is None:
            self._open_wake_pipe()
        assert self._poll is not None
        self._is_sleeping = True  # first this, then the look at the queue: who posts in between sees it and wakes us
        try:
            is_idle = self._posted.empty()
            ready = self._poll.poll(0 if not is_idle else None if wait_s is None else wait_s * 1000)
        finally:
            self._is_sleeping = False
        self._call_ready(ready)

    def _open_wake_pipe(self) -> None:
        self._wake_fds = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK) if hasattr(os, "pipe2") else os.pipe()
        for fd in self._wake_fds:
            os.set_blocking(fd, False)
        self.watch(self._wake_fds[0], self._drain_wake_pipe)

    def _drain_wake_pipe(self) -> None:
        assert self._wake_fds is not None
        os.read(self._wake_fds[0], 4096)

    def _call_ready(self, ready: list[tuple[int, int]]) -> None:
        for fd, _ in ready:
            callback = self._watched.get(fd)  # one before it may have unwatched this one
            if callback is not None:
                callback()

    def _call_due(self) -> None:
        now_s = self.now_s()
        timers = self._timers
        while timers and timers[0][0] <= now_s:
            callback = heappop(timers)[2].callback
            if callback is None:
                self._cancelled = max(0, self._cancelled - 1)
                continue
            callback()
            timers = self._timers  # the heap may have been cleaned


def _do_nothing() -> None:
    """What is posted for its waking alone."""
