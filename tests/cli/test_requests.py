"""Requests as a script writes them: services with a name, forms, files, pages."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from pathlib import Path

import pytest

from tests.cli.shell import Shell
from tests.connectors.http_faults import CHUNKED, ENDS, HEAD, FaultyServer
from tests.connectors.http_server import Server, answer, json_answer, reset

Serve = Callable[..., Server]


@pytest.fixture
def serve() -> Iterator[Serve]:
    servers: list[Server] = []

    def make(*answers: bytes) -> Server:
        servers.append(Server(*answers))
        return servers[-1]

    yield make
    for server in servers:
        server.close()


def test_a_service_is_named_once(shell: Shell, serve: Serve) -> None:
    server = serve(json_answer('{"n": 1}'))
    shell.run("secret", "set", "KEY", input="s3cret-key")
    script = f"""
      api ci {server.url}/v1/ --auth bearer:KEY --header {{X-A: one, X-B: one}} --query {{team: web}} --timeout 5s
      let id = "a/b ?"
      GET ci/builds/$id?status=failed --header {{X-B: two}} --query {{n: 5}} | get n
      def build(name: string) {{ POST ci/builds {{name: $name}} }}
      build x
      http DELETE ci
      GET "ci/q/$id"
    """
    done = shell.run("-c", script)
    assert done.status == 0, done
    first, second, third, fourth = server.seen
    assert first.target == "/v1/builds/a%2Fb%20%3F?status=failed&team=web&n=5"
    assert first.headers["authorization"] == "Bearer s3cret-key"
    assert (first.headers["x-a"], first.headers["x-b"]) == ("one", "two")
    assert (second.method, second.target, second.body) == ("POST", "/v1/builds?team=web", b'{"name":"x"}')
    assert (third.method, third.target) == ("DELETE", "/v1?team=web")
    assert fourth.target == "/v1/q/a%2Fb%20%3F?team=web"


def test_a_service_with_a_rate_is_asked_at_that_pace_by_all_jobs(shell: Shell, serve: Serve) -> None:
    """The moments are reserved one after the other, and each request waits for its own, in order."""
    server = serve(*[json_answer("1")] * 6)
    script = f"api ci {server.url}/ --rate 20/s; 1..3 | each --parallel 3 {{ |n| GET ci/$n }} | sum"
    done = shell.run("-c", script), shell.run("-c", script)
    assert [job.out for job in done] == ["3\n", "3\n"], done
    events = [event for job in "12" for event in shell.json("jobs", "log", job)]
    begun = sorted(datetime.fromisoformat(e["at"]) for e in events if e["data"].get("operation") == "request")
    assert len(begun) == 6 and begun[-1] - begun[0] >= timedelta(seconds=0.2), begun


def test_a_service_with_a_secret_in_its_address(shell: Shell, serve: Serve) -> None:
    server = serve(json_answer("1"))
    shell.run("secret", "set", "KEY", input="s3cret-key")
    done = shell.run("-c", f'let key = secret KEY; api ci "{server.url}/$key/"; GET ci/x')
    assert done.out == "1\n" and server.seen[0].target == "/s3cret-key/x", done


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("api 'a b' http://h", "a word of letters, digits, _ and -"),
        ("api ci", "needs URL"),
        ("api ci http://h --full", "no flag --full"),
        ("api ci http://h --rate 10", "'10' is no rate"),
        ("api ci http://h --rate $env.HOME", "is no rate"),
        ("GET cj/builds", "must begin with http:// or https://"),
        ("if true { api ci http://h }; GET ci/x", "must begin with http:// or https://"),
        ("POST http://h 1 --form {a: 1}", "one body"),
        ("1 | POST http://h --file x", "is the body already"),
    ],
)
def test_what_is_wrong_with_a_request_is_said(shell: Shell, script: str, said: str) -> None:
    done = shell.run("-c", script)
    assert done.status in (1, 2) and said in done.err, done


def test_bodies_and_pages_from_a_script(shell: Shell, serve: Serve) -> None:
    Path(shell.directory, "photo.png").write_bytes(b"png")
    pages = json_answer("[1]", Link='</2>; rel="next"'), json_answer("[2]")
    server = serve(answer(), answer(), answer(), json_answer("{}"), *pages)
    script = f"""
      POST {server.url} --form {{a: 1, b: "x y"}}
      POST {server.url} --multipart {{name: me}} --attach {{photo: ./photo.png}}
      PUT {server.url} --file photo.png
      GET {server.url} --save got.json
      GET {server.url} --pages | sum
    """
    done = shell.run("-c", script)
    assert (done.status, done.out) == (0, "3\n"), done
    assert Path(shell.directory, "got.json").read_text() == "{}"
    form, parts, file = server.seen[:3]
    assert form.body == b"a=1&b=x+y"
    assert b'name="photo"; filename="photo.png"' in parts.body and b"png\r\n" in parts.body
    assert (file.body, file.headers["content-type"]) == (b"png", "image/png")


def test_what_retry_asks_for_again_carries_the_key_of_the_first_time(shell: Shell, serve: Serve) -> None:
    """Of two that are the same in one turn each has its own; an inner `retry` that begins anew has them too."""
    server = serve(*[answer()] * 2, answer(500), *[answer()] * 2, answer(500), answer())
    script = f"""
      retry --times 2 --backoff 1ms {{
        for i in 1..2 {{ POST {server.url}/same {{n: 1}} }}
        retry --times 1 {{ parallel {{ POST {server.url}/last {{n: 1}} }} }}
      }} || POST {server.url}/same {{n: 1}}
    """
    done = shell.run("-c", script)
    assert done.status == 0, done
    keys = [seen.headers["idempotency-key"] for seen in server.seen]
    assert keys[:3] == keys[3:6] and len(set(keys[:3])) == 3 and keys[6] not in keys[:6]
    log = shell.run("jobs", "log", "last", "--json").out
    assert [event["data"].get("key_step") for event in json.loads(log) if event["type"] == "RequestMade"] == [
        None, None, None, None, 1, 2, 3, None,
    ]  # fmt: skip


def test_whatever_a_server_does_a_job_has_one_result_or_one_clear_error(shell: Shell) -> None:
    server = FaultyServer()
    try:
        acts = {
            "network": [
                reset,
                *(end(HEAD + b"Content-Length: 9\r\n\r\nabc") for end in ENDS.values()),
                CHUNKED + b"-1\r\n",
                b"SSH-2.0-x\r\n",
            ],
            "timeout": [server.stall_after(HEAD), server.stall_after(b"")],
            "http": [answer(503, "busy"), answer(404), answer(302, Location="/0")],
            "parse": [json_answer("{oops"), answer(200, "x", Content_Encoding="gzip")],
        }
        for act in (answer(302, Location="/0"), *(act for several in acts.values() for act in several)):
            server.add(act)  # the first one leads to itself
        last = len(server.acts) - 1
        script = f"""
          range 0 {last} | each --parallel 20 {{ result {{ GET {server.url}/$it --timeout 400ms --retry 0 }} }} \
            | each {{ {{kind: .error.kind, message: .error.message, ok: .ok}} }}
        """
        done = shell.run("--json", "-c", script)
    finally:
        server.close()
    found = json.loads(done.out)
    assert done.status == 0 and "Traceback" not in done.err, done
    assert not any(one["ok"] for one in found)
    wanted = ["http", *(kind for kind, several in acts.items() for _ in several)]
    assert [one["kind"] for one in found] == wanted, found
    assert all(one["message"].startswith("GET http://") and "\n" not in one["message"] for one in found), found


def test_retry_after_is_heeded_in_both_forms(shell: Shell, serve: Serve) -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
    server = serve(answer(503, Retry_After="0"), answer(429, Retry_After=soon), json_answer("7"))
    done = shell.run("-c", f"POST {server.url}/x {{a: 1}} --retry 3")
    assert done.out == "7\n", done
    assert len({seen.headers["idempotency-key"] for seen in server.seen}) == 1 and len(server.seen) == 3
    events = json.loads(shell.run("jobs", "log", "last", "--json").out)
    failed = [event for event in events if event["type"] == "AttemptFailed"]
    at_once, later = (event["data"]["next_at_ms"] for event in failed)
    assert later >= parsedate_to_datetime(soon).timestamp() * 1000 > at_once, failed


def test_every_attempt_is_told_of_with_its_timings(shell: Shell, serve: Serve) -> None:
    server = serve(answer(503, Retry_After="0"), json_answer("7"))
    done = shell.run("--verbose", "-c", f"GET {server.url}/x")
    assert done.out == "7\n" and done.err.count("first byte ") == 2 and done.err.count("total ") == 2, done
    (step,) = json.loads(shell.run("jobs", "trace", "last", "--json").out)
    assert [sorted(attempt["timings"])[-1] for attempt in step["attempts"]] == ["total", "total"], step
    assert list(step["attempts"][0]["timings"]) == ["dns", "connect", "first_byte", "total"], step
    log = shell.run("jobs", "log", "last").out
    assert log.count("first byte") == 2 and "connect" in log, log
    assert "first byte" in shell.run("jobs", "trace", "last").out


EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"


def test_a_stream_in_a_script(shell: Shell, serve: Serve) -> None:
    """In a loop, ended early, as the input of a function, displayed, through a service with a name."""
    server = serve(answer(200, b"data: 1\n\ndata: 2\n\ndata: 3\n\n", "text/event-stream"))
    script = f"""
      api ci {server.url} --header {{X-A: b}}
      for n in GET ci/a --stream {{ print $n; if $n == 2 {{ break }} }}
      def largest() {{ $in | where {{ $it < 3 }} | max }}
      print (POST ci/b {{x: 1}} --stream | largest)
      let all = GET ci/c --stream
      print ($all | count)
      GET ci/d --stream --full | first 1 | select data event
    """
    done = shell.run("-c", script)
    assert done.out == '1\n2\n2\n3\n{"data":1,"event":"message"}\n' and done.status == 0, done
    assert [(seen.method, seen.target, seen.headers["x-a"]) for seen in server.seen] == [
        ("GET", "/a", "b"),
        ("POST", "/b", "b"),
        ("GET", "/c", "b"),
        ("GET", "/d", "b"),
    ]


@pytest.mark.parametrize("option", ["--save x", "--pages", "--secret a"])
def test_what_needs_an_answer_whole_is_no_stream(shell: Shell, option: str) -> None:
    done = shell.run("-c", f"GET http://127.0.0.1:1 --stream {option}")
    assert done.status == 2 and "as it comes" in done.err, done


def test_the_outcome_of_a_lost_stream_can_be_said(shell: Shell, serve: Serve) -> None:
    server = serve(ENDS["closed"](EVENTS[:-2] + b"Content-Length: 99\r\n\r\n"))
    shell.ok("-d", "-c", f"once {{ print (POST {server.url} --stream | count) }}")
    assert shell.await_state(1, "parked")["error"]["kind"] == "lost"
    shell.ok("jobs", "answer", "1", "5")
    assert shell.ok("jobs", "attach", "1") == "5\n"


def test_cookies_belong_to_the_job_and_outlive_a_crash(shell: Shell, serve: Serve) -> None:
    login = answer(200, Set_Cookie="session=s3cret-session; Path=/; HttpOnly")
    server = serve(login, lambda connection: None, json_answer("7"))  # the second one is never answered
    shell.ok("daemon", "start")
    running = shell.start("-c", f"POST {server.url}/login {{user: me}}; print (GET {server.url}/me)")
    for _ in range(2):
        assert server.arrived.acquire(timeout=30)
    running.kill()
    assert shell.ok("jobs", "attach", "1") == "7\n"
    assert [seen.headers.get("cookie") for seen in server.seen] == [None, *["session=s3cret-session"] * 2]
    for shown in (shell.ok("jobs", "log", "1", "--json"), shell.ok("jobs", "export", "1")):
        assert "RequestCompleted" in shown and "s3cret-session" not in shown
    shell.ok("-c", f"GET {server.url}/me")
    assert "cookie" not in server.seen[-1].headers
