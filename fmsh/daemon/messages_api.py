"""Topics over HTTP, and the functions that programs outside implement: they lease calls and answer them."""

from __future__ import annotations

import time

from fmsh import wire
from fmsh.daemon.operations import (
    DURATION,
    NUMBER_MAX,
    Operation,
    Parameter,
    answer,
    read_json,
    read_record,
    seconds,
    up_to,
    whole,
)
from fmsh.daemon.problems import Problem
from fmsh.daemon.streams import is_stream_wanted, last_id, stream, until
from fmsh.errors import StoreError
from fmsh.exchange import TOPIC_CHARACTERS_MAX, check_publishable, check_topic, event_document
from fmsh.store.outside import CallOutcome
from fmsh.values import Raised, error_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from starlette.requests import Request
    from starlette.responses import Response

    from fmsh.daemon.store_thread import StoreThread
    from fmsh.daemon.streams import Ending
    from fmsh.store.base import EventStore
    from fmsh.store.outside import LeasedCall, TopicEvent
    from fmsh.values import Value

LIMIT, LIMIT_MAX = 100, 1000
LEASE_S, LEASE_S_MAX = 60.0, 3600.0
RETRY_MS = 1000  # doubled with each attempt, up to a minute
RETRY_MS_MAX = 60_000
EVENT = {"$ref": "#/components/schemas/TopicEvent"}
CALL = {"$ref": "#/components/schemas/Call"}


class MessageRoutes:
    def __init__(self, store: StoreThread, ending: Ending) -> None:
        self._store = store
        self._ending = ending

    def operations(self) -> list[Operation]:
        key = Parameter("Idempotency-Key", "publishes one event only", place="header")
        name = {"type": "string", "minLength": 1, "maxLength": TOPIC_CHARACTERS_MAX}
        topic = Parameter("topic", "its name: printable characters", name, "path")
        listing = (
            topic,
            Parameter("after", "only events after this one", up_to(NUMBER_MAX)),
            Parameter("limit", f"at most so many, up to {LIMIT_MAX}", up_to(LIMIT_MAX)),
            Parameter("wait", "wait so long for a first one, such as 30s", DURATION),
        )
        polling = (
            Parameter("wait", "wait so long for a call, such as 30s", DURATION),
            Parameter("lease", "for how long the call is the worker's: 60s", DURATION),
        )
        lost = {204: "taken", 409: "the call is over, or another worker has it"}
        failure = {
            "type": "object",
            "properties": {"message": {"type": "string"}, "retryable": {"type": "boolean"}},
            "required": ["message"],
            "additionalProperties": False,
        }
        number = {"type": "object", "properties": {"seq": {"type": "integer"}}}
        return [
            Operation(
                "POST",
                "/v1/events/{topic}",
                "Publish an event; the body is its value.",
                self.publish,
                (topic, key),
                {},
                number,
                {201: "published"},
            ),
            Operation(
                "GET",
                "/v1/events/{topic}",
                "The events of a topic; as a stream with Accept: text/event-stream.",
                self.events,
                listing,
                gives={"type": "array", "items": EVENT},
            ),
            Operation(
                "GET",
                "/v1/functions/{name}/calls",
                "Lease the next call of a function.",
                self.lease,
                polling,
                gives=CALL,
                answers={200: "a call", 204: "there is none"},
            ),
            Operation(
                "POST",
                "/v1/calls/{id}/result",
                "Answer a call; the body is the value.",
                self.result,
                (),
                {},
                answers=lost,
            ),
            Operation("POST", "/v1/calls/{id}/error", "Say that a call failed.", self.error, (), failure, answers=lost),
            Operation(
                "POST",
                "/v1/calls/{id}/heartbeat",
                "Keep a call for another while.",
                self.heartbeat,
                polling[1:],
                gives={"type": "object"},
                answers={200: "kept", 409: lost[409]},
            ),
        ]

    # -- topics

    async def publish(self, request: Request) -> Response:
        topic, value = _topic(request, check_publishable), await read_json(request)
        key = request.headers.get("idempotency-key")
        dedupe_id = None if key is None else f"api {topic} {key}"
        seq = await self._ask(
            lambda store: store.publish(topic, wire.encode(value), dedupe_id=dedupe_id, at_ms=_now_ms())
        )
        return answer({"seq": seq}, 201)

    async def events(self, request: Request) -> Response:
        topic, after = _topic(request), whole(request, "after", 0)
        limit = whole(request, "limit", LIMIT, maximum=LIMIT_MAX)

        def read(store: EventStore, after: int) -> list[TopicEvent]:
            return store.topic_events(topic, after=after, limit=limit)

        if is_stream_wanted(request):
            after = max(after, last_id(request))

            async def more(after: int) -> tuple[list[dict[str, Any]], bool]:
                return [event_document(each) for each in await self._ask(lambda store: read(store, after))], False

            return stream(more, after, None, self._ending)
        found = await self._until(lambda store: read(store, after), bool, request)
        return answer([event_document(each) for each in found])

    # -- functions

    async def lease(self, request: Request) -> Response:
        name, lease_ms = request.path_params["name"], _lease_ms(request)

        def lease(store: EventStore) -> LeasedCall | None:
            return store.lease_call(name, now_ms=_now_ms(), lease_ms=lease_ms)

        leased = await self._until(lease, lambda found: found is not None, request)
        if leased is None:
            return answer(None, 204)
        return answer(
            {
                "id": f"{leased.id}.{leased.attempt}",
                "name": leased.name,
                "value": wire.decode(leased.value_json),
                "attempt": leased.attempt,
                "deadline": _timestamp(leased.deadline_ms),
            }
        )

    async def result(self, request: Request) -> Response:
        value = await read_json(request)
        return await self._finish(request, wire.encode({"value": value, "error": None}))

    async def error(self, request: Request) -> Response:
        body = await read_record(request, "message", "retryable")
        message, is_retryable = body.get("message"), body.get("retryable", False)
        if not isinstance(message, str) or not isinstance(is_retryable, bool):
            raise Problem(400, "`message` must be a text, and `retryable` true or false")
        error = error_value("function", message, retryable=is_retryable)
        return await self._finish(request, wire.encode({"value": None, "error": error}), is_retryable=is_retryable)

    async def _finish(self, request: Request, outcome_json: str, *, is_retryable: bool = False) -> Response:
        id, attempt = _call(request)
        retry_after_ms = min(RETRY_MS << min(attempt - 1, 16), RETRY_MS_MAX)
        outcome = CallOutcome(id, attempt, outcome_json, is_retryable, retry_after_ms)
        if not await self._ask(lambda store: store.finish_call(outcome, now_ms=_now_ms())):
            raise Problem(409, "the call is over, or another worker has it")
        return answer(None, 204)

    async def heartbeat(self, request: Request) -> Response:
        (id, attempt), until_ms = _call(request), _now_ms() + _lease_ms(request)
        await read_json(request)
        if not await self._ask(lambda store: store.beat_call(id, attempt=attempt, until_ms=until_ms)):
            raise Problem(409, "the call is over, or another worker has it")
        return answer({"deadline": _timestamp(until_ms)})

    async def _until(self, ask: Callable[[EventStore], Any], is_it: Callable[[Any], bool], request: Request) -> Any:
        """Asks until it is there, for as long as the request wants to wait."""
        return await until(lambda: self._ask(ask), is_it, seconds(request, "wait", 0.0), self._ending)

    async def _ask(self, ask: Callable[[EventStore], Any]) -> Any:
        try:
            return await self._store.call(ask)
        except StoreError as error:
            raise Problem(503, error.message, headers={"Retry-After": "5"}) from None


def _topic(request: Request, check: Callable[[Value], str] = check_topic) -> str:
    try:
        return check(request.path_params["topic"])
    except Raised as problem:
        raise Problem(400, problem.error.message) from None


def _call(request: Request) -> tuple[str, int]:
    id, _, attempt = request.path_params["id"].rpartition(".")
    if not id or not attempt.isascii() or not attempt.isdigit() or len(attempt) > 9:
        raise Problem(404, "there is no such call")
    return id, int(attempt)


def _lease_ms(request: Request) -> int:
    return max(1000, int(seconds(request, "lease", LEASE_S, maximum=LEASE_S_MAX) * 1000))


def _now_ms() -> int:
    return time.time_ns() // 10**6


def _timestamp(at_ms: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at_ms // 1000)) + f".{at_ms % 1000:03}Z"
