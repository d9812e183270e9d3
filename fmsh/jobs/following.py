"""Following a job while somebody else runs it: `wait`, `attach`, and `--follow`.

The store's data version is looked at every 10 to 100 ms; nothing is read while it stands still. When it has changed,
what was read before is read again now and then: a job that sleeps is loaded by nobody, so damage to it would show to
nobody else before it is due, which may be never.
"""

from __future__ import annotations

import time

from fmsh import retention, wire
from fmsh.errors import StoreCorrupt, StoreMissing
from fmsh.jobs.asking import Asker
from fmsh.jobs.documents import (
    error_of,
    has_ended,
    is_damaged,
    move_text,
    read_event,
    ways_on,
    whole_document,
    whole_documents,
)
from fmsh.jobs.finding import NoSuchJob, find_job
from fmsh.jobs.outputs import Output
from fmsh.render.errors import render_error
from fmsh.render.jobs import waits_text, ways_text
from fmsh.spans import Source
from fmsh.store.base import MOVED

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from types import FrameType
    from typing import Any

    from fmsh.jobs.desk import Desk
    from fmsh.jobs.outputs import Chunk
    from fmsh.store.base import EventStore, Job, StoredEvent

RUNNER_LOOK_S = 1.0
PAUSE_S = (0.01, 0.1)  # the first and the longest wait between two looks
SOUND_S = 0.5  # what was found to be sound is not read again before this
SOUND_SHARE = 20  # nor before this many times what reading it took
CANCELLED = 130
HELD = ("parked", "paused")  # the states that somebody has to end
GOING_ON = ("running", "waiting")  # the states in which a job needs somebody who holds it
TIMED_OUT = DAMAGED = ELSEWHERE = 1


class Changes:
    """Waits until another process may have changed something, and not longer than `PAUSE_S` allows."""

    __slots__ = ("_pause_s", "_store", "_version")

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._version = store.data_version()
        self._pause_s = PAUSE_S[0]

    def wait(self) -> bool:
        """Sleeps once. True: the store has changed since the last time."""
        time.sleep(self._pause_s)
        version = self._store.data_version()
        has_changed = version != self._version
        self._version = version
        self._pause_s = PAUSE_S[0] if has_changed else min(self._pause_s * 2, PAUSE_S[1])
        return has_changed


class Soundness:
    """Whether the histories of jobs that are waited for are still what was written, as far as the store has changed."""

    __slots__ = ("_again_at", "_is_stale", "_store")

    def __init__(self, store: EventStore, *, is_known: bool) -> None:
        self._store = store
        self._is_stale = not is_known
        self._again_at = time.monotonic() + SOUND_S if is_known else 0.0

    def doubt(self) -> None:
        """Something has changed, which may be damage."""
        self._is_stale = True

    @property
    def is_due(self) -> bool:
        return self._is_stale and time.monotonic() >= self._again_at

    def look(self, jobs: list[Job]) -> dict[int, StoreCorrupt]:
        """Gives the damage to each damaged job, if it is time to look again. Raises: StoreCorrupt: the store is."""
        if not self.is_due:
            return {}
        begun = time.monotonic()
        found = {job.id: damage for job in jobs if (damage := self._damage(job)) is not None}
        self._is_stale = False
        now = time.monotonic()
        self._again_at = now + max(SOUND_S, SOUND_SHARE * (now - begun))
        return found

    def _damage(self, job: Job) -> StoreCorrupt | None:
        try:
            if not has_ended(job):
                for _ in self._store.events(job.id):
                    pass
        except StoreCorrupt as problem:
            if not problem.is_local:
                raise
            return problem
        except StoreMissing:  # old events were removed under us
            pass
        return None


def new_events(store: EventStore, job: Job, *, follow: bool) -> Iterator[StoredEvent | None]:
    """Yields a job's events in order; with `follow` until it has ended, and None whenever nothing is new.

    Raises: StoreCorrupt, also for an event that was yielded before.
    """
    changes, soundness = Changes(store), Soundness(store, is_known=True)
    seq = 0
    while True:
        current = store.job(job.id)  # before its events: then the end is not overtaken
        try:
            for stored in store.events(job.id, after=seq):
                seq = stored.seq
                yield stored
        except StoreMissing:
            if store.job(job.id) is None:
                raise
            continue  # old events were removed under us: on with the first that is kept
        if not follow or current is None or has_ended(current):
            return
        for damage in soundness.look([current]).values():
            raise damage
        yield None
        while not changes.wait() and not soundness.is_due:
            yield None
        soundness.doubt()


def output(desk: Desk, arguments: argparse.Namespace) -> int:
    """`fmsh jobs output N`: what it displayed, or what one process wrote; status 1 if that is not kept any more."""
    job = find_job(desk.store, arguments.jobs[0])
    is_whole = tell_of_removed(desk, job)
    follower = Output(desk.fx_directory, job.uid, only_step=arguments.step)
    chunks = _chunks(desk, job, follower, follow=arguments.follow)
    if desk.is_json:
        desk.write_document([_chunk_json(chunk) for chunk in chunks])
    else:
        for chunk in chunks:
            _pass_on(desk, chunk)
    if arguments.step is not None and not follower.is_step_known:
        rest = "" if is_whole else ", or is not kept any more"
        desk.note(f"step {arguments.step} of job {job.id} is no process{rest}")
        return 1
    return 0 if is_whole else 1


def tell_of_removed(desk: Desk, job: Job) -> bool:
    """Says what of a job is not kept any more, and why. True: there is nothing to say."""
    reasons = [reason for reason in (retention.about_events(job), retention.about_output(job)) if reason is not None]
    for reason in reasons:
        desk.note(reason)
    return not reasons


def wait(desk: Desk, arguments: argparse.Namespace) -> int:
    """`fmsh jobs wait N…`: until they end; the exit status of the last."""
    jobs = [find_job(desk.store, text) for text in arguments.jobs]
    give_up_at = None if arguments.timeout is None else time.monotonic() + arguments.timeout
    changes, soundness, runner = Changes(desk.store), Soundness(desk.store, is_known=False), Runner(desk)
    told: dict[int, str] = {}
    for job in jobs:
        if job.state in GOING_ON:
            desk.see_to(job)
    while any(not has_ended(job) for job in jobs):
        damages = soundness.look(jobs)
        jobs = [job.replace(damage=damages[job.id].message) if job.id in damages else job for job in jobs]
        for job in jobs:
            if (job.state in HELD or is_damaged(job)) and told.get(job.id) != job.state:
                told[job.id] = job.state
                _tell_held(desk, job)
        if any(is_damaged(job) for job in jobs):
            break
        if give_up_at is not None and time.monotonic() >= give_up_at:
            break
        runner.look(jobs)
        if changes.wait():
            soundness.doubt()
            jobs = [_still_there(desk.store, job) for job in jobs]
    if desk.is_json:
        desk.write_document(whole_documents(desk.store, jobs))
    unended = [job for job in jobs if not has_ended(job)]
    for job in unended:
        if not is_damaged(job):
            desk.note(f"job {job.id} has not ended in time: it is {job.state}")
    for job in jobs:
        if job.state == MOVED:
            desk.note(move_text(job))
    return TIMED_OUT if unended else status_of(jobs[-1])


def status_of(job: Job) -> int:
    """Gives the exit status of following a job to its end; that of one that was moved is not known here."""
    return ELSEWHERE if job.state == MOVED else job.exit_status or 0


def _still_there(store: EventStore, job: Job) -> Job:
    found = store.job(job.id)
    if found is None and not has_ended(job):
        raise NoSuchJob(retention.about_removed(job.id))
    return found or job


def attach(desk: Desk, arguments: argparse.Namespace) -> int:
    """`fmsh jobs attach N`: what it displayed so far, then live; the exit status of the job."""
    job = find_job(desk.store, arguments.jobs[0])
    left, ended = follow_to_end(desk, job)
    if left is None and desk.is_json:
        desk.write_document(whole_document(desk.store, ended))
    return left if left is not None else status_of(ended)


def follow_to_end(desk: Desk, job: Job) -> tuple[int | None, Job]:
    """Shows what a job displays until it ends, and why it failed. A status, if we left it before that; and its row."""
    if job.state in GOING_ON:
        desk.see_to(job)
    if not desk.is_json:
        tell_of_removed(desk, job)
    with Keys() as keys:
        left = _follow(desk, job, keys)
    ended = desk.store.job(job.id) or job
    if left is None and not desk.is_json:
        desk.stdout.flush()
        desk.stderr.write(error_text(desk, ended) if ended.state == "failed" else "")
        desk.stderr.write("cancelled\n" if ended.state == "cancelled" else "")
    if left is None and ended.state == MOVED:
        desk.note(move_text(ended))
    return left, ended


class Keys:
    """Ctrl-C and Ctrl-Z while a job is followed: remembered, and looked at between two looks at the store."""

    __slots__ = ("_before", "interrupts", "is_detach_wanted")

    def __init__(self) -> None:
        self.interrupts = 0
        self.is_detach_wanted = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Keys:
        import signal
        import threading

        if threading.current_thread() is threading.main_thread():
            for number, act in ((signal.SIGINT, self._interrupt), (signal.SIGTSTP, self._detach)):
                self._before[number] = signal.signal(number, act)
        return self

    def __exit__(self, *_: object) -> None:
        import signal

        for number, before in self._before.items():
            signal.signal(number, before)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        self.interrupts += 1

    def _detach(self, number: int, frame: FrameType | None) -> None:
        self.is_detach_wanted = True


def error_text(desk: Desk, job: Job) -> str:
    """Renders the error of a job with the lines of its source."""
    error = error_of(job)
    if error is None:
        return ""
    stored = desk.store.program(job.program_hash)
    sources = {stored.name: Source(stored.name, stored.text)}
    if desk.load_program is not None and (error.fields.get("where") or {}).get("file") != stored.name:
        sources = {unit.source.name: unit.source for unit in desk.load_program(stored).units}
    return render_error(error, sources, color=desk.color)


def _follow(desk: Desk, job: Job, keys: Keys) -> int | None:
    """Shows what a job displays until it ends; gives a status only where we leave before that."""
    follower, asker, runner = Output(desk.fx_directory, job.uid), Asker(desk), Runner(desk)
    is_cancelled, told = False, ""
    seen = 0
    for stored in new_events(desk.store, job, follow=True):
        seen = seen if stored is None else stored.seq
        if asker.is_asking and stored is not None:  # what follows an answer is displayed after it
            asker.look(desk.store.job(job.id) or job)
        for chunk in _displayed(desk, follower, stored):
            if not desk.is_json:
                _pass_on(desk, chunk)
        if keys.is_detach_wanted or keys.interrupts:
            asker.leave()
        if keys.is_detach_wanted:
            _end_line_of_key(desk)
            desk.note(f"detached from job {job.id}; it goes on (`fmsh jobs attach {job.id}`)")
            return 0
        if keys.interrupts > 1:
            return CANCELLED
        if keys.interrupts and not is_cancelled:
            is_cancelled = True
            _end_line_of_key(desk)
            deliver(desk.store, job.id, "cancel", None)
            desk.see_to(job)
        if stored is None:
            now = desk.store.job(job.id) or job
            told = _look_for_hold(desk, now, told)
            if told and is_damaged(now):
                return DAMAGED
            runner.look([now])
            if not keys.interrupts and now.head <= seen:  # what it displayed before it asked is displayed
                asker.look(now)
            desk.meanwhile("" if asker.is_asking or is_cancelled else _waits(now))
    desk.clear()
    asker.leave()
    return None


def _waits(job: Job) -> str:
    """What a job waits for, beside the answer of a person, which is asked for."""
    if job.state != "waiting":
        return ""
    waits = [wait for wait in wire.decode(job.waiting_for_json) if wait["kind"] != "person"]
    return waits_text(waits, time.time_ns() // 10**6)


def _end_line_of_key(desk: Desk) -> None:
    """Begins a new line behind the `^C` or `^Z` that a terminal shows; a line that goes away takes it along."""
    if not desk.clear() and desk.stderr.isatty():
        desk.stderr.write("\n")


class Runner:
    """Sees to it, while jobs are followed, that somebody runs them: a daemon that has died is started again.

    One that was stopped stays so, for somebody wanted that; the user is told what the jobs wait for.
    """

    __slots__ = ("_desk", "_is_told", "_next_at")

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._next_at = time.monotonic() + RUNNER_LOOK_S
        self._is_told = False

    def look(self, jobs: list[Job]) -> None:
        """Looks at most once a second."""
        if time.monotonic() < self._next_at:
            return
        self._next_at = time.monotonic() + RUNNER_LOOK_S
        store = self._desk.store
        left = [job for job in jobs if job.state in GOING_ON and not _is_held(store, job)]
        state = self._desk.daemon_state() if left else "runs"
        if state == "runs":
            self._is_told = False
        elif not self._is_told:
            self._is_told = True
            if state == "died" or any(job.owner_id is not None for job in left):
                self._desk.see_to(left[0])
            else:
                self._desk.note(f"the daemon was stopped; job {left[0].id} goes on with the next (`fmsh daemon start`)")


def _is_held(store: EventStore, job: Job) -> bool:
    return job.owner_id is not None and store.is_alive(job.owner_id)


def deliver(store: EventStore, job_id: int, kind: str, data: Any) -> None:
    """Puts a row into a job's inbox. Every call is one of its own: none is taken for a repeat of another."""
    import os

    store.deliver(job_id, kind, wire.encode(data), dedupe_id=f"{kind} {os.urandom(16).hex()}")


def _look_for_hold(desk: Desk, job: Job, told: str) -> str:
    """Says once that a job does not go on, and why; gives the state that was told of."""
    if job.state not in HELD:
        return ""
    if job.state != told:
        _tell_held(desk, job)
    return job.state


def tell_damaged(desk: Desk, job: Job) -> None:
    """Says that a job is damaged, in what, and what can be done."""
    error = error_of(job)
    reason = f": {error.message}" if error is not None else ""
    rest = f", or `fmsh jobs cancel {job.id}`" if not has_ended(job) else ""
    desk.note(f"job {job.id} is damaged{reason}\n  `fmsh doctor` says more; restore a backup{rest}")


def _tell_held(desk: Desk, job: Job) -> None:
    if is_damaged(job):
        tell_damaged(desk, job)
        return
    if job.state == "paused":
        desk.note(f"job {job.id} is paused\n  `fmsh jobs resume {job.id}` lets it go on")
        return
    error = error_of(job)
    reason = f": {error.message}" if error is not None else ""
    desk.note(f"job {job.id} is parked{reason}\n  {ways_text(job.id, ways_on(desk.store, job))}")


def _chunks(desk: Desk, job: Job, follower: Output, *, follow: bool) -> Iterator[Chunk]:
    for stored in new_events(desk.store, job, follow=follow):
        yield from _displayed(desk, follower, stored)
    yield from follower.grow()


def _displayed(desk: Desk, follower: Output, stored: StoredEvent | None) -> Iterator[Chunk]:
    event = None if stored is None else read_event(desk.store, stored)
    return follower.grow() if event is None else follower.take(event)


def _pass_on(desk: Desk, chunk: Chunk) -> None:
    if chunk.stream == "note":
        desk.note(str(chunk.data))
    else:
        desk.pass_on(chunk.stream, chunk.data)


def _chunk_json(chunk: Chunk) -> dict[str, Any]:
    text = chunk.data if isinstance(chunk.data, str) else chunk.data.decode("utf-8", "surrogateescape")
    return {"step": chunk.step, "stream": chunk.stream, "text": text}
