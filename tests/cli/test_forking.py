"""`fmsh jobs fork`: a new job on the recorded answers of another, which does the rest itself and owns only that."""

from __future__ import annotations

import json
import os
import signal
from typing import Any

from tests.cli.crew import Crew
from tests.cli.shell import Shell

DEPLOY = """\
let a = sh -c 'echo one >> log; echo 1'
undo { sh -c 'echo undo-one >> log' }
let at = now
let b = sh -c "echo two $a >> log; echo 2"
parallel { sh -c 'echo left >> log' } { sh -c 'echo right >> log; echo right' }
undo { sh -c 'echo undo-three >> log' }
let c = sh -c "echo three $b >> log; exit 1"
echo "never $at $c"
"""


def seq_of(shell: Shell, number: int, type_name: str, step: int) -> int:
    """The event of a step."""
    events = shell.json("jobs", "log", str(number))
    return int(next(event["seq"] for event in events if event["type"] == type_name and event["step"] == step))


def ended(shell: Shell, *arguments: str) -> Any:
    """A job that is forked, once it has ended."""
    number = shell.json("jobs", "fork", *arguments)["id"]
    shell.run("jobs", "wait", str(number))
    return shell.job(number)


def log(shell: Shell) -> list[str]:
    """What was done since the last time."""
    text = shell.file("log") or ""
    (shell.directory / "log").unlink(missing_ok=True)
    return text.split("\n")[:-1]


def test_a_fork_reuses_what_is_recorded_and_undoes_only_its_own(shell: Shell) -> None:
    shell.run("-d", shell.script(DEPLOY))
    assert shell.run("jobs", "wait", "1").status == 1
    assert sorted(log(shell)) == sorted(["one", "two 1", "left", "right", "three 2", "undo-three", "undo-one"])
    at = str(seq_of(shell, 1, "RequestCompleted", 2))
    planned = shell.run("jobs", "fork", "1", "--at", at, "--plan")
    assert planned.status == 0 and planned.out == "" and log(shell) == []
    assert "2 steps with recorded answers" in planned.err and "sh -c echo left >> log" in planned.err
    forked = shell.run("jobs", "fork", "1", "--at", at)
    assert forked.out == "2\n" and forked.err == planned.err
    assert shell.run("jobs", "wait", "2").status == 1
    assert log(shell)[2:] == ["three 2", "undo-three"]
    job = shell.job(2)
    assert job["detached"] and job["uid"] != shell.job(1)["uid"] and "fork of 1 at" in job["command"]
    assert "took it over" not in shell.ok("jobs", "why", "2")
    values = [shell.json("jobs", "inspect", number)["variables"]["at"] for number in "12"]
    assert values[0] == values[1], "an observation was not reused"

    both = max(seq_of(shell, 2, "RequestCompleted", step) for step in (3, 4))
    again = ended(shell, "2", "--at", str(both))
    assert (again["id"], again["state"], again["steps"]) == (3, "failed", 6)
    assert again["command"].endswith(f" (fork of 2 at {both})") and again["command"].count("fork of") == 1
    assert log(shell) == ["three 2", "undo-three"], "a fork of a fork did more, or less"


def test_new_code_takes_the_answers_that_it_asks_for_until_the_first_that_is_missing(shell: Shell) -> None:
    shell.run("-d", shell.script(DEPLOY))
    shell.run("jobs", "wait", "1")
    log(shell)
    head = str(shell.job(1)["events"])
    shell.script(DEPLOY.replace("exit 1", "echo 3").replace("let at", "let other = [1]\nlet at"), "new.fmsh")
    job = ended(shell, "1", "--at", head, "--edit", "new.fmsh")
    assert job["state"] == "succeeded" and job["source"] == "new.fmsh" and log(shell) == ["three 2"]
    assert shell.ok("jobs", "output", str(job["id"])).endswith(" 3\n")
    shell.script(DEPLOY.replace("two", "zwei").replace("exit 1", "echo 3"), "other.fmsh")
    planned = shell.json("jobs", "fork", "1", "--at", head, "--edit", "other.fmsh", "--plan")
    assert [step["step"] for step in planned["reused"]] == [1] and planned["missed"] == 2
    result = shell.run("jobs", "fork", "1", "--at", head, "--edit", shell.script("let x =\n", "bad.fmsh"))
    assert result.status == 2 and result.out == "" and "bad.fmsh:1" in result.err and shell.job("last")["id"] == 2


def test_a_fork_that_is_killed_goes_on_without_what_it_does_not_own(shell: Shell) -> None:
    steps = [f"undo {{ sh -c 'echo undo-{name} >> log' }}\nsh -c 'echo {name} >> log'\n" for name in ("one", "two")]
    shell.run("-d", shell.script("".join(steps) + "sleep 500w\n"))
    shell.await_state(1, "waiting")
    shell.ok("jobs", "fork", "1", "--at", str(seq_of(shell, 1, "RequestCompleted", 1)))
    shell.await_state(2, "waiting")
    os.kill(shell.daemon_status()["pid"], signal.SIGKILL)
    shell.ok("daemon", "start")
    shell.ok("jobs", "cancel", "2")
    assert shell.run("jobs", "wait", "2").status == 130
    assert log(shell) == ["one", "two", "two", "undo-two"]
    assert shell.job(1)["state"] == "waiting"


def test_an_address_that_was_not_called_is_a_new_one_in_the_fork(shell: Shell) -> None:
    shell.run("-d", shell.script("sh -c 'echo one >> log'\nlet h = callback\nsh -c 'echo two >> log'\nawait $h\n"))
    shell.await_state(1, "waiting")
    shell.ok("jobs", "fork", "1", "--at", str(shell.job(1)["events"]))
    shell.await_state(2, "waiting")
    urls = {shell.json("jobs", "inspect", number)["variables"]["h"]["url"] for number in "12"}
    assert len(urls) == 2 and log(shell) == ["one", "two", "two"]


def test_what_cannot_be_forked_says_why(crew: Crew) -> None:
    head = crew.shell.job(1)["events"]
    for seq in (0, head + 1):
        assert crew.run("fork", "waiting", "--at", str(seq)) == 1
        assert f"it can be forked from event 1 on, up to {head}" in crew.screen.err
    assert crew.run("fork", "waiting") == 2 and "--at" in crew.screen.err
    assert crew.run("fork", "damaged", "--at", "3") == 1 and "is not what was written" in crew.screen.err
    assert crew.run("fork", "nobody", "--at", "3") == 1 and "there is no job" in crew.screen.err
    assert crew.run("fork", "waiting", "--at", "2", "--edit", "/nowhere") == 2
    before = [job["uid"] for job in crew.json("list", "--all")]
    for name in ("waiting", "branches", "running", "paused", "parked", "succeeded", "failed", "cancelled"):
        events = crew.json("log", name)
        plan = crew.json("fork", name, "--at", str(len(events)), "--plan")
        done = [event["step"] for event in events if event["type"] == "RequestCompleted" and name != "cancelled"]
        assert [step["step"] for step in plan["reused"]] == done
        assert plan["ends"] == (name in ("succeeded", "failed"))
    assert [job["uid"] for job in crew.json("list", "--all")] == before


STREAM = """\
let read = sh -c 'echo read >> log; echo a; echo b; echo c' | lines | where { $it != b } | count
sh -c 'echo begun >> log; echo a; echo b' | each { sh -c "echo did $it >> log" }
sh -c 'echo last >> log; exit 1'
echo "never $read"
"""


def test_a_fork_reuses_a_stream_that_was_read_to_its_end(shell: Shell) -> None:
    shell.run("-d", shell.script(STREAM))
    assert shell.run("jobs", "wait", "1").status == 1
    assert log(shell) == ["read", "begun", "did a", "did b", "last"]
    last = max(event["step"] for event in shell.json("jobs", "log", "1") if event["step"])
    again = ended(shell, "1", "--at", str(seq_of(shell, 1, "RequestMade", last)))
    assert (again["state"], log(shell)) == ("failed", ["last"])
    assert ended(shell, str(again["id"]), "--at", str(again["events"]))["state"] == "failed" and log(shell) == []


def test_a_fork_in_the_middle_of_a_stream_reads_it_anew(shell: Shell) -> None:
    shell.run("-d", shell.script(STREAM))
    shell.run("jobs", "wait", "1")
    log(shell)
    did = [event["seq"] for event in shell.json("jobs", "log", "1") if event["type"] == "RequestCompleted"]
    planned = shell.run("jobs", "fork", "1", "--at", str(did[1]), "--plan")
    assert "1 step with recorded answers" in planned.err, planned
    assert ended(shell, "1", "--at", str(did[1]))["state"] == "failed"
    assert log(shell) == ["begun", "did a", "did b", "last"]


def test_what_edited_stages_make_of_an_output_is_not_taken_from_the_old_ones(shell: Shell) -> None:
    shell.run("-d", shell.script(STREAM))
    shell.run("jobs", "wait", "1")
    log(shell)
    edited = STREAM.replace("!= b", "== b").replace("exit 1", "exit 0")
    forked = ended(shell, "1", "--at", str(shell.job(1)["events"]), "--edit", shell.script(edited, "edited.fmsh"))
    assert forked["state"] == "succeeded" and log(shell) == ["read", "begun", "did a", "did b", "last"]
    assert shell.ok("jobs", "output", str(forked["id"])).endswith("never 1\n")
    edited = STREAM.replace("exit 1", "exit 0")
    forked = ended(shell, "1", "--at", str(shell.job(1)["events"]), "--edit", shell.script(edited, "edited.fmsh"))
    assert forked["state"] == "succeeded" and log(shell) == ["last"]


def test_what_stages_made_is_not_taken_where_a_variable_in_them_is_another(shell: Shell) -> None:
    text = "let n = 1\nseq 3 | lines | where { ($it | int) > $n } | count | print\nfail end\n"
    shell.run("-d", shell.script(text))
    shell.run("jobs", "wait", "1")
    for number, shown, reused in ((2, "1", 0), (1, "2", 1)):
        edited = shell.script(text.replace("= 1", f"= {number}"), "edited.fmsh")
        told = shell.run("jobs", "fork", "1", "--at", str(shell.job(1)["events"]), "--edit", edited, "--json")
        fork = json.loads(told.out)
        assert len(fork["fork"]["reused"]) == reused, told
        shell.run("jobs", "wait", str(fork["id"]))
        assert shell.run("jobs", "output", str(fork["id"])).out == shown + "\n"
