"""`--hold`: where nothing catches an error, the job parks before anything unwinds, and a person says how it goes on."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from tests.cli.shell import Shell, until

SCRIPT = """
undo { sh -c 'echo undone >> log' }
defer { sh -c 'echo deferred >> log' }
let caught = sh -c 'exit 4' || 'caught'
let x = sh -c 'echo try >> log; cat given'
sh -c 'echo "$0" >> log' "$caught $x"
"""


def parked(shell: Shell, number: int, message: str) -> Any:
    def found() -> Any:
        job = shell.job(number)
        return job["state"] == "parked" and message in job["error"]["message"]

    return until(found, f"job {number} to be parked: {message}")


def test_a_failed_step_is_done_again_or_answered_or_undone(shell: Shell) -> None:
    result = shell.run("--hold", shell.script(SCRIPT))
    assert result.status == 1 and "cat ended" not in result.err and "job 1 is parked and needs you" in result.err, (
        result
    )
    parked(shell, 1, "sh ended with status 1")
    assert shell.file("log") == "try\n", "nothing was unwound"
    why = " ".join(shell.ok("jobs", "why", "1").split())
    assert "its outcome fails the program, and nothing was undone yet" in why
    assert "script.fmsh:5:9" in shell.ok("jobs", "inspect", "1")
    shell.ok("jobs", "retry", "1")
    until(lambda: shell.file("log") == "try\ntry\n")
    parked(shell, 1, "sh ended with status 1")
    (shell.directory / "given").write_text("mended\n")
    shell.ok("jobs", "retry", "1")
    shell.await_state(1, "succeeded")
    assert shell.file("log") == "try\ntry\ntry\ncaught mended\ndeferred\n"


def test_a_person_says_what_a_failed_step_came_to_also_after_its_daemon_was_killed(shell: Shell) -> None:
    shell.ok("-d", "--hold", shell.script(SCRIPT))
    parked(shell, 1, "sh ended with status 1")
    os.kill(shell.daemon_status()["pid"], signal.SIGKILL)
    shell.ok("daemon", "start")
    shell.ok("jobs", "answer", "1", "said")
    shell.await_state(1, "succeeded")
    assert shell.file("log") == "try\ncaught said\ndeferred\n"


def test_a_held_job_that_is_cancelled_cleans_up(shell: Shell) -> None:
    shell.ok("-d", "--hold", shell.script(SCRIPT))
    parked(shell, 1, "sh ended with status 1")
    shell.ok("jobs", "cancel", "1")
    shell.await_state(1, "cancelled")
    assert shell.file("log") == "try\ndeferred\nundone\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('fail "by hand"', "by hand"),
        ("let xs = [1]; print $xs[3]", "no item [3]"),
        ("def f(n) { parallel { sleep 1h } { $n.missing } }; f {a: 1}", "missing"),
        ("within 10ms { defer { print x }; sleep 1h }", "not done within 10ms"),
        ("race { fail one } { fail two }", "one"),
        ("try { fail first } catch e { fail second }", "second"),
        ("let t = spawn { fail inside }; sleep 1h", "inside"),
    ],
)
def test_errors_of_all_kinds_are_held(shell: Shell, text: str, message: str) -> None:
    shell.run("--hold", "-c", text)
    parked(shell, 1, message)
    assert "not at a step whose outcome" in shell.run("jobs", "answer", "1", "5").err
    shell.ok("jobs", "cancel", "1")
    shell.await_state(1, "cancelled")


def test_what_has_no_error_ends_as_ever(shell: Shell) -> None:
    assert shell.run("--hold", "-c", "exit 3").status == 3
    assert (
        shell.run("--hold", "-c", "print (result { fail x }).ok; try { fail y } finally { print z } || print w").status
        == 0
    )


def test_who_has_to_undo_by_hand_is_told_only_of_what_is_possible(shell: Shell) -> None:
    result = shell.run("-c", 'undo { fail "no way back" }; fail "it broke"')
    assert result.status == 1 and "= failed undo: no way back (-c:1:8)" in result.err, result
    assert "= undone because: it broke (-c:1:30)" in result.err, result
    assert "end it by   `fmsh jobs cancel 1`, once it is undone by hand" in shell.ok("jobs", "show", "1")
    assert shell.run("jobs", "retry", "1").err.startswith("fmsh: job 1 is parked because its undo failed for good")
    shell.ok("jobs", "cancel", "1")
    shell.await_state(1, "failed")
