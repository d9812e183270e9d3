"""Moving jobs between stores in memory; see `fmsh.store.transfer`, and `fmsh.store.base` for what is guaranteed."""

from __future__ import annotations

from fmsh.errors import StoreError, StoreFenced
from fmsh.store import chain
from fmsh.store.base import MOVED, InboxRow, Lease, NewEvent, Snapshot, StoredEvent
from fmsh.store.memory_disk import KEY, CallbackOnDisk, kept_job
from fmsh.store.memory_drawer import Drawer, Writing
from fmsh.store.moving import Belongings, BlobUse, Delivered, KeptBlob, KeptCallback

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from fmsh.store.base import Job, Owner
    from fmsh.store.memory_disk import KeptJob, MemoryDisk
    from fmsh.store.moving import Arrival, Piece


class Mover(Drawer):
    """The part of a process that moves jobs."""

    owner: Owner

    if TYPE_CHECKING:

        def _jobs(self) -> list[Job]: ...

        def _kept(self, job_id: int) -> KeptJob: ...

        def _may_take(self, kept: KeptJob) -> bool: ...

        def _register(self, disk: MemoryDisk) -> None: ...

        def wake_daemon(self) -> None: ...

    def job_by_uid(self, uid: str) -> Job | None:
        return next((job for job in self._jobs() if job.uid == uid), None)

    def hold(self, job_id: int) -> bool:
        with Writing(self) as disk:
            kept = disk.jobs.get(job_id)
            if kept is None or kept.has_ended or not self._may_take(kept):
                return False
            self._register(disk)
            kept.set(owner_id=self.owner.id)
            return True

    def belongings(self, job_id: int) -> Belongings:
        return _belongings(self.disk, self._kept(job_id))

    def move_out(self, job: Job, *, inbox_id: int, at_ms: int) -> None:
        with Writing(self):
            _move_out(self._kept(job.id), self.owner.id, job, inbox_id, at_ms)

    def move_back(self, job_id: int) -> None:
        with Writing(self):
            _move_back(self._kept(job_id))
        self.wake_daemon()

    def move_in(self, arrival: Arrival, pieces: Iterator[Piece]) -> Job:
        with Writing(self) as disk:
            job = _move_in(disk, arrival, pieces).job
        self.wake_daemon()
        return job


def _belongings(disk: MemoryDisk, kept: KeptJob) -> Belongings:
    job_id = kept.job.id
    callbacks = [found for (of, _), found in sorted(disk.callbacks.items()) if of == job_id]
    return Belongings(
        kept.job.state if kept.moved_from is None else kept.moved_from,
        tuple(kept.inbox.values()),
        tuple(Delivered(id, at_ms) for id, at_ms in sorted(kept.delivered.items())),
        tuple(KeptCallback(found.new, found.used_by, found.used_at_ms) for found in callbacks),
        tuple(sorted(other.job.id for other in disk.jobs.values() if other.job.parent_id == job_id)),
        tuple(sorted({new.topic for (of, _), (new, _) in disk.subscriptions.items() if of == job_id})),
        tuple(sorted({call.new.name for call in disk.calls.values() if call.is_open and call.new.job_id == job_id})),
        tuple(sorted({f"{claim.kind} {claim.name}" for claim in disk.claims if claim.job_id == job_id})),
    )


def _move_out(kept: KeptJob, owner_id: str, job: Job, inbox_id: int, at_ms: int) -> None:
    now = kept.job
    is_same = not kept.has_ended and (now.owner_id, now.epoch, now.head) == (owner_id, job.epoch, job.head)
    if not is_same or any(id > inbox_id for id in kept.inbox):
        raise StoreFenced(f"job {job.id} was taken up or called by others while it was written")
    kept.moved_from = now.state
    kept.set(state=MOVED, ended_at_ms=at_ms, owner_id=None)


def _move_back(kept: KeptJob) -> None:
    if kept.moved_from is not None:
        kept.set(state=kept.moved_from, ended_at_ms=None, owner_id=None)
        kept.moved_from = None


def _move_in(disk: MemoryDisk, arrival: Arrival, pieces: Iterator[Piece]) -> KeptJob:
    """Makes an arrival whole beside the disk, and then a part of it."""
    left = _left_behind(disk, arrival)
    arriving = _Arriving(disk, arrival, disk.next_id("job") if left is None else left.job.id)
    for piece in pieces:
        arriving.take(piece)
    kept = arriving.finish()
    if left is not None:
        before, after = left.events.get(left.job.head), kept.events.get(left.job.head)
        if before and after and not _is_same(before[0], after[0]):
            raise StoreError(f"this file is not of what became of job {left.job.id} since it was moved from here")
        disk.callbacks = {at: found for at, found in disk.callbacks.items() if at[0] != left.job.id}
        disk.drop_blobs(left.job.id, lambda until_seq: True)
        kept.set(epoch=max(kept.job.epoch, left.job.epoch))
    disk.jobs[kept.job.id] = kept
    disk.programs.setdefault(arrival.new.program.hash, arrival.new.program)
    disk.callbacks |= arriving.callbacks
    for blob in arriving.blobs:
        disk.keep_blobs(kept.job.id, [(blob.hash, blob.data)], blob.until_seq)
    return kept


def _left_behind(disk: MemoryDisk, arrival: Arrival) -> KeptJob | None:
    new = arrival.new
    left = next((kept for kept in disk.jobs.values() if kept.job.uid == new.uid), None)
    if left is not None and left.job.state != MOVED:
        raise StoreError(f"this job is here already: it is job {left.job.id}, and {left.job.state}")
    if any(kept.job.key == new.key and kept is not left for kept in disk.jobs.values() if new.key is not None):
        raise StoreError(f"another job has the key {new.key!r} already")
    if left is not None and arrival.head < left.job.head:
        raise StoreError(f"job {left.job.id} had {left.job.head} events when it was moved from here")
    return left


def _is_same(one: StoredEvent, other: StoredEvent) -> bool:
    return (one.epoch, one.at_ms, one.type, one.step) == (other.epoch, other.at_ms, other.type, other.step)


class _Arriving:
    """A job that is being taken in, and what comes with it."""

    def __init__(self, disk: MemoryDisk, arrival: Arrival, job_id: int) -> None:
        self._disk = disk
        self._arrival = arrival
        self._kept = kept = kept_job(job_id, arrival.new, arrival.summary, None)
        kept.set(head=max(0, arrival.trimmed_seq - 1), epoch=arrival.epoch, trimmed_seq=arrival.trimmed_seq)
        kept.trimmed_chain = chain.identity_hash(KEY, kept.job)
        self._lease = Lease(job_id, 1, kept.job.head, kept.trimmed_chain)
        self._snapshots: list[Snapshot] = []
        self.blobs: list[KeptBlob] = []
        self.callbacks: dict[tuple[int, str], CallbackOnDisk] = {}

    def take(self, piece: Piece) -> None:
        kept, job_id = self._kept, self._kept.job.id
        if isinstance(piece, StoredEvent):
            lease = self._lease
            lease.epoch = piece.epoch
            new = NewEvent(piece.type, piece.at_ms, piece.data_json, piece.step)
            lease.chain = kept.append(lease, [new])
            lease.head += 1
        elif isinstance(piece, KeptBlob):
            self.blobs.append(piece)
        elif isinstance(piece, BlobUse):
            data = next(blob.data for blob in self.blobs if blob.hash == piece.hash)
            self.blobs.append(KeptBlob(piece.hash, data, piece.until_seq))
        elif isinstance(piece, Snapshot):
            self._snapshots.append(piece)
        elif isinstance(piece, InboxRow):
            row = piece.replace(id=self._disk.next_id("inbox"), job_id=job_id)
            kept.inbox[row.id] = row
        elif isinstance(piece, Delivered):
            kept.delivered[piece.dedupe_id] = piece.at_ms
        else:
            new_callback = piece.new.replace(job_id=job_id)
            self.callbacks[job_id, piece.new.handle_id] = found = CallbackOnDisk(new_callback, None)
            found.used_by, found.used_at_ms = piece.used_by, piece.used_at_ms

    def finish(self) -> KeptJob:
        kept = self._kept
        for snapshot in self._snapshots:
            kept.snapshots[snapshot.seq] = (snapshot, kept.chain_at(snapshot.seq))
        return kept
