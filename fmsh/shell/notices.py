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


class Watch:
    """Remembers which detached jobs were active when it looked last."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._states = self._active()

    def _active(self) -> dict[int, str]:
        jobs = self._store.jobs(JobFilter(states=ACTIVE_STATES, limit=WATCHED_MAX))
        return {job.id: job.state for job in jobs if job.is_detached}

    def saw(self, name: str) -> None:
        """Somebody followed a job, and knows how it ended."""
        number = name.removeprefix("%")
        if number.isdecimal():
            self._states.pop(int(number), None)

    def news(self) -> Iterator[str]:
        """Says of each job that ended, or needs a person, since the last look."""
        before, self._states = self._states, self._active()
        for job_id, state in before.items():
            now = self._states.get(job_id)
            if now == state or (now is not None and now != "parked"):
                continue
            job = self._store.job(job_id)
            if job is not None:
                command = visible(job.command.partition("\n")[0])[:COMMAND_CHARACTERS]
                said = "needs you" if job.state == "parked" else job.state
                yield f"[{job.id}] {said}: {command}"


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
