"""`fg` and `bg` at the prompt: of programs that this prompt has put aside, else of jobs that others run."""

from __future__ import annotations

import sys

from fmsh.errors import UsageError
from fmsh.store.base import ACTIVE_STATES, JobFilter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fmsh.shell.session import Session

LOOKED_AT_MAX = 1000


def run(session: Session, words: list[str]) -> int | None:
    """Runs a line `fg [N]` or `bg [N]`; None: it is about a job of others. Raises: UsageError."""
    verb, *given = words
    aside = session.foreground.aside
    if verb not in ("fg", "bg") or aside is None:
        return None
    if len(given) > 1:
        raise UsageError(f"{verb} takes one job, this is {len(given)}", hint=f"such as `{verb} {given[0]}`")
    job_id = _number(given[0]) if given else aside.newest()
    if job_id is None or not aside.holds(job_id):
        if not given:
            words.append(str(_newest_of_others(session, verb)))
        return None
    if verb == "fg":
        return session.go_on(job_id)
    if job_id in aside.stopped:
        aside.let_go_on(job_id)
    sys.stderr.write(f"[{job_id}] goes on in the background: {aside.command(job_id)}\n")
    return 0


def _number(text: str) -> int | None:
    digits = text.removeprefix("%")
    return int(digits) if digits.isascii() and digits.isdigit() else None


def _newest_of_others(session: Session, verb: str) -> int:
    states = ACTIVE_STATES if verb == "fg" else ("paused",)
    for job in session.store.jobs(JobFilter(states=states, limit=LOOKED_AT_MAX)):
        if job.is_detached:
            return job.id
    raise UsageError(f"there is no job for {verb}", hint="`jobs` lists them")
