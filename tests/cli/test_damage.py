"""One job's damage is its own: it is parked with a report, everybody says so, and all other jobs go on."""

from __future__ import annotations

import json

from tests.cli.crew import Crew
from tests.cli.damaging import change, damage
from tests.cli.shell import TIMEOUT_S, Shell

ALONE = {"FMSH_NO_DAEMON": "1"}


def test_a_damaged_job_is_parked_with_a_report_while_the_daemon_runs_the_others(shell: Shell) -> None:
    for number in (1, 2):
        shell.ok("-d", "-c", f"undo {{ sh -c 'echo > undone{number}' }}; sh -c 'echo a'; sleep 1h")
        shell.await_state(number, "waiting")
    shell.ok("daemon", "stop")
    damage(shell, 1)
    change(shell, "UPDATE job SET due_at_ms = 0, wake_at_ms = 0")
    shell.ok("daemon", "start")
    parked = shell.await_state_whatever_it_says(1, "parked")
    said = "event 2 of job 1 is not what was written"
    assert (parked["error"]["kind"], parked["error"]["message"]) == ("corrupt", said)
    shell.ok("jobs", "cancel", "2")
    assert shell.run("jobs", "wait", "2").status == 130 and shell.file("undone2") == "\n"
    for verb in ("show", "log", "attach", "wait", "output"):
        result = shell.run("jobs", verb, "1")
        assert result.status == 1 and said in result.err and "fmsh doctor" in result.err, result
    assert [event["seq"] for event in json.loads(shell.run("jobs", "log", "1", "--json").out)] == [1]
    listed = shell.run("jobs")
    assert listed.status == 0 and f"job 1 is damaged: {said}" in listed.err
    assert "job 1 is damaged" in shell.run("doctor").out
    for verb in (["retry"], ["pause"], ["answer"], ["signal", "news"]):
        result = shell.run("jobs", verb[0], "1", *verb[1:])
        assert result.status == 1 and said in result.err, result
    shell.ok("jobs", "cancel", "1")
    (ended,) = json.loads(shell.run("jobs", "wait", "1", "--json").out)
    assert (ended["state"], ended["exit_status"]) == ("cancelled", 130)
    assert "without its defer and undo" in ended["error"]["message"]
    assert shell.file("undone1") is None
    shell.ok("jobs", "rm", "1")
    assert shell.run("doctor").status == 0


def test_an_ended_job_with_a_damaged_outcome_gives_no_outcome(shell: Shell) -> None:
    for number in (1, 2):
        shell.ok("--key", f"k{number}", "-c", "echo a; 7", **ALONE)
    change(shell, "UPDATE job SET value_json = '8' WHERE id = 1")
    said = "the outcome of job 1 is not what was written"
    for words in (["jobs", "show", "1"], ["jobs", "wait", "1"], ["jobs", "attach", "1"], ["--key", "k1", "-c", "1"]):
        result = shell.run(*words, **ALONE)
        assert (result.status, result.out) == (1, "") and said in result.err, result
    sound, damaged = json.loads(shell.run("jobs", "list", "--json").out)
    assert (sound["value"], sound["error"]) == (7, None)
    assert (damaged["value"], damaged["error"]["message"]) == (None, said)
    shell.ok("jobs", "rm", "1")
    assert shell.ok("--key", "k2", "--json", "-c", "1", **ALONE).endswith("7\n")


def test_a_row_that_is_damaged_keeps_nobody_from_their_jobs_and_can_be_given_up(shell: Shell) -> None:
    for _ in range(2):
        shell.ok("-d", "-c", "sleep 1h")
    shell.await_state(2, "waiting")
    shell.ok("daemon", "stop")
    change(shell, "UPDATE job SET key = 'changed', due_at_ms = 0, wake_at_ms = 0 WHERE id = 1")
    shell.ok("daemon", "start")
    shell.await_state_whatever_it_says(1, "parked")
    shell.ok("jobs", "cancel", "1", "2")
    assert shell.run("jobs", "wait", "1", "2").status == 130


def test_who_waits_for_a_job_learns_of_damage_to_it_that_nobody_else_reads(crew: Crew) -> None:
    number = int(crew.shell.ok("-d", "-c", "print here; sh -c true; sleep 500w"))
    crew.shell.await_state(number, "waiting")
    verbs = (["wait"], ["wait", "--json"], ["attach"], ["log", "-f"])
    following = [crew.shell.start("jobs", *verb, str(number)) for verb in verbs]
    for process in following[2:]:  # these have read it when they show what there is
        assert process.stdout is not None and process.stdout.readline()
    damage(crew.shell, number)
    said = f"event 2 of job {number} is not what was written"
    for process in following:
        out, err = process.communicate(timeout=TIMEOUT_S)
        assert process.returncode == 1 and said in err and "fmsh doctor" in err, (out, err)
    assert crew.run("wait", str(number), "--json") == 1
    (document,) = json.loads(crew.screen.out)
    assert (document["error"]["kind"], document["error"]["message"]) == ("corrupt", said)
    crew.shell.ok("jobs", "cancel", str(number))
