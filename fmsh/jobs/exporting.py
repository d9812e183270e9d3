"""`fmsh jobs export N`: a job whole as one file on standard output (`export_file` says what is in it).

An ended job is copied. An active one is moved: it goes on only where the file is imported. The order is

    hold it · write all but the last line · sync · mark it as moved · write the last line · sync

so that whatever cuts this short leaves one of: the job here as it was, and a file that every import refuses; or the job
marked as moved, and no file that is whole. In the second case, and whenever the file is lost before it was imported,
exporting it again gives the same file once more: what was moved is kept until it is removed.

A job can leave when nobody runs it. The daemon lets go of a job that only waits after a second; a job that a living
shell runs, or that does not come to rest, or whose command still runs on this machine, is refused with what to do. So
is one whose parent or child is active here: they wait for each other, and would for ever.

Why `moved` is a state of its own, beside those that a job ends in: the job has not ended, so nothing that awaits it may
be told that it has; and it does not need a person, as a parked job does, nor can anybody resume it here. Programs that
know the other seven meet it only where a person has moved a job. Why it is no event: the history is the job's, not its
store's, and goes on elsewhere with the next event; `ended_at` of the row says when it left.
"""

from __future__ import annotations

import os
import time

import fmsh
from fmsh.connectors import cutting, spool
from fmsh.connectors.children import read_boot_id
from fmsh.engine import recording, snapshots
from fmsh.errors import StoreMissing, UsageError
from fmsh.jobs import export_file as lines
from fmsh.jobs.documents import has_ended, move_text, read_event, timestamp
from fmsh.jobs.finding import NotPossible, find_job
from fmsh.jobs.following import Changes
from fmsh.machine.events import AttemptFailed, JobStarted, RequestMade
from fmsh.render.jobs import request_label
from fmsh.store.base import ACTIVE_STATES, ENDED_STATES, MOVED, RENEWAL_TTL_S, Lease

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from typing import Any

    from fmsh.jobs.desk import Desk
    from fmsh.store.base import EventStore, Job, Snapshot, StoredEvent
    from fmsh.store.moving import Belongings

PATIENCE_S = 6.0  # the daemon lets go of what waits after 1.5 s, and of what was paused after the commands in flight


def export(desk: Desk, arguments: argparse.Namespace) -> int:
    """`fmsh jobs export N`"""
    job = find_job(desk.store, arguments.jobs[0])
    if desk.stdout.isatty():
        raise UsageError(f"a file is written, not a terminal: `fmsh jobs export {arguments.jobs[0]} > FILE`")
    if not has_ended(job):
        _require_no_kin(desk.store, job)
        job, wake_at_ms = _hold(desk.store, job)
        if not has_ended(job):
            _move(desk, job, wake_at_ms)
            return 0
    if job.state == MOVED:
        desk.note(f"{move_text(job)}: it must not be imported in two places")
    output = _Output(desk, job)
    output.write()
    output.end()
    return 0


# ---- Whether it can leave --------------------------------------------------------------------------------------------


def _require_no_kin(store: EventStore, job: Job) -> None:
    parent = None if job.parent_id is None else store.job(job.parent_id)
    if parent is not None and parent.state in ACTIVE_STATES:
        raise NotPossible(
            f"job {job.id} was started by job {parent.id}, which is {parent.state} here and may wait for it",
            hint=f"Wait until job {parent.id} has ended, or cancel it.",
        )
    belongings = store.belongings(job.id)
    tied = [*(f"topic {name}" for name in belongings.topics), *(f"function {name}" for name in belongings.functions)]
    if belongings.claims:
        raise NotPossible(
            f"job {job.id} has, or waits for, what the jobs of this store share: {', '.join(belongings.claims)}",
            hint="Locks and limits cannot be moved. Export it when it has left their blocks.",
        )
    if tied and not has_ended(job):
        raise NotPossible(
            f"job {job.id} waits for what comes into this store: {', '.join(tied)}",
            hint="Its subscriptions and calls cannot be moved. Let it end here.",
        )
    children = [store.job(child) for child in belongings.children]
    active = [str(child.id) for child in children if child is not None and child.state in ACTIVE_STATES]
    if active:
        raise NotPossible(
            f"job {job.id} has started {', '.join(active)}, still active here, whose end it would never hear of",
            hint=f"Wait until they have ended (`fmsh jobs wait {' '.join(active)}`), or cancel them.",
        )


def _hold(store: EventStore, job: Job) -> tuple[Job, int | None]:
    """Takes a job from whoever lets go of it; gives its row, and when it wants to be woken if it is given back.

    One that has ended meanwhile is not held.
    """
    give_up_at = time.monotonic() + PATIENCE_S
    changes = Changes(store)
    while not has_ended(job):
        owners = [owner for owner in store.owners() if owner.id == job.owner_id and store.is_alive(owner.id)]
        if not owners and store.hold(job.id):
            wake_at_ms = job.wake_at_ms if job.owner_id is None else 0  # the dead may have left something to do
            return store.job(job.id) or job, wake_at_ms
        if owners and owners[0].kind == "shell":
            raise NotPossible(
                f"job {job.id} runs in the foreground of process {owners[0].pid}",
                hint="Press Ctrl-Z there, or close its terminal, and the daemon takes it; then export it.",
            )
        if time.monotonic() >= give_up_at:
            raise NotPossible(
                f"job {job.id} is {job.state} and does not come to rest",
                hint=f"`fmsh jobs pause {job.id}` lets it end what is in progress, and starts nothing more; "
                "then export it.",
            )
        changes.wait()
        job = store.job(job.id) or job
    return job, None


def _require_no_process(desk: Desk, job: Job, snapshot: Snapshot | None) -> None:
    for step, (request, attempt) in _in_flight(desk.store, job, snapshot).items():
        if request.connector != "process":
            continue
        directory = spool.attempt_directory(desk.fx_directory, job.uid, step, attempt)
        if os.path.isdir(directory) and _is_running(directory, len(request.arguments["stages"])):
            label = request_label({"connector": "process", "operation": "run", "arguments": request.arguments})
            raise NotPossible(
                f"step {step} of job {job.id} ({label}) still runs on this machine",
                hint=f"Let it end, or cancel the job; `fmsh jobs output {job.id} --step {step}` shows what it wrote.",
            )


def _in_flight(store: EventStore, job: Job, snapshot: Snapshot | None) -> dict[int, tuple[Any, int]]:
    """Gives the requests without an outcome, by step, each with the number of its attempt."""
    found: dict[int, tuple[Any, int]] = {}
    if snapshot is not None:
        flights = snapshots.decode(snapshot.state_json, epoch=None).flights
        found = {flight.request.step: (flight.request, flight.attempt) for flight in flights}
    for stored in store.events(job.id, after=0 if snapshot is None else snapshot.seq):
        if stored.step is None:
            continue
        if stored.type == "RequestCompleted":
            found.pop(stored.step, None)
        elif stored.type in ("RequestMade", "AttemptFailed"):
            event = recording.read(store, stored)
            if isinstance(event, RequestMade):
                found[event.step] = (event, 1)
            elif isinstance(event, AttemptFailed) and event.step in found:
                found[event.step] = (found[event.step][0], event.attempt + 1)
    return found


def _is_running(directory: str, stage_count: int) -> bool:
    """Whether an attempt still runs; one whose wrapper was killed after the command's end gets its status here."""
    if spool.read_statuses(directory, stage_count) is not None:
        return False
    lock = spool.take_lock(directory, "wrapper.lock")
    if lock is None:
        return True
    try:
        claim = spool.read_claim(directory)
        if claim is None:
            return False
        if claim.boot_id == read_boot_id() and spool.adopt_statuses(directory, stage_count) is not None:
            return False
        return spool.is_locked(directory, "command.lock")
    finally:
        os.close(lock)


# ---- Moving ----------------------------------------------------------------------------------------------------------


def _move(desk: Desk, job: Job, wake_at_ms: int | None) -> None:
    """Writes a held job, and marks it as moved; gives it back if anything keeps us from it."""
    store = desk.store
    try:
        output = _Output(desk, job)
        _require_no_process(desk, job, output.snapshot)
        output.write()
        with _Undisturbed():
            store.move_out(job, inbox_id=output.last_inbox_id, at_ms=time.time_ns() // 1_000_000)
            try:
                output.end()
            except BaseException:
                store.move_back(job.id)
                raise
    except BaseException:
        store.release(Lease(job.id, job.epoch, job.head, b""), wake_at_ms=wake_at_ms)
        raise
    output.sync(f"job {job.id} is moved all the same; `fmsh jobs export {job.id}` writes it again")
    desk.note(f"job {job.id} is moved: it goes on where the file is imported")


class _Undisturbed:
    """Keeps signals away from the moment in which a job is neither here nor there."""

    def __enter__(self) -> None:
        import signal

        held = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        self._before = signal.pthread_sigmask(signal.SIG_BLOCK, held)

    def __exit__(self, *_: object) -> None:
        import signal

        signal.pthread_sigmask(signal.SIG_SETMASK, self._before)


# ---- Writing ---------------------------------------------------------------------------------------------------------


class _Output:
    """The file of one job being written."""

    def __init__(self, desk: Desk, job: Job) -> None:
        self._desk = desk
        self._store = desk.store
        self._job = job
        binary: Any = desk.stdout.buffer
        self._writer = lines.Writer(getattr(binary, "raw", binary))  # no buffer that is flushed after an error
        self._blobs: set[str] = set()
        self._renewed_s = time.monotonic()
        self.snapshot = self._store.snapshot(job.id)
        self.last_inbox_id = 0

    def write(self) -> None:
        """Writes everything but the last line. Raises: NotPossible: it cannot be written; BrokenPipeError."""
        try:
            for line in self._lines():
                self._writer.add(line)
                self._renew()
            self._writer.flush()
        except BrokenPipeError:
            raise
        except OSError as fault:
            raise NotPossible(f"the file could not be written: {fault.strerror}", hint="The job stays here.") from fault
        self.sync("The job stays here.")

    def end(self) -> None:
        """Makes the file whole."""
        try:
            self._writer.end()
        except BrokenPipeError:
            raise
        except OSError as fault:
            raise NotPossible(f"the file could not be written: {fault.strerror}", hint="The job stays here.") from fault

    def sync(self, hint: str) -> None:
        """Sees to it that what was written lasts, if it is a file."""
        import stat

        try:
            fd = self._desk.stdout.fileno()
            if stat.S_ISREG(os.fstat(fd).st_mode):
                os.fsync(fd)
        except ValueError:  # no file at all
            return
        except OSError as fault:
            raise NotPossible(f"the file may not be on the disk: {fault.strerror}", hint=hint) from fault

    def _renew(self) -> None:
        """A reader that is slow must not cost us the job."""
        now_s = time.monotonic()
        if now_s - self._renewed_s > RENEWAL_TTL_S / 3:
            self._renewed_s = now_s
            self._store.renew()

    def _lines(self) -> Iterator[lines.Header | lines.Line]:
        job = self._job
        header = self._header(self._store.belongings(job.id))
        yield header
        program = self._store.program(job.program_hash)
        yield lines.ProgramLine(program.hash, program.name, program.text, lines.raw(program.tree_json))
        for snapshot in self._snapshots():
            yield lines.SnapshotLine(snapshot.seq, lines.raw(snapshot.state_json))
            yield from self._blob(snapshots.decode(snapshot.state_json, epoch=None).environment_hash)
        link = lines.identity(header.job)
        for stored in self._store.events(job.id):
            yield from self._blobs_of(stored)
            line = lines.EventLine(
                stored.seq, stored.epoch, stored.at_ms, stored.type, stored.step, lines.raw(stored.data_json), ""
            )
            link = lines.link(link, line)
            line.hash = link.hex()
            yield line
        yield from self._outputs()
        yield from self._arrivals()

    def _snapshots(self) -> list[Snapshot]:
        """The last one, after the one at which a trimmed history begins."""
        first = self._store.snapshot(self._job.id, at=self._job.trimmed_seq) if self._job.trimmed_seq else None
        return [found for found in dict.fromkeys((first, self.snapshot)) if found is not None]

    def _header(self, has: Belongings) -> lines.Header:
        job, store = self._job, self._store
        parent = None if job.parent_id is None else store.job(job.parent_id)
        children = [child for child in map(store.job, has.children) if child is not None]
        is_over = has.state in ENDED_STATES
        data = lines.JobData(
            uid=job.uid, number=job.id, key=job.key, name=job.name, tags=lines.raw(job.tags_json), source=job.source,
            command=job.command, program=job.program_hash, parent=None if parent is None else parent.uid,
            children=[lines.Child(child.uid, child.id, child.state) for child in children],
            created_at_ms=job.created_at_ms, ended_at_ms=job.ended_at_ms if is_over else None,
            detached=job.is_detached, state=has.state, wake_at_ms=job.wake_at_ms, steps=job.steps,
            waiting_for=lines.raw(job.waiting_for_json), value=lines.optional_raw(job.value_json),
            error=lines.optional_raw(job.error_json), exit_status=job.exit_status, head=job.head, epoch=job.epoch,
            trimmed_seq=job.trimmed_seq,
        )  # fmt: skip
        return lines.Header(lines.FORMAT, fmsh.__version__, str(timestamp(time.time_ns() // 1_000_000)), data)

    def _blobs_of(self, stored: StoredEvent) -> Iterator[lines.Line]:
        """The values that an event names. Those that have expired are not needed any more, or not to be had."""
        for hash in recording.blobs_named(stored.data_json):
            yield from self._blob(hash, seq=stored.seq)
        if stored.type == "JobStarted":
            event = read_event(self._store, stored)
            if isinstance(event, JobStarted):
                yield from self._blob(event.environment)

    def _blob(self, hash: str, *, seq: int | None = None) -> Iterator[lines.Line]:
        if not hash or hash in self._blobs:
            return
        self._blobs.add(hash)
        try:
            yield lines.BlobLine(hash=hash, **lines.as_content(self._store.blob(hash)))
        except StoreMissing:
            is_replayed = seq is None or self.snapshot is None or seq > self.snapshot.seq
            if is_replayed and not has_ended(self._job):
                raise

    def _outputs(self) -> Iterator[lines.Line]:
        """What the processes of the job left, so that their outcomes can be picked up and their outputs shown."""
        top = f"{self._desk.fx_directory}/{self._job.uid}"
        names = [name.split("-") for name in (os.listdir(top) if os.path.isdir(top) else ())]
        attempts = [(int(name[0]), int(name[1])) for name in names if len(name) == 2 and "".join(name).isdigit()]
        for step, attempt in sorted(attempts):
            for name in lines.OUTPUT_FILES:
                yield from _pieces(f"{top}/{step}-{attempt}/{name}", step, attempt, name)

    def _arrivals(self) -> Iterator[lines.Line]:
        has = self._store.belongings(self._job.id)
        for kept in has.callbacks:
            new = kept.new
            yield lines.CallbackLine(
                new.handle_id,
                new.token_hash,
                new.expires_at_ms,
                list(new.methods),
                new.is_many,
                kept.used_by,
                kept.used_at_ms,
                lines.raw(new.options_json),
            )
        for delivered in has.delivered:
            yield lines.DeliveredLine(delivered.dedupe_id, delivered.at_ms)
        for row in has.inbox:
            self.last_inbox_id = row.id
            yield lines.InboxLine(row.at_ms, row.kind, lines.raw(row.data_json))


def _pieces(path: str, step: int, attempt: int, name: str) -> Iterator[lines.Line]:
    """A file of an attempt. What was cut out of it becomes the line that says so."""
    if not os.path.exists(path):
        return
    if os.path.getsize(path) == 0:
        yield lines.OutputLine(step=step, attempt=attempt, name=name, **lines.as_content(b""))
    for data, _ in cutting.pieces(path):
        yield lines.OutputLine(step=step, attempt=attempt, name=name, **lines.as_content(data))
