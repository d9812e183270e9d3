"""`fmsh jobs list`, `show` and `log`."""

from __future__ import annotations

import time

from fmsh.jobs.documents import (
    documents_of,
    error_of,
    event_json,
    is_damaged,
    move_text,
    places_of,
    read_event,
    ways_on,
    whole_document,
)
from fmsh.jobs.finding import find_job
from fmsh.jobs.following import error_text, new_events, tell_damaged, tell_of_removed
from fmsh.render import jobs as render
from fmsh.store.base import ACTIVE_STATES, MOVED, OVER_STATES, JobFilter

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from fmsh.jobs.desk import Desk
    from fmsh.store.base import EventStore, Job, StoredEvent
    from fmsh.values import Value

EVENTS_LOOKED_AT = 2000  # for the last steps on a job's page
ENDED_SHOWN = 20  # what `list` shows of the ended jobs unless it is asked for all, a state or a number


def list_jobs(desk: Desk, arguments: argparse.Namespace) -> int:
    """`fmsh jobs list`"""
    jobs = _select(desk.store, arguments)
    documents = documents_of(desk.store, jobs)
    if desk.is_json:
        desk.write_document(documents)
    else:
        desk.say(render.job_table(documents, now_ms=_now_ms(), cells_max=desk.width, color=desk.color))
    for job in jobs:
        if job.damage is not None or is_damaged(job):
            tell_damaged(desk, job)
    return 0


def show(desk: Desk, arguments: argparse.Namespace) -> int:
    """`fmsh jobs show N`"""
    job = find_job(desk.store, arguments.jobs[0])
    document = whole_document(desk.store, job)
    if desk.is_json:
        desk.write_document(document)
        for _ in desk.store.events(job.id, after=max(0, job.head - EVENTS_LOOKED_AT)):
            pass  # raises where the history is damaged
        return 0
    tell_of_removed(desk, job)
    if job.state == "parked":
        document["ways_on"] = ways_on(desk.store, job)
    desk.say(render.job_page(document, now_ms=_now_ms(), cells_max=desk.width, color=desk.color))
    try:
        desk.say(render.step_table(_steps(desk, job), cells_max=desk.width))
    finally:  # the history may be damaged
        if error_of(job) is not None:
            desk.say("\n" + error_text(desk, job))
    return 0


def log(desk: Desk, arguments: argparse.Namespace) -> int:
    """`fmsh jobs log N`"""
    job = find_job(desk.store, arguments.jobs[0])
    tell_of_removed(desk, job)
    place = places_of(desk, job)
    documents = []
    try:
        for stored in new_events(desk.store, job, follow=arguments.follow):
            if stored is None:
                desk.stdout.flush()
                continue
            document = event_json(stored, read_event(desk.store, stored), place)
            if desk.is_json:
                documents.append(document)
            else:
                desk.say(render.log_line(document, cells_max=desk.width))
    finally:  # what comes before damage is what was written
        if desk.is_json:
            desk.write_document(documents)
    now = desk.store.job(job.id)
    if now is not None and now.state == MOVED:
        desk.note(move_text(now))
    return 0


def _select(store: EventStore, arguments: argparse.Namespace) -> list[Job]:
    tags = tuple(arguments.tag or ())
    if arguments.all or arguments.state or arguments.limit is not None:
        return store.jobs(JobFilter(tuple(arguments.state or ()), tags, arguments.limit))
    return store.jobs(JobFilter(ACTIVE_STATES, tags)) + store.jobs(JobFilter(OVER_STATES, tags, ENDED_SHOWN))


def _steps(desk: Desk, job: Job) -> list[dict[str, Value]]:
    """Gives the last steps of a job for its page: what each does, where, how often it was tried, how it ended."""
    place = places_of(desk, job)
    steps: dict[int, dict[str, Value]] = {}
    for stored in desk.store.events(job.id, after=max(0, job.head - EVENTS_LOOKED_AT)):
        event = event_json(stored, read_event(desk.store, stored), place)
        if stored.step is None or event["data"] is None:
            continue
        if stored.type == "RequestMade":
            steps[stored.step] = {"step": stored.step, "what": render.request_label(event["data"]), "attempts": 1}
            steps[stored.step] |= {"where": event["where"], "outcome": "…", "at_ms": stored.at_ms}
            if len(steps) > render.STEPS_SHOWN_MAX:
                del steps[next(iter(steps))]
        elif stored.step in steps:
            _settle(steps[stored.step], stored, event["data"])
    return list(steps.values())


def _settle(step: dict[str, Value], stored: StoredEvent, data: dict[str, Value]) -> None:
    if stored.type == "AttemptFailed":
        step["attempts"] = data["attempt"] + 1
    elif stored.type == "RequestCompleted":
        step["outcome"] = render.outcome_label(data)
        step["ms"] = stored.at_ms - step["at_ms"]
    elif stored.type == "Parked":
        step["outcome"] = "parked"


def _now_ms() -> int:
    return time.time_ns() // 10**6
