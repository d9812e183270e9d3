"""The daemon's part: runs every job that is due or orphaned, keeps none in memory that only waits, and hands all back.

It sleeps until the earliest due time, a timer, a descriptor or a wake-up. It watches the living owners of leases by
descriptors of their processes, so that it takes over as soon as one has died; where the system has none of these it
asks each second.
"""

from __future__ import annotations

import os

from fmsh.engine import summary
from fmsh.errors import StoreBusy, StoreFull
from fmsh.store.base import RENEWAL_TTL_S

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from fmsh.engine.engine import Engine
    from fmsh.engine.loop import Timer
    from fmsh.engine.worker import Worker

ADOPT_MAX = 100  # at once, so that what is running is served in between
TROUBLE_RETRY_S = 1.0
WAIT_S_MAX = 1.8  # due times are wall time, and the loop's clock stops in suspend: 2 s with what a busy machine adds
OWNER_POLL_S = 1.0  # where a process cannot be watched
ALONE_POLL_S = 60.0  # while no other process is known to hold a lease
IDLE_CHECK_S = 0.5
IDLE_S = 1.0  # what waits longer than this leaves the memory; what comes sooner finds the job loaded
STOP_PATIENCE_S = 1.2  # of the 2 s that stopping may take, with what others do after us


class Service:
    """One run of the daemon."""

    __slots__ = (
        "_due_timer",
        "_engine",
        "_idle_since",
        "_is_alone",
        "_is_unload_planned",
        "_pidfds",
        "_regular",
        "_unwatchable",
    )

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._pidfds: dict[str, int] = {}  # owner id → descriptor
        self._unwatchable: set[str] = set()
        self._due_timer: Timer | None = None
        self._regular: Timer | None = None  # the next look at all owners
        self._is_alone = False  # as far as that look is planned
        self._idle_since: dict[int, float] = {}
        self._is_unload_planned = False

    def run(self, stop: Callable[[], bool]) -> None:
        """Serves until `stop()`, then hands everything back."""
        self.begin()
        while not stop():
            self.turn()
        self.end()

    def begin(self) -> None:
        """Frees what the dead have left, and looks for them from here on."""
        self._reap()
        self._watch_regularly()

    def turn(self) -> None:
        """One iteration, which sleeps until there is something to do."""
        engine = self._engine
        if engine.has_released:
            engine.has_released = False
            self._watch_owners()
            self._adopt_due()
        if engine.workers and not self._is_unload_planned:
            self._is_unload_planned = True
            engine.loop.after(IDLE_CHECK_S, self._unload_idle)
        engine.step(0 if engine.has_released else None)

    def end(self) -> None:
        """Hands everything back, and looks for nobody any more."""
        self._hand_back()
        for fd in self._pidfds.values():
            self._engine.loop.unwatch(fd)
            os.close(fd)
        self._pidfds = {}

    # -- jobs that are due

    def _adopt_due(self) -> None:
        engine = self._engine
        try:
            limit = ADOPT_MAX + engine.quarantined
            due = engine.store.due(engine.clock_ms(), limit=limit)
            adopted = [job_id for job_id in due if engine.adopt(job_id)]
            if len(due) == limit and adopted:
                engine.has_released = True  # there may be more
            self._plan(engine.store.next_due_ms())
        except (StoreFull, StoreBusy) as error:
            engine.report(error, "taking over jobs")
            self._set_due_timer(TROUBLE_RETRY_S)

    def _plan(self, next_due_ms: int | None) -> None:
        if next_due_ms is None:
            self._set_due_timer(None)
        else:
            self._set_due_timer(max(0.001, (next_due_ms - self._engine.clock_ms()) / 1000))

    def _set_due_timer(self, wait_s: float | None) -> None:
        if self._due_timer is not None:
            self._due_timer.cancel()
        wait_s = None if wait_s is None else min(wait_s, WAIT_S_MAX)
        self._due_timer = None if wait_s is None else self._engine.loop.after(wait_s, self._look_for_due)

    def _look_for_due(self) -> None:
        self._engine.has_released = True

    # -- owners that die

    def _watch_owners(self) -> None:
        """Watches every owner that is not watched yet, and forgets those that are gone."""
        engine = self._engine
        owners = {owner.id: owner for owner in engine.store.owners() if owner.id != engine.store.owner.id}
        for owner_id in [owner_id for owner_id in self._pidfds if owner_id not in owners]:
            self._unwatch(owner_id)
        self._unwatchable &= owners.keys()
        for owner_id, owner in owners.items():
            if owner_id not in self._pidfds and owner_id not in self._unwatchable:
                self._watch(owner_id, owner.pid)
        if self._is_alone and owners:
            self._plan_regular_look()

    def _watch(self, owner_id: str, pid: int) -> None:
        engine = self._engine
        try:
            fd = os.pidfd_open(pid)
        except (AttributeError, OSError):  # no such call, or no such process: the lock decides
            self._unwatchable.add(owner_id)
        else:
            self._pidfds[owner_id] = fd
            engine.loop.watch(fd, lambda: self._died(owner_id))
        if not engine.store.is_alive(owner_id):  # it died before we watched, and its number may be another's now
            self._died(owner_id)

    def _died(self, owner_id: str) -> None:
        self._unwatch(owner_id)
        self._unwatchable.discard(owner_id)
        self._reap()

    def _unwatch(self, owner_id: str) -> None:
        fd = self._pidfds.pop(owner_id, None)
        if fd is not None:
            self._engine.loop.unwatch(fd)
            os.close(fd)

    def _reap(self) -> None:
        engine = self._engine
        try:
            engine.store.reap()
        except (StoreFull, StoreBusy) as error:
            engine.report(error, "looking for dead owners")
        engine.has_released = True

    def _watch_regularly(self) -> None:
        """Looks at all owners now and then: for the stalled, for those whose wake-up was lost, and the unwatchable."""
        engine = self._engine
        if any(not engine.store.is_alive(owner_id) for owner_id in self._unwatchable):
            self._reap()
        self._plan_regular_look()
        if not self._unwatchable:
            self._reap()

    def _plan_regular_look(self) -> None:
        if self._regular is not None:
            self._regular.cancel()
        self._is_alone = not (self._unwatchable or self._pidfds or self._engine.workers)
        others_s = ALONE_POLL_S if self._is_alone else RENEWAL_TTL_S / 3
        self._regular = self._engine.loop.after(OWNER_POLL_S if self._unwatchable else others_s, self._watch_regularly)

    # -- jobs that only wait

    def _unload_idle(self) -> None:
        engine = self._engine
        self._is_unload_planned = False
        now_s = engine.loop.now_s()
        idle = {worker.job_id: worker for worker in engine.workers.values() if self._is_idle(worker)}
        self._idle_since = {job_id: self._idle_since.get(job_id, now_s) for job_id in idle}
        for job_id, since_s in self._idle_since.items():
            if now_s - since_s >= IDLE_S:
                engine.leave(idle[job_id])

    def _is_idle(self, worker: Worker) -> bool:
        if worker.is_leaving or worker.pending is not None or worker.arrived or worker.starts:
            return False
        if worker.backlog is not None:  # rows in its inbox would have it loaded again at once
            return False
        if worker.is_paused or worker.is_parked:
            return not any(flight.is_running and not flight.is_waiting for flight in worker.flights.values())
        wake_at_ms = summary.wake_at_ms(worker)
        is_soon = wake_at_ms is not None and wake_at_ms < self._engine.clock_ms() + IDLE_S * 1000
        return summary.is_waiting(worker) and not is_soon

    # -- the end

    def _hand_back(self) -> None:
        """Releases every job: at quiescence those that can, and past our patience the others too."""
        engine = self._engine
        for worker in list(engine.workers.values()):
            engine.leave(worker)
        until_s = engine.loop.now_s() + STOP_PATIENCE_S
        while engine.workers and engine.loop.now_s() < until_s:
            engine.step(max(0.0, until_s - engine.loop.now_s()))
        for worker in list(engine.workers.values()):
            worker.is_hurried = True
            engine.make_ready(worker)
        engine.step(0)
