"""The services of the release example behave as the example says: only then does it show anything."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
EXAMPLE = os.path.join(ROOT, "examples", "release")


@pytest.fixture
def addresses() -> Iterator[dict[str, str]]:
    command = [sys.executable, os.path.join(EXAMPLE, "services.py"), "--think", "0.1", "--delay", "0.2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
        process.terminate()


def _ask(method: str, url: str, body: Any = None, *, key: str | None = None) -> tuple[int, Any]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Idempotency-Key": key} if key else {}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def _log_when(address: str, name: str, count: int) -> list[dict[str, Any]]:
    """Waits until the log holds `count` entries of one kind."""
    for _ in range(100):
        _, log = _ask("GET", f"{address}/log")
        if len(log[name]) >= count:
            break
        time.sleep(0.05)
    assert len(log[name]) == count
    return list(log[name])


def test_a_repeated_post_makes_one_build_and_one_callback(addresses: dict[str, str]) -> None:
    ci = addresses["ci"]
    wanted = {"service": "api", "version": "1", "notify": f"{ci}/nobody"}
    assert _ask("POST", f"{ci}/builds", wanted, key="k")[0] == 503
    answers = [_ask("POST", f"{ci}/builds", wanted, key="k") for _ in range(2)]
    assert answers == [(201, {"id": 1, "service": "api", "version": "1"})] * 2
    assert _ask("POST", f"{ci}/builds", wanted, key="other")[1]["id"] == 2
    callbacks = _log_when(ci, "callbacks", 2)
    assert sorted(call["build"] for call in callbacks) == [1, 2]


def test_every_request_is_logged_as_it_was_answered(addresses: dict[str, str]) -> None:
    url = addresses["deploy"] + "/services/api"
    _ask("GET", url)
    assert _ask("GET", url) == (200, {"name": "api", "version": "1.0.0"})
    _ask("PUT", url, {"version": "2"})
    _ask("PUT", url, {"version": "2"}, key="k")
    assert _ask("GET", url)[1]["version"] == "2"
    requests = _log_when(addresses["metrics"], "requests", 5)
    assert [(entry["method"], entry["key"], entry["status"]) for entry in requests] == [
        ("GET", None, 503),
        ("GET", None, 200),
        ("PUT", None, 503),
        ("PUT", "k", 200),
        ("GET", None, 200),
    ]
