"""What the stores in memory share: the disk, on which jobs and everything that belongs to them is kept."""

from __future__ import annotations

import _thread
import os

from fmsh.store import chain
from fmsh.store.addresses import opener_of
from fmsh.store.base import ENDED_STATES, KEPT, NOTHING_CAME, OVER_STATES, Damage, Job, StoredEvent
from fmsh.store.inbox import callback_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from fmsh.errors import StoreError
    from fmsh.store.base import (
        Append,
        InboxRow,
        Lease,
        NewCallback,
        NewEvent,
        NewJob,
        NewProgram,
        Owner,
        Session,
        SessionChange,
        Snapshot,
        Summary,
    )
    from fmsh.store.outside import Claim, NewCall, Subscription, TopicEvent

KEY = b"the key of stores in memory"
SUMMARY_FIELDS = (
    "state", "wake_at_ms", "steps", "waiting_for_json", "value_json", "error_json", "exit_status", "ended_at_ms",
)  # fmt: skip


class KeptJob:
    """A job on the disk: its row, and everything that belongs to it."""

    __slots__ = ("at_terminal", "delivered", "events", "inbox", "job", "moved_from", "snapshots", "trimmed_chain")

    def __init__(self, job: Job, *, at_terminal: bool) -> None:
        self.job = job
        self.at_terminal = at_terminal
        self.events: dict[int, tuple[StoredEvent, bytes]] = {}
        self.snapshots: dict[int, tuple[Snapshot, bytes]] = {}
        self.inbox: dict[int, InboxRow] = {}
        self.delivered: dict[str, int] = {}  # when
        self.trimmed_chain = b""
        self.moved_from: str | None = None  # the state in which it left

    @property
    def size(self) -> int:
        """About how many bytes its history takes."""
        return sum(len(event.data_json) for event, _ in self.events.values()) + sum(
            len(snapshot.state_json) for snapshot, _ in self.snapshots.values()
        )

    @property
    def has_ended(self) -> bool:
        return self.job.state in OVER_STATES

    def set(self, **changes: object) -> None:
        self.job = self.job.replace(**changes)

    def append(self, lease: Lease, events: Sequence[NewEvent]) -> bytes:
        """Adds events and gives the hash of the last one."""
        before, seq = lease.chain, lease.head
        for event in events:
            seq += 1
            before = chain.event_hash(KEY, before, lease.job_id, seq, lease.epoch, event)
            values = (lease.job_id, seq, lease.epoch, event.at_ms, event.type, event.step, event.data_json)
            self.events[seq] = (StoredEvent(*values), before)
        self.set(head=seq)
        return before

    def chain_at(self, seq: int) -> bytes:
        if seq == 0:
            return chain.identity_hash(KEY, self.job)
        return self.events[seq][1] if seq in self.events else b""


class CallbackOnDisk:
    __slots__ = ("new", "used_at_ms", "used_by")

    def __init__(self, new: NewCallback, before: CallbackOnDisk | None) -> None:
        self.new = new
        self.used_by: str | None = None if before is None else before.used_by
        self.used_at_ms: int | None = None if before is None else before.used_at_ms

    def was_over(self, before_ms: int) -> bool:
        """Whether it was used up or ran out before a moment."""
        used_ms, expires_ms = self.used_at_ms, self.new.expires_at_ms
        was_used = used_ms is not None and used_ms < before_ms and not self.new.is_many
        return was_used or (expires_ms is not None and expires_ms < before_ms)


class CallOnDisk:
    __slots__ = ("attempt", "free_at_ms", "is_open", "new")

    def __init__(self, new: NewCall) -> None:
        self.new = new
        self.attempt = 0
        self.free_at_ms = 0
        self.is_open = True

    def was_over(self, before_ms: int) -> bool:
        """Whether it was finished or came to nothing before a moment."""
        expires_ms = self.new.expires_at_ms
        return (not self.is_open and self.free_at_ms < before_ms) or (expires_ms is not None and expires_ms < before_ms)


class MemoryDisk:
    """What all processes share and what outlives them."""

    def __init__(self) -> None:
        self.mutex = _thread.RLock()
        self.fault: StoreError | None = None
        self.version = 0
        self.jobs: dict[int, KeptJob] = {}
        self.programs: dict[str, NewProgram] = {}
        self.blobs: dict[str, tuple[bytes, bytes]] = {}  # each with its hash
        self.blob_uses: dict[tuple[int, str], int | None] = {}  # until which event of the job; None: as long as the job
        self.callbacks: dict[tuple[int, str], CallbackOnDisk] = {}
        self.replies: dict[str, tuple[int, int, str]] = {}  # the job, when, and what, by the id of the request
        self.events: dict[int, TopicEvent] = {}
        self.event_numbers: dict[str, int] = {}  # by what makes an event the same
        self.subscriptions: dict[tuple[int, str], tuple[Subscription, int]] = {}  # with the position of each
        self.topic_groups: dict[tuple[str, str], int] = {}
        self.told_states: dict[int, str] = {}
        self.calls: dict[str, CallOnDisk] = {}
        self.claims: list[Claim] = []  # in the order in which they came
        self.paces: dict[str, int] = {}
        self.settings: dict[str, str] = {}
        self.secrets: dict[str, bytes] = {}
        self.sessions: dict[str, Session] = {}  # in order of their last use
        self.session_variables: dict[str, dict[str, str]] = {}
        self.used_at_ms: dict[str, int] = {}  # of each session
        self.session_calls: dict[str, list[str]] = {}  # that wait at an address for many, by its `kept_handle`
        self.owners: dict[str, Owner] = {}
        self.renewals: dict[str, int] = {}
        self.alive: set[str] = set()  # the owners whose lock is held
        self.sockets: dict[str, int] = {}
        self.ids = {"job": 0, "inbox": 0, "event": 0}

    def next_id(self, kind: str) -> int:
        self.ids[kind] += 1
        return self.ids[kind]

    def keep_blobs(self, job_id: int, blobs: Sequence[tuple[str, bytes]], until_seq: int | None) -> None:
        for hash, data in blobs:
            self.blobs.setdefault(hash, (data, chain.row_sum(KEY, data)))
            before = self.blob_uses.get((job_id, hash), 0)
            is_lasting = before is None or until_seq is None
            self.blob_uses[job_id, hash] = None if is_lasting else max(before or 0, until_seq or 0)

    def drop_blobs(self, job_id: int, is_over: Callable[[int | None], bool]) -> int:
        """Takes the use of blobs from a job, and gives the bytes of those that nobody uses any more."""
        gone = [at for at, until_seq in self.blob_uses.items() if at[0] == job_id and is_over(until_seq)]
        for at in gone:
            del self.blob_uses[at]
        used = {hash for _, hash in self.blob_uses}
        return sum(len(self.blobs.pop(hash)[0]) for hash in {hash for _, hash in gone} - used)

    def is_sound(self, blob_hash: str) -> bool:
        data, sum = self.blobs[blob_hash]
        return chain.row_sum(KEY, data) == sum

    def change_session(self, change: SessionChange) -> None:
        """Notes what a line leaves behind. A session that is gone takes nothing."""
        session = self.sessions.pop(change.id, None)
        if session is None:
            return
        defined = dict(change.definitions)
        kept = {name: text for name, text in session.definitions.items() if name not in defined}
        self.sessions[change.id] = session.replace(
            directory=change.directory, environment_json=change.environment_json, definitions=kept | defined
        )
        self.used_at_ms[change.id] = change.at_ms
        variables = self.session_variables[change.id]
        for name, value in change.variables:
            id = name.removeprefix(KEPT)
            is_awaited = id != name and value == NOTHING_CAME
            rows = self.waiting_rows(opener_of(id), id.partition(".")[2]) if is_awaited else {}
            variables[name] = next(iter(rows.values()), value)

    def waiting_rows(self, job_id: int, handle_id: str) -> dict[int, str]:
        """What came to a handle and waits in the inbox of a job: the calls, by row."""
        beginning = callback_json(handle_id, "").removesuffix("}")
        rows = [row for row in self.jobs[job_id].inbox.values() if row.kind == "callback"]
        return {row.id: row.data_json[len(beginning) : -1] for row in rows if row.data_json.startswith(beginning)}

    def damage_event(self, job_id: int, seq: int) -> None:
        """Changes what is kept of an event without its hash, as a flipped bit does."""
        event, hash = self.jobs[job_id].events[seq]
        self.jobs[job_id].events[seq] = (event.replace(data_json=event.data_json + " "), hash)

    def poke(self, owner_id: str) -> None:
        if owner_id in self.sockets:
            os.write(self.sockets[owner_id], b"\0")


def kept_job(job_id: int, new: NewJob, summary: Summary, owner_id: str | None) -> KeptJob:
    job = Job(
        id=job_id, uid=new.uid, key=new.key, name=new.name, tags_json=new.tags_json, source=new.source,
        command=new.command, program_hash=new.program.hash, parent_id=new.parent_id, is_detached=new.is_detached,
        created_at_ms=new.created_at_ms, ended_at_ms=summary.ended_at_ms, state=summary.state,
        wake_at_ms=summary.wake_at_ms, head=0, epoch=1, owner_id=None if summary.state in ENDED_STATES else owner_id,
        steps=summary.steps, waiting_for_json=summary.waiting_for_json, value_json=summary.value_json,
        error_json=summary.error_json, exit_status=summary.exit_status, trimmed_seq=0,
    )  # fmt: skip
    return KeptJob(job, at_terminal=summary.at_terminal)


def apply(disk: MemoryDisk, append: Append) -> None:
    """Makes an append part of the disk, once nothing can refuse it any more."""
    lease, kept, summary = append.lease, disk.jobs[append.lease.job_id], append.summary
    head = lease.head
    lease.chain = kept.append(lease, append.events)
    lease.head = head + len(append.events)
    kept.set(**{field: getattr(summary, field) for field in SUMMARY_FIELDS})
    kept.at_terminal = summary.at_terminal
    if append.detach:
        kept.set(is_detached=True)
    if append.release or kept.has_ended:
        kept.set(owner_id=None)
    for inbox_id in append.taken:
        del kept.inbox[inbox_id]
    if append.snapshot is not None:
        snapshot = append.snapshot
        kept.snapshots[snapshot.seq] = (snapshot.replace(replaces=None), kept.chain_at(snapshot.seq))
        if snapshot.replaces is not None and snapshot.replaces > kept.job.trimmed_seq:
            kept.snapshots.pop(snapshot.replaces, None)
    disk.keep_blobs(lease.job_id, append.blobs, lease.head)


def damaged_values(disk: MemoryDisk) -> Iterator[Damage]:
    """Finds the snapshots and large values that are not what was written."""
    for job_id, kept in list(disk.jobs.items()):
        for seq, (_, link) in list(kept.snapshots.items()):
            if seq >= kept.job.trimmed_seq and kept.chain_at(seq) != link:
                yield Damage(f"the snapshot of job {job_id} after event {seq} is not what was written", job_id)
    for blob_hash in list(disk.blobs):
        if not disk.is_sound(blob_hash):
            yield Damage(f"the value {blob_hash} is not what was written")
