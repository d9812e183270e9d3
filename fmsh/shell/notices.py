"""What the prompt says of other jobs: those that ended or need a person since, and how many there are."""

from __future__ import annotations

import time

from fmsh import wire
from fmsh.render.cells import cut, visible
from fmsh.render.jobs import waits_text
from fmsh.shell import terminal
from fmsh.store.base import ACTIVE_STATES, JobFilter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from fmsh.shell.aside import Aside
    from fmsh.store.base import EventStore, Job

LOOK_AGAIN_S = 1.0
COMMAND_CHARACTERS = 60
WATCHED_MAX = 1000
WAITS_SHOWN_MAX = 3
NUMBERS_MAX = 4  # of jobs of which the same is said
ASKS = "asks"  # a person; it waits for the answer
NEEDS_A_PERSON = (ASKS, "parked")


class Watch:
    """Remembers which detached jobs were active when it looked last."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._states = self._active()
        self._newest = self._newest_id()

    def _active(self) -> dict[int, str]:
        jobs = self._store.jobs(JobFilter(states=ACTIVE_STATES, limit=WATCHED_MAX))
        return {job.id: ASKS if _question(job) else job.state for job in jobs if job.is_detached}

    def _newest_id(self) -> int:
        newest = self._store.last_job()
        return 0 if newest is None else newest.id

    def saw(self, name: str) -> None:
        """Somebody followed a job, and knows how it ended."""
        number = name.removeprefix("%")
        if number.isdecimal():
            self._states.pop(int(number), None)

    def news(self) -> Iterator[str]:
        """Says which jobs ended, or need a person, since the last look; those that say the same in one line."""
        said: dict[str, list[int]] = {}
        for job in self._new():
            said.setdefault(_notice(job), []).append(job.id)
        for text, numbers in said.items():
            shown = f"{numbers[0]} … {numbers[-1]}" if len(numbers) > NUMBERS_MAX else ", ".join(map(str, numbers))
            yield f"[{shown}] {text}"

    def _new(self) -> Iterator[Job]:
        before, self._states = self._states, self._active()
        first, self._newest = self._newest + 1, self._newest_id()
        begun = range(max(first, self._newest - WATCHED_MAX), self._newest + 1)
        for job_id in sorted({*before, *self._states, *begun}):
            now = self._states.get(job_id)
            is_news = now in NEEDS_A_PERSON if now is not None else job_id in before or job_id in begun
            if not is_news or now == before.get(job_id, ""):
                continue
            job = self._store.job(job_id)
            if job is not None and job.is_detached and (now is not None or not self._is_of_a_detached_one(job)):
                yield job

    def _is_of_a_detached_one(self, job: Job) -> bool:
        """Whether a job was started by one that runs by itself, such as a turn of `every`: that one sees to it."""
        parent = None if job.parent_id is None else self._store.job(job.parent_id)
        return parent is not None and parent.is_detached


def _notice(job: Job) -> str:
    command = visible(job.command.partition("\n")[0])[:COMMAND_CHARACTERS]
    question = _question(job)
    if question:
        return f"asks: {question} (`fg {job.id}`, or `jobs answer {job.id} VALUE`): {command}"
    return f"{'needs you' if job.state == 'parked' else job.state}: {command}"


def _question(job: Job) -> str:
    """What a job asks a person; "" if it asks nothing."""
    if job.state != "waiting" or '"person"' not in job.waiting_for_json:
        return ""
    asked = (wait["label"] for wait in wire.decode(job.waiting_for_json) if wait["kind"] == "person")
    return visible(str(next(asked, "")))


class Toolbar:
    """How many jobs run and wait, and what the newest wait for; looks at the store once a second at most."""

    def __init__(self, store: EventStore, aside: Aside | None = None) -> None:
        self._store = store
        self._aside = aside
        self._text = ""
        self._looked_at_s = -LOOK_AGAIN_S

    def text(self) -> str:
        now_s = time.monotonic()
        if now_s - self._looked_at_s >= LOOK_AGAIN_S:
            self._looked_at_s = now_s
            stopped = self._aside.stopped if self._aside is not None else ()
            jobs = self._store.jobs(JobFilter(states=ACTIVE_STATES, limit=WATCHED_MAX))
            states = ["stopped" if job.id in stopped else job.state for job in jobs]
            counted = [(state, states.count(state)) for state in (*ACTIVE_STATES, "stopped")]
            counts = ", ".join(f"{count} {state}" for state, count in counted if count)
            waits = [_waiting(job) for job in jobs if job.state in ("waiting", "parked")][:WAITS_SHOWN_MAX]
            self._text = cut("  ".join([counts, *filter(None, waits)]), terminal.width() - 1)
        return self._text


def _waiting(job: Job) -> str:
    """What a job waits for, after its number."""
    if job.state == "parked":
        return f"[{job.id}] needs you"
    waits = wire.decode(job.waiting_for_json)
    return f"[{job.id}] {waits_text(waits, time.time_ns() // 10**6)}" if waits else ""
