"""Jobs and events as JSON documents, with the fields that INTERFACE promises.

Values in them are in the plain form for programs (`builtins.text.plain_json`), which is applied when the document is
written: a duration is text, a secret `{"secret": NAME}`.
"""

from __future__ import annotations

import time

from fmsh import retention, wire
from fmsh.engine import recording
from fmsh.engine.ending import value_of
from fmsh.errors import StoreCorrupt, StoreMissing
from fmsh.machine.events import Parked, RequestMade
from fmsh.store.base import MOVED, OVER_STATES
from fmsh.values import ErrorValue, error_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from fmsh.jobs.desk import Desk
    from fmsh.machine.events import Event
    from fmsh.store.base import EventStore, Job, Owner, StoredEvent
    from fmsh.values import Value

    Place = Callable[[int], Value]  # the place of a syntax node, or null


EVENTS_LOOKED_AT = 64  # a parked job has its Parked event near its head
CORRUPT = "corrupt"  # the kind of error with which a damaged job is put into quarantine


def timestamp(at_ms: int | None) -> str | None:
    """Writes a moment in RFC 3339, in UTC, with milliseconds."""
    if at_ms is None:
        return None
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at_ms // 1000)) + f".{at_ms % 1000:03}Z"


def job_json(job: Job, owner: Owner | None = None, *, value: Value = None) -> dict[str, Value]:
    """Gives a job as a document. `value` stands for one that was too large for the job's row."""
    return {
        "id": job.id,
        "uid": job.uid,
        "key": job.key,
        "name": job.name,
        "tags": wire.decode(job.tags_json),
        "state": job.state,
        "source": job.source,
        "command": job.command,
        "created_at": timestamp(job.created_at_ms),
        "started_at": timestamp(job.created_at_ms if job.head else None),  # created with its first event, in one commit
        "ended_at": timestamp(job.ended_at_ms),
        "owner": None if owner is None else {"kind": owner.kind, "pid": owner.pid, "host": owner.host},
        "detached": job.is_detached,
        "parent": job.parent_id,
        "waiting_for": [] if job.state == MOVED else wire.decode(job.waiting_for_json),
        "steps": job.steps,
        "events": job.head,
        "value": value if job.value_json is None else wire.decode(job.value_json),
        "error": error_of(job),
        "exit_status": job.exit_status,
        "expired": "; ".join(filter(None, (retention.about_output(job), retention.about_events(job)))) or None,
    }


def documents_of(store: EventStore, jobs: list[Job]) -> list[dict[str, Value]]:
    """Gives many jobs as documents; their owners are read once."""
    owners = {owner.id: owner for owner in store.owners()}
    return [job_json(job, owners.get(job.owner_id or "")) for job in jobs]


def whole_documents(store: EventStore, jobs: list[Job]) -> list[dict[str, Value]]:
    """Gives jobs as documents, with their values also where these are large, as long as they are kept."""
    documents = documents_of(store, jobs)
    for job, document in zip(jobs, documents, strict=True):
        if has_large_value(job):
            document["value"] = _ended_value(store, job)
        _name_holders(store, job, document)
    return documents


def _name_holders(store: EventStore, job: Job, document: dict[str, Value]) -> None:
    """Adds to each wait for a lock or a place who has it (`held_by`), and who is to have it before (`behind`)."""
    for wait in document["waiting_for"]:
        if wait["kind"] not in ("lock", "limit"):
            continue
        claims = store.claims(wait["kind"], wait["label"])
        waiting = [claim.job_id for claim in claims if not claim.is_granted]
        before = waiting[: waiting.index(job.id)] if job.id in waiting else []
        wait["held_by"] = [claim.job_id for claim in claims if claim.is_granted]
        wait["behind"] = before


def has_large_value(job: Job) -> bool:
    """Whether the value of a job is not in its row."""
    return job.state == "succeeded" and job.value_json is None


def lost_value(job: Job) -> str | None:
    """Says why the value of a job is not kept any more; None if it is, or there never was one."""
    return retention.about_output(job) if has_large_value(job) else None


def whole_document(store: EventStore, job: Job) -> dict[str, Value]:
    return whole_documents(store, [job])[0]


def read_event(store: EventStore, stored: StoredEvent) -> Event | None:
    """Reads an event; None if its data were large and have expired."""
    try:
        return recording.read(store, stored)
    except StoreMissing:
        return None


def event_json(stored: StoredEvent, event: Event | None, place: Place | None = None) -> dict[str, Value]:
    """Gives an event as a document; its data are null where they have expired. `place` finds the place of a node."""
    node = event.node if isinstance(event, RequestMade) else None
    return {
        "job": stored.job_id,
        "seq": stored.seq,
        "at": timestamp(stored.at_ms),
        "type": stored.type,
        "step": stored.step,
        "where": None if place is None or node is None else place(node),
        "data": None if event is None else {name: getattr(event, name) for name in event.fields if name != "step"},
    }


def places_of(desk: Desk, job: Job) -> Place:
    """Gives what finds the places of a job's syntax nodes; the program is compiled when the first is asked for."""
    loaded: list[Any] = []

    def place(node: int) -> Value:
        if desk.load_program is None:
            return None
        if not loaded:
            loaded.append(desk.load_program(desk.store.program(job.program_hash)))
        try:
            return loaded[0].place(node)
        except IndexError:
            return None

    return place


def has_ended(job: Job) -> bool:
    """Whether a job is over in this store: it has ended, or was moved."""
    return job.state in OVER_STATES


def questions_of(job: Job) -> list[dict[str, Any]]:
    """What a job asks of people: each with its `step`, `question`, and what the answer is to be."""
    return [entry for entry in wire.decode(job.waiting_for_json) if entry["kind"] == "person"]


def move_text(job: Job) -> str:
    """Says of a moved job where it stands."""
    return f"job {job.id} was moved to another store at {timestamp(job.ended_at_ms)}, and goes on where it was imported"


def is_damaged(job: Job) -> bool:
    """Whether something of a job was found not to be what was written."""
    error = error_of(job)
    return not has_ended(job) and error is not None and error.kind == CORRUPT


def parked_step(store: EventStore, job: Job) -> int | None:
    """Gives the step at which a job is parked, whose outcome a person can give; None if it is at none."""
    step = None
    for stored in store.events(job.id, after=max(0, job.head - EVENTS_LOOKED_AT)):
        if stored.type == "Parked":
            event = read_event(store, stored)
            step = event.step if isinstance(event, Parked) else stored.step
    return step


def ways_on(store: EventStore, job: Job) -> list[str]:
    """The verbs that let a parked job go on. An undo that failed is not run again."""
    error = error_of(job)
    if error is not None and error.kind == "undo":
        return ["cancel"]
    try:
        is_at_step = parked_step(store, job) is not None
    except StoreCorrupt:  # whoever reads it says so
        is_at_step = False
    return ["retry", *["answer"] * is_at_step, "cancel"]


def error_of(job: Job) -> ErrorValue | None:
    """Gives the error of a failed or parked job, or None."""
    if job.damage is not None:
        return error_value(CORRUPT, job.damage)
    error = None if job.error_json is None else wire.decode(job.error_json)
    if isinstance(error, dict):
        return ErrorValue({"kind": "internal", "message": "no reason was given"} | error)
    return error


def _ended_value(store: EventStore, job: Job) -> Value:
    """The large value of a job; null where it has expired (`lost_value` says so)."""
    try:
        return value_of(store, job)
    except StoreMissing:
        return None
