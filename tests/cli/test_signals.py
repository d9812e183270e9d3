"""INT and TERM cancel, HUP hands over, `kill -9` loses nothing; and what happens at a real terminal."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import termios
import threading
import time

import pexpect
import pytest

from fmsh.engine.holding import LISTEN_AFTER_S
from tests.cli.shell import Shell, until
from tests.connectors.http_server import Server, answer

UNDONE = "undo { sh -c 'echo undone >> log' }; defer { echo deferred }\n"
SLEEP = "sh -c 'echo sleeping > begun'; sleep 1h\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("waits", ["sleep 1h", "sh -c 'sleep 600'", "let x = sh -c 'sleep 600'", "while true { }"])
def test_int_and_term_cancel_and_undo_what_was_done(shell: Shell, number: int, waits: str) -> None:
    process = shell.start("-c", UNDONE + "sh -c 'echo > begun'\n" + waits)
    shell.await_file("begun")
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert (out, err) == ("deferred\n", "cancelled\n")
    assert shell.file("log") == "undone\n"
    assert shell.job("last")["state"] == "cancelled"


def test_cleanup_of_more_than_two_seconds_goes_on_in_the_daemon(shell: Shell) -> None:
    process = shell.start("-c", "defer { sleep 3; sh -c 'echo cleaned > cleaned' }\n" + SLEEP)
    shell.await_file("begun")
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130 and time.monotonic() - begun > 1.9
    assert "job 1 is cancelled, and cleans up in the background" in err
    assert shell.await_file("cleaned") == "cleaned\n"
    assert shell.await_state(1, "cancelled")["exit_status"] == 130


def test_a_second_signal_does_not_wait(shell: Shell) -> None:
    process = shell.start("-c", "defer { sh -c 'echo > cleaning; sleep 600' }\n" + SLEEP)
    shell.await_file("begun")
    process.send_signal(signal.SIGINT)
    shell.await_file("cleaning")
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 130


def test_a_second_signal_without_a_daemon_leaves_the_cleanup_to_the_next_fmsh(shell: Shell) -> None:
    text = "defer { sh -c 'echo > cleaning; until [ -e go ]; do sleep 0.02; done; echo cleaned > cleaned' }\n" + SLEEP
    process = shell.start("-c", text, environment={"FMSH_NO_DAEMON": "1"})
    shell.await_file("begun")
    process.send_signal(signal.SIGINT)
    shell.await_file("cleaning")
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 130
    (shell.directory / "go").touch()
    shell.ok("-c", "echo other")
    assert shell.await_file("cleaned") == "cleaned\n"
    assert shell.await_state(1, "cancelled")
    assert process.stderr is not None and "left in its cleanup" in process.stderr.read()


def test_hup_hands_the_job_over(shell: Shell) -> None:
    process = shell.start(
        "-c", UNDONE + "sh -c 'echo > begun; until [ -e go ]; do sleep 0.02; done; echo ran >> log'\n5"
    )
    shell.await_file("begun")
    process.send_signal(signal.SIGHUP)
    assert process.wait(timeout=30) == 129
    (shell.directory / "go").touch()
    assert process.communicate(timeout=30) == ("", "")
    job = shell.await_state(1, "succeeded")
    assert (job["detached"], job["value"], shell.file("log")) == (True, 5, "ran\n")


def test_hup_without_a_daemon_cancels(shell: Shell) -> None:
    process = shell.start("-c", UNDONE + SLEEP, environment={"FMSH_NO_DAEMON": "1"})
    shell.await_file("begun")
    process.send_signal(signal.SIGHUP)
    assert process.wait(timeout=30) == 130
    assert shell.file("log") == "undone\n" and shell.job(1)["state"] == "cancelled"


def test_what_was_ignored_stays_ignored(shell: Shell) -> None:
    process = shell.start(
        "-c",
        "sh -c 'echo > begun; until [ -e go ]; do sleep 0.02; done'; echo done",
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )
    shell.await_file("begun")
    process.send_signal(signal.SIGHUP)
    (shell.directory / "go").touch()
    assert process.communicate(timeout=30)[0] == "done\n" and process.returncode == 0


def test_after_kill_9_the_daemon_goes_on(shell: Shell) -> None:
    shell.ok("daemon", "start")
    text = "sh -c 'echo $$ > begun; until [ -e go ]; do sleep 0.02; done; echo ran >> log'\nsh -c 'echo next > next'; 7"
    process = shell.start("-c", text)
    pid = int(shell.await_file("begun"))
    time.sleep(3 * LISTEN_AFTER_S)  # by then the daemon watches it; a younger one is found when it looks at all
    process.kill()
    killed = time.monotonic()
    process.wait()
    until(lambda: (shell.job(1)["owner"] or {}).get("kind") == "daemon", "the takeover")
    taken_s = time.monotonic() - killed
    os.kill(pid, 0)  # the command lives on
    (shell.directory / "go").touch()
    went_at = time.monotonic()
    shell.await_file("next")
    went_on_s = time.monotonic() - went_at
    print(f"taken over after {taken_s:.2f} s; after its command ended it went on after {went_on_s:.2f} s")
    job = shell.await_state(1, "succeeded")
    assert (job["value"], shell.file("log")) == (7, "ran\n") and job["detached"] is False


# -- at a terminal


def echoes(child: pexpect.spawn) -> bool:
    return bool(termios.tcgetattr(child.child_fd)[3] & termios.ECHO)


def foreground(child: pexpect.spawn) -> int:
    return os.tcgetpgrp(child.child_fd)


def end_of(child: pexpect.spawn) -> int:
    until(lambda: not child.isalive(), "its end")
    return int(child.exitstatus if child.exitstatus is not None else 1000 + child.signalstatus)


def test_ctrl_c_at_a_sleeping_job(shell: Shell) -> None:
    child = shell.terminal("-c", UNDONE + "echo begun; sleep 1h")
    child.expect("begun")
    child.sendcontrol("c")
    child.expect("deferred")
    child.expect("cancelled")
    assert end_of(child) == 130 and shell.file("log") == "undone\n"


def test_ctrl_c_goes_to_the_program_that_owns_the_terminal(shell: Shell) -> None:
    program = "trap 'echo trapped; exit 5' INT; stty -echo; echo ready; while :; do sleep 0.05; done"
    child = shell.terminal("-c", f'sh -c "{program}" || echo "it ended with $error.status"')
    child.expect("ready")
    assert foreground(child) != child.pid
    child.sendcontrol("c")
    child.expect("trapped")
    child.expect("it ended with 5")
    assert end_of(child) == 0


def test_a_program_that_dies_of_ctrl_c_cancels_its_job_and_leaves_the_terminal_as_it_was(shell: Shell) -> None:
    child = shell.terminal(
        "-c", UNDONE + 'try { sh -c "stty -echo; echo ready; exec sleep 600" } catch { echo caught }\necho after'
    )
    child.expect("ready")
    assert not echoes(child)
    child.sendcontrol("c")
    child.expect("cancelled")
    assert end_of(child) == 130 and echoes(child)
    assert "caught" not in child.before and shell.file("log") == "undone\n"


def test_a_program_that_ends_with_130_by_itself_cancels_nothing(shell: Shell) -> None:
    child = shell.terminal("-c", 'sh -c "exit 130" || echo "it ended with $error.status"')
    child.expect("it ended with 130")
    assert end_of(child) == 0


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 130)])
def test_a_signal_to_fmsh_while_a_command_owns_the_terminal(shell: Shell, number: int, status: int) -> None:
    child = shell.terminal("-c", UNDONE + 'sh -c "stty -echo; echo ready; exec sleep 600"')
    child.expect("ready")
    os.kill(child.pid, number)
    child.expect("cancelled")
    assert end_of(child) == status
    assert echoes(child) and shell.file("log") == "undone\n"


def test_a_hang_up_of_fmsh_alone_leaves_the_terminal_as_it_was(shell: Shell) -> None:
    child = shell.terminal("-c", 'sh -c "stty -echo; echo ready; exec sleep 600"')
    child.expect("ready")
    assert not echoes(child)
    os.kill(child.pid, signal.SIGHUP)
    assert end_of(child) == 129 and echoes(child)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_at_the_prompt_leaves_the_terminal_as_it_was(shell: Shell, number: int, status: int) -> None:
    child = shell.terminal(TERM="dumb")
    before = termios.tcgetattr(child.child_fd)
    child.expect("> ")
    until(lambda: termios.tcgetattr(child.child_fd) != before, "the editor's own modes")
    os.kill(child.pid, number)
    assert end_of(child) == status and termios.tcgetattr(child.child_fd) == before


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
@pytest.mark.parametrize("waits", ["sleep 1h", 'sh -c "stty -echo; echo on > up; exec sleep 600"'])
def test_a_signal_that_comes_while_a_line_runs_ends_the_prompt_with_the_line(
    shell: Shell, number: int, status: int, waits: str
) -> None:
    child = shell.terminal(TERM="xterm-256color")
    before = termios.tcgetattr(child.child_fd)
    child.expect("> ?\x1b")
    child.send("\x1b[1;1R")  # where the cursor is
    child.send(f"sh -c 'echo on > up'; {waits}\r")
    shell.await_file("up")
    until(lambda: shell.job(1)["steps"] == 2)
    os.kill(child.pid, number)
    assert end_of(child) == status and termios.tcgetattr(child.child_fd) == before
    ended = "cancelled" if number == signal.SIGTERM else "waiting" if waits == "sleep 1h" else "failed"
    shell.await_state(1, ended)


def test_a_closed_terminal_hands_the_job_over(shell: Shell) -> None:
    child = shell.terminal("-c", "echo begun; sleep 1.5; sh -c 'echo went on > log'")
    child.expect("begun")
    pid = child.pid
    child.close(force=False)
    until(lambda: not os.path.exists(f"/proc/{pid}/exe"), "the end of fmsh")
    assert shell.await_file("log") == "went on\n"
    assert shell.await_state(1, "succeeded")["detached"]


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_z_in_the_middle_of_a_post_hands_it_over_with_its_answer_or_at_once(shell: Shell, times: int) -> None:
    may_answer = threading.Event()

    def answer_later(connection: socket.socket) -> None:
        may_answer.wait(30)
        connection.sendall(answer())

    server = Server(answer_later, answer())
    child = shell.terminal("-c", f"POST {server.url} {{}}; sh -c 'echo went on > log'")
    assert server.arrived.acquire(timeout=30)
    child.sendcontrol("z")
    child.expect("first this has to end")
    if times == 2:
        child.sendcontrol("z")
    else:
        may_answer.set()
    child.expect("job 1 goes on in the background")
    assert end_of(child) == 148 and shell.await_file("log") == "went on\n"
    assert len(server.seen) == times and len({seen.headers["idempotency-key"] for seen in server.seen}) == 1
    may_answer.set()
    server.close()


def test_a_sleep_inside_once_is_handed_over_at_once(shell: Shell) -> None:
    child = shell.terminal("-c", "echo begun; once { sleep 1h }")
    child.expect("begun")
    shell.await_state(1, "waiting")
    child.sendcontrol("z")
    child.expect("job 1 goes on in the background")
    assert end_of(child) == 148


def test_ctrl_z_hands_a_sleeping_job_over(shell: Shell) -> None:
    child = shell.terminal("-c", "echo begun; sleep 1.5; sh -c 'echo went on > log'")
    child.expect("begun")
    child.sendcontrol("z")
    child.expect("job 1 goes on in the background")
    assert end_of(child) == 148
    assert shell.await_file("log") == "went on\n"


def test_ctrl_z_stops_a_program_together_with_fmsh_and_fg_goes_on(shell: Shell) -> None:
    child = shell.terminal()  # only for its environment
    child.close(force=True)
    command = " ".join(shell.command("-c", "'sh -c \"echo ready; read line; echo got \\$line\"'"))
    bash = pexpect.spawn(
        "bash", ["--norc", "-i"], env=shell.environment | {"PS1": "PROMPT "}, encoding="utf-8", timeout=30
    )
    try:
        bash.expect("PROMPT ")
        bash.sendline(command)
        bash.expect("ready\r\n")
        bash.sendcontrol("z")
        bash.expect("Stopped")
        bash.expect("PROMPT ")
        bash.sendline("echo the shell has the terminal")
        bash.expect("the shell has the terminal\r\n")
        bash.expect("PROMPT ")
        bash.sendline("fg")
        bash.expect("fmsh")
        bash.sendline("typed")
        bash.expect("got typed")
        bash.expect("PROMPT ")
    finally:
        bash.close(force=True)


def test_the_terminal_stays_with_the_pager(shell: Shell) -> None:
    inner = " ".join(shell.command("-c", "'sh -c \"cat; echo made\"'"))
    pager = "sh -c 'cat; ps -o tpgid= -p $$; ps -o pgid= -p $$'"
    child = pexpect.spawn("sh", ["-c", f"{inner} | {pager}"], env=shell.environment, encoding="utf-8", timeout=30)
    try:
        child.expect("made")
        child.expect(pexpect.EOF)
        owner, group = child.before.split()[:2]
        assert owner == group
    finally:
        child.close(force=True)


def test_a_captured_command_shows_its_errors_at_the_terminal(shell: Shell) -> None:
    child = shell.terminal("-c", "let x = sh -c 'echo out; echo problem >&2'; echo \"got $x\"")
    child.expect("problem\r\n")
    child.expect("got out")
    assert end_of(child) == 0


def test_interrupts_at_random_moments_leave_no_trace(shell: Shell) -> None:
    """Ctrl-C from the first millisecond on: from `main` on, no part of ours shows a traceback.

    Before `main` the interpreter is still starting, and says itself that it was interrupted: then the only frame of
    ours is the body of the module that it was about to run.
    """
    starting = re.compile(r'File "[^"]*/fmsh/(__main__|__init__)\.py", line \d+, in <module>')
    for delay_ms in (0, 10, 20, 30, 40, 60, 80, 120):
        process = subprocess.Popen(
            shell.command("-c", "sh -c 'sleep 0.05'; sleep 1h"),
            env=shell.environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        time.sleep(delay_ms / 1000)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
        assert "/fmsh/" not in starting.sub("", err), (delay_ms, err)
        assert process.returncode in (130, -signal.SIGINT) or "KeyboardInterrupt" in err, (delay_ms, err)


def test_ctrl_backslash_ends_a_program_and_not_the_prompt(shell: Shell) -> None:
    child = shell.terminal(TERM="dumb")
    child.expect("> ")
    child.sendline("sh -c 'echo ready; exec sleep 600'")
    child.expect("\nready")
    child.sendcontrol("\\")
    child.expect("signal 3")
    child.expect("> ")
    os.kill(child.pid, signal.SIGQUIT)
    child.sendline("echo still (1 + 1) here")
    child.expect("still 2 here")


SWALLOWS = """
import os, signal, sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "fmsh.cli":
            try:
                os.kill(os.getpid(), signal.SIGINT)
            except KeyboardInterrupt:
                pass

sys.meta_path.insert(0, Finder())
sys.argv[1:] = ["-c", "true"]
from fmsh.__main__ import main
main()
"""


def test_an_interrupt_is_not_lost_where_the_interpreter_would_swallow_it(shell: Shell) -> None:
    done = subprocess.run([sys.executable, "-c", SWALLOWS], env=shell.environment, cwd=shell.directory)
    assert done.returncode == -signal.SIGINT
