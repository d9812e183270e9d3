"""The engine: runs the jobs whose leases this process holds, over one store, one loop and some connectors.

One iteration: the loop delivers what has arrived; each worker with something to do takes a turn; all that they recorded
goes into one commit; then their effects start. A foreground shell drives it with `run_until_ended`, the daemon with
`serve`. Everything happens in the loop's thread, but `cancel` and `wake`, which any thread or signal may call.

Why no writer thread: while a commit waits for the disk in another thread, this one could only feed machines, which
takes a few microseconds a step, while handing over twice costs more, and starting a thread more still. Group commit
comes by itself: what arrives during a commit is taken in the next iteration, all of it in one transaction.

What can go wrong with a commit: `StoreFenced`: the job is forgotten. `StoreFull`, `StoreBusy`: no effect starts, the
turn is kept as it is and tried again each second. Any other fault of the store ends the engine: without a store nothing
may act.
"""

from __future__ import annotations

import os

from fmsh.engine import committing, recording
from fmsh.engine.dispatcher import Dispatcher
from fmsh.engine.ending import Ended, ended
from fmsh.engine.holding import Holding
from fmsh.engine.retry import Backoff
from fmsh.engine.starting import NewRun, Starter
from fmsh.engine.worker import Surroundings, Worker
from fmsh.errors import StoreBusy, StoreCorrupt, StoreError, StoreFenced, StoreFull
from fmsh.values import error_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fmsh.connectors.base import Connector, Terminal
    from fmsh.engine.loop import Loop
    from fmsh.machine.code import Program
    from fmsh.store.base import Append, EventStore, Job, NewProgram
    from fmsh.values import Value

__all__ = ["Ended", "Engine", "NewRun"]

DAMAGED_ROWS = 50  # looked at together in the inbox of a damaged job
STALL_RETRY_S = 1.0
PROGRAMS_MAX = 64  # kept compiled


class Engine:
    """See the module's docstring. `terminal` is what displayed processes of a foreground job may use.

    `display(text, stream, value)` shows what foreground jobs display, as in `Display`; `report(text)` takes the account
    of a fault of ours;
    `stalled(error)` is told that the store has no room or no time for us, and with None that it goes on.
    `trim(job_id, now_ms)` removes old events behind a snapshot that was just made, and says when to ask again.
    """

    def __init__(
        self,
        store: EventStore,
        connectors: Mapping[str, Connector],
        loop: Loop,
        *,
        load_program: Callable[[NewProgram], Program],
        observe: Callable[[str, dict[str, Value]], Value],
        clock_ms: Callable[[], int],
        display: Callable[[str, str, Value], object] | None = None,
        terminal: Terminal | None = None,
        is_daemon: bool = False,
        random: Callable[[], float] | None = None,
        report: Callable[[str], object] | None = None,
        stalled: Callable[[StoreError | None], object] | None = None,
        trim: Callable[[int, int], int] | None = None,
    ) -> None:
        self.store = store
        self.loop = loop
        self.clock_ms = clock_ms
        self.is_daemon = is_daemon
        self.workers: dict[int, Worker] = {}
        owner = store.owner
        self.owner = {"kind": owner.kind, "pid": owner.pid, "host": owner.host, "boot": owner.boot_id}
        self.has_released = False  # a job, which may be due at once; for `serve`
        self._load_program = load_program
        self._programs: dict[str, Program] = {}
        self._report_text = report
        self._tell_stalled = stalled
        self._trim = trim
        self._stall: StoreError | None = None
        self._ready: dict[Worker, None] = {}
        self._ended: dict[int, Ended] = {}
        self._quarantined: dict[int, int] = {}  # not to be loaded again for what is in their inboxes up to that row
        self._surroundings = Surroundings(
            loop,
            Dispatcher(connectors, terminal, self.report),
            Backoff(random or _system_random),
            clock_ms,
            observe,
            display or _show_nothing,
            self.report,
            self.make_ready,
        )
        self._starter = Starter(store, self._surroundings)
        self._holding = Holding(self)

    # -- jobs come

    def submit(self, run: NewRun, *, is_foreground: bool = True) -> tuple[Job, bool]:
        """Starts a job here, up to its first effects. False: a job with its key exists, and nothing was started.

        Raises: StoreError: there is no job then, and nothing has happened.
        """
        if run.job.key is not None:
            existing = self.store.job_by_key(run.job.key)
            if existing is not None:
                return existing, False
        self._holding.begin()
        job, worker = self._starter.create(run, owner=self.owner, is_foreground=is_foreground)
        if worker is None:
            return job, False
        self._programs[job.program_hash] = run.program
        self.workers[job.id] = worker
        if worker.lease is None:
            self._forget(worker)
            return job, True
        if run.options.get("variables"):
            self.hear_of_others(worker)
        self._act(worker)
        if worker.is_between_slices:  # in a long run, or before its first turn
            self._turn([worker])
        return job, True

    def submit_elsewhere(self, run: NewRun) -> tuple[Job, bool]:
        """Creates a detached job for the daemon to run. False: a job with its key exists."""
        return self._starter.create_unowned(run)

    def adopt(self, job_id: int) -> bool:
        """Takes over a job that nobody runs: loads it and goes on with its effects. False: it cannot be had.

        A job that cannot be loaded is parked with a report. Raises: StoreError.
        """
        from fmsh.engine import adopting

        if job_id in self._quarantined and self._newest_row(job_id) <= self._quarantined[job_id]:
            return False
        self._holding.begin()
        return adopting.adopt(self, job_id) is not None

    # -- jobs go

    def run_until_ended(
        self, job_id: int, *, timeout_s: float | None = None, is_interrupted: Callable[[], bool] | None = None
    ) -> Ended | None:
        """Runs until a job of this engine has ended, parked or left. None: the time is over, or `is_interrupted()`.

        `is_interrupted` is asked after each iteration; `wake` ends the sleep of one. A job that another process took
        over is `released`, and its error says so. Raises: StoreError.
        """
        until_s = None if timeout_s is None else self.loop.now_s() + timeout_s
        while True:
            worker = self.workers.get(job_id)
            if worker is None:
                return self._ended.pop(job_id)
            if worker.is_parked and not worker.is_leaving:
                self.leave(worker)
            left_s = None if until_s is None else until_s - self.loop.now_s()
            if (left_s is not None and left_s <= 0) or (is_interrupted is not None and is_interrupted()):
                return None
            self.step(left_s)

    def release(self, job_id: int, *, within_s: float | None = None, detach: bool = False) -> bool:
        """Hands a job over: starts nothing new, waits for what must not be done twice, gives back the lease.

        Past `within_s` it waits no longer. False: the job ended instead, or the store had no room.
        """
        worker = self.workers.get(job_id)
        if worker is None:
            return False
        worker.is_detaching = worker.is_detaching or detach
        self.leave(worker)
        until_s = None if within_s is None else self.loop.now_s() + within_s
        while not worker.is_dropped:
            left_s = None if until_s is None else max(0.0, until_s - self.loop.now_s())
            if left_s == 0:
                if worker.is_hurried:
                    return False
                worker.is_hurried = True
                self.make_ready(worker)
            self.step(left_s)
        return worker.has_left

    def leave(self, worker: Worker) -> None:
        """Begins the hand-over of a job; it is gone as soon as its last commit is made."""
        worker.is_leaving = True
        self.make_ready(worker)

    def cancel(self, job_id: int) -> None:
        """Cancels a job, as `fmsh jobs cancel` does. From any thread or signal."""
        self.loop.submit(self._deliver_cancel, job_id)

    def wake(self) -> None:
        """Ends a sleep of the loop. From any thread or signal."""
        self.loop.wake()

    def serve(self, stop: Callable[[], bool]) -> None:
        """Runs all jobs that are due or orphaned, until `stop()`; then hands everything back, within 2 s.

        After a change of what `stop` says, call `wake`.
        """
        from fmsh.engine.service import Service

        self._holding.listen()
        Service(self).run(stop)

    # -- the iteration

    def step(self, timeout_s: float | None = None) -> None:
        """One iteration: sleeps until there is something to do, at most `timeout_s`, and does it."""
        self.loop.run_once(0 if self._ready and self._stall is None else timeout_s)
        if self._ready and self._stall is None:
            ready, self._ready = self._ready, {}
            self._turn(ready)

    def make_ready(self, worker: Worker) -> None:
        self._ready[worker] = None

    def _turn(self, workers: list[Worker] | dict[Worker, None]) -> None:
        writers: list[Worker] = []
        appends: list[Append] = []
        stalled: list[Worker] = []
        for worker in workers:
            if worker.is_dropped or worker.lease is None:
                continue
            if worker.pending is None:
                worker.advance()
            else:
                stalled.append(worker)
            append = committing.next_append(worker, must=not self._holding.is_sound(worker))
            if worker.is_between_slices:
                self._ready[worker] = None
            if append is not None:
                writers.append(worker)
                appends.append(append)
            elif worker.starts or worker.cancels or worker.wants_items:
                self._act(worker)
        if appends:
            self._commit(writers, appends)
        for worker in stalled:
            self._catch_up(worker)
        for worker in workers:
            if worker.backlog is not None and worker.backlog.has_room_again(worker):
                self.look_for(worker)
                self.make_ready(worker)
            if worker.addresses:
                self._ask_for_calls(worker)

    def _ask_for_calls(self, worker: Worker) -> None:
        """Has a job that waits told of the next call of an address; if that cannot be now, then a little later."""
        from fmsh.engine import hearing

        if worker.pending is None and not worker.is_dropped:
            try:
                hearing.ask_for_calls(self.store, worker)
            except (StoreFull, StoreBusy):
                self.loop.after(STALL_RETRY_S, lambda: self.make_ready(worker))

    def _catch_up(self, worker: Worker) -> None:
        """Takes up what has come for a job while its commit was refused."""
        if worker.pending is None and not worker.is_dropped:
            self.look_for(worker)
            self.make_ready(worker)

    def _commit(self, workers: list[Worker], appends: list[Append]) -> None:
        try:
            answers = self.store.commit(appends)
        except (StoreFull, StoreBusy) as error:
            self._ready.update(dict.fromkeys(workers))
            self._begin_stall(error)
            return
        for worker, append, answer in zip(workers, appends, answers, strict=True):
            if answer is None:
                self._holding.is_proven(worker)
                committing.committed(worker)
                if worker.is_dropped:
                    self._forget(worker)
                    continue
                self._act(worker)
                if append.snapshot is not None:
                    self._trim_behind(worker)
            else:
                self._lose(worker, answer)

    def _act(self, worker: Worker) -> None:
        if self._holding.may_act:
            if worker.starts:
                self._holding.tell_daemon()
            committing.act(worker)
        else:
            self._holding.wait(worker)

    def _trim_behind(self, worker: Worker) -> None:
        """Removes old events of a job that has just been saved; if that cannot be now, then behind a later snapshot."""
        if self._trim is None or worker.now_ms < worker.trim_at_ms:
            return
        try:
            worker.trim_at_ms = self._trim(worker.job_id, worker.now_ms)
        except StoreError as error:
            self.report(error, f"removing old events of job {worker.job_id}")

    def _begin_stall(self, error: StoreError) -> None:
        self._stall = error
        self.loop.after(STALL_RETRY_S, self._end_stall)
        if self._tell_stalled is not None:
            self._tell_stalled(error)

    def _end_stall(self) -> None:
        self._stall = None
        if self._tell_stalled is not None:
            self._tell_stalled(None)

    # -- how a job is forgotten

    def _lose(self, worker: Worker, error: StoreError) -> None:
        """Forgets a job that is ours no longer, or whose history is damaged."""
        if not isinstance(error, StoreFenced):
            self.quarantine(worker.job_id, error)
        if worker.is_foreground:
            self._ended[worker.job_id] = Ended(worker.job_id, "released", None, error_value("store", error.message))
        worker.drop()
        self.workers.pop(worker.job_id, None)

    def quarantine(self, job_id: int, error: StoreError) -> None:
        """Parks a job whose history is damaged, and does not load it again."""
        self.report(error, f"job {job_id}")
        self._quarantined[job_id] = self._newest_row(job_id)
        try:
            self.store.quarantine(job_id, error_json=recording.error_json(error_value("corrupt", error.message)))
        except (StoreFull, StoreBusy) as refusal:  # whoever loads it next finds the damage again
            self.report(refusal, f"quarantine of job {job_id}")

    def _newest_row(self, job_id: int) -> int:
        try:
            newest = 0
            while rows := self.store.inbox(job_id, after=newest, limit=DAMAGED_ROWS):
                newest = rows[-1].id
            return newest
        except StoreCorrupt:
            return 0

    @property
    def quarantined(self) -> int:
        """How many damaged jobs may be due for ever, for what lies in their inboxes."""
        return len(self._quarantined)

    def _forget(self, worker: Worker) -> None:
        self.workers.pop(worker.job_id, None)
        self.has_released = True
        parent = self.workers.get(worker.parent_id or 0)
        if parent is not None:
            self.look_for(parent)
        if worker.is_foreground:
            self._ended[worker.job_id] = ended(worker)
        if not worker.is_dropped:
            worker.drop()

    # -- what others of this package ask

    def program(self, program_hash: str) -> Program:
        """Gives the code of a stored program, compiled once."""
        program = self._programs.get(program_hash)
        if program is None:
            program = self._load_program(self.store.program(program_hash))
            while len(self._programs) >= PROGRAMS_MAX:
                del self._programs[next(iter(self._programs))]
            self._programs[program_hash] = program
        return program

    @property
    def surroundings(self) -> Surroundings:
        return self._surroundings

    def hear_of_others(self, worker: Worker) -> None:
        """Has a job told of the jobs and addresses whose handles it was given."""
        from fmsh.engine import hearing  # most jobs are given none

        hearing.ask_for_news(self.store, worker)

    def look(self) -> None:
        """Takes what has come into the inboxes of the jobs that are here."""
        for worker in list(self.workers.values()):
            self.look_for(worker)

    def look_for(self, worker: Worker) -> None:
        if worker.pending is not None or worker.is_leaving or worker.is_dropped:
            return
        from fmsh.engine import intake  # most lines are sent nothing

        try:
            intake.look(self.store, worker)
        except StoreCorrupt as error:
            self._lose(worker, error)

    def _deliver_cancel(self, job_id: int) -> None:
        try:
            self.store.deliver(job_id, "cancel", "{}", dedupe_id=f"cancel {os.urandom(8).hex()}")
        except (StoreFull, StoreBusy):
            self.loop.after(STALL_RETRY_S, lambda: self._deliver_cancel(job_id))
            return
        worker = self.workers.get(job_id)
        if worker is not None:
            self.look_for(worker)

    def report(self, fault: BaseException, where: str) -> None:
        """Writes the account of a fault of ours."""
        if self._report_text is not None:
            import traceback

            self._report_text(f"{where}: " + "".join(traceback.format_exception(fault)))


def _system_random() -> float:
    return int.from_bytes(os.urandom(7)) / (1 << 56)


def _show_nothing(text: str, stream: str, value: Value) -> None:
    """Shows nothing: nobody looks."""
