"""The HTTP interface of a real daemon, asked as other programs do."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fmsh.daemon.client import UnixConnection
from tests.cli.damaging import damage
from tests.cli.shell import ROOT, Shell, a_shell

EXAMPLES = Path(ROOT) / "examples"


class Api:
    def __init__(self, shell: Shell) -> None:
        self.shell = shell
        status = json.loads(shell.ok("daemon", "start", "--json"))
        self.socket, self.public_url = status["socket"], status["public_url"]

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        connection = UnixConnection(self.socket, timeout_s=30)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, None if body is None else json.dumps(body), named)
        answer = connection.getresponse()
        text = answer.read().decode()
        self.headers = {name.lower(): value for name, value in answer.getheaders()}
        connection.close()
        is_json = "json" in self.headers.get("content-type", "")
        return answer.status, json.loads(text) if is_json else text

    def start(self, source: str, **fields: Any) -> int:
        status, job = self.ask("POST", "/v1/jobs", {"source": source, **fields})
        assert status == 201, job
        return int(job["id"])

    def ended(self, job_id: int) -> dict[str, Any]:
        status, job = self.ask("GET", f"/v1/jobs/{job_id}?wait=30s")
        assert status == 200 and job["ended_at"] is not None, job
        return dict(job)


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    with a_shell() as shell:
        yield Api(shell)


def test_a_job_is_started_once_for_its_key_and_waited_for(api: Api) -> None:
    body = {"source": "param who: string; print $who; {n: 5}", "args": ["Ada"], "name": "n", "tags": {"a": "b"}}
    status, job = api.ask("POST", "/v1/jobs", body, Idempotency_Key="k1")
    assert status == 201 and api.headers["location"] == f"/v1/jobs/{job['id']}"
    assert api.ask("POST", "/v1/jobs", body | {"key": "k1"})[0] == 200
    ended = api.ended(job["id"])
    assert (ended["state"], ended["value"], ended["key"], ended["tags"]) == ("succeeded", {"n": 5}, "k1", {"a": "b"})
    assert ended == api.ask("GET", "/v1/jobs/k1")[1] == api.shell.job(job["id"])
    path = api.shell.directory / api.shell.script("print file")
    status, job = api.ask("POST", "/v1/jobs", {"file": str(path)})
    assert status == 201 and api.ended(job["id"])["command"] == str(path)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"source": "let x ="}, "error: the text ends"),
        ({}, "`source`"),
        ({"source": "1", "file": "/x"}, "`source`"),
        ({"file": "relative.fmsh"}, "an absolute path"),
        ({"file": "/does/not/exist"}, "cannot read"),
        ({"source": "1", "args": "x"}, "`args`"),
        ({"source": "param n: int", "args": ["x"]}, "n"),
        ({"source": "1", "odd": 1}, "unknown field 'odd'"),
        ({"source": 5}, "`source` must be a text"),
        ({"source": "1", "key": ""}, "`key` must be a text that is not empty"),
        ([], "a JSON object"),
    ],
)
def test_what_cannot_be_started_is_a_problem_that_says_why(api: Api, body: Any, says: str) -> None:
    status, problem = api.ask("POST", "/v1/jobs", body)
    assert status == 400 and says in problem["detail"], problem
    assert (problem["status"], api.headers["content-type"]) == (400, "application/problem+json")


def test_jobs_are_listed_in_pages(api: Api) -> None:
    for _ in range(3):
        api.ended(api.start("1", tags={"page": "yes"}))
    status, first = api.ask("GET", "/v1/jobs?tag=page=yes&limit=2")
    assert status == 200 and len(first) == 2 and 'rel="next"' in api.headers["link"]
    _, second = api.ask("GET", api.headers["link"].split(">")[0].removeprefix("<"))
    assert len(second) == 1 and "link" not in api.headers
    ids = [job["id"] for job in first + second]
    assert ids == sorted(ids, reverse=True)
    assert api.ask("GET", "/v1/jobs?state=parked")[1] == []
    for query in ("state=odd", "limit=x", "limit=99999"):
        assert api.ask("GET", f"/v1/jobs?{query}")[0] == 400
    assert api.ask("GET", "/v1/jobs/99999")[0] == 404


def test_events_are_read_and_streamed(api: Api) -> None:
    job_id = api.start("sleep 1ms; echo x")
    api.ended(job_id)
    _, events = api.ask("GET", f"/v1/jobs/{job_id}/events")
    assert events == api.shell.json("jobs", "log", str(job_id))
    assert api.ask("GET", f"/v1/jobs/{job_id}/events?after=2&limit=1")[1] == events[2:3]
    _, text = api.ask("GET", f"/v1/jobs/{job_id}/events", Accept="text/event-stream", Last_Event_ID="1")
    streamed = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    assert [json.loads(line) for line in streamed] == events[1:]
    assert "event: JobEnded" in text and f"id: {events[-1]['seq']}" in text


def test_jobs_are_steered(api: Api) -> None:
    job_id = api.start("let a = ask 'Q?' --type int; for m in (inbox go) { print $a $m; break }; await (inbox end)")
    api.shell.await_state(job_id, "waiting")
    assert api.ask("POST", f"/v1/jobs/{job_id}/answer", {"value": "x"})[0] == 409
    assert api.ask("POST", f"/v1/jobs/{job_id}/pause")[0] == 202
    api.shell.await_state(job_id, "paused")
    assert api.ask("POST", f"/v1/jobs/{job_id}/resume")[0] == 202
    api.shell.await_state(job_id, "waiting")
    assert api.ask("POST", f"/v1/jobs/{job_id}/answer", {"value": 4})[0] == 202
    for _ in range(2):
        answer = api.ask("POST", f"/v1/jobs/{job_id}/signal", {"name": "go", "value": "now"}, Idempotency_Key="s")
        assert answer[0] == 202
    api.ask("POST", f"/v1/jobs/{job_id}/signal", {"name": "end"})
    assert api.ended(job_id)["state"] == "succeeded"
    assert api.shell.ok("jobs", "output", str(job_id)) == "4 now\n"
    status, problem = api.ask("POST", f"/v1/jobs/{job_id}/cancel")
    assert status == 409 and "has ended already" in problem["detail"]
    assert api.ask("POST", f"/v1/jobs/{job_id}/retry")[0] == 409
    sleeping = api.start("sleep 1h")
    assert api.ask("POST", f"/v1/jobs/{sleeping}/cancel")[0] == 202
    assert api.ended(sleeping)["exit_status"] == 130


def test_events_of_topics_are_published_once_for_their_key_and_waited_for(api: Api) -> None:
    status, first = api.ask("POST", "/v1/events/t", {"a": 1}, Idempotency_Key="x")
    assert status == 201 and api.ask("POST", "/v1/events/t", {"a": 1}, Idempotency_Key="x")[1] == first
    api.ask("POST", "/v1/events/t", "two")
    status, problem = api.ask("POST", "/v1/events/jobs", {"id": 1, "state": "failed"})
    assert status == 400 and "nobody but fmsh" in problem["detail"]
    _, events = api.ask("GET", "/v1/events/t")
    assert [(event["topic"], event["value"]) for event in events] == [("t", {"a": 1}), ("t", "two")]
    assert api.ask("GET", f"/v1/events/t?after={events[1]['seq']}&wait=10ms")[1] == []
    assert api.ask("GET", f"/v1/events/t?after={first['seq']}&wait=10s")[1] == events[1:]


def test_a_function_is_implemented_by_whoever_answers_its_calls(api: Api) -> None:
    job_id = api.start("print (invoke f {n: 1}); try { invoke f 2 } catch e { print $e.kind $e.message }")
    _, call = api.ask("GET", "/v1/functions/f/calls?wait=30s&lease=10s")
    assert (call["name"], call["value"], call["attempt"]) == ("f", {"n": 1}, 1)
    assert api.shell.job(job_id)["waiting_for"][0]["kind"] == "function"
    assert api.ask("POST", f"/v1/calls/{call['id']}/heartbeat")[0] == 200
    assert api.ask("POST", f"/v1/calls/{call['id']}/error", {"message": "busy", "retryable": True})[0] == 204
    _, again = api.ask("GET", "/v1/functions/f/calls?wait=30s")
    assert again["attempt"] == 2 and api.ask("POST", f"/v1/calls/{call['id']}/result", 5)[0] == 409
    assert api.ask("POST", f"/v1/calls/{again['id']}/result", {"ok": True})[0] == 204
    _, second = api.ask("GET", "/v1/functions/f/calls?wait=30s")
    assert api.ask("POST", f"/v1/calls/{second['id']}/error", {"message": "no way"})[0] == 204
    assert api.ended(job_id)["state"] == "succeeded"
    assert api.shell.ok("jobs", "output", str(job_id)) == '{"ok":true}\nfunction no way\n'
    assert api.ask("GET", "/v1/functions/f/calls")[0] == 204
    for path in ("nonsense/result", "a.1/result", "a.x/heartbeat"):
        assert api.ask("POST", f"/v1/calls/{path}", {})[0] in (404, 409)


@pytest.mark.parametrize(
    ("worker", "program", "shown"),
    [
        ([sys.executable, "worker.py", "1"], 'invoke word-count "b a b"', '{"b":2,"a":1}\n'),
        (["sh", "worker.sh", "1"], 'invoke upper "loud"', "LOUD\n"),
    ],
    ids=["python", "curl"],
)
def test_the_workers_of_the_examples_work(api: Api, worker: list[str], program: str, shown: str) -> None:
    if worker[0] == "sh" and not shutil.which("curl"):
        pytest.skip("curl is not here")
    fmsh = api.shell.directory / "bin" / "fmsh"
    fmsh.parent.mkdir(exist_ok=True)
    fmsh.write_text(f'#!/bin/sh\nexec {shlex.join(api.shell.command())} "$@"\n')
    fmsh.chmod(0o755)
    environment = api.shell.environment | {"PATH": f"{fmsh.parent}:{os.environ['PATH']}"}
    process = subprocess.Popen(worker, cwd=EXAMPLES, env=environment, stderr=subprocess.PIPE)
    assert api.shell.ok("-c", program) == shown
    process.communicate(timeout=30)
    assert process.returncode == 0


def test_on_the_port_a_token_is_needed(api: Api) -> None:
    token = api.shell.ok("config", "token").strip()

    def status(path: str, header: str | None, body: bytes | None = None, **others: str) -> int:
        headers = others if header is None else others | {"Authorization": header}
        try:
            asked = urllib.request.Request(api.public_url + path, body, headers)
            with urllib.request.urlopen(asked) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    for path in ("/v1/jobs", "/metrics", "/openapi.json", "/healthz"):
        assert status(path, f"Bearer {token}") == 200
        assert status(path, f"Bearer {token}x") == 401
        assert status(path, None) == 404
    job, before = b'{"source": "print evil"}', len(api.shell.json("jobs", "list", "--all"))
    assert status("/v1/jobs", f"Bearer {token}", job, Origin="https://evil.example.org") == 403, "a page in a browser"
    assert status("/v1/jobs", None, job, Origin="https://evil.example.org") == 404
    assert status("/v1/jobs", f"Bearer {token}", job, Host="evil.example.org") == 421, "a name that was bound to us"
    assert len(api.shell.json("jobs", "list", "--all")) == before
    assert token not in (api.shell.state / "store.db").read_bytes().decode("latin-1")
    api.shell.ok("config", "token", "--revoke")
    assert status("/v1/jobs", f"Bearer {token}") == 401


def test_the_document_names_every_operation_and_is_whole(api: Api) -> None:
    _, document = api.ask("GET", "/openapi.json")
    operations = {(method.upper(), path) for path, each in document["paths"].items() for method in each}
    promised = {
        ("POST", "/v1/jobs"),
        ("GET", "/v1/jobs"),
        ("GET", "/v1/jobs/{id}"),
        ("GET", "/v1/jobs/{id}/events"),
        *(("POST", f"/v1/jobs/{{id}}/{verb}") for verb in ("cancel", "pause", "resume", "retry", "signal", "answer")),
        ("POST", "/v1/events/{topic}"),
        ("GET", "/v1/events/{topic}"),
        ("GET", "/v1/functions/{name}/calls"),
        *(("POST", f"/v1/calls/{{id}}/{verb}") for verb in ("result", "error", "heartbeat")),
        *(("GET", path) for path in ("/healthz", "/metrics", "/openapi.json")),
    }
    assert promised <= operations
    ids = [each["operationId"] for methods in document["paths"].values() for each in methods.values()]
    assert len(ids) == len(set(ids))
    for path, methods in document["paths"].items():
        for method in {"GET", "POST", "DELETE"} - {name.upper() for name in methods}:
            assert api.ask(method, path.replace("{", "").replace("}", ""))[0] in (404, 405), (method, path)
            allowed = api.headers.get("allow", "").split(", ")
            assert allowed == [""] or {name.upper() for name in methods} <= set(allowed), (method, path, allowed)
    text = json.dumps(document)
    for name in document["components"]["schemas"]:
        assert f"#/components/schemas/{name}" in text, name


def test_a_damaged_history_is_a_problem_that_asking_again_does_not_mend(api: Api) -> None:
    number = api.start("sh -c true; sleep 500w")
    api.shell.await_state(number, "waiting")
    damage(api.shell, number)
    status, problem = api.ask("GET", f"/v1/jobs/{number}/events")
    assert (status, problem["detail"]) == (500, f"event 2 of job {number} is not what was written")
    assert "retry-after" not in api.headers and api.headers["content-type"] == "application/problem+json"
    assert api.ask("POST", f"/v1/jobs/{number}/cancel")[0] == 202


def test_the_metrics_are_those_of_the_documentation(api: Api) -> None:
    status, text = api.ask("GET", "/metrics")
    assert status == 200 and api.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE ")}
    page = (Path(ROOT) / "docs" / "api.md").read_text()
    assert families == {line.split("`")[1] for line in page.splitlines() if line.startswith("| `fmsh_")}
    assert all(line.startswith("#") or line.split("{")[0].split()[0] in families for line in text.splitlines())
