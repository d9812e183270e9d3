"""What a program sees of the jobs in its store: the command `jobs`."""

from __future__ import annotations

from fmsh import wire
from fmsh.store.base import ACTIVE_STATES, MOVED, JobFilter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime

    from fmsh.store.base import EventStore, Job
    from fmsh.values import Value

ENDED_SEEN = 20  # unless all are asked for


def jobs_seen(store: EventStore, arguments: dict[str, Value]) -> Value:
    """Gives the active jobs and the newest of the others, or all of them, newest first, as records."""
    if arguments.get("all"):
        return [_record(job) for job in store.jobs(JobFilter())]
    active = store.jobs(JobFilter(states=ACTIVE_STATES))
    newest = [job for job in store.jobs(JobFilter(limit=ENDED_SEEN + len(active))) if job.state not in ACTIVE_STATES]
    return [_record(job) for job in [*active, *newest[:ENDED_SEEN]]]


def _record(job: Job) -> Value:
    return {
        "id": job.id,
        "name": job.name,
        "key": job.key,
        "state": job.state,
        "command": job.command,
        "tags": wire.decode(job.tags_json),
        "created_at": _moment(job.created_at_ms),
        "ended_at": _moment(job.ended_at_ms),
        "waiting_for": [] if job.state == MOVED else wire.decode(job.waiting_for_json),
        "steps": job.steps,
        "detached": job.is_detached,
        "exit_status": job.exit_status,
    }


def _moment(at_ms: int | None) -> datetime | None:
    from datetime import datetime

    return None if at_ms is None else datetime.fromtimestamp(at_ms / 1000).astimezone()
