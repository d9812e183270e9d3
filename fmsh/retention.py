"""Retention: what is removed, when, and in which order. The daemon does it once an hour, `fmsh jobs gc` at once.

    an ended job     its output (large values and the files of its processes) goes first, its history later; that of a
                     line which opened an address for its session stays while the session is used
    an active job    is never removed; its old events go, up to a snapshot, with the files of steps completed before it,
                     and what it remembers of old deliveries
    nobody's         files of processes whose job is gone

A job's row goes before its files: whoever dies in between leaves files of nobody, which the next sweep finds. The files
of an active job are judged by the snapshot at which its history begins: a step that was made by then and was not in
flight is over, and no event that is kept speaks of it. Files of nobody have an hour's grace: they may be on their way.

Times go by the wall clock. It knows the store by its protocol, and where processes leave their files.
"""

from __future__ import annotations

import os
import stat
import time

from fmsh.connectors import spool
from fmsh.engine import snapshots
from fmsh.errors import InternalError, StoreCorrupt
from fmsh.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fmsh.settings import Settings
    from fmsh.store.base import EventStore, Job, JobAge

PAGE_JOBS = 500  # looked at together
GRACE_S = 3600.0  # for files of nobody
CHECKS_PER_TERM = 8  # how often in the time that events are kept a holder looks for those that are older
NEVER_MS = 1 << 62
UNREADABLE = "\ufffd"  # stands in a uid for what is damaged
OUTPUT, HISTORY, EVENTS = "retention.output", "retention.history", "retention.events"
DELIVERIES = "retention.deliveries"  # senders of webhooks give up after days


class Limits(Record):
    """How long things are kept, in milliseconds; None: for ever."""

    output_ms: int | None
    history_ms: int | None
    events_ms: int | None
    deliveries_ms: int | None = None


def limits_of(settings: Settings) -> Limits:
    return Limits(*map(settings.value, (OUTPUT, HISTORY, EVENTS, DELIVERIES)))


class Swept:
    """What a sweep removed."""

    __slots__ = ("bytes", "damaged", "jobs", "outputs", "strays", "trimmed")

    def __init__(self) -> None:
        self.jobs: list[int] = []
        self.outputs: list[int] = []  # of these jobs
        self.trimmed: list[int] = []
        self.damaged: list[int] = []  # active ones, which are left as they are
        self.strays = 0  # directories of jobs that are gone
        self.bytes = 0


class Sweep:
    """One look at everything. `may_go_on` is asked between two steps; what is left then is done by the next sweep."""

    def __init__(
        self,
        store: EventStore,
        fx_directory: str,
        limits: Limits,
        *,
        may_go_on: Callable[[], bool] = lambda: True,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 10**6,
    ) -> None:
        self._store = store
        self._fx_directory = fx_directory
        self._limits = limits
        self._may_go_on = may_go_on
        self._now_ms = now_ms
        self._is_every_uid_read = True
        self.swept = Swept()

    def run(self) -> Swept:
        """Does everything. Raises: StoreError."""
        for page in self._pages():
            self.remove_ended(page)
            for age in page:
                if age.ended_at_ms is None and self._may_go_on():
                    self._trim(age)
        if self._limits.deliveries_ms is not None and self._may_go_on():
            before_ms = self._now_ms() - self._limits.deliveries_ms
            self.swept.bytes += self._store.forget_deliveries(before_ms=before_ms)
        return self._finish()

    def run_ended(self) -> Swept:
        """Leaves active jobs as they are. Raises: StoreError."""
        for page in self._pages():
            self.remove_ended(page)
        return self._finish()

    def remove_ended(self, ages: list[JobAge]) -> None:
        """Removes what of these jobs is older than its limit. Raises: StoreError."""
        history = self._without_lines_in_use(
            [age for age in ages if self._is_over(age.ended_at_ms, self._limits.history_ms)]
        )
        output = [
            age
            for age in ages
            if age not in history and age.has_output and self._is_over(age.ended_at_ms, self._limits.output_ms)
        ]
        if history:
            self.remove_jobs(history)
        if output:
            ids = [age.id for age in output]
            self.swept.bytes += self._store.remove_outputs(ids, now_ms=self._now_ms())
            self._remove_files(output)
            self.swept.outputs += ids

    def _without_lines_in_use(self, ages: list[JobAge]) -> list[JobAge]:
        """Leaves out the lines of prompts whose addresses are open, while their sessions are used."""
        if not ages or self._limits.history_ms is None:
            return ages
        in_use = self._store.lines_in_use(since_ms=self._now_ms() - self._limits.history_ms)
        return [age for age in ages if age.id not in in_use]

    def remove_jobs(self, ages: list[JobAge]) -> None:
        """Removes ended jobs, however old. Raises: StoreError."""
        ids = [age.id for age in ages]
        self.swept.bytes += self._store.remove_jobs(ids, now_ms=self._now_ms())
        self._remove_files(ages)
        self.swept.jobs += ids

    def _remove_files(self, ages: list[JobAge]) -> None:
        for age in ages:
            self.swept.bytes += spool.remove_job(self._fx_directory, age.uid)

    def _is_over(self, since_ms: int | None, limit_ms: int | None) -> bool:
        return since_ms is not None and limit_ms is not None and since_ms <= self._now_ms() - limit_ms

    def _pages(self) -> Iterator[list[JobAge]]:
        after = 0
        while self._may_go_on() and (page := self._store.ages(after=after, limit=PAGE_JOBS)):
            after = page[-1].id
            self._is_every_uid_read &= not any(UNREADABLE in age.uid for age in page)
            yield page

    def _trim(self, age: JobAge) -> None:
        if not self._is_over(age.oldest_at_ms, self._limits.events_ms):
            return
        try:
            freed = trim(self._store, self._fx_directory, age.id, self._limits.events_ms or 0, now_ms=self._now_ms())
        except StoreCorrupt:  # whoever loads it, and `fmsh doctor`, tell what it is
            self.swept.damaged.append(age.id)
            return
        if freed is not None:
            self.swept.trimmed.append(age.id)
            self.swept.bytes += freed

    def _finish(self) -> Swept:
        if self._may_go_on() and self._is_every_uid_read:  # else they may be those of a job that is damaged
            self._remove_strays()
        if self._may_go_on():
            self._store.shrink()
        return self.swept

    def _remove_strays(self) -> None:
        names = [name for name in _names_in(self._fx_directory) if self._is_at_rest(name)]
        known = self._store.known_uids(names)  # after the files were seen: a job is there before its files
        for name in names:
            if name not in known:
                self.swept.bytes += spool.remove_job(self._fx_directory, name)
                self.swept.strays += 1

    def _is_at_rest(self, name: str) -> bool:
        """Whether nothing was put into a directory for a while."""
        try:
            found = os.lstat(f"{self._fx_directory}/{name}")
        except FileNotFoundError:
            return False
        return stat.S_ISDIR(found.st_mode) and found.st_mtime < self._now_ms() / 1000 - GRACE_S


def _names_in(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except FileNotFoundError:
        return []


def trim(store: EventStore, fx_directory: str, job_id: int, keep_ms: int, *, now_ms: int) -> int | None:
    """Removes what is older of an active job, and stands before a snapshot; gives the bytes, None if there was nothing.

    Raises: StoreError.
    """
    before = store.job(job_id)
    freed = store.trim(job_id, before_ms=now_ms - keep_ms, now_ms=now_ms)
    after = store.job(job_id)
    if before is None or after is None or after.trimmed_seq == before.trimmed_seq:
        return None
    found = store.snapshot(job_id, at=after.trimmed_seq)
    if found is None:
        return freed
    try:
        saved = snapshots.decode(found.state_json, epoch=None)
    except InternalError:  # of another version of fmsh: its files stay until the job has ended
        return freed
    in_flight = {flight.request.step for flight in saved.flights}

    def is_kept(step: int) -> bool:
        return step > saved.steps or step in in_flight

    return freed + spool.remove_job(fx_directory, after.uid, is_kept=is_kept)


def trim_behind(store: EventStore, fx_directory: str, job_id: int, keep_ms: int | None, *, now_ms: int) -> int:
    """Trims a job behind a snapshot that its holder has just made; gives when there may be something to trim again.

    So a holder needs no daemon for it, and a job that is younger than what is kept costs one look. Raises: StoreError.
    """
    job = None if keep_ms is None else store.job(job_id)
    if job is None or keep_ms is None:
        return NEVER_MS
    if job.created_at_ms + keep_ms > now_ms:
        return job.created_at_ms + keep_ms
    trim(store, fx_directory, job_id, keep_ms, now_ms=now_ms)
    return now_ms + keep_ms // CHECKS_PER_TERM


def about_output(job: Job) -> str | None:
    """Says since when the output of a job is gone, and why; None if it is kept."""
    if job.output_removed_at_ms is None:
        return None
    at = _moment(job.output_removed_at_ms)
    return f"the output of job {job.id} was removed on {at}: {OUTPUT} says how long it is kept after a job's end"


def about_events(job: Job) -> str | None:
    """Says which events of a job are gone, since when and why; None if all are kept."""
    if job.trimmed_seq <= 1 or job.trimmed_at_ms is None:
        return None
    at = _moment(job.trimmed_at_ms)
    what = f"the events of job {job.id} before {job.trimmed_seq}, and what its processes wrote until then,"
    return f"{what} were removed on {at}: {EVENTS} says how long an active job keeps them"


def about_removed(job_id: int) -> str:
    """Says why a job that was there is gone."""
    return f"job {job_id} is not kept any more: {HISTORY} says how long ended jobs are, unless a person removes them"


def _moment(at_ms: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at_ms // 1000))
