"""The store in a state directory: SQLite in WAL mode, shared by the shells and the daemon of one user on one machine.

`SqliteStore` only joins the parts: `database` (connection, gate, transactions), `jobs`, `history`, `leases` and `inbox`
(all the SQL, as functions over a cursor), and `presence` (that this process lives, and how to wake it).

One store object belongs to one thread. Another thread takes `reopen()`: the same owner with a connection of its own.
Nobody forks with an open store. Signal handlers do not raise while a method runs here: a commit cut short in Python may
have happened in the database.

`deletion`, `inbox`, `sessions`, `transfer` and `verification` are imported when they are used: a short line does
without them.
"""

from __future__ import annotations

import time

from fmsh.store import files, history, jobs, leases
from fmsh.store.base import RENEWAL_TTL_S
from fmsh.store.database import Database
from fmsh.store.migrations import CURRENT
from fmsh.store.presence import Presence
from fmsh.store.sqlite_outside import Callers
from fmsh.store.watch import Watch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Literal

    from fmsh.errors import StoreError
    from fmsh.store.base import (
        Append,
        Damage,
        InboxRow,
        Job,
        JobAge,
        JobFilter,
        Lease,
        NewEvent,
        NewInboxRow,
        NewJob,
        NewProgram,
        Owner,
        Session,
        Snapshot,
        StoredEvent,
        Summary,
    )
    from fmsh.store.database import Cursor
    from fmsh.store.inbox import Knock
    from fmsh.store.migrations import Schema
    from fmsh.store.moving import Arrival, Belongings, Piece

    OwnerKind = Literal["shell", "daemon"]


class SqliteStore(Callers):
    """See `fmsh.store.base` for what each method guarantees."""

    def __init__(self, directory: str, presence: Presence, watch: Watch, schema: Schema, *, is_first: bool) -> None:
        self.owner: Owner = presence.owner
        self._directory = directory
        self._presence = presence
        self._watch = watch
        self._is_first = is_first
        self._schema = schema
        self._database = Database(directory, schema)

    @classmethod
    def open(
        cls,
        directory: str,
        *,
        kind: OwnerKind,
        ttl_s: float = RENEWAL_TTL_S,
        now_s: Callable[[], float] = time.monotonic,
        schema: Schema = CURRENT,
    ) -> SqliteStore:
        """Opens the store in a state directory, and makes both where they are missing.

        Raises: StoreError, StoreTooNew, StoreFull: what is wrong, where, and what to do about it.
        """
        path = files.prepare_directory(directory)
        return cls(path, Presence(path, kind), Watch(ttl_s, now_s), schema, is_first=True)

    def reopen(self) -> SqliteStore:
        """Gives a second store object of the same owner, for another thread; to be closed before this one."""
        return type(self)(self._directory, self._presence, self._watch, self._schema, is_first=False)

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
        owner_id = self.owner.id if lease else None
        self._require_room_for(append)
        if lease:
            self._presence.hold_lock()

        def work(cursor: Cursor) -> tuple[Job, Lease | None, bool]:
            if lease:
                self._register(cursor)
            created = jobs.create(cursor, self._database.key, new, append, summary, owner_id)
            if created[2]:
                history.keep_blobs(cursor, self._database.key, created[0].id, lasting, None)
                history.keep_blobs(cursor, self._database.key, created[0].id, blobs, created[0].head)
            return created

        job, held, is_new = self._database.write(work, is_settled=lambda: jobs.exists(self._database, new.uid))
        self._presence.is_registered |= lease
        self._tell_of_states()
        if is_new and held is None:
            self._poke_if_due(job.wake_at_ms)
        return job, held, is_new

    def job(self, job_id: int) -> Job | None:
        return jobs.one(self._database, "id = ?", job_id)

    def job_by_key(self, key: str) -> Job | None:
        return jobs.one(self._database, "key = ?", key)

    def jobs_by_name(self, name: str) -> list[Job]:
        return jobs.find(self._database, "name = ?", name)

    def last_job(self) -> Job | None:
        return jobs.last(self._database)

    def jobs(self, filter: JobFilter) -> list[Job]:
        return jobs.matching(self._database, filter)

    def count_by_state(self) -> Mapping[str, int]:
        return jobs.count_by_state(self._database)

    def program(self, program_hash: str) -> NewProgram:
        return jobs.program(self._database, program_hash)

    def blob(self, blob_hash: str) -> bytes:
        return history.blob(self._database, blob_hash)

    # -- history

    def commit(self, appends: Sequence[Append]) -> list[StoreError | None]:
        for append in appends:
            self._require_room_for(append.events)
        answers = history.commit(self._database, self.owner.id, appends, self._poke_holder)
        self._tell_of_states()
        for append, answer in zip(appends, answers, strict=True):
            if append.release and answer is None and append.summary.wake_at_ms is not None:
                self.wake_daemon()
                break
        return answers

    def events(self, job_id: int, *, after: int = 0, limit: int | None = None) -> Iterator[StoredEvent]:
        return history.events(self._database, job_id, after, limit)

    def snapshot(self, job_id: int, *, at: int | None = None) -> Snapshot | None:
        return history.snapshot(self._database, job_id, at)

    def quarantine(self, job_id: int, *, error_json: str) -> None:
        self._database.write(lambda cursor: history.quarantine(cursor, self.owner.id, job_id, error_json))

    # -- retention

    def ages(self, *, after: int, limit: int) -> list[JobAge]:
        return jobs.ages(self._database, after, limit)

    def abandon(self, job_id: int, summary: Summary, deliveries: Sequence[NewInboxRow] = ()) -> bool:
        key, owner_id = self._database.key, self.owner.id
        knocks = self._database.write(
            lambda cursor: history.abandon(cursor, key, owner_id, job_id, summary, deliveries)
        )
        for knock in knocks or ():
            self._poke_holder(knock)
        return knocks is not None

    def trim(self, job_id: int, *, before_ms: int, now_ms: int) -> int:
        from fmsh.store import deletion

        return deletion.trim(self._database, job_id, before_ms, now_ms)

    def remove_outputs(self, job_ids: Sequence[int], *, now_ms: int) -> int:
        from fmsh.store import deletion

        return deletion.remove_outputs(self._database, job_ids, now_ms)

    def remove_jobs(self, job_ids: Sequence[int], *, now_ms: int) -> int:
        from fmsh.store import deletion

        return deletion.remove_jobs(self._database, job_ids, now_ms, self._poke_holders)

    def forget_deliveries(self, *, before_ms: int) -> int:
        from fmsh.store import deletion

        return deletion.forget_deliveries(self._database, before_ms)

    def existed(self, job_id: int) -> bool:
        return jobs.existed(self._database, job_id)

    def known_uids(self, uids: Sequence[str]) -> set[str]:
        return jobs.known_uids(self._database, uids)

    def shrink(self) -> None:
        from fmsh.store import deletion

        deletion.shrink(self._database)

    def verify(self) -> Iterator[Damage]:
        from fmsh.store import verification

        return verification.verify(self._database)

    # -- leases

    def acquire(self, job_id: int) -> Lease | None:
        self._presence.hold_lock()

        def work(cursor: Cursor) -> Lease | None:
            lease = leases.acquire(cursor, self._presence, self._watch, job_id)
            if lease is not None:
                self._register(cursor)
            return lease

        lease = self._database.write(work, is_settled=lambda: leases.is_held(self._database, self.owner.id, job_id))
        self._presence.is_registered |= lease is not None
        return lease

    def release(self, lease: Lease, *, wake_at_ms: int | None) -> None:
        self._database.write(lambda cursor: leases.release(cursor, self.owner.id, lease, wake_at_ms))
        self._poke_if_due(wake_at_ms)

    def renew(self) -> None:
        if self._presence.is_registered:
            self._database.write(lambda cursor: leases.renew(cursor, self.owner))

    def reap(self) -> list[int]:
        if not leases.is_anybody_gone(self._database, self._presence, self._watch):
            return []
        return self._database.write(lambda cursor: leases.reap(cursor, self._presence, self._watch))

    def due(self, now_ms: int, *, limit: int) -> list[int]:
        return leases.due(self._database, now_ms, limit)

    def next_due_ms(self) -> int | None:
        return leases.next_due_ms(self._database)

    def owners(self) -> list[Owner]:
        return leases.owners(self._database)

    def is_alive(self, owner_id: str) -> bool:
        return any(self._presence.is_alive(owner) for owner in self.owners() if owner.id == owner_id)

    # -- inbox

    def deliver(self, job_id: int, kind: str, data_json: str, *, dedupe_id: str) -> bool:
        from fmsh.store import inbox

        key = self._database.key
        knock = self._database.write(lambda cursor: inbox.deliver(cursor, key, job_id, kind, data_json, dedupe_id))
        self._poke_holder(knock)
        return knock.is_new

    def inbox(
        self, job_id: int, *, after: int = 0, limit: int | None = None, kind: str | None = None
    ) -> list[InboxRow]:
        from fmsh.store import inbox

        return inbox.rows(self._database, job_id, after, limit, kind)

    # -- moving

    def job_by_uid(self, uid: str) -> Job | None:
        return jobs.one(self._database, "uid = ?", uid)

    def hold(self, job_id: int) -> bool:
        from fmsh.store import transfer

        self._presence.hold_lock()

        def work(cursor: Cursor) -> bool:
            self._register(cursor)
            return transfer.hold(cursor, self._presence, self._watch, job_id)

        is_held = self._database.write(work, is_settled=lambda: leases.is_held(self._database, self.owner.id, job_id))
        self._presence.is_registered = True
        return is_held

    def belongings(self, job_id: int) -> Belongings:
        from fmsh.store import transfer

        return transfer.belongings(self._database, job_id)

    def move_out(self, job: Job, *, inbox_id: int, at_ms: int) -> None:
        from fmsh.store import arrival, transfer

        key, owner_id = self._database.key, self.owner.id
        self._database.write(
            lambda cursor: transfer.move_out(cursor, key, owner_id, job, inbox_id, at_ms),
            is_settled=lambda: not arrival.is_here(self._database, job.uid),
        )

    def move_back(self, job_id: int) -> None:
        from fmsh.store import transfer

        self._database.write(lambda cursor: transfer.move_back(cursor, job_id))
        self.wake_daemon()

    def move_in(self, arrival: Arrival, pieces: Iterator[Piece]) -> Job:
        from fmsh.store.arrival import Arriving, is_here

        with Arriving(self._database, arrival, pieces) as arriving:
            job = self._database.write(arriving.write, is_settled=lambda: is_here(self._database, arrival.new.uid))
        self.wake_daemon()
        return job

    # -- settings and secrets

    def setting(self, name: str) -> str | None:
        rows = self._database.read("SELECT value FROM setting WHERE name = ?", (name,))
        return rows[0][0] if rows else None

    def set_setting(self, name: str, value: str) -> None:
        sql = "INSERT OR REPLACE INTO setting VALUES (?, ?)"
        self._database.write(lambda cursor: cursor.execute(sql, (name, value)))

    def secret(self, name: str) -> bytes | None:
        rows = self._database.read("SELECT ciphertext FROM secret WHERE name = ?", (name,))
        return rows[0][0] if rows else None

    def set_secret(self, name: str, ciphertext: bytes) -> None:
        sql = "INSERT OR REPLACE INTO secret VALUES (?, ?)"
        self._database.write(lambda cursor: cursor.execute(sql, (name, ciphertext)))

    def secret_names(self) -> list[str]:
        return [name for (name,) in self._database.read("SELECT name FROM secret ORDER BY name")]

    def remove_secret(self, name: str) -> bool:
        sql = "DELETE FROM secret WHERE name = ? RETURNING name"
        return bool(self._database.write(lambda cursor: cursor.execute(sql, (name,)).fetchall()))

    # -- sessions

    def create_session(self, session: Session) -> None:
        from fmsh.store import sessions

        self._database.write(lambda cursor: sessions.create(cursor, session))

    def session(self, session_id: str | None = None) -> Session | None:
        from fmsh.store import sessions

        return sessions.find(self._database, session_id)

    def session_variables(self, session_id: str, names: Sequence[str] | None = None) -> dict[str, str]:
        from fmsh.store import sessions

        return sessions.variables(self._database, session_id, names)

    def session_names(self, session_id: str) -> list[str]:
        from fmsh.store import sessions

        return sessions.names(self._database, session_id)

    def lines(self, source: str, limit: int, *, before: int | None = None, after: int = 0) -> list[tuple[int, str]]:
        from fmsh.store import sessions

        return sessions.lines(self._database, source, limit, before, after)

    # -- waking

    def wake_fileno(self) -> int:
        self._presence.hold_lock()
        fileno = self._presence.socket_fileno()
        if self.owner.kind == "daemon" and not self._presence.is_registered:
            self._database.write(self._register)
            self._presence.is_registered = True
        return fileno

    def drain_wakeups(self) -> None:
        self._presence.drain()

    def wake_daemon(self) -> None:
        daemons = [owner.id for owner in self.owners() if owner.kind == "daemon"]
        if daemons:
            self._presence.poke(daemons)

    def data_version(self) -> int:
        return self._database.data_version()

    def close(self) -> None:
        """Closes this store object. With the first of an owner, the owner ends: the jobs that it holds are free."""
        self._database.close()
        if self._is_first:
            self._presence.end()

    def _require_room_for(self, events: Sequence[NewEvent]) -> None:
        """Sees to it that no effect begins whose outcome may find no room. Raises: StoreFull."""
        if any(event.type == "RequestMade" for event in events):
            files.require_room(self._directory)

    def _register(self, cursor: Cursor) -> None:
        if not self._presence.is_registered:
            leases.register(cursor, self._presence)

    def _poke_if_due(self, wake_at_ms: int | None) -> None:
        if wake_at_ms is not None:
            self.wake_daemon()

    def _poke_holder(self, knock: Knock) -> None:
        if not knock.is_new:
            return
        if knock.holder_id is None:
            self.wake_daemon()
        else:
            self._presence.poke([knock.holder_id])
