"""Jobs over HTTP: starting, listing, showing, following and steering them, as `fmsh jobs` does."""

from __future__ import annotations

import io
import os
from argparse import Namespace

from fmsh.assembly import load_program
from fmsh.builtins.answers import check_answer
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
from fmsh.errors import FmshError, SourceError, StoreCorrupt, StoreError
from fmsh.exchange import signal_data
from fmsh.jobs import acting, documents
from fmsh.jobs.desk import Desk
from fmsh.jobs.finding import NoSuchJob, NotPossible, find_job
from fmsh.store.base import ACTIVE_STATES, OVER_STATES, JobFilter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from starlette.requests import Request
    from starlette.responses import Response

    from fmsh.daemon.starting import Starting
    from fmsh.daemon.store_thread import StoreThread
    from fmsh.daemon.streams import Ending
    from fmsh.store.base import EventStore, Job

LIMIT, LIMIT_MAX, OFFSET_MAX = 100, 1000, 10**6
JOB = {"$ref": "#/components/schemas/Job"}
START_FIELDS = ("source", "file", "args", "key", "name", "tags", "directory")
START = {
    "type": "object",
    "properties": {
        "source": {"type": "string", "description": "the text of a script; or else `file`"},
        "file": {"type": "string", "description": "the absolute path of a script"},
        "args": {"type": "array", "items": {"type": "string"}},
        "key": {"type": "string", "description": "starts one job only; also by the header Idempotency-Key"},
        "name": {"type": "string"},
        "tags": {"type": "object", "additionalProperties": {"type": "string"}},
        "directory": {"type": "string", "description": "where it starts; the home directory if left out"},
    },
    "anyOf": [{"required": ["source"]}, {"required": ["file"]}],
    "additionalProperties": False,
}
NOWHERE: dict[str, Any] = {"fx_directory": "", "stdout": io.StringIO(), "stderr": io.StringIO()}
VERBS = {"cancel": acting.cancel, "pause": acting.pause, "resume": acting.resume, "retry": acting.retry}


class JobRoutes:
    def __init__(self, store: StoreThread, ending: Ending, starting: Starting | None) -> None:
        self._store = store
        self._ending = ending
        self._starting = starting

    def operations(self) -> list[Operation]:
        after = Parameter("after", "only what comes after this one", up_to(NUMBER_MAX))
        limit = Parameter("limit", f"at most so many, up to {LIMIT_MAX}", up_to(LIMIT_MAX))
        wait = Parameter("wait", "wait so long for it, such as 30s", DURATION)
        key = Parameter("Idempotency-Key", "starts one job only", place="header")
        filters = (
            Parameter("state", "only jobs in this state", {"type": "string", "enum": [*ACTIVE_STATES, *OVER_STATES]}),
            Parameter("tag", "only jobs with this tag, K=V"),
            Parameter("offset", "leave out so many", up_to(OFFSET_MAX)),
            limit,
        )
        jobs = {"type": "array", "items": JOB}
        events = {"type": "array", "items": {"$ref": "#/components/schemas/Event"}}
        operations = [
            Operation(
                "POST",
                "/v1/jobs",
                "Start a detached job.",
                self.start,
                (key,),
                START,
                JOB,
                {201: "started", 200: "the key existed"},
            ),
            Operation(
                "GET", "/v1/jobs", "List jobs, active before ended, newest first.", self.list, filters, gives=jobs
            ),
            Operation(
                "GET", "/v1/jobs/{id}", "Show a job; with `wait`, when it has ended.", self.show, (wait,), gives=JOB
            ),
            Operation(
                "GET",
                "/v1/jobs/{id}/events",
                "The events of a job; as a stream with Accept: text/event-stream.",
                self.events,
                (after, limit),
                gives=events,
            ),
        ]
        accepted = {202: "the job will be told"}
        for verb in VERBS:
            summary = f"{verb.capitalize()} a job."
            operations.append(
                Operation("POST", f"/v1/jobs/{{id}}/{verb}", summary, self._verb(verb), gives=JOB, answers=accepted)
            )
        signal = {
            "type": "object",
            "properties": {"name": {"type": "string", "minLength": 1}, "value": {}},
            "required": ["name"],
            "additionalProperties": False,
        }
        said = {"type": "object", "properties": {"value": {}}}
        operations += [
            Operation(
                "POST", "/v1/jobs/{id}/signal", "Send a message to a job.", self.signal, (), signal, JOB, accepted
            ),
            Operation(
                "POST",
                "/v1/jobs/{id}/answer",
                "Answer what a job asks, or the step at which it is parked.",
                self.answer,
                (),
                said,
                JOB,
                accepted,
            ),
        ]
        return operations

    # -- starting and looking

    async def start(self, request: Request) -> Response:
        if self._starting is None:
            raise Problem(503, "this server starts no jobs")
        body = await read_record(request, *START_FIELDS)
        key = body.get("key", request.headers.get("idempotency-key"))
        try:
            job, is_new = await self._starting.start(body | {"key": key})
        except SourceError as error:
            raise Problem(400, _problems(error)) from None
        except StoreError as error:
            raise Problem(503, error.message) from None
        except FmshError as error:
            raise Problem(400, error.message + (f" ({error.hint})" if error.hint else "")) from None
        shown = await self._ask(lambda store: documents.whole_document(store, store.job(job.id) or job))
        return answer(shown, 201 if is_new else 200, {"Location": f"/v1/jobs/{job.id}"})

    async def list(self, request: Request) -> Response:
        limit, offset = (
            whole(request, "limit", LIMIT, maximum=LIMIT_MAX),
            whole(request, "offset", 0, maximum=OFFSET_MAX),
        )
        states = tuple(request.query_params.getlist("state"))
        unknown = [state for state in states if state not in (*ACTIVE_STATES, *OVER_STATES)]
        if unknown:
            raise Problem(
                400, f"there is no state {unknown[0]!r}; there are {', '.join((*ACTIVE_STATES, *OVER_STATES))}"
            )
        tags = tuple(
            (name, value) for name, _, value in (tag.partition("=") for tag in request.query_params.getlist("tag"))
        )
        filter = JobFilter(states, tags, offset + limit + 1)
        found = await self._ask(lambda store: documents.documents_of(store, store.jobs(filter)[offset:]))
        headers = {}
        if len(found) > limit:
            url = request.url.include_query_params(offset=offset + limit)
            headers["Link"] = f'<{url.path}?{url.query}>; rel="next"'
        return answer(found[:limit], headers=headers)

    async def show(self, request: Request) -> Response:
        id, wait_s = request.path_params["id"], seconds(request, "wait", 0.0)

        def look(store: EventStore) -> tuple[bool, dict[str, Any]]:
            job = find_job(store, id)
            return documents.has_ended(job), documents.whole_document(store, job)

        _, shown = await until(lambda: self._ask(look), lambda found: found[0], wait_s, self._ending)
        return answer(shown)

    async def events(self, request: Request) -> Response:
        after, limit = whole(request, "after", 0), whole(request, "limit", LIMIT_MAX, maximum=LIMIT_MAX)
        if is_stream_wanted(request):
            after = max(after, last_id(request))
        job = await self._ask(lambda store: find_job(store, request.path_params["id"]))

        def read(store: EventStore, after: int) -> tuple[list[dict[str, Any]], bool]:
            place = documents.places_of(Desk(store, load_program=load_program, **NOWHERE), job)
            found = [
                documents.event_json(stored, documents.read_event(store, stored), place)
                for stored in store.events(job.id, after=after, limit=limit)
            ]
            now = store.job(job.id)
            last = found[-1]["seq"] if found else after
            return found, now is None or (documents.has_ended(now) and last >= now.head)

        if is_stream_wanted(request):
            return stream(lambda after: self._ask(lambda store: read(store, after)), after, "type", self._ending)
        found, _ = await self._ask(lambda store: read(store, after))
        return answer(found)

    # -- steering

    def _verb(self, verb: str) -> Callable[[Request], Any]:
        async def act(request: Request) -> Response:
            await read_record(request)
            id = request.path_params["id"]

            def do(store: EventStore) -> Job:
                job = find_job(store, id)
                said = io.StringIO()
                desk = Desk(store, fx_directory="", stdout=io.StringIO(), stderr=said)
                if VERBS[verb](desk, Namespace(jobs=[str(job.id)])) != 0:
                    raise NotPossible(said.getvalue().removeprefix("fmsh: ").strip())
                return job

            return await self._told(do)

        return act

    async def signal(self, request: Request) -> Response:
        body = await read_record(request, "name", "value")
        name = body.get("name")
        if not isinstance(name, str) or not name:
            raise Problem(400, "`name` must be the name of an inbox of the job")
        key = request.headers.get("idempotency-key")

        def do(store: EventStore) -> Job:
            job = find_job(store, request.path_params["id"])
            acting.need_listener(job)
            data = signal_data(name, body.get("value"), {})
            store.deliver(job.id, "signal", data, dedupe_id=f"signal {key or os.urandom(16).hex()}")
            return job

        return await self._told(do)

    async def answer(self, request: Request) -> Response:
        body = await read_json(request)
        value = body.get("value") if isinstance(body, dict) and body.keys() <= {"value"} else body

        def do(store: EventStore) -> Job:
            job = find_job(store, request.path_params["id"])
            acting.answer_question(store, job, lambda question: check_answer(value, question))
            return job

        return await self._told(do)

    async def _told(self, do: Callable[[EventStore], Job]) -> Response:
        job = await self._ask(do)
        return answer(await self._ask(lambda store: documents.whole_document(store, store.job(job.id) or job)), 202)

    async def _ask(self, ask: Callable[[EventStore], Any]) -> Any:
        try:
            return await self._store.call(ask)
        except NoSuchJob as error:
            raise Problem(404, error.message) from None
        except NotPossible as error:
            raise Problem(409, error.message + (f" ({error.hint})" if error.hint else "")) from None
        except StoreError as error:
            if isinstance(error, StoreCorrupt) and error.is_local:  # to ask again does not help
                raise Problem(500, error.message) from None
            raise Problem(503, error.message, headers={"Retry-After": "5"}) from None


def _problems(error: SourceError) -> str:
    from fmsh.render.diagnostics import render

    return render(error.diagnostics, color=False)
