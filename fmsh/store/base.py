"""The store: the only way in and out of a job. This module says what every store guarantees.

**The guarantees.** `tests/conformance/` proves each of them for every implementation.

1. *Append, all or nothing.* `commit` makes everything in its batch durable, or nothing of it: events, snapshot,
   summary, blobs, consumed inbox rows. When it returns, the batch survives `kill -9` and loss of power.
2. *Fenced.* Only the holder of a job's current lease appends. An append with an older epoch, or not exactly after the
   job's head, changes nothing and answers `StoreFenced` for that job; other jobs in the same batch are not touched.
3. *History never changes.* No event is updated. Events are deleted only below `trimmed_seq` or of ended jobs. The first
   event that is kept of an active job stands at a sound snapshot, or is the job's first: each can be replayed.
4. *Chained.* Each event carries a keyed hash over its bytes and the hash before it; reading verifies it and raises
   `StoreCorrupt` for the job, not for the others. `verify` looks at everything, and keeps nobody waiting meanwhile.
5. *Everybody else knocks.* A callback, signal, cancel or answer is a row in the job's inbox, taken by the holder in row
   order, at most once per `dedupe_id` until that is forgotten. `deliver` returning means that the row is durable.
6. *A lease is taken only from nobody or from the dead*: nobody holds it, its holder's boot is over, its holder's lock
   can be had, or the contender has itself seen the holder's renewals stand still for a whole TTL of a clock that stops
   in suspend (and then only if the job is not `at_terminal`). Taking it adds one to the epoch.
7. *A write that cannot be made durable raises* `StoreFull`, `StoreBusy` or `StoreError`, and has no effect. So does one
   in which a request is made (`RequestMade`) where there is hardly room for its outcome.
8. *An unlinked or replaced store fails closed*: the next commit raises `StoreError` and has no effect.
9. *A blob is kept as long as a job uses it*: the job that brought it, in whichever commit, until it is trimmed beyond
   that commit, loses its output or is removed. What is long is deleted in several transactions, each of them short, so
   that others write in between; a process that dies meanwhile leaves a history that verifies.

Times are milliseconds since 1970 in UTC. Texts named `*_json` are the wire form (`fmsh.wire`) or plain JSON; the store
never looks inside. Nothing here assumes SQLite: a server database can hold to all of it.
"""

from __future__ import annotations

from fmsh.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Protocol

    from fmsh.errors import StoreError
    from fmsh.store.moving import Moving
    from fmsh.store.outside import Outside
else:
    Protocol = object

    class Moving:  # a module less to import for a short line
        pass

    class Outside:
        pass


ACTIVE_STATES = ("running", "waiting", "paused", "parked")
ENDED_STATES = ("succeeded", "failed", "cancelled")
MOVED = "moved"  # over in this store: it goes on in another (`fmsh.store.moving`)
OVER_STATES = (*ENDED_STATES, MOVED)

RENEWAL_TTL_S = 15.0  # a stopped holder loses its lease after this long; renewals come every third of it


class NewEvent(Record):
    """An event to append. `step` is the request that it belongs to, if any; `node` the syntax node, if any."""

    type: str
    at_ms: int
    data_json: str
    step: int | None = None


class StoredEvent(Record):
    job_id: int
    seq: int  # 1 is the first
    epoch: int
    at_ms: int
    type: str
    step: int | None
    data_json: str


class Snapshot(Record):
    """The state of a job's machine after event `seq`, as text. One that it `replaces` goes when it is kept."""

    seq: int
    state_json: str
    replaces: int | None = None


class Summary(Record):
    """What lists and queries show of a job, kept in its row and changed only together with its events.

    `wake_at_ms`: when an unowned job wants to be loaded: 0 at once, None never by itself (an inbox row still wakes it).
    """

    state: str
    wake_at_ms: int | None = None
    steps: int = 0
    waiting_for_json: str = "[]"
    value_json: str | None = None
    error_json: str | None = None
    exit_status: int | None = None
    ended_at_ms: int | None = None
    at_terminal: bool = False  # a process of the job is at its holder's terminal: only the holder's death frees the job


class NewProgram(Record):
    """A source with its versioned tree, stored once by hash."""

    hash: str
    name: str
    text: str
    tree_json: str


class NewJob(Record):
    uid: str
    source: str  # the file's name, or `-c`
    command: str  # as typed, for people
    created_at_ms: int
    program: NewProgram
    key: str | None = None
    name: str | None = None
    tags_json: str = "{}"
    is_detached: bool = False
    parent_id: int | None = None


class Job(Record):
    """A job's row."""

    id: int
    uid: str
    key: str | None
    name: str | None
    tags_json: str
    source: str
    command: str
    program_hash: str
    parent_id: int | None
    is_detached: bool
    created_at_ms: int
    ended_at_ms: int | None
    state: str
    wake_at_ms: int | None
    head: int  # seq of the last event
    epoch: int
    owner_id: str | None
    steps: int
    waiting_for_json: str
    value_json: str | None
    error_json: str | None
    exit_status: int | None
    trimmed_seq: int  # events below it are deleted
    trimmed_at_ms: int | None = None
    output_removed_at_ms: int | None = None
    damage: str | None = None  # in lists only: in what the row is not what was written


class JobAge(Record):
    """What retention goes by. `ended_at_ms`: None while it is active. `oldest_at_ms`: of its first kept event."""

    id: int
    uid: str
    ended_at_ms: int | None
    oldest_at_ms: int
    has_output: bool  # its large values were not removed


class Damage(Record):
    """Something that is not what was written. `job_id`: the job that it belongs to, if it is one's.

    `is_derived`: it is a copy of what stands elsewhere, such as an index, and can be made again from that.
    """

    text: str
    job_id: int | None = None
    is_derived: bool = False


class Owner(Record):
    """A process that holds leases. It holds a lock for life; `is_alive` is whether that lock is held."""

    id: str
    kind: str  # shell, daemon
    pid: int
    host: str
    boot_id: str


class Lease:
    """The right to append to one job. The store moves `head` and `chain` on with each commit."""

    __slots__ = ("chain", "epoch", "head", "job_id")

    def __init__(self, job_id: int, epoch: int, head: int, chain: bytes) -> None:
        self.job_id = job_id
        self.epoch = epoch
        self.head = head
        self.chain = chain  # the hash of the last event


class Session(Record):
    """What the lines at a prompt have in common. `definitions` are the texts of its `def`s and aliases, by name."""

    id: str
    started_at_ms: int
    directory: str
    time_zone: str
    environment_json: str
    definitions: dict[str, str]


KEPT = "callback "  # how the variables of a session begin that hold what came to the addresses of its lines
NOTHING_CAME = "null"
MANY = "[]"  # of an address that takes many calls: they wait elsewhere


def kept_handle(job_id: int, handle_id: str) -> str:
    """The id of the handle of an address, in the lines after the one that opened it; that one had `handle_id`."""
    return f"{job_id}.{handle_id}"


class SessionChange(Record):
    """What a line leaves behind. `variables` are (name, value as JSON), and `definitions` (name, text).

    An address that it leaves open is a variable `KEPT` and `kept_handle`: what came there, `NOTHING_CAME` or `MANY`.
    """

    id: str
    at_ms: int
    directory: str
    environment_json: str
    variables: tuple[tuple[str, str], ...]
    definitions: tuple[tuple[str, str], ...]


class KeptCalls(Record):
    """What a job was told of an address that takes many calls and is left to a session, and has not taken."""

    handle_id: str  # as `kept_handle` makes it
    calls: tuple[str, ...]  # as JSON; what waits in the inbox of the job is not among them


class Append(Record):
    """What one job adds in one commit.

    `blobs` are (hash, bytes), stored once. `taken` are the ids of inbox rows that became events here. With `release`
    the lease is given back in the same transaction; the job is then taken up by whoever finds it due.
    """

    lease: Lease
    events: tuple[NewEvent, ...] | list[NewEvent]
    summary: Summary
    taken: tuple[int, ...] | list[int] = ()
    snapshot: Snapshot | None = None
    blobs: tuple[tuple[str, bytes], ...] | list[tuple[str, bytes]] = ()
    release: bool = False
    detach: bool = False  # also marks the job as detached (its terminal is gone)
    deliveries: tuple[NewInboxRow, ...] | list[NewInboxRow] = ()  # a job that is gone or over takes none
    session: SessionChange | None = None  # what the line of a session leaves behind at its end
    unclaimed: tuple[int, ...] | list[int] = ()  # the steps whose locks and limits it gives back
    kept_calls: tuple[KeptCalls, ...] = ()  # at its end, for each such address that it knows: others get them


class NewInboxRow(Record):
    """A row for another job, delivered in the commit of its sender; of an end (kind "job") all hear who asked to."""

    job_id: int
    kind: str
    data_json: str | Callable[[], str]  # made only if somebody takes it
    dedupe_id: str

    def text(self) -> str:
        return self.data_json if isinstance(self.data_json, str) else self.data_json()


class InboxRow(Record):
    id: int
    job_id: int
    at_ms: int
    kind: str  # callback, cancel, retry, answer, pause, resume, signal, …
    data_json: str


class NewCallback(Record):
    """An address under which one job can be called. Only the SHA-256 of its token is kept.

    `options_json` says how it serves its callers, to those who take their calls; the store does not look inside.
    """

    job_id: int
    handle_id: str
    token_hash: bytes
    expires_at_ms: int | None
    methods: tuple[str, ...] = ("POST", "PUT")
    is_many: bool = False
    options_json: str = "{}"


class Delivery(Record):
    """What the store says of a delivery to a callback address. `is_moved`: refused, the job waits in another store."""

    job_id: int
    is_repeat: bool
    is_moved: bool = False


class JobFilter(Record):
    """Newest first, active before ended. `states` empty: all."""

    states: tuple[str, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()
    limit: int | None = None


class EventStore(Moving, Outside, Protocol):
    """See the module's docstring for what each method guarantees."""

    owner: Owner

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
        """Creates a job with its first events and their blobs in one commit. With `lease` this process holds it.

        `lasting` are blobs that are kept as long as the job is, whatever is trimmed of it.
        If a job with the same `key` exists, that one is returned and nothing is written; the last answer is then False.
        """
        ...

    def job(self, job_id: int) -> Job | None: ...
    def job_by_key(self, key: str) -> Job | None: ...
    def jobs_by_name(self, name: str) -> list[Job]: ...
    def last_job(self) -> Job | None: ...
    def jobs(self, filter: JobFilter) -> list[Job]: ...
    def count_by_state(self) -> Mapping[str, int]: ...
    def program(self, program_hash: str) -> NewProgram: ...
    def blob(self, blob_hash: str) -> bytes: ...

    # -- history
    def commit(self, appends: Sequence[Append]) -> list[StoreError | None]:
        """Appends for several jobs in one durable transaction. One answer per append: None, or its StoreFenced."""
        ...

    def events(self, job_id: int, *, after: int = 0, limit: int | None = None) -> Iterator[StoredEvent]:
        """Yields verified events in order. Raises: StoreCorrupt at the first that is not what was written."""
        ...

    def snapshot(self, job_id: int, *, at: int | None = None) -> Snapshot | None:
        """Gives the newest snapshot, or the newest at or before event `at`. A damaged one is passed over."""
        ...

    def quarantine(self, job_id: int, *, error_json: str) -> None:
        """Parks a job whose history is corrupt, without an event, and gives back its lease if this process has it."""
        ...

    def abandon(self, job_id: int, summary: Summary, deliveries: Sequence[NewInboxRow] = ()) -> bool:
        """Ends a job whose history is corrupt, without an event; its inbox goes. False: it has ended, or is held."""
        ...

    # -- retention; the numbers are of bytes in the store that became free
    def ages(self, *, after: int, limit: int) -> list[JobAge]:
        """Gives what retention goes by, of the jobs with numbers above `after`, in their order."""
        ...

    def trim(self, job_id: int, *, before_ms: int, now_ms: int) -> int:
        """Deletes the events of an active job that stand before a snapshot which is older than `before_ms`.

        That is the newest such snapshot, if it is sound, and it stays. Anybody may, also while somebody holds the job.
        Does nothing where nothing is that old, to an ended job, and to one that is not there.
        """
        ...

    def remove_outputs(self, job_ids: Sequence[int], *, now_ms: int) -> int:
        """Deletes the large values of ended jobs, but what is lasting. Those that are not there are passed over.

        Raises: StoreError: one of them is active; it keeps all that it has.
        """
        ...

    def remove_jobs(self, job_ids: Sequence[int], *, now_ms: int) -> int:
        """Deletes ended jobs with their whole history. Those that are not there are passed over.

        Raises: StoreError: one of them is active; it keeps all that it has.
        """
        ...

    def forget_deliveries(self, *, before_ms: int) -> int:
        """Forgets what was delivered before that, which may then be delivered again, and addresses over since then."""
        ...

    def existed(self, job_id: int) -> bool:
        """Whether there is or was a job of this number."""
        ...

    def known_uids(self, uids: Sequence[str]) -> set[str]:
        """Gives those uids whose jobs are there."""
        ...

    def shrink(self) -> None:
        """Gives room that became free back to the file system, but what the next commits will need."""
        ...

    def verify(self) -> Iterator[Damage]:
        """Yields what is not as it was written, in the whole store, job by job; what changes meanwhile is no damage."""
        ...

    # -- leases
    def acquire(self, job_id: int) -> Lease | None:
        """Takes the lease of an active job. None: there is no such job, or somebody who may keep it holds it.

        A job that this process holds already is never given twice.
        """
        ...

    def release(self, lease: Lease, *, wake_at_ms: int | None) -> None: ...
    def renew(self) -> None:
        """Counts one renewal of this owner; to be called every third of `RENEWAL_TTL_S`."""
        ...

    def reap(self) -> list[int]:
        """Frees the jobs of dead or stalled owners (guarantee 6), and gives their ids.

        They are due at once; those that only waited are due when they would have been.
        """
        ...

    def due(self, now_ms: int, *, limit: int) -> list[int]:
        """Ids of unowned jobs that are running or waiting with `wake_at_ms <= now_ms`, or that have inbox rows."""
        ...

    def next_due_ms(self) -> int | None:
        """The earliest `wake_at_ms` of unowned jobs that are running or waiting."""
        ...

    def owners(self) -> list[Owner]: ...
    def is_alive(self, owner_id: str) -> bool: ...

    # -- inbox
    def deliver(self, job_id: int, kind: str, data_json: str, *, dedupe_id: str) -> bool:
        """Puts a row into a job's inbox and wakes its holder (or the daemon). False: `dedupe_id` was there before."""
        ...

    def inbox(
        self, job_id: int, *, after: int = 0, limit: int | None = None, kind: str | None = None
    ) -> list[InboxRow]:
        """What waits in the inbox of a job, in row order: rows with a higher id than `after`, of a kind or of all."""
        ...

    # -- settings of this store (the kept port, the instance key) and secrets, already encrypted
    def setting(self, name: str) -> str | None: ...
    def set_setting(self, name: str, value: str) -> None: ...
    def secret(self, name: str) -> bytes | None: ...
    def set_secret(self, name: str, ciphertext: bytes) -> None: ...
    def secret_names(self) -> list[str]:
        """The names of all secrets, in the order of their characters."""
        ...

    def remove_secret(self, name: str) -> bool:
        """Whether there was one."""
        ...

    # -- sessions of interactive shells
    def create_session(self, session: Session) -> None: ...
    def session(self, session_id: str | None = None) -> Session | None:
        """A session, or the one that was used last."""
        ...

    def session_variables(self, session_id: str, names: Sequence[str] | None = None) -> dict[str, str]:
        """The values, as JSON, of these variables of a session, or of all."""
        ...

    def session_names(self, session_id: str) -> list[str]:
        """The names of all variables of a session."""
        ...

    def lines(self, source: str, limit: int, *, before: int | None = None, after: int = 0) -> list[tuple[int, str]]:
        """The numbers and command lines of the newest jobs of a source between two numbers, newest first."""
        ...

    # -- waking
    def wake_fileno(self) -> int:
        """A descriptor that becomes readable when another process changed something for this one."""
        ...

    def drain_wakeups(self) -> None: ...
    def wake_daemon(self) -> None:
        """Tells the daemon of this store, if one lives, to look for due jobs and dead owners."""
        ...

    def data_version(self) -> int:
        """Changes whenever another connection committed: the net below the datagrams, and what watchers poll."""
        ...

    def close(self) -> None: ...
