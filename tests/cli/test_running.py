"""Scripts, texts, arguments, input, values and exit statuses, as INTERFACE says them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.cli.shell import ROOT, Shell


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("sh -c 'exit 0'", 0),
        ("sh -c 'exit 7'", 7),
        ("sh -c 'exit 255'", 255),
        ("sh -c 'kill -9 $$'", 137),
        ("sh -c 'kill -TERM $$'", 143),
        ("sh -c 'exit 3' | cat", 3),
        ("try { sh -c 'exit 3' } catch { echo caught }", 0),
        ("exit 4", 4),
        ("exit", 0),
        ('fail "no"', 1),
        ("echo $(1 + null)", 1),
        ("nosuchcommand", 127),
        ("./nothere", 127),
        ("/tmp", 126),
        ("./plain", 126),
        ("let x = (", 2),
        ("sort-by --nosuchflag", 2),
        ("echo $nothing", 2),
        ("def f(n: int) { echo $n }; f abc", 2),
    ],
)
def test_the_exit_status_says_how_it_ended(shell: Shell, text: str, status: int) -> None:
    (shell.directory / "plain").write_text("no program\n")
    result = shell.run("-c", text)
    assert result.status == status, result
    assert (result.err == "") == (status == 0 or text.startswith("exit")), result


def test_a_script_runs_by_its_first_line(shell: Shell) -> None:
    path = shell.directory / "bin"
    path.mkdir()
    (path / "fmsh").write_text(f'#!/bin/sh\nexec {sys.executable} -m fmsh "$@"\n')
    script = shell.directory / "hello.fmsh"
    script.write_text('#!/usr/bin/env fmsh\necho "hello $args[0]"\n')
    for file in (path / "fmsh", script):
        file.chmod(0o755)
    environment = shell.environment | {"PATH": f"{path}:{os.environ['PATH']}"}
    done = subprocess.run([str(script), "you"], env=environment, capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stdout, done.stderr) == (0, "hello you\n", "")


def test_standard_input_may_hold_the_script(shell: Shell) -> None:
    for arguments in (("-",), ()):
        assert shell.run(*arguments, input="let x = 1\necho $x").out == "1\n"


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["-c", "echo $args"], "[]\n"),
        (["-c", "echo $args", "a", "b c"], '["a","b c"]\n'),
        (["-c", "echo $args", "--", "-x", "--"], '["-x","--"]\n'),
        (["--name", "n", "-c", "echo $job.name", "a"], "n\n"),
        (["-c", "echo $job.key", "--key", "k"], "k\n"),
    ],
)
def test_what_follows_the_text_are_its_arguments(shell: Shell, arguments: list[str], shown: str) -> None:
    assert shell.ok(*arguments) == shown


def test_the_input_of_a_script_is_standard_input(shell: Shell) -> None:
    assert shell.run("-c", "$in | from json | get a", input='{"a": [1, 2]}').out == "1\n2\n"
    assert shell.run("-c", "cat", input="through\n").out == "through\n"
    assert shell.run("-c", "let n = ($in | lines | count); echo $n", input="x\ny\n").out == "2\n"


def test_input_that_nobody_asks_for_is_not_waited_for(shell: Shell) -> None:
    for text in ("let index = 5; echo $index", "def f() { $in | lines | print }\necho a | f\necho b"):
        process = shell.start("-c", text, stdin=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() in ("5\n", "a\n")
        assert process.wait(timeout=30) == 0


SCRIPT = """# Ships a service.
param service: string   # which one
param --count (-n): int = 1   # how many
param --loud
echo "$service $count $loud"
"""


def test_parameters_are_checked_and_have_help(shell: Shell) -> None:
    file = shell.script(SCRIPT)
    assert shell.ok(file, "api", "-n", "3", "--loud") == "api 3 true\n"
    help = shell.ok(file, "--help")
    for part in ("usage: script.fmsh SERVICE [--count COUNT] [--loud]", "Ships a service.", "which one", "how many"):
        assert part in help
    for arguments, part in (
        ([], "needs SERVICE"),
        (["api", "--nope"], "has no flag --nope"),
        (["api", "-n", "x"], "--count must be of type int, this is 'x'"),
        (["api", "-n"], "-n needs a value"),
        (["api", "more"], "does not take 'more'"),
    ):
        result = shell.run(file, *arguments)
        assert result.status == 2 and part in result.err and result.out == "", result
    assert shell.json("jobs", "list") and len(shell.json("jobs", "list")) == 1


def test_verbose_tells_of_each_step(shell: Shell) -> None:
    result = shell.run("-v", "-c", "sh -c 'exit 3' || echo no\nlet x = sh -c 'echo got'")
    assert result.out == "no\n"
    assert "  step 1  sh -c exit 3\n  step 1  → status 3 after " in result.err
    assert "  step 2  sh -c echo got\n  step 2  → done after " in result.err


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{a: [1, 2.5, null], b: 10s}", {"a": [1, 2.5, None], "b": "10s"}),
        ("let x = 1", None),
        ("echo shown; 'text'", "text"),
        ("9007199254740993", 9007199254740993),
        ("printf 'shown\\n\\n'", "shown"),
        ("def f() { echo shown; sh -c 'echo shown' }\nf", "shown"),
        ("echo shown; let x = sh -c 'echo not'; $x", "not"),
        ("sh -c 'echo shown' || echo never", "shown"),
        ("for x in [1] { sh -c 'echo shown' }", None),
        ("printf 'shown\\nb\\n' | where { $it != b }", ["shown"]),
        ("printf 'shown\\nb\\n' | each { |x| sleep 1ms; $x }", ["shown", "b"]),
    ],
)
def test_the_value_is_one_json_document_and_the_display_goes_to_stderr(shell: Shell, text: str, value: Any) -> None:
    result = shell.run("--json", "-c", text)
    assert result.out.count("\n") == 1
    assert json.loads(result.out) == value
    assert ("shown" in text) == ("shown\n" in result.err)


def test_a_failure_writes_no_json(shell: Shell) -> None:
    result = shell.run("--json", "-c", "echo first; sh -c 'echo x; exit 3'")
    assert (result.status, result.out) == (3, "")
    assert result.err.startswith("first\nx\nerror: sh ended with status 3\n")


def test_an_error_marks_the_whole_command(shell: Shell) -> None:
    result = shell.run("-c", "let a = 1\nlet x = sh -c 'echo why >&2; exit 9'")
    assert result.status == 9
    assert result.err == (
        "why\nerror: sh ended with status 9\n  --> -c:2:9\n"
        "    2 | let x = sh -c 'echo why >&2; exit 9'\n"
        "      |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^\n"
    )
    error = shell.job("last")["error"]
    assert (error["where"], error["stderr"]) == ({"file": "-c", "line": 2, "column": 9}, "why\n")


def test_check_says_all_problems_and_runs_nothing(shell: Shell) -> None:
    file = shell.script("sh -c 'echo x > marker'\nnosuchprogram a\nlet y = [1] | sort-by --nope\nls\n")
    result = shell.run("--check", file)
    assert result.status == 2
    found, wrong = result.err.split("error: ")
    assert found.startswith("warning: command not found: nosuchprogram\n  --> script.fmsh:2:1\n")
    assert found.endswith("\n    2 | nosuchprogram a\n      | ^^^^^^^^^^^^^\n") and "script.fmsh:3:" in wrong
    problems = json.loads(shell.run("--check", "--json", file).out)
    assert [(p["line"], p["severity"]) for p in problems] == [(2, "warning"), (3, "error")]
    assert shell.file("marker") is None and not shell.state.exists()
    assert shell.run("--check", "-c", "nosuchprogram").status == 0
    meant = shell.run("--check", "-c", "let hosts = [a]\nfor h in hosts { print $h }").err
    assert "= hint: write `$hosts` for the variable" in meant
    assert shell.ok("--check", "--json", "-c", "def mine() { [1] }\necho $(mine | sort-by)\nls").strip() == "[]"


def test_help_of_statements(shell: Shell) -> None:
    assert shell.run("help", "undo").out.startswith("usage: undo { … }\n\nRuns when a failure")
    assert shell.run("help", "else").out == shell.run("help", "if").out != ""
    assert shell.run("help", "retrun").err.splitlines()[-1].strip() == "did you mean return?"


def test_help_of_commands(shell: Shell) -> None:
    assert "sort-by" in shell.ok("help")
    assert shell.ok("help", "sort-by").startswith("usage: … | sort-by [KEYS…] [--desc]\n\nSorts by")
    assert shell.ok("help", "from", "json").startswith("usage: … | from json")
    assert "--ttl" in shell.ok("help", "callback")
    assert "from csv" in shell.ok("help", "from")
    result = shell.run("help", "sortby")
    assert result.status == 2 and "did you mean sort-by?" in result.err


def test_version_and_usage(shell: Shell) -> None:
    assert shell.ok("--version").startswith("fmsh ")
    assert shell.ok("--help").startswith("usage: fmsh ")
    for arguments in (
        ["--nope"],
        ["-c"],
        ["--key"],
        ["--key", "", "-c", "1"],
        ["--tag", "x", "-c", "echo"],
        ["--json"],
        ["nothere.fmsh"],
    ):
        result = shell.run(*arguments)
        assert (result.status, result.out) == (2, "") and result.err.startswith("fmsh: "), result


def test_closed_descriptors_do_no_harm(shell: Shell) -> None:
    command = " ".join(shell.command("-c", "'echo shown; sh -c \"echo x\"'"))
    for closed in (">&-", "2>&-", "<&-", "<&- >&- 2>&-"):
        done = subprocess.run(
            ["sh", "-c", f"{command} {closed}"], env=shell.environment, capture_output=True, text=True
        )
        assert (done.returncode, done.stderr) == (0, ""), closed
        assert done.stdout == ("" if ">&-" in closed.replace("2>&-", "") else "shown\nx\n"), closed
    assert len(shell.json("jobs", "list")) == 4


@pytest.mark.parametrize("text", ["for i in 1..1000000 { echo $i }", "while true { echo y }", "yes"])
def test_a_reader_that_has_gone_ends_the_job_quietly(shell: Shell, text: str) -> None:
    process = shell.start("-c", text)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=10) == 141
    assert process.stderr.read() == ""
    assert shell.job("last")["state"] in ("cancelled", "failed")


def test_the_store_may_be_named(shell: Shell) -> None:
    path = shell.directory / "elsewhere" / "store.db"
    environment = {"FMSH_STATE_DIR": "", "FMSH_STORE": f"sqlite://{path}", "HOME": str(shell.directory)}
    shell.ok("-c", "echo a", **environment)
    assert path.exists() and not shell.state.exists()
    for store in ("postgresql://host/db", "sqlite:///tmp/other.db", "sqlite://relative/store.db", str(path)):
        result = shell.run("-c", "echo a", FMSH_STATE_DIR="", FMSH_STORE=store)
        assert result.status == 2 and result.err.startswith("fmsh: FMSH_STORE must be sqlite:///"), result
    result = shell.run("-c", "echo a", FMSH_STORE=f"sqlite://{path}")
    assert result.status == 2 and "must lie in FMSH_STATE_DIR" in result.err
