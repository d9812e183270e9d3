"""Starting a job: from a program and its circumstances to its first commit.

The first turn runs before the job is created, so that its start and its first requests are one commit. It cannot where
the program may see the job's number, which comes with the row, or where it may turn out that the job exists. A job is
never without its start: whoever takes it over would not know what to run.
"""

from __future__ import annotations

from fmsh import wire
from fmsh.engine import recording, summary
from fmsh.engine.flight import begun_by
from fmsh.engine.worker import Worker
from fmsh.machine.events import JobStarted
from fmsh.machine.facts import Facts
from fmsh.machine.machine import Machine
from fmsh.record import Record
from fmsh.store.base import Summary

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from fmsh.engine.sessions import SessionLine
    from fmsh.engine.worker import Surroundings
    from fmsh.machine.code import Program
    from fmsh.store.base import EventStore, Job, Lease, NewJob, NewProgram
    from fmsh.values import Secret, Value


class NewRun(Record):
    """A job that is to be started. Of `options`, `variables`, `input` and `entry` reach the machine (see `Facts`).

    `umask` is an option too, that of all the job's processes.
    """

    job: NewJob
    program: Program
    arguments: list[str]
    environment: Mapping[str, str | Secret]
    directory: str
    time_zone: str
    options: dict[str, Value]
    session_line: SessionLine | None = None


def facts_of(job_id: int, key: str | None, name: str | None, started: JobStarted) -> Facts:
    """Gives what the machine is told of a job."""
    options = started.options
    variables, input, entry = options.get("variables"), options.get("input"), options.get("entry")
    return Facts(
        started.number or job_id,
        key,
        name,
        started.arguments,
        started.directory,
        started.time_zone,
        variables or {},
        input,
        entry or 0,
        bool(options.get("hold")),
        options.get("wanted") or "",
    )


class Starter:
    """Makes jobs."""

    __slots__ = ("_store", "_surroundings")

    def __init__(self, store: EventStore, surroundings: Surroundings) -> None:
        self._store = store
        self._surroundings = surroundings

    def create(self, run: NewRun, *, owner: Mapping[str, Value], is_foreground: bool) -> tuple[Job, Worker | None]:
        """Creates a job that this process holds, with its first turn if it can. None: a job with its key existed.

        A worker without a lease has ended (or broken down) in its first turn. Raises: StoreError: there is no job then.
        """
        started, environment = self._started(run, begun_by=begun_by(owner))
        is_child = run.job.parent_id is not None  # its end is told to its parent in the commit of the end
        is_line = run.session_line is not None  # what it leaves behind is told in the commit of its end
        has_its_row_first = is_child or is_line or run.job.key is not None or _may_see_its_number(run.job.program)
        if not has_its_row_first:
            worker = self._worker(run, started, job_id=0)
            worker.owner, worker.is_foreground = owner, is_foreground
            worker.record(started)
            worker.advance()
            worker.record_shown()
            return self._create_with_turn(run, worker, environment)
        job, lease, is_new = self._create_with_start(run, started, environment, lease=True)
        if not is_new:
            return job, None
        worker = self._worker(run, started, job_id=job.id)
        worker.owner, worker.is_foreground = owner, is_foreground
        worker.job_id, worker.lease = job.id, lease
        worker.is_row_old = True
        return job, worker

    def create_unowned(self, run: NewRun) -> tuple[Job, bool]:
        """Creates a job that somebody else is to run. False: a job with its key exists."""
        started, environment = self._started(run)
        job, _, is_new = self._create_with_start(run, started, environment, lease=False)
        return job, is_new

    def _create_with_start(
        self, run: NewRun, started: JobStarted, environment: list[tuple[str, bytes]], *, lease: bool
    ) -> tuple[Job, Lease | None, bool]:
        recorded = recording.Recording()
        recorded.add(started, at_ms=self._surroundings.clock_ms())
        row = Summary("running", 0)
        return self._store.create_job(
            run.job, recorded.events, row, lease=lease, blobs=recorded.blobs, lasting=environment
        )

    def _started(self, run: NewRun, begun_by: Value = None) -> tuple[JobStarted, list[tuple[str, bytes]]]:
        """Gives a job's first event, and its environment as a blob, which is kept as long as the job."""
        data = wire.encode(dict(sorted(run.environment.items()))).encode() if run.environment else b""
        environment_hash = recording.hash_of(data) if data else ""
        options = run.options if begun_by is None else run.options | {"begun_by": begun_by}
        program_hash = run.job.program.hash
        started = JobStarted(program_hash, run.arguments, environment_hash, run.directory, run.time_zone, options)
        return started, [(environment_hash, data)] if data else []

    def _worker(self, run: NewRun, started: JobStarted, *, job_id: int) -> Worker:
        facts = facts_of(job_id, run.job.key, run.job.name, started)
        worker = Worker(self._surroundings, run.job.uid, Machine(run.program, facts, run.environment))
        worker.environment_hash = started.environment
        worker.umask = started.options.get("umask")
        worker.begun_by = started.options.get("begun_by")
        worker.session_line = run.session_line
        worker.parent_id = run.job.parent_id
        return worker

    def _create_with_turn(
        self, run: NewRun, worker: Worker, environment: list[tuple[str, bytes]]
    ) -> tuple[Job, Worker]:
        recorded, row, must_hold = worker.recording, summary.of(worker), not worker.is_faulty
        job, lease, _ = self._store.create_job(
            run.job, recorded.events, row, lease=must_hold, blobs=recorded.blobs, lasting=environment
        )
        worker.recording = recording.Recording()
        worker.job_id, worker.lease = job.id, lease
        return job, worker


def _may_see_its_number(program: NewProgram) -> bool:
    """Whether a program may read `$job`; then its machine cannot run before the number is known."""
    return "job" in program.text or '"job"' in program.tree_json
