"""The threads that requests run in: workers, and a watchdog that knows when the time of each is up. All are daemons."""

from __future__ import annotations

import heapq
import queue
import time
from threading import Condition, Lock, Thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from fmsh.connectors.http_request import Exchange

WORKERS_MAX = 64
# The worker's own time-out knows more, so it goes first.
WATCHDOG_GRACE_S = 0.25


class Workers:
    """Threads that start when there is work and no idle one, up to `WORKERS_MAX`; then work queues."""

    def __init__(self, run: Callable[[Exchange], None]) -> None:
        self._run = run
        self._queue: queue.SimpleQueue[Exchange | None] = queue.SimpleQueue()
        self._lock = Lock()
        self._idle = self._alive = 0
        self._busy: set[Exchange] = set()

    def put(self, exchange: Exchange) -> None:
        with self._lock:
            is_needed = self._idle <= self._queue.qsize() and self._alive < WORKERS_MAX
            self._alive += is_needed
        self._queue.put(exchange)
        if is_needed:
            Thread(target=self._work, name="fmsh-http", daemon=True).start()

    def abandon(self, exchange: Exchange) -> None:
        """Counts a worker that may be stuck no more: another may start in its place, and it ends when it comes back."""
        with self._lock:
            if exchange in self._busy:
                self._busy.remove(exchange)
                self._alive -= 1

    def close(self) -> None:
        with self._lock:
            for _ in range(self._alive):
                self._queue.put(None)

    def _work(self) -> None:
        while True:
            with self._lock:
                self._idle += 1
            exchange = self._queue.get()
            with self._lock:
                self._idle -= 1
                if exchange is None:
                    self._alive -= 1
                    return
                self._busy.add(exchange)
            self._run(exchange)
            with self._lock:
                if exchange not in self._busy:
                    return
                self._busy.remove(exchange)


class Watchdog:
    """A thread that calls back at each exchange's deadline. It starts with the first one."""

    def __init__(self, callback: Callable[[Exchange], None]) -> None:
        self._callback = callback
        self._changed = Condition()
        self._heap: list[tuple[float, int, Exchange]] = []
        self._count = 0
        self._thread: Thread | None = None
        self._is_closed = False

    def add(self, exchange: Exchange) -> None:
        with self._changed:
            self._push(exchange)
            if self._heap[0][2] is exchange:
                self._changed.notify()
            if self._thread is None:
                self._thread = Thread(target=self._watch, name="fmsh-http-watchdog", daemon=True)
                self._thread.start()

    def _push(self, exchange: Exchange) -> None:
        self._count += 1
        heapq.heappush(self._heap, (exchange.line.deadline + WATCHDOG_GRACE_S, self._count, exchange))

    def close(self) -> None:
        with self._changed:
            self._is_closed = True
            self._changed.notify()

    def _watch(self) -> None:
        while True:
            exchange = self._next_due()
            if exchange is None:
                return
            self._callback(exchange)

    def _next_due(self) -> Exchange | None:
        with self._changed:
            while not self._is_closed:
                while self._heap and self._heap[0][2].is_answered:
                    heapq.heappop(self._heap)
                wait_s = self._heap[0][0] - time.monotonic() if self._heap else None
                if wait_s is not None and wait_s <= 0:
                    exchange = heapq.heappop(self._heap)[2]
                    if exchange.line.deadline + WATCHDOG_GRACE_S <= time.monotonic():
                        return exchange
                    self._push(exchange)  # its deadline moved, with its data
                    continue
                self._changed.wait(wait_s)
            return None
