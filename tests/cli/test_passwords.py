"""Programs that ask the terminal itself, without an echo, as sudo and ssh do."""

from __future__ import annotations

import termios

import pytest

from tests.cli.screen import Screen
from tests.cli.shell import Shell, until

CTRL_C = "\x03"
ASKS = """#!/usr/bin/env python3
import sys, termios
try:
    terminal = open("/dev/tty", "r+b", buffering=0)
except OSError as problem:
    sys.exit(f"no way to ask for the password: {problem}")
before = termios.tcgetattr(terminal)
silent = before.copy()
silent[3] &= ~termios.ECHO
termios.tcsetattr(terminal, termios.TCSAFLUSH, silent)
try:
    terminal.write(b"Password: ")
    word = terminal.readline().strip().decode()
finally:
    termios.tcsetattr(terminal, termios.TCSAFLUSH, before)
    terminal.write(b"\\n")
print("it has", len(word), "letters")
"""


@pytest.fixture
def shell(shell: Shell) -> Shell:
    path = shell.directory / "asks"
    path.write_text(ASKS)
    path.chmod(0o755)
    return shell


def has_echo(at: Screen) -> bool:
    return bool(termios.tcgetattr(at.child.child_fd)[3] & termios.ECHO)


def test_a_password_is_asked_for_in_a_script(shell: Shell) -> None:
    at = Screen(shell, shell.script('./asks\n./asks | cat\n"data" | ./asks\necho done'))
    for number in range(3):
        at.see(r"^Password:$" + r"[\s\S]*^Password:$" * number)
        until(lambda: not has_echo(at), "silence")
        at.type("secret\r")
    assert at.see("^done$").count("it has 6 letters") == 3
    until(lambda: not at.child.isalive(), "its end")


def test_a_password_is_asked_for_at_the_prompt(shell: Shell) -> None:
    at = Screen(shell)
    at.see("~ >$")
    modes = termios.tcgetattr(at.child.child_fd)
    at.type("./asks\r")
    at.see(r"^Password:$")
    at.type("secret\r")
    shown = at.see(r"^it has 6 letters\n~ >$")
    assert "secret" not in shown
    at.type("./asks\r")
    at.see(r"letters\n.*\nPassword:$")
    at.type(CTRL_C)
    at.see(r"~ \[130\] >$")
    assert termios.tcgetattr(at.child.child_fd) == modes


def test_where_there_is_no_terminal_it_is_said_who_has_one(shell: Shell) -> None:
    for script in ("let job = ./asks &; await $job", "let said = ./asks"):
        done = shell.run("-c", script)
        assert done.status == 1 and "/dev/tty" in done.err, (script, done)
        assert "it seems to have asked for a terminal" in done.err, (script, done)
