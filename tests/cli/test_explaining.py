"""`fmsh jobs why`: what each job waits for or ended with, what ran again and why, and what it needs."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from tests.cli.crew import Crew
from tests.cli.shell import Shell, until


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("waiting", ["waits for `sleep 500w` until", "at waiting.fmsh:5:3", "It goes on by itself then"]),
        ("branches", ["waits for `sleep 500w`", "It also waits for `sleep 501w`"]),
        ("running", ["is running in the daemon (process", "step 1, `sh -c exec sleep 600` (running.fmsh:2:1)"]),
        ("paused", ["is paused since", "step 1, `sleep 500w`", "`fmsh jobs resume 4` lets it go on"]),
        ("parked", ["it is not known how sh ended", "(parked.fmsh:2:8)", "`fmsh jobs answer 5 VALUE`"]),
        ("succeeded", ["succeeded after", "with 1 step, and gave {a: one}"]),
        ("failed", ["failed after", "at failed.fmsh:1:33 in `check`: too many: 3"]),
        ("cancelled", ["was cancelled at"]),
    ],
)  # fmt: skip
def test_every_state_has_its_reasons_and_what_it_needs(crew: Crew, name: str, said: list[str]) -> None:
    text = crew.ok("why", name)
    assert text.startswith(f"Job {crew.numbers[name]} ") and text.count("\n") == 1
    for part in said:
        assert part in text
    document = crew.json("why", name)
    assert document.keys() >= {"job", "text", "reasons"} and document["job"] == crew.numbers[name]
    assert document["text"] == " ".join(reason["text"] for reason in document["reasons"])
    assert "hush" not in text


def test_it_is_wrapped_where_lines_end(crew: Crew, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    lines = crew.ok("why", "parked").splitlines()
    assert len(lines) > 5 and all(len(line) <= 40 for line in lines)


def test_a_damaged_job_is_explained_as_far_as_that_goes(crew: Crew) -> None:
    assert crew.run("why", "damaged") == 1
    assert "its history is damaged (event 2 of job 9 is not what was written)" in crew.screen.out
    assert "fmsh jobs cancel 9" in crew.screen.out and "fmsh doctor" in crew.screen.err
    assert crew.run("why", "nobody") == 1 and crew.screen.out == ""


def of_kind(document: Any, kind: str) -> list[Any]:
    return [reason for reason in document["reasons"] if reason["kind"] == kind]


def test_tries_and_takeovers_are_told_with_their_reasons(shell: Shell) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/"
        shell.ok("daemon", "start")
        text = f"try {{ GET {url} --retry 1 }} catch e {{ }}\nsh -c 'echo > up; until [ -e go ]; do sleep 0.02; done'\n"
        killed = shell.start(shell.script(text + "sleep 500w\n"))
        until(lambda: shell.file("up"), "the command")
    killed.kill()
    until(lambda: of_kind(shell.json("jobs", "why", "1"), "handover"), "a takeover")
    (shell.directory / "go").touch()
    shell.await_state(1, "waiting")
    document = shell.json("jobs", "why", "1")
    (again,) = of_kind(document, "again")
    assert (again["step"], again["attempts"], again["where"]["line"]) == (1, 2, 1)
    assert f"Step 1, `GET {url}`" in again["text"] and "was tried 2 times (network: " in again["text"]
    (handover,) = of_kind(document, "handover")
    assert (handover["reason"], handover["owner"]) == ("takeover", "daemon")
    assert "took it over from a process that had died" in document["text"]
