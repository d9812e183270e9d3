"""A store in memory for tests: fast, breakable on purpose, and held to the same conformance suite as the real one.

Each `MemoryStore` on a `MemoryDisk` is one process. `MemoryStore.crash()` is `kill -9`: the process is gone and gave
nothing back. While `MemoryDisk.fault` is set, every write raises it and does nothing.
"""

from __future__ import annotations

import os
import time

from fmsh.errors import InternalError, StoreCorrupt, StoreError, StoreFenced, StoreMissing
from fmsh.store import chain, faults
from fmsh.store.base import (
    ACTIVE_STATES,
    ENDED_STATES,
    MOVED,
    OVER_STATES,
    RENEWAL_TTL_S,
    Damage,
    InboxRow,
    Job,
    JobAge,
    Lease,
    Owner,
    StoredEvent,
)
from fmsh.store.leases import topic_of_end
from fmsh.store.memory_disk import KEY, KeptJob, MemoryDisk, apply, damaged_values, kept_job
from fmsh.store.memory_drawer import Writing
from fmsh.store.memory_outside import MemoryCallers
from fmsh.store.memory_transfer import Mover
from fmsh.store.watch import Watch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from fmsh.store.base import (
        Append,
        JobFilter,
        NewEvent,
        NewInboxRow,
        NewJob,
        NewProgram,
        Snapshot,
        Summary,
    )


class MemoryStore(MemoryCallers, Mover):
    """See `fmsh.store.base` for what each method guarantees."""

    def __init__(
        self,
        disk: MemoryDisk,
        *,
        kind: str = "shell",
        boot_id: str = "boot",
        ttl_s: float = RENEWAL_TTL_S,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.disk = disk
        self.owner = Owner(os.urandom(16).hex(), kind, os.getpid(), "memory", boot_id)
        self.is_over = False
        self.own_writes = 0
        self._watch = Watch(ttl_s, now_s)
        self._pipe: tuple[int, int] | None = None
        disk.alive.add(self.owner.id)

    def crash(self) -> None:
        """Ends this process as `kill -9` does."""
        with self.disk.mutex:
            self.is_over = True
            self.disk.alive.discard(self.owner.id)
            self.disk.sockets.pop(self.owner.id, None)
            for fd in self._pipe or ():
                os.close(fd)
            self._pipe = None

    close = crash  # whoever closes gives nothing back either, and is as dead as after a kill

    # -- jobs

    def create_job(
        self,
        new: NewJob,
        append: Sequence[NewEvent],
        summary: Summary,
        *,
        lease: bool,
        blobs: Sequence[tuple[str, bytes]] = (),
        lasting: Sequence[tuple[str, bytes]] = (),
    ) -> tuple[Job, Lease | None, bool]:
        with Writing(self) as disk:
            existing = None if new.key is None else self.job_by_key(new.key)
            if existing is not None:
                return existing, None, False
            disk.programs.setdefault(new.program.hash, new.program)
            kept = kept_job(disk.next_id("job"), new, summary, self.owner.id if lease else None)
            disk.jobs[kept.job.id] = kept
            held = Lease(kept.job.id, 1, 0, kept.chain_at(0))
            held.chain = kept.append(held, append)
            held.head = len(append)
            disk.keep_blobs(kept.job.id, lasting, None)
            disk.keep_blobs(kept.job.id, blobs, held.head)
            self._register(disk)
            self.tell_of_states()
        if kept.job.owner_id is None:
            self._poke_if_due(kept.job.wake_at_ms)
            return kept.job, None, True
        return kept.job, held, True

    def job(self, job_id: int) -> Job | None:
        kept = self.disk.jobs.get(job_id)
        return None if kept is None else kept.job

    def job_by_key(self, key: str) -> Job | None:
        return next((job for job in self._jobs() if job.key == key), None)

    def jobs_by_name(self, name: str) -> list[Job]:
        return [job for job in self._jobs() if job.name == name]

    def last_job(self) -> Job | None:
        return next(iter(self._jobs()), None)

    def jobs(self, filter: JobFilter) -> list[Job]:
        import json

        found = [
            job
            for job in sorted(self._jobs(), key=lambda job: job.state in OVER_STATES)
            if (not filter.states or job.state in filter.states)
            and all(json.loads(job.tags_json).get(name) == value for name, value in filter.tags)
        ]
        return found if filter.limit is None else found[: filter.limit]

    def _jobs(self) -> list[Job]:
        with self.disk.mutex:
            return [self.disk.jobs[job_id].job for job_id in sorted(self.disk.jobs, reverse=True)]

    def count_by_state(self) -> Mapping[str, int]:
        counts = dict.fromkeys(ACTIVE_STATES + OVER_STATES, 0)
        for job in self._jobs():
            counts[job.state] += 1
        return counts

    def program(self, program_hash: str) -> NewProgram:
        if program_hash not in self.disk.programs:
            raise StoreMissing(f"the store has no program {program_hash}")
        return self.disk.programs[program_hash]

    def blob(self, blob_hash: str) -> bytes:
        if blob_hash not in self.disk.blobs:
            raise StoreMissing(f"the store has no value {blob_hash}")
        if not self.disk.is_sound(blob_hash):
            raise faults.changed(f"the value {blob_hash}")
        return self.disk.blobs[blob_hash][0]

    # -- history

    def commit(self, appends: Sequence[Append]) -> list[StoreError | None]:
        if len({append.lease.job_id for append in appends}) < len(appends):
            raise InternalError("one job twice in one commit")
        with Writing(self) as disk:
            answers = [self._refusal(append) for append in appends]
            for append, refusal in zip(appends, answers, strict=True):
                if refusal is None:
                    apply(disk, append)
                    has_ended = append.summary.state in ENDED_STATES
                    if append.taken and not has_ended:
                        self.hand_on_to(append.lease.job_id)
                    self._unclaim(append.lease.job_id, None if has_ended else append.unclaimed)
                    self._deliver_rows(append.deliveries)
                    if append.session is not None:
                        disk.change_session(append.session)
                    for returned in append.kept_calls:
                        self.give_back(append.lease.job_id, returned)
            self.tell_of_states()
        if any(append.release and append.summary.wake_at_ms is not None for append in appends):
            self.wake_daemon()
        return answers

    def _deliver_rows(self, rows: Sequence[NewInboxRow]) -> None:
        for row in (each for news in rows for each in self._all_told(news)):
            kept = self.disk.jobs.get(row.job_id)
            if kept is not None and not kept.has_ended:
                self.deliver(row.job_id, row.kind, row.text(), dedupe_id=row.dedupe_id)

    def _all_told(self, row: NewInboxRow) -> Iterator[NewInboxRow]:
        yield row
        if row.kind == "job":
            topic = topic_of_end(row.dedupe_id)
            hearers = [job_id for (job_id, _), (new, _) in self.disk.subscriptions.items() if new.topic == topic]
            yield from (row.replace(job_id=job_id) for job_id in hearers if job_id != row.job_id)

    def _refusal(self, append: Append) -> StoreError | None:
        lease, kept = append.lease, self.disk.jobs.get(append.lease.job_id)
        if kept is None or not self._holds(kept, lease) or kept.job.head != lease.head:
            return StoreFenced(f"the lease of job {lease.job_id} was taken over")
        if len(set(append.taken) & set(kept.inbox)) < len(append.taken):
            return StoreError(f"job {lease.job_id} took an inbox row that is not there: {append.taken}")
        last = lease.head + len(append.events)
        if append.snapshot is not None and not lease.head <= append.snapshot.seq <= last:
            raise InternalError(f"a snapshot of job {lease.job_id} after event {append.snapshot.seq}")
        return None

    def _holds(self, kept: KeptJob, lease: Lease) -> bool:
        return kept.job.epoch == lease.epoch and kept.job.owner_id == self.owner.id

    def events(self, job_id: int, *, after: int = 0, limit: int | None = None) -> Iterator[StoredEvent]:
        kept = self._kept(job_id)
        seq, before = after, kept.chain_at(after)
        if after < kept.job.trimmed_seq:
            seq, before = kept.job.trimmed_seq - 1, kept.trimmed_chain
        last = kept.job.head if limit is None else min(kept.job.head, seq + limit)
        while seq < last:
            seq += 1
            if seq < kept.job.trimmed_seq:
                raise StoreMissing(f"event {seq} of job {job_id} was removed while it was read", hint="Ask again.")
            if seq not in kept.events:
                raise faults.damaged(f"event {seq} of job {job_id} is missing")
            event, hash = kept.events[seq]
            if chain.event_hash(KEY, before, job_id, seq, event.epoch, event) != hash:
                raise faults.changed(f"event {seq} of job {job_id}")
            before = hash
            yield event

    def verify(self) -> Iterator[Damage]:
        for job in reversed(self._jobs()):
            try:
                for _ in self.events(job.id):
                    pass
            except StoreMissing:
                continue
            except StoreCorrupt as error:
                yield Damage(error.message, job.id)
        yield from damaged_values(self.disk)

    def snapshot(self, job_id: int, *, at: int | None = None) -> Snapshot | None:
        kept = self.disk.jobs.get(job_id)
        if kept is None:
            return None
        for seq in sorted(kept.snapshots, reverse=True):
            snapshot, link = kept.snapshots[seq]
            if (at is None or seq <= at) and (seq < kept.job.trimmed_seq or kept.chain_at(seq) == link):
                return snapshot
        return None

    def _kept(self, job_id: int) -> KeptJob:
        if job_id not in self.disk.jobs:
            raise StoreMissing(f"there is no job {job_id}")
        return self.disk.jobs[job_id]

    def quarantine(self, job_id: int, *, error_json: str) -> None:
        with Writing(self) as disk:
            kept = disk.jobs.get(job_id)
            if kept is not None and not kept.has_ended and kept.job.owner_id in (None, self.owner.id):
                kept.set(state="parked", error_json=error_json, wake_at_ms=None, owner_id=None)

    # -- retention

    def ages(self, *, after: int, limit: int) -> list[JobAge]:
        found: list[JobAge] = []
        for job in reversed(self._jobs()):
            if job.id > after and len(found) < limit:
                events = self.disk.jobs[job.id].events
                oldest_ms = events[min(events)][0].at_ms if events else job.created_at_ms
                ended_ms = None if job.state in ACTIVE_STATES else job.ended_at_ms or job.created_at_ms
                found.append(JobAge(job.id, job.uid, ended_ms, oldest_ms, job.output_removed_at_ms is None))
        return found

    def abandon(self, job_id: int, summary: Summary, deliveries: Sequence[NewInboxRow] = ()) -> bool:
        with Writing(self) as disk:
            kept = disk.jobs.get(job_id)
            if kept is None or kept.has_ended or kept.job.owner_id not in (None, self.owner.id):
                return False
            kept.set(state=summary.state, value_json=None, error_json=summary.error_json, wake_at_ms=None)
            kept.set(exit_status=summary.exit_status, ended_at_ms=summary.ended_at_ms, owner_id=None)
            kept.set(waiting_for_json="[]")
            kept.inbox = {}
            self._unclaim(job_id, None)
            self._deliver_rows(deliveries)
            self.tell_of_states()
        return True

    def trim(self, job_id: int, *, before_ms: int, now_ms: int) -> int:
        with Writing(self) as disk:
            kept = disk.jobs.get(job_id)
            if kept is None or kept.has_ended:
                return 0
            old = [seq for seq in kept.snapshots if seq in kept.events and kept.events[seq][0].at_ms < before_ms]
            found = self.snapshot(job_id, at=max(old)) if old else None
            if found is None or found.seq <= max(kept.job.trimmed_seq, 1):
                return 0
            size = kept.size
            kept.trimmed_chain = kept.chain_at(found.seq - 1)
            kept.events = {seq: event for seq, event in kept.events.items() if seq >= found.seq}
            kept.snapshots = {seq: snapshot for seq, snapshot in kept.snapshots.items() if seq >= found.seq}
            kept.set(trimmed_seq=found.seq, trimmed_at_ms=now_ms)
            return size - kept.size + disk.drop_blobs(job_id, lambda until: until is not None and until < found.seq)

    def remove_outputs(self, job_ids: Sequence[int], *, now_ms: int) -> int:
        freed = 0
        with Writing(self) as disk:
            for kept in self._ended(job_ids):
                freed += disk.drop_blobs(kept.job.id, lambda until: until is not None)
                kept.set(output_removed_at_ms=now_ms)
        return freed

    def remove_jobs(self, job_ids: Sequence[int], *, now_ms: int) -> int:
        freed = 0
        with Writing(self) as disk:
            for kept in self._ended(job_ids):
                freed += kept.size + disk.drop_blobs(kept.job.id, lambda until: True)
                self.close_addresses(kept.job.id)
                del disk.jobs[kept.job.id]
                disk.callbacks = {at: found for at, found in disk.callbacks.items() if at[0] != kept.job.id}
                disk.replies = {id: found for id, found in disk.replies.items() if found[0] != kept.job.id}
                disk.calls = {id: call for id, call in disk.calls.items() if call.new.job_id != kept.job.id}
                disk.subscriptions = {at: new for at, new in disk.subscriptions.items() if at[0] != kept.job.id}
                if all(other.job.program_hash != kept.job.program_hash for other in disk.jobs.values()):
                    del disk.programs[kept.job.program_hash]
        return freed

    def _ended(self, job_ids: Sequence[int]) -> Iterator[KeptJob]:
        for job_id in reversed(job_ids):
            kept = self.disk.jobs.get(job_id)
            if kept is not None and not kept.has_ended:
                raise StoreError(f"job {job_id} is active, and only ended jobs are removed", hint="Cancel it first.")
            if kept is not None:
                yield kept

    def forget_deliveries(self, *, before_ms: int) -> int:
        with Writing(self) as disk:
            for kept in disk.jobs.values():
                kept.delivered = {id: at_ms for id, at_ms in kept.delivered.items() if at_ms >= before_ms}
            disk.callbacks = {at: found for at, found in disk.callbacks.items() if not found.was_over(before_ms)}
            disk.calls = {id: call for id, call in disk.calls.items() if not call.was_over(before_ms)}
            disk.replies = {id: found for id, found in disk.replies.items() if found[1] >= before_ms}
            disk.events = {seq: event for seq, event in disk.events.items() if event.at_ms >= before_ms}
            disk.paces = {name: at_us for name, at_us in disk.paces.items() if at_us >= before_ms * 1000}
        return 0

    def existed(self, job_id: int) -> bool:
        return 1 <= job_id <= self.disk.ids["job"]

    def known_uids(self, uids: Sequence[str]) -> set[str]:
        return {job.uid for job in self._jobs()} & set(uids)

    def shrink(self) -> None:
        """Does nothing: what is free is free."""

    # -- leases

    def acquire(self, job_id: int) -> Lease | None:
        with Writing(self) as disk:
            kept = disk.jobs.get(job_id)
            if kept is None or kept.has_ended or not self._may_take(kept):
                return None
            self._register(disk)
            kept.set(owner_id=self.owner.id, epoch=kept.job.epoch + 1)
            return Lease(job_id, kept.job.epoch, kept.job.head, kept.chain_at(kept.job.head))

    def _may_take(self, kept: KeptJob) -> bool:
        holder_id = kept.job.owner_id
        if holder_id is None:
            return True
        if holder_id == self.owner.id:
            return False
        return not self.is_alive(holder_id) or (self._has_stalled(holder_id) and not kept.at_terminal)

    def _has_stalled(self, owner_id: str) -> bool:
        return self._watch.has_stalled(owner_id, self.disk.renewals[owner_id])

    def release(self, lease: Lease, *, wake_at_ms: int | None) -> None:
        with Writing(self) as disk:
            kept = disk.jobs.get(lease.job_id)
            if kept is not None and self._holds(kept, lease):
                kept.set(owner_id=None, wake_at_ms=wake_at_ms)
        self._poke_if_due(wake_at_ms)

    def renew(self) -> None:
        with Writing(self) as disk:
            if self.owner.id in disk.renewals:
                disk.renewals[self.owner.id] += 1

    def reap(self) -> list[int]:
        freed = []
        with Writing(self) as disk:
            dead = {owner_id for owner_id in disk.owners if not self.is_alive(owner_id)}
            others = set(disk.owners) - dead - {self.owner.id}
            stalled = {owner_id for owner_id in others if self._has_stalled(owner_id)}
            for kept in disk.jobs.values():
                if kept.job.owner_id in dead or (kept.job.owner_id in stalled and not kept.at_terminal):
                    kept.set(owner_id=None, wake_at_ms=kept.job.wake_at_ms if kept.job.state == "waiting" else 0)
                    freed.append(kept.job.id)
            for owner_id in dead:
                del disk.owners[owner_id], disk.renewals[owner_id]
        return sorted(freed)

    def due(self, now_ms: int, *, limit: int) -> list[int]:
        unowned = [kept for kept in self.disk.jobs.values() if kept.job.owner_id is None and not kept.has_ended]
        found = {job.id for job in self._sleeping() if job.wake_at_ms is not None and job.wake_at_ms <= now_ms}
        return sorted(found | {kept.job.id for kept in unowned if kept.inbox})[:limit]

    def next_due_ms(self) -> int | None:
        return min((job.wake_at_ms for job in self._sleeping() if job.wake_at_ms is not None), default=None)

    def _sleeping(self) -> list[Job]:
        return [job for job in self._jobs() if job.owner_id is None and job.state in ("running", "waiting")]

    def owners(self) -> list[Owner]:
        return [self.disk.owners[owner_id] for owner_id in sorted(self.disk.owners)]

    def is_alive(self, owner_id: str) -> bool:
        owner = self.disk.owners.get(owner_id)
        return owner is not None and owner.boot_id == self.owner.boot_id and owner_id in self.disk.alive

    def _register(self, disk: MemoryDisk) -> None:
        disk.owners.setdefault(self.owner.id, self.owner)
        disk.renewals.setdefault(self.owner.id, 0)

    # -- inbox and callbacks

    def deliver(self, job_id: int, kind: str, data_json: str, *, dedupe_id: str) -> bool:
        with Writing(self):
            kept = self._kept(job_id)
            if kept.job.state == MOVED:
                raise StoreError(f"job {job_id} was moved to another store")
            if dedupe_id in kept.delivered:
                return False
            kept.delivered[dedupe_id] = time.time_ns() // 1_000_000
            self.put(job_id, kind, data_json)
        return True

    def put(self, job_id: int, kind: str, data_json: str) -> None:
        kept = self._kept(job_id)
        row = InboxRow(self.disk.next_id("inbox"), job_id, time.time_ns() // 1_000_000, kind, data_json)
        kept.inbox[row.id] = row
        if kept.job.owner_id is None:
            self.wake_daemon()
        else:
            self.disk.poke(kept.job.owner_id)

    def inbox(
        self, job_id: int, *, after: int = 0, limit: int | None = None, kind: str | None = None
    ) -> list[InboxRow]:
        kept = self.disk.jobs.get(job_id)
        rows = [] if kept is None else list(kept.inbox.values())
        return [row for row in rows if row.id > after and kind in (None, row.kind)][:limit]

    # -- waking

    def wake_fileno(self) -> int:
        if self._pipe is None:
            self._pipe = os.pipe()
            os.set_blocking(self._pipe[0], False)
            with Writing(self) as disk:
                disk.sockets[self.owner.id] = self._pipe[1]
                self._register(disk)
        return self._pipe[0]

    def drain_wakeups(self) -> None:
        if self._pipe is not None:
            try:
                while os.read(self._pipe[0], 4096):
                    pass
            except BlockingIOError:
                return

    def wake_daemon(self) -> None:
        for owner in self.owners():
            if owner.kind == "daemon":
                self.disk.poke(owner.id)

    def data_version(self) -> int:
        return self.disk.version - self.own_writes

    def _poke_if_due(self, wake_at_ms: int | None) -> None:
        if wake_at_ms is not None:
            self.wake_daemon()
