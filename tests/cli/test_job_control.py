"""Ctrl-Z, `fg` and `bg` at the prompt, with real programs at a real terminal."""

from __future__ import annotations

import os
import re
import signal
import termios
from pathlib import Path

import pytest

from tests.cli.screen import Screen
from tests.cli.shell import Shell, until

CTRL_D, CTRL_Z = "\x04", "\x1a"
READER = "sh -c 'echo ready; read line; echo got $line; echo $line > log'"


def put_aside(at: Screen, line: str, ready: str) -> None:
    at.see(r"~ >$")
    at.type(line + "\r")
    at.see(ready)
    at.type(CTRL_Z)
    at.see(r"^\[\d+\] stopped: .*\n~ \[148\] >")


def test_ctrl_z_stops_a_program_and_fg_goes_on_with_it(shell: Shell) -> None:
    at = Screen(shell)
    put_aside(at, READER, "^ready")
    at.type("echo the prompt is here\r")
    at.see(r"^the prompt is here\n~ >$")
    at.type("fg\r")
    at.see(r"> fg\nsh -c .*$")
    at.type("typed\r")
    at.see(r"^got typed\n~ >$")
    assert shell.await_file("log") == "typed\n"
    assert [job["state"] for job in shell.json("jobs", "list")] == ["succeeded", "succeeded"]


def test_an_editor_of_the_whole_screen_comes_back_as_it_was(shell: Shell) -> None:
    at = Screen(shell)
    at.see("~ >")
    modes = until(lambda: termios.tcgetattr(at.child.child_fd))
    put_aside(at, "TERM=vt100 vim -u NONE -N text", r"^~$")
    assert termios.tcgetattr(at.child.child_fd) == modes
    at.type("fg\r")
    at.see(r"^~$")
    at.type("iwritten\x1b:wq\r")
    at.see(r"~ >$")
    assert shell.await_file("text") == "written\n"


def test_two_programs_are_aside_and_each_comes_back_by_its_number(shell: Shell) -> None:
    at = Screen(shell)
    put_aside(at, "sh -c 'echo one; read line; echo first $line'", "^one")
    first = shell.json("jobs", "list")[0]["id"]
    at.type("sh -c 'echo two; read line; echo second $line'\r")
    at.see("^two")
    at.type(CTRL_Z)
    at.see(rf"^\[{first + 1}\] stopped")
    at.type(f"fg {first}\r")
    at.see(rf"> fg {first}\nsh -c .*$")
    at.type("a\r")
    at.see("^first a")
    at.type("fg\r")
    at.see(r"> fg\nsh -c .*$")
    at.type("b\r")
    at.see("^second b")


def test_jobs_says_which_are_stopped(shell: Shell) -> None:
    at = Screen(shell)
    put_aside(at, "sh -c 'echo up; read line'", "^up")
    at.type("jobs\r")
    at.see(r"^N  STATE.*\n1  running .*\n\[1\] stopped: sh -c 'echo up; read line'\n~ >")


@pytest.mark.parametrize(("key", "number"), [("\x03", 0), (CTRL_Z, 0), ("", signal.SIGTERM), ("", signal.SIGHUP)])
def test_waiting_is_given_up_with_a_key_and_ends_with_the_shell(shell: Shell, key: str, number: int) -> None:
    at = Screen(shell)
    at.see("~ >")
    at.type("sleep 1h &\r")
    at.see(r"^job 2$")
    shell.ok("jobs", "pause", "2")
    shell.await_state(2, "paused")
    at.type("wait 2\r")
    at.see("job 2 is paused")  # so it waits
    if number:
        os.kill(at.child.pid, number)
        until(lambda: not at.child.isalive())
        assert at.child.exitstatus == 128 + number
    else:
        at.type(key)
        at.see(r"\^[CZ]\n~ \[130\] >")


def test_bg_lets_it_go_on_and_its_end_is_told(shell: Shell) -> None:
    at = Screen(shell)
    put_aside(at, "sh -c 'echo ready; while test ! -e go; do sleep 0.01; done; echo done > log'", "^ready")
    number = shell.json("jobs", "list")[0]["id"]
    at.type("bg\r")
    at.see(rf"^\[{number}\] goes on in the background")
    (shell.directory / "go").touch()
    at.see(rf"^\[{number}\] succeeded: sh -c")  # while the prompt waits for a key
    assert shell.await_file("log") == "done\n"


def test_what_is_in_the_background_and_wants_the_keyboard_stops_again(shell: Shell) -> None:
    at = Screen(shell)
    put_aside(at, READER, "^ready")
    number = shell.json("jobs", "list")[0]["id"]
    at.type("bg\r")
    at.see(rf"goes on in the background.*\n(.*\n)*\[{number}\] stopped")
    at.type("fg\r")
    at.see(r"> fg\nsh -c .*$")
    at.type("typed\r")
    at.see("^got typed")


def test_leaving_with_a_stopped_program_is_asked_twice_and_ends_it(shell: Shell) -> None:
    at = Screen(shell)
    put_aside(at, "sh -c 'echo $$ > pid; echo ready; exec sleep 1000'", "^ready")
    pid = int(shell.await_file("pid"))
    at.type(CTRL_D)
    at.see("there are stopped programs")
    assert at.child.isalive()
    at.type(CTRL_D)
    until(lambda: not at.child.isalive(), "its end")
    until(lambda: not os.path.exists(f"/proc/{pid}"), "the end of the program")
    assert shell.await_state(1, "cancelled")


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGTSTP])
def test_a_job_that_is_aside_takes_a_kill_and_a_cancel(shell: Shell, number: int) -> None:
    at = Screen(shell)
    put_aside(at, "sh -c 'echo $$ > pid; echo ready; exec sleep 1000'", "^ready")
    if number == signal.SIGSTOP:
        os.kill(int(shell.await_file("pid")), signal.SIGKILL)
        at.type("fg\r")
        at.see("ended by signal 9|SIGKILL|killed")
    else:
        shell.ok("jobs", "cancel", "1")
        at.see(r"^\[1\] cancelled: ")


def test_ctrl_z_of_a_waiting_job_detaches_it(shell: Shell) -> None:
    at = Screen(shell)
    at.see("~ >")
    at.type("sleep 1s; sh -c 'echo went on > log'\r")
    until(lambda: shell.json("jobs", "list")[0]["state"] == "waiting")
    at.type(CTRL_Z)
    at.see(r"job 1 goes on in the background")
    assert shell.await_file("log") == "went on\n"


def test_the_end_of_a_job_that_was_followed_is_not_told_again(shell: Shell) -> None:
    at = Screen(shell)
    at.see("~ >")
    at.type("sh -c 'echo up; exec sleep 600' &\r")
    at.see(r"\n~ >$")
    at.type("fg\r")
    at.see(r"> fg\nup$")
    at.type("\x03")
    assert "[2]" not in at.see(r"\^C\n*cancelled\n(.*\n)?~ \[130\] >")


def test_ctrl_z_at_the_prompt_itself_does_nothing(shell: Shell) -> None:
    at = Screen(shell)
    at.see("~ >")
    os.kill(at.child.pid, signal.SIGTSTP)
    at.type(CTRL_Z + "echo alive\r")
    at.see("^alive")
    assert re.search(r"\) [^T]", Path(f"/proc/{at.child.pid}/stat").read_text())
