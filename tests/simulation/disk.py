"""Simulated disks: one in memory, or a real database in a temporary directory; both seen and disturbed at the seam.

Each write of an owner passes `before_write` and `after_write`: there it may die, and find the disk full or busy.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from fmsh.errors import StoreError
from fmsh.store.base import RENEWAL_TTL_S, Append, Delivery, Job, Lease, NewCallback, NewEvent, NewJob, Summary
from fmsh.store.memory import MemoryStore
from fmsh.store.memory_disk import MemoryDisk
from fmsh.store.migrations import CURRENT
from fmsh.store.outside import NewClaim, Place
from fmsh.store.presence import Presence
from fmsh.store.sqlite import SqliteStore
from fmsh.store.watch import Watch

if TYPE_CHECKING:
    from tests.simulation.owners import Owner
    from tests.simulation.world import World

PID_FIRST = 2**23  # above what any system gives a process, so that nobody finds one of them


class Pokes:
    """Wake-ups between processes, of which some are lost."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._waiting: set[str] = set()

    def arrives(self, owner_id: str) -> bool:
        if self._world.random.random() < self._world.profile.lost_pokes:
            return False
        self._waiting.add(owner_id)
        return True

    def take(self, owner_id: str) -> None:
        self._waiting.discard(owner_id)

    def waits(self, owner_id: str) -> bool:
        return owner_id in self._waiting


class SimulatedDisk(MemoryDisk):
    def __init__(self, pokes: Pokes) -> None:
        super().__init__()
        self._pokes = pokes

    def poke(self, owner_id: str) -> None:
        if owner_id in self.sockets and self._pokes.arrives(owner_id):
            super().poke(owner_id)


class Seam:
    """What is put over a store, of either kind. `sim` is the process that writes through it."""

    sim: Owner

    def create_job(
        self,
        new: NewJob,
        append: Sequence[NewEvent],
        summary: Summary,
        *,
        lease: bool,
        **blobs: Any,
    ) -> tuple[Job, Lease | None, bool]:
        work = super().create_job  # type: ignore[misc]
        job, held, is_new = self._write(lambda: work(new, append, summary, lease=lease, **blobs))
        if is_new:
            self.sim.world.created(self.sim, job, held, append)
        self.sim.after_write()
        return job, held, is_new

    def commit(self, appends: Sequence[Append]) -> list[StoreError | None]:
        work = super().commit  # type: ignore[misc]
        heads = [append.lease.head for append in appends]
        answers: list[StoreError | None] = self._write(lambda: work(appends))
        for append, head, answer in zip(appends, heads, answers, strict=True):
            self.sim.world.committed(self.sim, append, head, answer)
        self.sim.after_write()
        return answers

    def acquire(self, job_id: int) -> Lease | None:
        work = super().acquire  # type: ignore[misc]
        lease: Lease | None = self._write(lambda: work(job_id))
        if lease is not None:
            self.sim.world.acquired(self.sim, lease)
        self.sim.after_write()
        return lease

    def release(self, lease: Lease, *, wake_at_ms: int | None) -> None:
        work = super().release  # type: ignore[misc]
        self._write(lambda: work(lease, wake_at_ms=wake_at_ms))
        self.sim.world.journal.freed(lease.job_id, by=self.sim)

    def renew(self) -> None:
        self._write(super().renew)  # type: ignore[misc]
        self.sim.renewed_s = self.sim.world.time.now_s

    def reap(self) -> list[int]:
        freed: list[int] = self._write(super().reap)  # type: ignore[misc]
        for job_id in freed:
            self.sim.world.journal.freed(job_id, by=self.sim)
        return freed

    def deliver(self, job_id: int, kind: str, data_json: str, *, dedupe_id: str) -> bool:
        work = super().deliver  # type: ignore[misc]
        is_new: bool = self._write(lambda: work(job_id, kind, data_json, dedupe_id=dedupe_id))
        return is_new

    def open_callback(self, new: NewCallback) -> None:
        work = super().open_callback  # type: ignore[misc]
        self._write(lambda: work(new))

    def deliver_callback(
        self, token_hash: bytes, data_json: str, *, dedupe_id: str, method: str, now_ms: int
    ) -> Delivery | None:
        work = super().deliver_callback  # type: ignore[misc]
        found: Delivery | None = self._write(
            lambda: work(token_hash, data_json, dedupe_id=dedupe_id, method=method, now_ms=now_ms)
        )
        return found

    def claim(self, new: NewClaim, *, now_ms: int) -> Place:
        work = super().claim  # type: ignore[misc]
        place: Place = self._write(lambda: work(new, now_ms=now_ms))
        self.sim.after_write()
        return place

    def reserve(self, name: str, *, interval_us: int, now_us: int) -> int:
        work = super().reserve  # type: ignore[misc]
        at_us: int = self._write(lambda: work(name, interval_us=interval_us, now_us=now_us))
        return at_us

    def _write(self, work: Callable[[], Any]) -> Any:
        """Runs one transaction. What a store does inside of one of its own is no second one."""
        if self.sim.is_writing:
            return work()
        self.sim.before_write()
        self.sim.is_writing = True
        try:
            return work()
        finally:
            self.sim.is_writing = False

    def quarantine(self, job_id: int, *, error_json: str) -> None:
        self.sim.world.violate(f"job {job_id} is put into quarantine: {error_json[:200]}")
        super().quarantine(job_id, error_json=error_json)  # type: ignore[misc]

    def drain_wakeups(self) -> None:
        self.sim.world.pokes.take(self.sim.store.owner.id)
        super().drain_wakeups()  # type: ignore[misc]


class SimulatedMemoryStore(Seam, MemoryStore):
    def __init__(self, sim: Owner, disk: MemoryDisk) -> None:
        self.sim = sim
        world = sim.world
        super().__init__(disk, kind=sim.kind, boot_id=world.boot_id, now_s=world.time.monotonic_s)
        disk.alive.discard(self.owner.id)
        self.owner = self.owner.replace(id=sim.name, pid=PID_FIRST + sim.number)
        disk.alive.add(self.owner.id)

    def kill(self) -> None:
        self.crash()


class SimulatedPresence(Presence):
    __slots__ = ("_pokes",)

    def __init__(self, sim: Owner, directory: str) -> None:
        super().__init__(directory, sim.kind)
        self._pokes = sim.world.pokes
        boot_id = sim.world.boot_id
        self.owner = self.owner.replace(id=sim.name, pid=PID_FIRST + sim.number, boot_id=boot_id)

    def poke(self, owner_ids: list[str]) -> None:
        super().poke([owner_id for owner_id in owner_ids if self._pokes.arrives(owner_id)])

    def kill(self) -> None:
        """Lets go of the lock and the socket, and leaves their files, as the end of a killed process does."""
        if self._socket is not None:
            self._socket.close()
        for fd in (self._lock_fd, self._run_fd):
            if fd >= 0:
                os.close(fd)
        self._socket, self._lock_fd, self._run_fd = None, -1, -1


class SimulatedSqliteStore(Seam, SqliteStore):
    def __init__(self, sim: Owner, directory: str) -> None:
        self.sim = sim
        watch = Watch(RENEWAL_TTL_S, sim.world.time.monotonic_s)
        super().__init__(directory, SimulatedPresence(sim, directory), watch, CURRENT, is_first=True)

    def kill(self) -> None:
        self._database.close()
        presence: Any = self._presence
        presence.kill()


Open = Callable[["Owner"], Any]  # a store for a process that begins


def memory(world: World) -> Open:
    disk = SimulatedDisk(world.pokes)
    return lambda sim: SimulatedMemoryStore(sim, disk)


def database(directory: str) -> Open:
    from fmsh.store import files

    path = files.prepare_directory(directory)
    return lambda sim: SimulatedSqliteStore(sim, path)
