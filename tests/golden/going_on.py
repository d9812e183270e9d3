"""Going on with the jobs of a golden store: a copy of it is opened by this version, and each job brought to its end."""

from __future__ import annotations

import hashlib
import json
import shutil
import urllib.request
from pathlib import Path
from typing import Any

from fmsh.retention import EVENTS, HISTORY, OUTPUT
from tests.cli.shell import Shell, until
from tests.golden.stories import STORIES

PROCESS_OUTCOME = '{"statuses": [0], "output": null, "stderr": ""}'
SAID = "said by a caller"
ENDED = ("succeeded", "failed", "cancelled")
# What differs each time: moments, and who runs it.
CHANGING = frozenset(("created_at", "started_at", "ended_at", "owner", "uid", "steps", "events", "waiting_for"))


def open_copy(golden: Path, place: Path) -> Shell:
    """Copies a golden store into a state directory, with a shell to use it."""
    shell = Shell(place)
    shutil.copytree(golden, shell.state, ignore=shutil.ignore_patterns("expected.json"))
    for path in [shell.state, *shell.state.rglob("*")]:
        path.chmod(0o700 if path.is_dir() else 0o600)
    shell.environment |= {"FMSH_LISTEN": "127.0.0.1:0"}  # the port that was kept may be another's here
    for limit in (OUTPUT, HISTORY, EVENTS):
        shell.ok("config", "set", limit, "36500d")  # what a golden store holds is old from its second month on
    return shell


def endings(golden: Path, place: Path, documents: dict[str, Any]) -> dict[str, Any]:
    """Brings all jobs of a copy to their ends; gives of each how it ended and what it displayed."""
    place.mkdir(parents=True)
    shell = open_copy(golden, place)
    try:
        shell.ok("daemon", "start")
        listen = shell.daemon_status()["listen"]
        for story in STORIES:
            advance(shell, story.name, story.advance, documents[story.name], listen)
        return {name: ending(shell, document["show"]["id"]) for name, document in documents.items()}
    finally:
        shell.end()


def advance(shell: Shell, name: str, how: str, document: dict[str, Any], listen: str) -> None:
    number = document["show"]["id"]
    if how == "callback":
        (token,) = tokens(document["log"])
        for word in (SAID, SAID + " again") if "many" in name else (SAID,):
            call(f"http://{listen}/cb/{token}", word)
    elif how == "answer":
        shell.await_state(number, "parked")
        shell.ok("jobs", "answer", str(number), PROCESS_OUTCOME)
    elif how:
        shell.ok("jobs", how, str(number))


def ending(shell: Shell, number: int) -> dict[str, Any]:
    until(lambda: shell.job(number)["state"] in ENDED, f"the end of job {number}")
    job = shell.job(number)
    return {
        "job": {name: value for name, value in job.items() if name not in CHANGING},
        "displayed": "".join(
            chunk["text"] for chunk in json.loads(shell.run("jobs", "output", str(number), "--json").out)
        ),
    }


def call(url: str, said: str) -> None:
    body = json.dumps({"said": said}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 202


def delivery(said: str) -> str:
    return json.dumps({"method": "POST", "headers": {}, "query": {}, "body": {"said": said}})


def tokens(log: list[dict[str, Any]]) -> list[str]:
    """The tokens of the callback addresses that a job has opened, as its history shows them."""
    found = []
    for event in log:
        text = json.dumps(event["data"])
        if event["type"] == "RequestCompleted" and "/cb/" in text:
            found.append(text.partition("/cb/")[2].partition('"')[0])
    return found


def hash_of(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
