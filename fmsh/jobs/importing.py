"""`fmsh jobs import FILE`: takes in a job that `fmsh jobs export` wrote, and gives its number here.

The file is read three times, which costs little: it is verified to its last line; it is understood (versions, program,
which secrets the job needs), and what its processes wrote is laid aside; and it is taken in, in one transaction of the
store, which a difference would undo. Nothing is here before that is committed, and all of it after.

A job needs no path of the machine that it comes from but its working directory; where that does not exist, the next
command that needs it fails and says so. Its uid stays, and with it the idempotency keys of its requests; the number by
which it knows itself (`$job.id`) stays too, and only people and other jobs call it by a new one.

What was secret is not in the file (`needed_secrets` says where it comes from here). While a secret is missing an active
job is imported as paused, so that it does not fail for what can be put right.
"""

from __future__ import annotations

import os
import re
import time

from fmsh.connectors.spool import make_directory
from fmsh.engine import recording, snapshots
from fmsh.errors import FmshError, InternalError
from fmsh.jobs import export_file as lines
from fmsh.jobs import needed_secrets
from fmsh.jobs.documents import has_ended, whole_document
from fmsh.jobs.export_file import BadFile
from fmsh.jobs.finding import NotPossible
from fmsh.machine import events
from fmsh.machine.events import JobStarted, Paused
from fmsh.record import Record
from fmsh.store.base import (
    ACTIVE_STATES,
    ENDED_STATES,
    MOVED,
    InboxRow,
    NewCallback,
    NewJob,
    NewProgram,
    Snapshot,
    StoredEvent,
    Summary,
)
from fmsh.store.moving import Arrival, BlobUse, Delivered, KeptBlob, KeptCallback

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from typing import BinaryIO

    from fmsh.jobs.desk import Desk
    from fmsh.store.base import EventStore, Job
    from fmsh.store.moving import Piece

UID = re.compile(r"[0-9A-Za-z]{1,64}")
COPY_BYTES = 1 << 20
NEWER = "Use a newer fmsh: the file was written by one."


def import_file(desk: Desk, arguments: argparse.Namespace) -> int:
    """`fmsh jobs import FILE`"""
    with _opened(arguments.file) as file:
        reader = lines.Reader(file)
        for _ in reader.lines():  # to its end: it is whole
            pass
        _require_welcome(desk.store, reader.header.job)
        with Laid(desk.fx_directory, reader.header.job.uid) as laid:
            found = _understood(lines.Reader(file), laid)
            _require_program(desk, found.program)
            missing = needed_secrets.Missing(desk.store, () if found.is_over else found.secrets)
            missing.take_variables(desk, or_nothing=False)
            is_paused = found.state in ("running", "waiting") and bool(arguments.paused or missing)
            incoming = Incoming(desk.store, found, is_paused=is_paused)
            job = desk.store.move_in(incoming.arrival(), incoming.pieces(lines.Reader(file), laid))
    _tell(desk, job, found, missing)
    if not has_ended(job) and job.state in ("running", "waiting"):
        desk.see_to(job)
    if desk.is_json:
        desk.write_document(whole_document(desk.store, job))
    else:
        desk.say(f"{job.id}\n")
    return 0


def _opened(path: str) -> BinaryIO:
    """Opens the file; what cannot be read twice is copied first, where nobody else can read it."""
    import sys
    import tempfile

    try:
        file = sys.stdin.buffer if path == "-" else open(path, "rb")  # noqa: SIM115
        if file.seekable():
            return file
        copy = tempfile.TemporaryFile()  # noqa: SIM115
        while data := file.read(COPY_BYTES):
            copy.write(data)
        return copy
    except OSError as fault:
        raise NotPossible(f"{path} cannot be read: {(fault.strerror or str(fault)).lower()}") from fault


def _require_welcome(store: EventStore, job: lines.JobData) -> None:
    """Refuses early what the store would refuse later."""
    if not UID.fullmatch(job.uid) or job.state not in (*ACTIVE_STATES, *ENDED_STATES):
        raise BadFile(f"the file names a job {job.uid[:80]!r} in the state {job.state[:80]!r}, which cannot be")
    here = store.job_by_uid(job.uid)
    if here is not None and here.state != MOVED:
        raise NotPossible(
            f"this job is here already: it is job {here.id}, and {here.state}",
            hint="A job that was moved out of a store can come back to it; a second copy cannot.",
        )


# ---- Can it be had here? ---------------------------------------------------------------------------------------------


class Survey(Record):
    """What there is to know of a file before it is taken in."""

    job: lines.JobData
    program: NewProgram
    snapshot_seq: int | None
    environment: str
    secrets: frozenset[str]
    addresses: int

    @property
    def state(self) -> str:
        return self.job.state

    @property
    def is_over(self) -> bool:
        return self.job.state in ENDED_STATES


def _understood(reader: lines.Reader, laid: Laid) -> Survey:
    """Looks at all that is in a file. Raises: BadFile: somebody else wrote it, or a newer fmsh."""
    try:
        return _survey(reader, laid)
    except (InternalError, ValueError, LookupError, TypeError, AttributeError) as fault:
        raise BadFile(f"the file holds what this fmsh does not understand: {fault}", hint=NEWER) from fault


def _survey(reader: lines.Reader, laid: Laid) -> Survey:
    job = reader.header.job
    program: NewProgram | None = None
    snapshot_seq: int | None = None
    wanted = Wanted()
    addresses = 0
    for line in reader.lines():
        if isinstance(line, lines.ProgramLine):
            program = NewProgram(line.hash, line.name, line.text, lines.text_of(line.tree))
        elif isinstance(line, lines.SnapshotLine):
            snapshot_seq = line.seq
            wanted.see_snapshot(line.seq, lines.text_of(line.state))
        elif isinstance(line, lines.BlobLine):
            if recording.hash_of(line.content) != line.hash:
                raise BadFile(f"the value {line.hash[:64]} of the file is not what its name says")
            wanted.see_blob(line)
        elif isinstance(line, lines.EventLine):
            if line.type not in events.TYPES:
                raise BadFile(f"the file has an event {line.type[:40]!r}, which this fmsh does not know", hint=NEWER)
            wanted.see_event(line)
        elif isinstance(line, lines.OutputLine):
            laid.add(line)
        elif isinstance(line, lines.CallbackLine):
            addresses += line.many or line.used_by is None
    if program is None or program.hash != job.program:
        raise BadFile("the file lacks the program of its job")
    if snapshot_seq is None and job.trimmed_seq and job.state not in ENDED_STATES:
        raise BadFile("the file lacks both the beginning and a snapshot of its job")
    return Survey(job, program, snapshot_seq, wanted.environment, wanted.names(), addresses)


class Wanted:
    """Which secrets a job may still ask for: those of its environment, and what came after its snapshot or is in it."""

    def __init__(self) -> None:
        self._after = 0
        self.environment = ""
        self._with_secrets: dict[str, str] = {}  # blobs that may refer to some, if they are in the wire form
        self._values = Values()
        self._names: set[str] = set()

    def see_snapshot(self, seq: int, text: str) -> None:
        self._after = seq
        self.environment = snapshots.decode(text, epoch=None).environment_hash
        self._names = needed_secrets.names_in(text)

    def see_blob(self, line: lines.BlobLine) -> None:
        list(self._values.see(line, ""))
        if line.text is not None and '"$secret"' in line.text:
            self._with_secrets[line.hash] = line.text

    def see_event(self, line: lines.EventLine) -> None:
        text = lines.text_of(line.data)
        if line.type == "JobStarted":
            self.environment = self._values.started(line).environment
        list(self._values.used_by(line))
        if line.seq <= self._after:
            return
        self._names |= needed_secrets.names_in(text)
        self._names |= self._names_in_blob(recording.whole_blob(text))

    def names(self) -> frozenset[str]:
        return frozenset(self._names | self._names_in_blob(self.environment))

    def _names_in_blob(self, hash: str | None) -> set[str]:
        return needed_secrets.names_in(self._with_secrets.get(hash or "", ""))


class Values:
    """The large values of a file, from their lines to the events that name them."""

    def __init__(self) -> None:
        self._waiting: dict[str, bytes] = {}  # for the event that names it, which comes next
        self._kept: set[str] = set()

    def see(self, line: lines.BlobLine, environment: str) -> Iterator[KeptBlob]:
        """Takes a value, and gives it at once if it is the environment, which lasts as long as the job."""
        self._waiting[line.hash] = line.content
        if line.hash == environment:
            self._kept.add(line.hash)
            yield KeptBlob(line.hash, line.content, None)

    def started(self, line: lines.EventLine) -> JobStarted:
        """Reads the first event, which is written anew."""
        text = lines.text_of(line.data)
        hash = recording.whole_blob(text)
        text = text if hash is None else self._waiting.pop(hash).decode()
        event = events.decode(line.type, line.step, text)
        assert isinstance(event, JobStarted)
        return event

    def used_by(self, line: lines.EventLine) -> Iterator[KeptBlob | BlobUse]:
        """Gives the values that an event names, or that one is used once more. One that has expired is not there."""
        data, self._waiting = self._waiting, {}
        for hash in recording.blobs_named(lines.text_of(line.data)):
            if hash in self._kept:
                yield BlobUse(hash, line.seq)
            elif hash in data:
                self._kept.add(hash)
                yield KeptBlob(hash, data[hash], line.seq)


def _require_program(desk: Desk, program: NewProgram) -> None:
    from fmsh.assembly import hash_of_program

    if hash_of_program(program.name, program.text, program.tree_json) != program.hash:
        raise BadFile("the program of the file is not what its name says")
    if desk.load_program is None:
        return
    try:
        desk.load_program(program)
    except (FmshError, ValueError, LookupError, TypeError, AttributeError) as fault:
        raise BadFile(f"the program of the file cannot be read: {fault}", hint=NEWER) from fault


# ---- Into the store --------------------------------------------------------------------------------------------------


class Incoming:
    """A verified job as what the store takes in."""

    def __init__(self, store: EventStore, found: Survey, *, is_paused: bool) -> None:
        self._store = store
        self._found = found
        self._is_paused = is_paused

    def arrival(self) -> Arrival:
        job, parent = self._found.job, None
        if job.parent is not None:
            parent = self._store.job_by_uid(job.parent)
        new = NewJob(
            job.uid, job.source, job.command, job.created_at_ms, self._found.program, job.key, job.name,
            lines.text_of(job.tags), job.detached or not self._found.is_over, None if parent is None else parent.id,
        )  # fmt: skip
        waiting_for = lines.text_of(job.waiting_for)
        summary = Summary(
            job.state, job.wake_at_ms, job.steps, waiting_for, lines.optional_text(job.value),
            lines.optional_text(job.error), job.exit_status, job.ended_at_ms,
        )  # fmt: skip
        if self._is_paused:
            summary = summary.replace(state="paused", wake_at_ms=None, waiting_for_json="[]")
        return Arrival(new, summary, job.head + self._is_paused, job.epoch, job.trimmed_seq)

    def pieces(self, reader: lines.Reader, laid: Laid) -> Iterator[Piece]:
        """Gives what the store is to keep; at the end, when the file proved whole again, its outputs are in place."""
        values = Values()
        for line in reader.lines():
            if isinstance(line, lines.SnapshotLine):
                yield self._snapshot(line)
            elif isinstance(line, lines.BlobLine):
                yield from values.see(line, self._found.environment)
            elif isinstance(line, lines.EventLine):
                yield from self._event(line, values)
            elif isinstance(line, lines.CallbackLine):
                options_json = lines.text_of(line.options)
                new = NewCallback(
                    0, line.handle, line.token_hash, line.expires_at_ms, tuple(line.methods), line.many, options_json
                )
                yield KeptCallback(new, line.used_by, line.used_at_ms)
            elif isinstance(line, lines.DeliveredLine):
                yield Delivered(line.id, line.at_ms)
            elif isinstance(line, lines.InboxLine):
                yield InboxRow(0, 0, line.at_ms, line.kind, lines.text_of(line.data))
        laid.put_in_place()

    def _snapshot(self, line: lines.SnapshotLine) -> Snapshot:
        text = lines.text_of(line.state)
        if self._is_paused and line.seq == self._found.job.head:
            return Snapshot(line.seq + 1, snapshots.paused(text))
        return Snapshot(line.seq, text)

    def _event(self, line: lines.EventLine, values: Values) -> Iterator[Piece]:
        job = self._found.job
        data_json = lines.text_of(line.data)
        if line.type == "JobStarted":
            recorded = recording.Recording()
            started = values.started(line)
            recorded.add(started.replace(number=started.number or job.number), at_ms=line.at_ms)
            yield from (KeptBlob(*blob, line.seq) for blob in recorded.blobs)
            data_json = recorded.events[0].data_json
        else:
            yield from values.used_by(line)
        yield StoredEvent(0, line.seq, line.epoch, line.at_ms, line.type, line.step, data_json)
        if self._is_paused and line.seq == job.head:
            now_ms = time.time_ns() // 1_000_000
            yield StoredEvent(0, line.seq + 1, job.epoch, now_ms, "Paused", None, events.encode(Paused()))


class Laid:
    """What the processes of a job wrote, laid aside in `incoming/UID` beside `fx` until the job is taken in."""

    def __init__(self, fx_directory: str, uid: str) -> None:
        self._final = f"{fx_directory}/{uid}"
        self._aside = f"{os.path.dirname(fx_directory)}/incoming/{uid}"
        self._open: tuple[str, BinaryIO] | None = None
        self._fd = -1

    def __enter__(self) -> Laid:
        import fcntl
        import shutil

        make_directory(self._aside)
        self._fd = os.open(self._aside, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._fd)
            raise NotPossible("this job is being imported by another process") from None
        for name in os.listdir(self._aside):  # of an import that was killed
            shutil.rmtree(f"{self._aside}/{name}")
        return self

    def __exit__(self, *_: object) -> None:
        import shutil

        self._close()
        os.close(self._fd)
        shutil.rmtree(self._aside, ignore_errors=True)

    def add(self, line: lines.OutputLine) -> None:
        """Adds a piece to a file of an attempt."""
        if line.name not in lines.OUTPUT_FILES or line.step < 1 or line.attempt < 1:
            raise BadFile(f"the file has an output {line.step}-{line.attempt}/{line.name[:40]!r}, which cannot be")
        path = f"{self._aside}/{line.step}-{line.attempt}/{line.name}"
        try:
            if self._open is None or self._open[0] != path:
                self._close()
                make_directory(os.path.dirname(path))
                fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
                self._open = (path, os.fdopen(fd, "wb"))
            self._open[1].write(line.content)
        except OSError as fault:
            raise NotPossible(f"{path} could not be written: {fault.strerror}") from fault

    def _close(self) -> None:
        if self._open is not None:
            with self._open[1] as file:
                file.flush()
                os.fsync(file.fileno())
            self._open = None

    def put_in_place(self) -> None:
        """Puts the files where the job's processes look for them, in place of what stayed behind there."""
        import shutil

        self._close()
        names = os.listdir(self._aside)
        if not names:
            return
        for directory in [*(f"{self._aside}/{name}" for name in names), self._aside]:
            _sync(directory)
        make_directory(os.path.dirname(self._final))
        shutil.rmtree(self._final, ignore_errors=True)
        os.rename(self._aside, self._final)
        _sync(os.path.dirname(self._final))


def _sync(directory: str) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


# ---- What a person has to know ---------------------------------------------------------------------------------------


def _tell(desk: Desk, job: Job, found: Survey, missing: needed_secrets.Missing) -> None:
    for line in missing.text(job).splitlines():
        desk.note(line)
    if found.addresses and not found.is_over:
        desk.note(
            f"calls to {found.addresses} address(es) of job {job.id} still go where it comes from; they reach it once "
            "that address leads here (FMSH_LISTEN and FMSH_PUBLIC_URL)"
        )
