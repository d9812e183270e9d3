"""Every verb on jobs of every state: what cannot be done says what, why and what to do, and changes nothing."""

from __future__ import annotations

import contextlib
import json

import pytest

from tests.cli.crew import Crew
from tests.cli.shell import Shell, until

OVER = {"succeeded": "has ended already", "failed": "has ended already", "cancelled": "has ended already"}
DAMAGED = {"damaged": "event 2 of job 9 is not what was written"}
RESTLESS = "does not come to rest"
NOBODY = {"99": "there is no job 99", "%99": "there is no job 99", "nobody": "no job with the key or name 'nobody'"}
REFUSED = {
    "show": DAMAGED,
    "log": DAMAGED,
    "output": DAMAGED,
    "attach": DAMAGED,
    "wait": DAMAGED,
    "inspect": DAMAGED,
    "why": DAMAGED,
    "trace": DAMAGED,
    "script": {},
    "export": DAMAGED | {"running": RESTLESS},
    "fork --at 2": DAMAGED,
    "pause": OVER,
    "cancel": OVER,
    "resume": OVER | dict.fromkeys(["waiting", "running", "parked"], "is not paused: it is"),
    "retry": dict.fromkeys(OVER, "fmsh jobs fork")
    | {"waiting": "is not parked: it is waiting", "running": "is not parked", "paused": "fmsh jobs resume 4"},
    "answer": OVER | dict.fromkeys(["waiting", "running", "paused"], "asks nothing: it is"),
    "signal": OVER,
    "rm": dict.fromkeys(["waiting", "running", "paused", "parked", "damaged"], "only ended jobs can be removed"),
}  # fmt: skip
LATER = {"answer": ["1"], "signal": ["news"]}
GIVES_IN_PART = {"show", "log", "wait", "why"}  # what is known of a damaged job


@pytest.mark.parametrize("verb", REFUSED)
def test_what_cannot_be_done_says_why_and_what_to_do(crew: Crew, verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = states(crew)
    name, *words = verb.split()
    for job, said in (REFUSED[verb] | NOBODY).items():
        if said == RESTLESS:
            monkeypatch.setattr("fmsh.jobs.exporting.PATIENCE_S", 0.05)
        for options in ([], ["--json"] if name != "export" else []):
            assert crew.run(name, job, *LATER.get(name, []), *words, *options) == 1, (verb, job)
            assert crew.screen.err.startswith("fmsh: ") and said in crew.screen.err, (verb, job, crew.screen.err)
            is_document = bool(options) and crew.screen.out != ""
            assert not is_document or json.loads(crew.screen.out) is not None
            assert crew.screen.out == "" or is_document or name in GIVES_IN_PART, (verb, job, crew.screen.out)
    assert states(crew) == before


def states(crew: Crew) -> dict[int, str]:
    return {job["id"]: job["state"] for job in crew.json("list", "--all")}


def test_a_job_that_is_being_paused_can_be_resumed(shell: Shell) -> None:
    shell.ok("-d", "-c", "sleep 1h")
    for _ in range(3):
        shell.ok("jobs", "pause", "1")
        shell.ok("jobs", "resume", "1")

    def told() -> list[str]:
        return [event["type"] for event in shell.json("jobs", "log", "1") if event["type"] in ("Paused", "Resumed")]

    until(lambda: told() == ["Paused", "Resumed"] * 3, "it went on")
    shell.await_state(1, "waiting")


def test_a_wait_is_called_by_what_the_program_calls_it(crew: Crew) -> None:
    number = crew.shell.ok("-d", "-c", "let hook = callback; within 2h { await $hook }").strip()
    crew.shell.await_state(int(number), "waiting")
    (wait,) = crew.json("show", number)["waiting_for"]
    assert (wait["kind"], wait["label"]) == ("callback", "hook")
    until(lambda: crew.json("show", number)["owner"] is None, "the daemon lets go of a job that only waits")
    assert crew.json("show", number)["waiting_for"][0]["since"] == crew.json("log", number)[-1]["at"]
    assert "  waits for   callback hook until " in crew.ok("show", number)
    assert "waits for callback hook\n" in crew.ok("inspect", number)
    crew.shell.ok("jobs", "cancel", number)
    assert "sleep until" in crew.ok("show", "waiting") and "timer" not in crew.screen.out


def test_a_job_that_is_parked_at_no_step_is_told_what_it_can_do(crew: Crew) -> None:
    number = crew.shell.ok("--hold", "-d", "-c", "fail boom").strip()
    crew.shell.await_state(int(number), "parked")
    for verb in (["show"], ["why"], ["wait", "--timeout", "0"]):
        crew.run(verb[0], number, *verb[1:])
        said = crew.screen.out + crew.screen.err
        assert f"fmsh jobs retry {number}" in said and "answer" not in said, said
    assert crew.run("answer", number, "1") == 1 and "not at a step" in crew.screen.err
    assert "fmsh jobs answer" in crew.ok("show", "parked") and "fmsh jobs answer" in crew.ok("why", "parked")
    crew.shell.ok("jobs", "cancel", number)


def test_what_jobs_leave_in_the_state_directory_is_for_its_owner_only(crew: Crew) -> None:
    modes: dict[int, set[str]] = {}
    for path in [crew.shell.state, *crew.shell.state.rglob("*")]:
        with contextlib.suppress(FileNotFoundError):  # a daemon is at work
            modes.setdefault(path.stat().st_mode & 0o777, set()).add(path.name)
    assert modes.keys() == {0o600, 0o700}, modes
