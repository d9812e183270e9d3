"""The plain prompt: each text is a job; what would be lost silently is refused."""

from __future__ import annotations

import pytest

from fmsh.shell.prompt import what_is_lost
from tests.cli.shell import Shell, until


def test_texts_of_several_lines_ctrl_c_and_ctrl_d(shell: Shell) -> None:
    child = shell.terminal(TERM="dumb")
    child.expect("Each text that you enter is a job of its own")
    child.expect("fmsh> ")
    child.sendline("echo one")
    child.expect("\none\r\n")
    child.expect("fmsh> ")
    child.sendline("for x in [a, b] {")
    child.expect(r"\.\.\.  ")
    child.sendline('echo "item $x"')
    child.expect(r"\.\.\.  ")
    child.sendline("}")
    child.expect("item a\r\nitem b\r\n")
    child.expect("fmsh> ")
    child.sendline("if true {")
    child.expect(r"\.\.\.  ")
    child.sendcontrol("c")
    child.expect("fmsh> ")
    child.sendline("let x = (1")
    child.expect(r"\.\.\.  ")
    child.sendcontrol("c")
    child.expect("fmsh> ")
    child.sendline("echo ) oops")
    child.expect("error")
    child.expect("fmsh> ")
    child.sendline("undo { echo undone }; echo sleeping; sleep 1h")
    child.expect("\nsleeping\r\n")
    child.sendcontrol("c")
    child.expect("undone\r\n")
    child.expect("cancelled\r\n")
    child.expect("fmsh> ")
    child.sendline("sh -c 'exit 7'")
    child.expect("ended with status 7")
    child.expect("fmsh> ")
    child.sendcontrol("d")
    until(lambda: not child.isalive(), "its end")
    assert child.exitstatus == 7
    assert [job["command"] for job in reversed(shell.json("jobs", "list"))] == [
        "echo one", 'for x in [a, b] {\necho "item $x"\n}', "undo { echo undone }; echo sleeping; sleep 1h",
        "sh -c 'exit 7'",
    ]  # fmt: skip


def test_what_would_be_lost_is_refused(shell: Shell) -> None:
    child = shell.terminal(TERM="dumb")
    child.expect("fmsh> ")
    child.sendline("let x = 5")
    child.expect("let would end with its line")
    child.expect("fmsh> ")
    child.sendline("let x = 5; echo $x")
    child.expect("\n5\r\n")
    child.expect("fmsh> ")
    child.sendcontrol("d")
    until(lambda: not child.isalive(), "its end")
    assert [job["command"] for job in shell.json("jobs", "list")] == ["let x = 5; echo $x"]


@pytest.mark.parametrize(
    ("text", "lost"),
    [
        ("let x = 1", "let"),
        ("def f() { 1 }", "def"),
        ("export A=1", "export"),
        ("alias ll = ls -l", "alias"),
        ("cd /tmp", "cd"),
        ("cd", "cd"),
        ("cd /tmp { ls }", ""),
        ("cd /tmp; ls", ""),
        ("let x = 1; echo $x", ""),
        ("echo cd", ""),
        ("let x = (", ""),
        ("", ""),
        ("# nothing", ""),
    ],
)
def test_what_counts_as_lost(text: str, lost: str) -> None:
    assert what_is_lost(text) == lost
