"""Locks and limits between jobs in real processes, with holders that are killed, paused and cancelled."""

from __future__ import annotations

import os
import signal
from typing import Any

from tests.cli.shell import Shell, until

WORK = """
param name: string
lock deploy {
  sh -c '''mkdir inside || exit 1; trap "rmdir inside; exit 1" TERM; echo "$0" >> order
    while ! test -f "go-$0"; do sleep 0.02; done; rmdir inside''' $name
}
"""


def begin(shell: Shell, name: str) -> int:
    return int(shell.ok("-d", shell.script(WORK, "work.fmsh"), name))


def waits_for(shell: Shell, number: int) -> dict[str, Any]:
    waits = until(lambda: [wait for wait in shell.job(number)["waiting_for"] if wait["kind"] in ("lock", "limit")])
    found: dict[str, Any] = waits[0]
    return found


def test_jobs_take_turns_in_their_order_and_who_waits_says_for_whom(shell: Shell) -> None:
    first = begin(shell, "a")
    shell.await_file("order")
    second = begin(shell, "b")
    assert waits_for(shell, second)["held_by"] == [first]
    third = begin(shell, "c")
    found = waits_for(shell, third)
    assert (found["label"], found["held_by"], found["behind"]) == ("deploy", [first], [second])
    assert f"waits for lock deploy (job {first} has it, and 1 other waits before it)" in _words(
        shell.ok("jobs", "show", str(third))
    )
    why = f"Job {third} waits for the lock deploy, while job {first} has it, and 1 other waits before it"
    assert why in _words(shell.ok("jobs", "why", str(third)))
    for number, name in ((first, "a"), (second, "b"), (third, "c")):
        (shell.directory / f"go-{name}").touch()
        shell.await_state(number, "succeeded")
    assert shell.file("order") == "a\nb\nc\n" and not (shell.directory / "inside").exists()
    assert "lock deploy" in shell.ok("jobs", "show", str(first))


def _words(text: str) -> str:
    return " ".join(text.split())


def test_a_holder_that_is_killed_is_taken_over_and_still_holds(shell: Shell) -> None:
    process = shell.start(shell.script(WORK, "work.fmsh"), "a")
    shell.await_file("order")
    second = begin(shell, "b")
    waits_for(shell, second)
    process.send_signal(signal.SIGKILL)
    process.wait()
    until(lambda: (shell.job(1)["owner"] or {}).get("kind") == "daemon")
    os.kill(shell.daemon_status()["pid"], signal.SIGKILL)
    shell.ok("daemon", "start")
    assert waits_for(shell, second)["held_by"] == [1] and shell.file("order") == "a\n"
    (shell.directory / "go-a").touch()
    shell.await_state(1, "succeeded")
    (shell.directory / "go-b").touch()
    shell.await_state(second, "succeeded")
    assert shell.file("order") == "a\nb\n"


def test_a_paused_holder_keeps_it_and_a_cancelled_job_gives_it_back(shell: Shell) -> None:
    first = begin(shell, "a")
    shell.await_file("order")
    second, third = begin(shell, "b"), begin(shell, "c")
    waits_for(shell, third)
    shell.ok("jobs", "pause", str(first))
    shell.await_state(first, "paused")
    assert f"while job {first}, which is paused, has it" in _words(shell.ok("jobs", "why", str(second)))
    shell.ok("jobs", "cancel", str(second))
    shell.await_state(second, "cancelled")
    assert waits_for(shell, third)["behind"] == []
    shell.ok("jobs", "cancel", str(first))
    shell.await_state(first, "cancelled")
    (shell.directory / "go-c").touch()
    shell.await_state(third, "succeeded")
    assert shell.file("order") == "a\nc\n"


def test_jobs_that_would_wait_for_one_another_for_ever_are_told(shell: Shell) -> None:
    script = shell.script(
        """
param one: string
param two: string
lock $one {
  let ready = subscribe both
  await $ready
  lock $two { print $one }
}
"""
    )
    first, second = (int(shell.ok("-d", script, *names)) for names in (("x", "y"), ("y", "x")))
    for number in (first, second):
        until(lambda number=number: any(wait["kind"] == "topic" for wait in shell.job(number)["waiting_for"]))
    shell.ok("publish", "both")
    states = {number: shell.await_state(number, "succeeded", "failed") for number in (first, second)}
    failed = next(number for number, job in states.items() if job["state"] == "failed")
    assert sorted(job["state"] for job in states.values()) == ["failed", "succeeded"]
    message = states[failed]["error"]["message"]
    assert "would be to wait for ever" in message and f"job {first + second - failed} has lock" in message


def test_a_fork_from_within_a_block_asks_for_the_lock_itself(shell: Shell) -> None:
    shell.ok("-c", 'lock a { sh -c "echo done >> log" }; lock b { sh -c "echo second >> log" }; sh -c "exit 3" || 5')
    events = shell.json("jobs", "log", "1")
    seqs = [event["seq"] for event in events if event["type"] == "RequestCompleted"]
    holder = int(shell.ok("-d", shell.script("lock b { await (inbox go) }")))
    until(lambda: any(wait["kind"] == "inbox" for wait in shell.job(holder)["waiting_for"]))
    fork = int(shell.ok("jobs", "fork", "1", "--at", str(seqs[2])))  # the lock b was granted to the first
    assert waits_for(shell, fork)["held_by"] == [holder]
    shell.ok("jobs", "signal", str(holder), "go")
    shell.await_state(fork, "succeeded")
    assert shell.file("log") == "done\nsecond\nsecond\n"
