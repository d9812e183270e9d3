"""Jobs that move from one real fmsh to another: in every state, killed on the way, without what they must not carry."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.shell import ROOT, Shell, a_shell, until

CANARY = "canary-8f3a1c"


@pytest.fixture
def other() -> Iterator[Shell]:
    """The fmsh of another user: a state and a working directory of its own."""
    with a_shell() as shell:
        yield shell


def export(shell: Shell, number: int, name: str = "job", **environment: str) -> Path:
    """Exports a job as a shell does it, into a file."""
    path = shell.directory / name
    with open(path, "wb") as file:
        done = subprocess.run(
            shell.command("jobs", "export", str(number)),
            cwd=shell.directory, env=shell.environment | environment, stdout=file, stderr=subprocess.PIPE, text=True,
            timeout=60,
        )  # fmt: skip
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    return path


def move(shell: Shell, other: Shell, number: int, *options: str) -> int:
    return int(other.ok("jobs", "import", str(export(shell, number)), *options))


def sleeper(shell: Shell, text: str, **environment: str) -> int:
    """Starts a job that sleeps first, and that nobody wakes here any more: the daemon has ended before it was due."""
    for seconds in (3, 10, 40):
        number = int(shell.ok("-d", "-c", f"sleep {seconds}s; {text}", **environment))
        shell.await_state(number, "waiting", "succeeded", "failed")
        shell.ok("daemon", "stop")
        if shell.job(number)["state"] == "waiting":
            return number
    raise AssertionError("no job could be stopped in time")


def lines_of(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def post(url: str) -> tuple[int, str]:
    request = urllib.request.Request(url, b'{"n":7}', {"Content-Type": "application/json"}, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_a_job_that_waits_for_a_time_waits_where_it_is_imported(shell: Shell, other: Shell) -> None:
    shell.ok("-c", "true")
    shell.ok("--key", "nightly", "--tag", "a=b", "-d", "-c", "echo one; sleep 1h", "arg")
    here = shell.await_state(2, "waiting")
    path = export(shell, 2)
    header, *rest = lines_of(path)
    state = next(line for line in rest if line["line"] == "snapshot")["state"]
    assert header["job"]["epoch"] == state["engine"]["epoch"]  # so that nothing counts as begun that was not
    assert shell.job(2)["state"] == "moved"
    assert int(other.ok("jobs", "import", str(path))) == 1
    there = other.await_state(1, "waiting")
    for field in ("uid", "key", "tags", "steps", "command", "created_at"):
        assert there[field] == here[field], field
    assert there["waiting_for"][0]["until"] == here["waiting_for"][0]["until"]
    other.ok("jobs", "cancel", "1")
    assert other.run("jobs", "wait", "1").status == 130


def test_a_due_timer_wakes_the_job_there_and_not_here(shell: Shell, other: Shell) -> None:
    number = sleeper(shell, "echo $job.id >> fired; echo done $job.id")
    for _ in range(3):
        other.ok("-c", "true")  # so that its number is another one here
    arrived = move(shell, other, number)
    shell.ok("daemon", "start")
    assert other.ok("jobs", "attach", str(arrived)) == f"done {number}\n"  # the number by which it knows itself
    assert shell.file("fired") == f"{number}\n"  # it wrote in its own working directory, once
    assert shell.job(number)["state"] == "moved" and other.job(arrived)["state"] == "succeeded"


def test_a_callback_arrives_where_the_job_is(shell: Shell, other: Shell) -> None:
    shell.ok("-d", "-c", "let hook = callback; echo $hook.url > url; let got = await $hook; echo got $got.n")
    url = shell.await_file("url").strip()
    shell.await_state(1, "waiting")
    path = export(shell, 1)
    status, answer = post(url)
    assert status == 404 and "was moved elsewhere" in answer
    result = other.run("jobs", "import", str(path))
    assert result.out == "1\n" and "1 address(es) of job 1 still go where it comes from" in result.err
    other.await_state(1, "waiting")
    listen = until(lambda: other.daemon_status().get("listen"), "a listener")
    address = listen if isinstance(listen, str) and "://" in listen else f"http://{listen}"
    token = url.rpartition("/")[2]
    assert post(f"{address}/cb/{token}")[0] == 202
    assert other.ok("jobs", "attach", "1") == "got 7\n"
    assert "a call for job 1 was refused" in (shell.state / "daemon.errors.log").read_text()


def test_a_delivery_that_nobody_has_taken_travels(shell: Shell, other: Shell) -> None:
    shell.ok("-d", "-c", "let hook = callback; echo $hook.url > url; let got = await $hook; echo got $got.n")
    url = shell.await_file("url").strip()
    shell.await_state(1, "waiting")
    shell.ok("jobs", "pause", "1")
    shell.await_state(1, "paused")
    assert post(url)[0] == 202
    number = move(shell, other, 1)
    assert other.job(number)["state"] == "paused"
    other.ok("jobs", "resume", str(number))
    assert other.ok("jobs", "attach", str(number)) == "got 7\n"


def test_a_paused_import_waits_for_a_person(shell: Shell, other: Shell) -> None:
    number = move(shell, other, sleeper(shell, "echo after"), "--paused")
    other.ok("daemon", "start")
    assert other.job(number)["state"] == "paused"
    other.ok("jobs", "resume", str(number))
    assert other.ok("jobs", "attach", str(number)) == "after\n"
    types = [event["type"] for event in other.json("jobs", "log", str(number))]
    assert types.count("Paused") == types.count("Resumed") == 1


def test_a_parked_job_is_answered_there(shell: Shell, other: Shell) -> None:
    shell.ok("-d", "-c", "once { sh -c 'echo $PPID > pid; exec sleep 600' }; echo after")
    os.killpg(os.getpgid(int(shell.await_file("pid"))), signal.SIGKILL)
    shell.await_state(1, "parked")
    number = move(shell, other, 1)
    assert other.job(number)["error"]["kind"] == "lost"
    other.ok("jobs", "answer", str(number), "0")
    assert other.ok("jobs", "attach", str(number)) == "after\n"


def test_an_ended_job_is_copied_with_what_it_wrote(shell: Shell, other: Shell) -> None:
    shell.run("-c", "sh -c 'echo kept'; let x = sh -c 'echo quiet'; null", "x")
    path = export(shell, 1)
    number = int(other.ok("jobs", "import", str(path)))
    here, there = shell.job(1), other.job(number)
    for field in ("uid", "state", "value", "exit_status", "steps", "events", "ended_at"):
        assert here[field] == there[field], field
    for step in ("1", "2"):
        assert other.ok("jobs", "output", str(number), "--step", step) == shell.ok(
            "jobs", "output", "1", "--step", step
        )
    result = other.run("jobs", "import", str(path))
    assert result.status == 1 and result.out == "" and "is here already: it is job 1, and succeeded" in result.err


def test_the_outcome_of_a_command_is_picked_up_there(shell: Shell, other: Shell) -> None:
    """The daemon is killed while a command runs, which then ends: its status and output wait in its directory."""
    shell.ok("daemon", "start")
    shell.ok("-d", "-c", "let x = sh -c 'echo $$ > pid; until [ -e go ]; do sleep 0.02; done; echo out'; echo got $x")
    shell.await_file("pid")
    os.kill(shell.daemon_status()["pid"], signal.SIGKILL)
    result = shell.run("jobs", "export", "1")
    assert result.status == 1 and result.out == ""
    assert "step 1 of job 1" in result.err and "still runs on this machine" in result.err
    (shell.directory / "go").touch()
    (uid,) = os.listdir(shell.state / "fx")
    until((shell.state / "fx" / uid / "1-1" / "status").exists, "the status")
    number = move(shell, other, 1)
    assert other.ok("jobs", "attach", str(number)) == "got out\n"
    made = [event for event in other.json("jobs", "log", str(number)) if event["type"] == "AttemptFailed"]
    assert made == []


def test_a_job_of_a_terminal_or_without_rest_is_refused(shell: Shell) -> None:
    process = shell.start("-c", "echo up > up; sleep 1h")
    shell.await_file("up")
    result = shell.run("jobs", "export", "1")
    assert result.status == 1 and f"runs in the foreground of process {process.pid}" in result.err
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    shell.ok("-d", "-c", "while true { sh -c 'sleep 0.1' }")
    shell.await_state(2, "running")
    result = shell.run("jobs", "export", "2")
    assert result.status == 1 and "does not come to rest" in result.err and "`fmsh jobs pause 2`" in result.err
    shell.ok("jobs", "pause", "2")
    shell.await_state(2, "paused")
    export(shell, 2)
    assert shell.job(2)["state"] == "moved"
    assert export(shell, 1).exists()  # its shell is dead, and it waits


def test_a_terminal_gets_no_file(shell: Shell) -> None:
    shell.ok("-d", "-c", "sleep 1h")
    terminal = shell.terminal("jobs", "export", "1")
    terminal.expect("a file is written, not a terminal")
    assert shell.job(1)["state"] == "waiting"


def test_no_secret_is_in_the_file_and_what_is_missing_is_asked_for(shell: Shell, other: Shell) -> None:
    assert shell.run("secret", "set", "MINE", input=CANARY + "\n").status == 0
    text = "let mine = secret MINE; let made = secret new; let hook = callback; await $hook; sh -c true < $mine"
    shell.ok("-d", "-c", text, DEPLOY_TOKEN=CANARY)
    shell.await_state(1, "waiting")
    path = export(shell, 1, DEPLOY_TOKEN=CANARY)
    assert CANARY not in path.read_text() and "DEPLOY_TOKEN" in path.read_text() and '"MINE"' in path.read_text()
    result = other.run("jobs", "import", str(path))
    assert "`DEPLOY_TOKEN=… fmsh jobs resume 1` goes on with yours" in result.err
    assert "`fmsh secret set MINE`; then `fmsh jobs resume 1`" in result.err
    assert other.job(1)["state"] == "paused"
    result = other.run("jobs", "resume", "1", DEPLOY_TOKEN="theirs")
    assert result.status == 0 and "DEPLOY_TOKEN of the job is the one of this environment" in result.err
    other.await_state(1, "waiting")


def test_a_secret_variable_is_the_one_of_the_import(shell: Shell, other: Shell) -> None:
    path = export(shell, sleeper(shell, "sh -c 'echo $DEPLOY_TOKEN > token'", DEPLOY_TOKEN=CANARY))
    result = other.run("jobs", "import", str(path), DEPLOY_TOKEN="theirs")
    assert result.status == 0 and "is the one of this environment" in result.err
    assert other.run("jobs", "wait", "last").status == 0
    assert shell.file("token") == "theirs\n"


def test_a_working_directory_that_is_not_there_is_a_clear_error(shell: Shell, other: Shell) -> None:
    gone = shell.directory / "gone"
    gone.mkdir()
    number = sleeper(shell, f"cd {gone}; sleep 1s; sh -c true")
    path = export(shell, number)
    shell.ok("-c", "true")
    text = path.read_text()
    assert int(other.ok("jobs", "import", str(path))) and text
    gone.rmdir()
    result = other.run("jobs", "attach", "last")
    assert result.status != 0 and "gone" in result.err, result


def test_a_job_comes_back_with_what_it_did_elsewhere(shell: Shell, other: Shell) -> None:
    first = sleeper(shell, "echo there; sleep 1h")
    for _ in range(3):
        other.ok("-c", "true")
    number = move(shell, other, first)
    until(lambda: other.job(number)["steps"] == 2 and other.job(number)["state"] == "waiting", "its second sleep")
    back = move(other, shell, number)
    assert back == first and other.job(number)["state"] == "moved"
    job = shell.await_state(first, "waiting")
    assert job["steps"] == 2 and shell.ok("jobs", "output", str(first)) == "there\n"
    shell.ok("jobs", "cancel", str(first))
    assert shell.run("jobs", "wait", str(first)).status == 130


# ---- kill -9

EXPORT_AND_DIE = """
import os, signal, sys
from fmsh.jobs.command import main
from fmsh.store.sqlite import SqliteStore

class Out:
    def __init__(self, dies_at):
        self.written, self.dies_at, self.buffer = 0, dies_at, self
    def isatty(self):
        return False
    def fileno(self):
        return 1
    def flush(self):
        pass
    def write(self, data):
        if self.written == self.dies_at:
            os.kill(os.getpid(), signal.SIGKILL)
        self.written += 1
        return os.write(1, data)

state, dies_at = sys.argv[1], int(sys.argv[2])
main(["export", "1"], lambda: SqliteStore.open(state, kind="shell"), fx_directory=state + "/fx",
     stdout=Out(dies_at), stderr=sys.stderr)
"""

IMPORT_AND_DIE = """
import os, signal, sys
from fmsh.assembly import load_program
from fmsh.jobs import importing
from fmsh.jobs.command import main
from fmsh.store.sqlite import SqliteStore

state, path, dies_at = sys.argv[1], sys.argv[2], int(sys.argv[3])
pieces = importing.Incoming.pieces

def dying(self, reader, laid):
    for number, piece in enumerate(pieces(self, reader, laid)):
        if number == dies_at:
            os.kill(os.getpid(), signal.SIGKILL)
        yield piece
    os.kill(os.getpid(), signal.SIGKILL)  # after the outputs are in place, before the commit

importing.Incoming.pieces = dying
main(["import", path], lambda: SqliteStore.open(state, kind="shell"), fx_directory=state + "/fx",
     stdout=sys.stdout, stderr=sys.stderr, load_program=load_program)
"""


def dying(program: str, *arguments: object, stdout: Any = None) -> None:
    """Runs a program that is killed on its way."""
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)], env=os.environ | {"PYTHONPATH": ROOT}, stdout=stdout
    )
    assert done.returncode == -signal.SIGKILL


def test_an_export_that_is_killed_leaves_one_job_only(shell: Shell, other: Shell) -> None:
    shell.ok("-d", "-c", "let x = sh -c 'head -c 300000 /dev/zero | tr \\\\0 x'; sleep 1h; echo ($x | len)")
    shell.await_state(1, "waiting")
    whole = len(lines_of(export(shell, 1)))
    assert int(shell.ok("jobs", "import", "job")) == 1
    path = shell.directory / "cut"
    states = []
    for dies_at in range(20):
        shell.await_state(1, "waiting")
        with open(path, "wb") as file:
            dying(EXPORT_AND_DIE, shell.state, dies_at, stdout=file)
        refused = other.run("jobs", "import", str(path))
        assert refused.status == 1 and refused.out == "" and ("cut short" in refused.err or dies_at == 0)
        states.append(shell.job(1)["state"])
        if states[-1] == "moved":
            break
    assert states[-1] == "moved" and set(states[:-1]) == {"waiting"}
    assert len(lines_of(path)) == whole - 1  # all but the last line, which alone makes it a job
    assert int(other.ok("jobs", "import", str(export(shell, 1)))) == 1


def test_an_import_that_is_killed_leaves_nothing_and_can_be_done_again(shell: Shell, other: Shell) -> None:
    shell.ok("-d", "-c", "let x = sh -c 'echo kept'; sleep 1h")
    shell.await_state(1, "waiting")
    path = export(shell, 1)
    other.ok("-c", "true")
    for dies_at in (0, 2, 5, 1000):
        dying(IMPORT_AND_DIE, other.state, path, dies_at)
        assert [job["id"] for job in other.json("jobs", "list", "--all")] == [1]
    number = int(other.ok("jobs", "import", str(path)))
    assert other.ok("jobs", "output", str(number), "--step", "1") == "kept\n"
    other.await_state(number, "waiting")
    assert os.listdir(other.state / "incoming") == [] and (other.state / "incoming").stat().st_mode & 0o777 == 0o700


def test_a_job_that_listens_to_a_topic_stays(shell: Shell) -> None:
    shell.ok("-d", "-c", "let news = (subscribe news); await $news")
    shell.await_state(1, "waiting")
    refused = shell.run("jobs", "export", "1")
    assert (
        refused.status == 1 and refused.out == "" and "waits for what comes into this store: topic news" in refused.err
    )
    shell.ok("publish", "news", "{}")
    shell.await_state(1, "succeeded")
    assert shell.run("jobs", "export", "1").status == 0


STRANGER = 65_534  # nobody, on every system; it may read all, as the interpreter may lie in the home of root
AS_STRANGER = ["setpriv", f"--reuid={STRANGER}", f"--regid={STRANGER}", "--clear-groups"]
AS_STRANGER += ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]


def can_be_a_stranger() -> bool:
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        return False
    return subprocess.run([*AS_STRANGER, sys.executable, "-c", ""], capture_output=True).returncode == 0


@pytest.mark.skipif(not can_be_a_stranger(), reason="needs a system that lets root run a process as somebody else")
def test_a_job_goes_to_another_user_of_the_machine_and_back(shell: Shell, other: Shell) -> None:
    shell.ok("-d", "--name", "asks", "-c", "sh -c 'echo kept'; let said = ask 'On?'; print $said")
    shell.await_state(1, "waiting")
    path = export(shell, 1)
    for place in (other.directory, *other.directory.rglob("*"), other.cwd):
        os.chown(place, STRANGER, STRANGER)
    other.prefix = AS_STRANGER
    alone = {"FMSH_NO_DAEMON": "1"}
    number = other.ok("jobs", "import", str(path), **alone).strip()
    assert other.ok("jobs", "output", number, **alone) == "kept\n"
    kept = [place.stat() for place in other.state.rglob("*")]
    assert {each.st_uid for each in kept} == {STRANGER} and {each.st_mode & 0o777 for each in kept} == {0o600, 0o700}
    back = other.directory / "back"
    back.write_text(other.ok("jobs", "export", number, **alone))
    assert shell.ok("jobs", "import", str(back)) == "1\n"
    shell.ok("jobs", "answer", "asks", "yes")
    assert shell.ok("jobs", "attach", "asks") == "kept\nyes\n"
