"""`fmsh test`: programs on the recorded answers of jobs, and files of tests; its status, JSON and JUnit XML."""

from __future__ import annotations

import json
import os
import signal
from xml.etree import ElementTree

import pytest

from tests.cli.crew import FAILED, Crew
from tests.cli.shell import TIMEOUT_S, Shell


def histories(shell: Shell) -> list[tuple[int, str, int]]:
    """The jobs there are and how far each is; who holds one may change meanwhile."""
    return [(job["id"], job["state"], job["events"]) for job in shell.json("jobs", "list", "--all")]


def test_a_program_runs_on_the_answers_of_jobs_and_does_nothing(crew: Crew) -> None:
    shell = crew.shell
    jobs = histories(shell)
    names = ("succeeded", "failed", "waiting", "branches", "running", "paused", "parked", "cancelled")
    for name in names:
        result = shell.run("test", f"{name}.fmsh", "--with", name)
        assert result.status == 0 and result.out.endswith("1 passed, 0 failed\n"), result
    assert histories(shell) == jobs


def test_it_fails_where_the_program_differs_from_the_job(crew: Crew) -> None:
    shell = crew.shell
    shell.script(FAILED.replace("echo x", "echo y > done"), "changed.fmsh")
    result = shell.run("test", "changed.fmsh", "--with", "failed")
    assert result.status == 1 and shell.file("done") is None
    assert (
        "changed.fmsh:3:12  sh -c echo y > done: job 7 did not ask for this; next recorded is `sh -c echo x`"
        in result.out
    )
    shell.script(FAILED.replace("> 2", "> 9"), "better.fmsh")
    document = json.loads(shell.run("test", "better.fmsh", "--with", "failed", "--with", "7", "--json").out)
    assert (document["passed"], document["failed"]) == (0, 2)
    assert document["tests"][0]["message"] == "it succeeded, and job 7 failed"
    assert document["tests"][0].keys() >= {"file", "name", "outcome", "message", "seconds", "output"}
    shell.script("print nothing\n", "less.fmsh")
    result = shell.run("test", "less.fmsh", "--with", "succeeded")
    assert result.status == 0 and "not asked for: `sh -c echo one`" in result.out


def test_a_script_of_several_lines_runs_on_the_answers_of_all_of_them(shell: Shell) -> None:
    lines = [
        "seq 3 | lines | where { ($it | int) > 1 } | count | print",
        'for x in (seq 2 | lines) { sh -c "echo $x >> done" }',
        'seq 2 | each { sh -c "echo e$it >> done" }',
    ]
    for line in lines:
        shell.ok("-c", line)
    shell.script(shell.ok("jobs", "script", "1", "2", "3"), "lines.fmsh")
    before = shell.file("done")
    result = shell.run("test", "lines.fmsh", "--with", "1,2,3")
    assert result.status == 0 and "ok  lines.fmsh  jobs 1, 2, 3" in result.out, result
    result = shell.run("test", "lines.fmsh", "--with", "1,2", "--with", "3")
    assert result.status == 1 and "seq 2: jobs 1, 2 did not ask for this" in result.out, result
    assert result.out.endswith("0 passed, 2 failed\n") and shell.file("done") == before
    assert shell.run("test", "lines.fmsh", "--with", ",").status == 2


def test_what_cannot_be_tested_says_why(crew: Crew) -> None:
    shell = crew.shell
    assert shell.run("test", "failed.fmsh", "--with", "nobody").status == 1
    result = shell.run("test", "damaged.fmsh", "--with", "damaged")
    assert result.status == 1 and "event 2 of job 9 is not what was written" in result.err
    shell.script("let x =\n", "broken.fmsh")
    result = shell.run("test", "broken.fmsh", "--with", "failed")
    assert result.status == 2 and "broken.fmsh:1" in result.err
    for arguments in (["--with", "1"], ["--nonsense"], ["/nowhere.fmsh"]):
        assert shell.run("test", *arguments).status == 2


SUITE = """\
def add(a: int, b: int) { return ($a + $b) }
def test-adding() { if (add 1 2) != 3 { fail "no" } }
def test-telling() { print "<told> & more"; sh -c 'echo > done-by-a-test'; fail "too bad" }
def test-not(needs: int) { fail "never called" }
"""


def test_files_of_tests_are_found_run_and_reported(shell: Shell) -> None:
    (shell.directory / "sub").mkdir()
    shell.script(SUITE, "sub/suite_test.fmsh")
    shell.script("print fine\n", "whole_test.fmsh")
    shell.script("fail never", "other.fmsh")
    result = shell.run("test", "--junit", "report.xml")
    assert result.status == 1 and result.out.endswith("2 passed, 1 failed\n"), result
    assert "ok  whole_test.fmsh  (" in result.out and "ok  sub/suite_test.fmsh  test-adding  (" in result.out
    assert "FAILED  sub/suite_test.fmsh  test-telling" in result.out and "    | error: too bad" in result.out
    suite = ElementTree.parse(shell.directory / "report.xml").getroot()
    assert (suite.tag, suite.get("tests"), suite.get("failures")) == ("testsuite", "3", "1")
    (failed,) = [case for case in suite if case.find("failure") is not None]
    assert failed.get("name") == "test-telling" and "<told> & more" in (failed.findtext("system-out") or "")
    document = json.loads(shell.run("test", "--json", "--only", "adding").out)
    assert [(test["name"], test["outcome"]) for test in document["tests"]] == [("test-adding", "passed")]
    assert shell.json("jobs", "list", "--all") == [], "a test left a job in the store"
    (shell.directory / "whole_test.fmsh").unlink()
    (shell.directory / "sub" / "suite_test.fmsh").unlink()
    nothing = shell.run("test")
    assert nothing.status == 2 and "there is no file *_test.fmsh here" in nothing.err


def test_a_file_that_cannot_be_run_is_told_and_keeps_no_other_from_running(shell: Shell) -> None:
    (shell.directory / "sub").mkdir()
    shell.script("let x =\n", "sub/broken_test.fmsh")
    shell.script('print "<fine>"', "sub/whole_test.fmsh")
    result = shell.run("test", "sub", "--junit", "-")
    assert result.status == 2 and result.err.count("  --> sub/broken_test.fmsh:1:8\n") == 1, result
    assert result.err.endswith("1 passed, 0 failed, 1 not run\n") and "ERROR  sub/broken_test.fmsh\n" in result.err
    suite = ElementTree.fromstring(result.out)
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("2", "0", "1")
    assert [case.find("error") is not None for case in suite] == [True, False]
    document = json.loads(shell.run("test", "sub", "--json", "--only", "broken").out)
    assert (document["errors"], [test["outcome"] for test in document["tests"]]) == (1, ["error"])
    refused = shell.run("test", "sub", "--json", "--junit", "-")
    assert (refused.status, refused.out) == (2, ""), refused
    (shell.directory / "sub" / "broken_test.fmsh").unlink()
    refused = shell.run("test", "sub", "--only", "nothing-like-it")
    assert refused.status == 2 and "no test has 'nothing-like-it' in its name" in refused.err


def test_an_interrupted_test_cleans_up_and_leaves_no_process(shell: Shell) -> None:
    shell.script("defer { echo gone > cleaned }\nsh -c 'echo $$ > pid; exec sleep 600'\n", "long_test.fmsh")
    going = shell.start("test")
    pid = int(shell.await_file("pid"))
    going.send_signal(signal.SIGINT)
    out, err = going.communicate(timeout=TIMEOUT_S)
    assert (going.returncode, out, err) == (130, "", "") and shell.file("cleaned") == "gone\n"
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
