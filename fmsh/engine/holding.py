"""Keeping leases, and hearing of what others want of their jobs: renewals, wake-ups, and the poll below them.

Nothing of this begins before a job is a tenth of a second old: a job that is over sooner costs no socket and no timer.
Only the daemon is told of a process as soon as that has an effect, so that it takes over when the process dies.
A lease is *sound* while we have renewed within its time to live: until then nobody can have seen our renewals stand
still for so long, and have taken it. After a lapse a job is proven to be ours by its next commit, and acts only after
that. Safety does not rest on it but on the fence of every append; it keeps a process that was stopped, or had no room
to renew, from acting after others took over.
"""

from __future__ import annotations

from fmsh.errors import StoreBusy, StoreError, StoreFull
from fmsh.store.base import RENEWAL_TTL_S

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fmsh.engine.engine import Engine
    from fmsh.engine.worker import Worker

LISTEN_AFTER_S = 0.1
LISTEN_AGAIN_S = 1.0  # after the store had no room or no time for it
RENEWALS_FAILED_MAX = 2  # RELIABILITY 3.8
POLL_ACTIVE_S = 0.25  # RELIABILITY 2: a datagram may be lost
POLL_IDLE_S = 15.0  # it must not keep a processor awake; the next fmsh that starts looks for orphans, too


class Holding:
    """How this process holds what it holds."""

    __slots__ = (
        "_data_version",
        "_engine",
        "_has_begun",
        "_has_told_daemon",
        "_is_listening",
        "_is_renewing",
        "_renewals_failed",
        "_renewed_s",
        "_unproven",
        "_waiting",
    )

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._has_begun = False
        self._has_told_daemon = engine.is_daemon
        self._is_listening = False
        self._is_renewing = False
        self._renewals_failed = 0
        self._renewed_s = engine.loop.now_s()
        self._unproven: set[Worker] = set()  # jobs that may have been taken from us before our last renewal
        self._waiting: dict[Worker, None] = {}
        self._data_version = 0

    # -- soundness

    def is_proven(self, worker: Worker) -> None:
        """Notes that the store has just let us write in a job."""
        self._unproven.discard(worker)

    def is_sound(self, worker: Worker) -> bool:
        """Whether effects of a job may start without another commit before them."""
        return not self._has_lapsed and worker not in self._unproven

    @property
    def _has_lapsed(self) -> bool:
        return self._engine.loop.now_s() - self._renewed_s >= RENEWAL_TTL_S

    @property
    def may_act(self) -> bool:
        return self._renewals_failed < RENEWALS_FAILED_MAX

    def wait(self, worker: Worker) -> None:
        """Lets a worker act when renewals succeed again."""
        self._waiting[worker] = None

    # -- listening

    def begin(self) -> None:
        """Gets ready for a job: begins to listen soon, if it has not yet.

        A process without jobs does not renew, so others may have taken it for stopped. Raises: StoreError.
        """
        if not self._has_begun:
            self._has_begun = True
            self._engine.loop.after(LISTEN_AFTER_S, self.listen)
        if self._engine.loop.now_s() - self._renewed_s >= RENEWAL_TTL_S / 3:
            self._renew_now()
        if self._is_listening:
            self._go_on_renewing()

    def listen(self) -> None:
        """Hears from here on of what other processes put into the store for us."""
        if self._is_listening:
            return
        self._has_begun = True
        engine = self._engine
        try:
            fileno = engine.store.wake_fileno()
            self._data_version = engine.store.data_version()
        except (StoreFull, StoreBusy) as error:
            engine.report(error, "beginning to listen")
            engine.loop.after(LISTEN_AGAIN_S, self.listen)
            return
        self._is_listening = True
        engine.loop.watch(fileno, self._woken)
        self._go_on_renewing()
        engine.loop.after(POLL_ACTIVE_S, self._poll)
        self.tell_daemon()
        engine.look()

    def tell_daemon(self) -> None:
        """Wakes the daemon, once: from then on it watches this process, and takes over at once when it dies."""
        if not self._has_told_daemon:
            self._has_told_daemon = True
            self._engine.store.wake_daemon()

    def _woken(self) -> None:
        self._engine.store.drain_wakeups()
        self._engine.look()
        self._engine.has_released = True

    def _poll(self) -> None:
        engine = self._engine
        version = engine.store.data_version()
        if version != self._data_version:
            self._data_version = version
            engine.look()
            engine.has_released = True
        engine.loop.after(POLL_ACTIVE_S if engine.workers else POLL_IDLE_S, self._poll)

    def _go_on_renewing(self) -> None:
        if not self._is_renewing:
            self._is_renewing = True
            self._engine.loop.after(RENEWAL_TTL_S / 3, self._renew)

    def _renew(self) -> None:
        engine = self._engine
        self._is_renewing = False
        if not engine.workers:
            return
        self._go_on_renewing()
        try:
            self._renew_now()
        except StoreError as error:
            self._renewals_failed += 1
            engine.report(error, "renewing the leases")
            return
        self._renewals_failed = 0
        waiting, self._waiting = self._waiting, {}
        for worker in waiting:
            if not worker.is_dropped:
                engine.make_ready(worker)

    def _renew_now(self) -> None:
        engine = self._engine
        engine.store.renew()
        if self._has_lapsed:
            self._unproven = set(engine.workers.values())
        self._renewed_s = engine.loop.now_s()
