"""What jobs say to one another and to people, through the store: each function is one effect of a job.

A name of a job is its number, `%N`, its key, or its name when one active job has it.
"""

from __future__ import annotations

import time

from fmsh import wire
from fmsh.errors import StoreError
from fmsh.store.base import OVER_STATES
from fmsh.store.leases import OWN_TOPICS
from fmsh.store.outside import JOBS, NewCall, NewClaim, Subscription
from fmsh.values import Handle, kind_of, raised

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from fmsh.connectors.base import Attempt
    from fmsh.store.base import EventStore, Job
    from fmsh.store.outside import Claim, TopicEvent
    from fmsh.values import Raised, Value

TOPIC_CHARACTERS_MAX = 200
RETRIES = 2  # of a call, as of a request
DIGITS_MAX = 18  # more would not fit the number of any job
ANSWER_TYPES = ("string", "int", "float", "number", "bool", "duration", "datetime", "list", "record")


def addressee(store: EventStore, meant: Value) -> Job:
    """The active job that is meant. Raises: Raised."""
    text = meant.id if isinstance(meant, Handle) and meant.kind == "job" else meant
    if not isinstance(text, str | int) or isinstance(text, bool):
        raise raised("type", f"a job is meant by its number, key or name, not by {kind_of(meant)}")
    job = _find(store, str(text).removeprefix("%"))
    if job.state in OVER_STATES:
        raise raised("signal", f"job {job.id} takes no signal: it is over ({job.state})")
    return job


def _find(store: EventStore, text: str) -> Job:
    if text.isascii() and text.isdigit() and len(text) <= DIGITS_MAX:
        found = store.job(int(text)) or store.job_by_key(text)
    else:
        found = store.job_by_key(text)
    if found is not None:
        return found
    named = [job for job in store.jobs_by_name(text) if job.state not in OVER_STATES]
    if len(named) != 1:
        number = "no active job has" if not named else f"{len(named)} active jobs have"
        raise raised("signal", f"{number} the number, key or name {text!r}")
    return named[0]


def signal(store: EventStore, attempt: Attempt) -> Value:
    """Sends a message into the inbox of a job, once for all attempts."""
    arguments = attempt.arguments
    name = arguments["name"]
    if not isinstance(name, str) or not name:
        raise raised("type", "a signal has a name, which `inbox NAME` takes", hint="such as `signal 12 stop true`")
    job = addressee(store, arguments["job"])
    data = signal_data(name, arguments.get("value"), {"job": attempt.id.job_id})
    try:
        store.deliver(job.id, "signal", data, dedupe_id=f"signal {attempt.idempotency_key}")
    except StoreError as error:
        raise raised("signal", error.message) from error
    return None


def signal_data(name: str, value: Value, sender: dict[str, Value]) -> str:
    """The data of a signal's row. `sender`: who sent it, for the history."""
    return wire.encode({"name": name, "value": value, "from": sender})


def question(attempt: Attempt) -> Value:
    """Gives the handle of a question to a person, who answers it in the inbox of the job."""
    arguments = attempt.arguments
    choices, type_name = arguments.get("choices"), arguments.get("type")
    if type_name is not None and type_name not in ANSWER_TYPES:
        raise raised("type", f"--type takes one of {', '.join(ANSWER_TYPES)}, not {type_name!r}")
    if choices is not None and (type(choices) is not list or not choices):
        raise raised(
            "type", "--choices takes a list of what may be answered", hint="such as --choices [yes, no, later]"
        )
    asked: dict[str, Any] = {"question": str(arguments["question"])}
    asked |= {name: arguments[name] for name in ("choices", "type", "default") if name in arguments}
    id = str(attempt.id.step)
    return Handle("person", id, {"id": id, **asked})


def answer_to(store: EventStore, job_id: int, step: int, value: Value) -> bool:
    """Answers the question that a job asks in a step. False: somebody else has answered it before."""
    data_json = wire.encode({"handle": str(step), "value": value})
    return store.deliver(job_id, "answer", data_json, dedupe_id=f"answer {step}")


# ---- Topics ----------------------------------------------------------------------------------------------------------


def publish(store: EventStore, attempt: Attempt) -> Value:
    """Publishes an event, once for all attempts; gives its number."""
    topic = check_publishable(attempt.arguments["topic"])
    data_json = wire.encode(attempt.arguments.get("value"))
    key = f"job {attempt.idempotency_key}"
    return store.publish(topic, data_json, dedupe_id=key, at_ms=time.time_ns() // 10**6)


def subscribe(store: EventStore, attempt: Attempt) -> Value:
    """Lets the job hear of a topic; gives the handle of what it hears."""
    arguments, id = attempt.arguments, str(attempt.id.step)
    topic, start, group = check_topic(arguments["topic"]), arguments.get("from"), arguments.get("group")
    if not (start is None or start in ("start", "now") or (type(start) is int and start > 0)):
        raise raised("type", "--from takes start, now, or the number of an event", hint="such as --from now")
    after = {"start": 0, "now": None, None: None}.get(start) if not isinstance(start, int) else start - 1
    is_from_now = start == "now"
    store.subscribe(Subscription(attempt.id.job_id, id, topic, group, after, is_from_now))
    return Handle("topic", id, {"id": id, "topic": topic, "label": topic, "many": True})


def check_topic(name: Value) -> str:
    """The name of a topic. Raises: Raised."""
    if not isinstance(name, str) or not name or len(name) > TOPIC_CHARACTERS_MAX or not name.isprintable():
        raise raised("type", f"the name of a topic is a text of 1 to {TOPIC_CHARACTERS_MAX} printable characters")
    return name


def check_publishable(name: Value) -> str:
    """The name of a topic on which others than the store may publish. Raises: Raised."""
    topic = check_topic(name)
    if topic == JOBS or topic.startswith(OWN_TOPICS):
        message = f"nobody but fmsh itself publishes on the topic {topic!r}, so that what it says of jobs is true"
        raise raised("topic", message, hint="publish on a topic of another name; everybody may subscribe to `jobs`")
    return topic


def event_document(event: TopicEvent) -> dict[str, Value]:
    """Gives an event of a topic as others read it."""
    at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(event.at_ms // 1000)) + f".{event.at_ms % 1000:03}Z"
    return {"seq": event.seq, "topic": event.topic, "at": at, "value": wire.decode(event.data_json)}


# ---- Functions that are implemented elsewhere ------------------------------------------------------------------------


def call(store: EventStore, attempt: Attempt) -> Value:
    """Offers a call to the programs outside that implement a function; gives the handle of its outcome."""
    arguments, id = attempt.arguments, str(attempt.id.step)
    name, timeout, retries = arguments["name"], arguments.get("timeout"), arguments.get("retry", RETRIES)
    if not isinstance(name, str) or not name:
        raise raised("type", "`invoke` takes the name of a function", hint="such as `invoke resize {width: 100}`")
    if type(retries) is not int or retries < 0:
        raise raised("type", "--retry takes a whole number from 0")
    expires_at_ms = None if timeout is None else attempt.requested_at_ms + timeout.milliseconds
    value_json = wire.encode(arguments.get("value"))
    key = attempt.idempotency_key
    store.open_call(NewCall(key, attempt.id.job_id, id, name, value_json, retries + 1, expires_at_ms))
    return Handle("call", id, {"id": id, "label": name})


# ---- Locks and limits ------------------------------------------------------------------------------------------------


def claim_lock(store: EventStore, attempt: Attempt) -> Value:
    """Queues up for a lock; gives the handle by which its grant is known. Raises: Raised, StoreError."""
    return _claim(store, attempt, "lock")


def claim_place(store: EventStore, attempt: Attempt) -> Value:
    """Queues up for a place under a limit; gives the handle by which its grant is known. Raises: Raised, StoreError."""
    return _claim(store, attempt, "limit")


def _claim(store: EventStore, attempt: Attempt, kind: str) -> Value:
    arguments, step = attempt.arguments, attempt.id.step
    new = NewClaim(attempt.id.job_id, step, kind, arguments["name"], arguments["size"], tuple(arguments["inside"]))
    place = store.claim(new, now_ms=time.time_ns() // 10**6)
    if place.circle:
        raise _waits_for_itself(new, place.circle)
    return Handle(kind, str(step), {"id": str(step), "label": new.name, "is_granted": place.is_granted})


def _waits_for_itself(new: NewClaim, circle: Sequence[Claim]) -> Raised:
    told = [
        f"job {claim.job_id} {'has' if claim.is_granted else 'waits for'} {claim.kind} {claim.name}" for claim in circle
    ]
    message = f"to wait for the {new.kind} {new.name} would be to wait for ever: {', '.join(told)}"
    return raised(new.kind, message, hint="blocks inside of one another need the same order of names everywhere")


def reserve(store: EventStore, attempt: Attempt, now_ns: Callable[[], int] = time.time_ns) -> Value:
    """Reserves the next moment of a rate: null if that is now. A crash before that is recorded wastes one."""
    from datetime import UTC, datetime, timedelta

    interval_us = attempt.arguments["interval"].nanoseconds // 1000
    now_us = now_ns() // 1000
    at_us = store.reserve(attempt.arguments["name"], interval_us=interval_us, now_us=now_us)
    return None if at_us <= now_us else datetime.fromtimestamp(0, UTC) + timedelta(microseconds=at_us)
