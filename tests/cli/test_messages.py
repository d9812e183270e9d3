"""Questions to a person and signals between jobs, in real processes."""

from __future__ import annotations

import pexpect
import pytest

from tests.cli.shell import Shell, until


def test_questions_are_answered_from_elsewhere_and_by_time(shell: Shell) -> None:
    program = """
print (ask "Where to?" --choices [staging, 2])
print (confirm "Sure?")
print (ask "How many?" --type int --default 5 --timeout 1ms)
print (ask "What?")
try { ask "Anybody?" --timeout 1ms } catch e { print $e.kind }
"""
    shell.ok("-d", shell.script(program))
    asked = ask_of(shell)
    assert (asked["label"], asked["choices"], asked["where"]["line"]) == ("Where to?", ["staging", 2], 2)
    refused = shell.run("jobs", "answer", "1", "moon")
    assert refused.status == 1 and "job 1 asks 'Where to?': the answer is one of staging, 2, not 'moon'" in refused.err
    shell.ok("jobs", "answer", "1", "2")
    until(lambda: ask_of(shell)["label"] == "Sure?")
    assert "yes or no" in shell.run("jobs", "answer", "1", "5").err
    shell.ok("jobs", "answer", "1", "no")
    until(lambda: ask_of(shell)["label"] == "What?")
    shell.ok("jobs", "answer", "1", '{"a": [1]}')
    shell.ok("jobs", "wait", "1")
    assert shell.ok("jobs", "output", "1") == '2\nfalse\n5\n{"a":[1]}\ntimeout\n'
    assert "has ended already" in shell.run("jobs", "answer", "1", "x").err


def ask_of(shell: Shell) -> dict[str, object]:
    waits = until(lambda: shell.job(1)["waiting_for"] or shell.job(1)["state"] == "succeeded")
    return next((wait for wait in waits if wait["kind"] == "person"), {"label": None})


def test_at_a_terminal_the_answer_is_typed(shell: Shell) -> None:
    child = shell.terminal(
        "-c", 'let n = ask "How many?" --type int; print ($n + 1); print (confirm "Go?" --default true)'
    )
    child.expect_exact("How many? (int) ")
    child.sendline("many")
    child.expect_exact("the answer is an int, not a string")
    child.expect_exact("How many? (int) ")
    child.sendline("41")
    child.expect_exact("42")
    child.expect_exact("Go? (y / n) [true] ")
    child.sendline("")
    child.expect_exact("true")
    child.wait()
    assert child.exitstatus == 0


def test_a_question_that_is_answered_elsewhere_is_taken_back(shell: Shell) -> None:
    child = shell.terminal("-c", 'let name = ask "Name?"; sleep 50ms; print got $name')
    child.expect_exact("Name? ")
    shell.ok("jobs", "answer", "last", "Ada")
    child.expect_exact("answered elsewhere")
    child.expect_exact("got Ada")
    child.wait()
    assert child.exitstatus == 0


def test_who_ends_the_input_at_a_question_is_asked_no_more(shell: Shell) -> None:
    child = shell.terminal("-c", 'let name = ask "Who?"; print "got $name"')
    child.expect_exact("Who? ")
    child.sendcontrol("d")
    child.expect_exact("answer later with `fmsh jobs answer 1 VALUE`")
    shell.ok("jobs", "answer", "1", "Ada")
    child.expect(pexpect.EOF)
    assert "Who?" not in child.before and "got Ada" in child.before
    child.wait()
    assert child.exitstatus == 0


def test_a_job_that_is_attached_asks_there_and_the_first_answer_counts(shell: Shell) -> None:
    shell.ok("-d", "-c", 'let n = ask "How many?" --type int; print ($n + 1); print (ask "Who?"); fail no')
    first, second = (shell.terminal("jobs", "attach", "1") for _ in range(2))
    prompt = shell.terminal()
    prompt.sendline("fg 1")
    for terminal in (first, second, prompt):
        terminal.expect_exact("How many? (int) ")
    first.sendline("many")
    first.expect_exact("the answer is an int, not a string")
    second.sendline("41")
    for terminal in (first, prompt):
        terminal.expect_exact("(answered elsewhere, or too late)")
    for terminal in (first, second, prompt):
        terminal.expect_exact("42")
        terminal.expect_exact("Who? ")
    first.sendcontrol("d")
    first.expect_exact("answer later with `fmsh jobs answer 1 VALUE`")
    prompt.sendline("Ada")
    for terminal in (first, second, prompt):
        terminal.expect_exact("Ada")
    for terminal in (first, second):
        terminal.expect(pexpect.EOF)
        terminal.close()
        assert terminal.exitstatus == 1
    taken = [event["data"]["data"] for event in shell.json("jobs", "log", "1") if event["type"] == "InboxTaken"]
    assert [each["value"] for each in taken] == [41, "Ada"]


def test_two_answers_to_one_question_are_not_taken_for_the_next(shell: Shell) -> None:
    """Nobody runs the job meanwhile, so that it still asks the first when the second answer comes."""
    shell.ok("-d", "-c", "print (ask first); print (ask second)")
    until(lambda: ask_of(shell)["label"] == "first")
    shell.ok("daemon", "stop")
    alone = {"FMSH_NO_DAEMON": "1"}
    assert shell.run("jobs", "answer", "1", "a", **alone).status == 0
    again = shell.run("jobs", "answer", "1", "b", **alone)
    assert again.status == 1 and "is answered already" in again.err
    shell.ok("daemon", "start")
    until(lambda: ask_of(shell)["label"] == "second")
    attached = shell.start("jobs", "attach", "1")
    assert attached.stderr is not None
    assert attached.stderr.readline() == "job 1 asks: second  (answer with `fmsh jobs answer 1 VALUE`)\n"
    shell.ok("jobs", "answer", "1", "b")
    assert attached.communicate(timeout=30)[0] == "a\nb\n"


def test_without_a_terminal_the_user_is_told_how_to_answer(shell: Shell) -> None:
    process = shell.start("-c", 'print (ask "Name?")')
    assert process.stderr is not None
    assert process.stderr.readline() == "job 1 asks: Name?  (answer with `fmsh jobs answer 1 VALUE`)\n"
    shell.ok("jobs", "answer", "1", "Ada")
    assert process.communicate(timeout=30) == ("Ada\n", "")


@pytest.mark.parametrize("options", ["--type odd", "--choices []"])
def test_a_question_that_nobody_could_answer_is_an_error(shell: Shell, options: str) -> None:
    result = shell.run("-c", f'ask "?" {options}')
    assert result.status == 1 and options.split()[0] in result.err


def test_signals_come_by_number_key_and_name_also_before_they_are_looked_for(shell: Shell) -> None:
    text = "sleep 1ms; for m in (inbox go) { if $m == stop { break }; print $m }; print (await (inbox other))"
    shell.ok("-d", "--name", "n", "--key", "k", "-c", text)
    shell.ok("jobs", "signal", "1", "other", "last")
    shell.ok("jobs", "signal", "n", "go", '"1"')
    shell.ok("-c", "signal k go two; signal n go three; signal 1 go stop")
    shell.ok("jobs", "wait", "1")
    assert shell.ok("jobs", "output", "1") == "1\ntwo\nthree\nlast\n"
    for job, message in (("1", "is over"), ("77", "no active job has"), ("n", "no active job has")):
        result = shell.run("-c", f"signal {job} go")
        assert result.status == 1 and message in result.err, result
    assert shell.run("jobs", "signal", "1", "go").status == 1
