from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from fcntl import ioctl
from pathlib import Path
from termios import FIONREAD
from typing import Any

import pytest

from fmsh.connectors import cutting, process, spool, terms
from fmsh.connectors.base import Attempt, AttemptId, Cancelled, Done, Failed, Outcome, Terminal
from fmsh.connectors.handover import Handover
from fmsh.connectors.process import ProcessConnector
from fmsh.values import Secret, SecretReference
from tests.cli.shell import until
from tests.connectors.loop import Loop, process_attempt

SECRET = Secret((SecretReference("TOKEN"),))


class Shell:
    """A connector in a loop of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.fx = str(directory / "fx")
        self.loop = Loop()
        self.heard: list[bytes] = []  # what captured commands of the foreground said on stderr
        self.connector = self.another()
        self._step = 0

    def another(self, **options: Any) -> ProcessConnector:
        """A second connector on the same directory, as after a takeover."""
        watch, unwatch, after = self.loop.watch, self.loop.unwatch, self.loop.after
        return ProcessConnector(
            self.fx, watch, unwatch, lambda secret: "hunter2", after, relay=self.heard.append, **options
        )

    def attempt(self, *commands: list[str], **options: object) -> Attempt:
        self._step += 1
        fields = {"id": AttemptId(1, self._step, 1), "directory": str(self.directory)} | options
        return process_attempt(*commands, **fields)  # type: ignore[arg-type]

    def run(self, *commands: list[str], **options: object) -> Outcome:
        attempt = self.attempt(*commands, **options)
        self.connector.start(attempt, self.loop.post)
        return self.loop.outcome_of(attempt.id)

    def value(self, *commands: list[str], **options: object) -> dict[str, object]:
        outcome = self.run(*commands, **options)
        assert isinstance(outcome, Done), outcome
        return outcome.value  # type: ignore[no-any-return]

    def failure(self, *commands: list[str], **options: object) -> Failed:
        outcome = self.run(*commands, **options)
        assert isinstance(outcome, Failed), outcome
        return outcome

    def path(self, attempt: Attempt, name: str) -> str:
        directory = spool.attempt_directory(self.fx, attempt.job_uid, attempt.id.step, attempt.id.attempt)
        return f"{directory}/{name}"

    def wait_for(self, is_true: Callable[[], bool]) -> None:
        self.loop.run_until(is_true, poll_s=0.01)


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    shell = Shell(tmp_path)
    yield shell
    shell.connector.close()
    shell.loop.close()
    end_what_is_left(tmp_path)


def end_what_is_left(directory: Path) -> None:
    """Ends the groups whose claims are below a directory, if they still run: a failed test leaves them."""
    for claim in directory.rglob("claim"):
        pid = int((claim.read_text().split() or ["0"])[0])
        with suppress(ProcessLookupError, FileNotFoundError), open(f"/proc/{pid}/cmdline", "rb") as file:
            if bytes(claim.parent) in file.read():
                os.killpg(pid, signal.SIGKILL)


# -- outputs and statuses


def test_the_output_and_the_status_of_a_captured_command(shell: Shell) -> None:
    assert shell.value(["sh", "-c", "printf 'a\\n\\n'; echo oops >&2; exit 3"]) == {
        "statuses": [3],
        "output": "a\n\n",
        "stderr": "oops\n",
    }


def test_arguments_are_data_whatever_they_hold(shell: Shell) -> None:
    words = ["a b", "", "$HOME", "`id`", "'", '"', "\n", "\\", "*", "-n", "häl\udcff", "$(id)", ";", "|"]
    output = shell.value(["printf", "<%s>", *words])["output"]
    assert output == "".join(f"<{word}>" for word in words)
    assert shell.value(["printf", "<%s>", *words], ["cat"], ["cat"])["output"] == output


def test_ten_thousand_arguments_in_a_stage(shell: Shell) -> None:
    words = [f"{number:06}" for number in range(10_000)]
    value = shell.value(["echo", *words], ["tr", " ", "\n"], ["wc", "-l"])
    assert value["output"] == "10000\n"


def test_output_that_is_not_utf8_is_kept(shell: Shell) -> None:
    assert shell.value(["printf", "a\\377b"])["output"] == "a\udcffb"


def test_a_displayed_command_leaves_its_output_in_files(shell: Shell) -> None:
    attempt = shell.attempt(["sh", "-c", "echo out; echo err >&2"], output="display")
    shell.connector.start(attempt, shell.loop.post)
    assert shell.loop.outcome_of(attempt.id) == Done({"statuses": [0], "output": None, "stderr": "err\n"})
    paths = spool.spool_paths(shell.fx, attempt.job_uid, attempt.id.step, attempt.id.attempt)
    assert (Path(paths.out).read_text(), Path(paths.err).read_text()) == ("out\n", "err\n")
    assert stat.S_IMODE(os.stat(paths.out).st_mode) == 0o600
    directories = [os.path.dirname(paths.out), os.path.dirname(os.path.dirname(paths.out))]
    assert [stat.S_IMODE(os.stat(path).st_mode) for path in directories] == [0o700, 0o700]
    shell.connector.settled(attempt.id, attempt.job_uid, attempt.arguments, {"statuses": [0], "output": None})
    shell.connector.close()
    assert sorted(os.listdir(os.path.dirname(paths.out))) == ["err", "out"], "what was displayed is nowhere else"
    assert spool.remove_job(shell.fx, attempt.job_uid) > 0 and os.listdir(shell.fx) == []


@pytest.mark.parametrize(("said", "left"), [(0, set()), (2048, set()), (2049, {"err"})])
def test_what_an_outcome_holds_is_removed_when_it_is_committed(shell: Shell, said: int, left: set[str]) -> None:
    attempt = shell.attempt(["sh", "-c", f"echo out; yes | head -c {said} >&2"])
    shell.connector.start(attempt, shell.loop.post)
    outcome = shell.loop.outcome_of(attempt.id)
    assert isinstance(outcome, Done) and outcome.value["output"] == "out\n"
    directory = spool.attempt_directory(shell.fx, attempt.job_uid, attempt.id.step, attempt.id.attempt)
    for _ in range(2):
        shell.connector.settled(attempt.id, attempt.job_uid, attempt.arguments, outcome.value)
        shell.connector.close()
    assert (set(os.listdir(directory)) if left else os.listdir(shell.fx)) == (left or [])


def test_an_output_too_large_to_be_recorded_is_kept(shell: Shell) -> None:
    shell.connector = shell.another(output_bytes_max=10)
    attempt = shell.attempt(["echo", "more than that"])
    shell.connector.start(attempt, shell.loop.post)
    assert isinstance(shell.loop.outcome_of(attempt.id), Failed)
    shell.connector.settled(attempt.id, attempt.job_uid, attempt.arguments, None)
    shell.connector.close()
    paths = spool.spool_paths(shell.fx, attempt.job_uid, attempt.id.step, attempt.id.attempt)
    assert Path(paths.out).read_text() == "more than that\n"


def test_an_attempt_that_still_runs_is_not_removed(shell: Shell) -> None:
    attempt = shell.attempt(["sleep", "60"])
    shell.connector.start(attempt, shell.loop.post)
    spool.remove_job(shell.fx, attempt.job_uid)
    assert os.path.exists(spool.attempt_directory(shell.fx, attempt.job_uid, attempt.id.step, attempt.id.attempt))
    shell.connector.cancel(attempt.id)
    assert shell.loop.outcome_of(attempt.id) == Cancelled()
    assert spool.remove_job(shell.fx, attempt.job_uid) > 0 and os.listdir(shell.fx) == []


def test_only_the_tail_of_a_long_stderr_is_told(shell: Shell) -> None:
    stderr = shell.value(["sh", "-c", "yes x | head -c 9000 >&2; echo end >&2"])["stderr"]
    assert isinstance(stderr, str) and len(stderr) == 2048 and stderr.endswith("end\n")


def test_each_stage_has_a_status_and_sigpipe_is_one(shell: Shell) -> None:
    exits = [["sh", "-c", f"cat >/dev/null; exit {status}"] for status in (0, 7, 42)]
    assert shell.value(*exits)["statuses"] == [0, 7, 42]
    value = shell.value(["yes"], ["head", "-n", "1"])
    assert value == {"statuses": [128 + signal.SIGPIPE, 0], "output": "y\n", "stderr": ""}
    killed = shell.value(["sh", "-c", "kill -TERM $$"], ["sh", "-c", "kill -KILL $$"])
    assert killed["statuses"] == [143, 137]


def test_a_pipeline_of_twelve_stages(shell: Shell) -> None:
    value = shell.value(["echo", "x"], *[["cat"]] * 11)
    assert value["statuses"] == [0] * 12 and value["output"] == "x\n"


def test_fifty_megabytes_pass(shell: Shell) -> None:
    value = shell.value(["head", "-c", "50000000", "/dev/zero"], ["tr", "\\0", "x"])
    assert value["statuses"] == [0, 0] and value["output"] == "x" * 50_000_000


def test_too_much_output_is_a_limit_error(shell: Shell) -> None:
    shell.connector = shell.another(output_bytes_max=1 << 20)
    failed = shell.failure(["head", "-c", "1048577", "/dev/zero"])
    assert failed.error.kind == "limit" and "1,048,576 bytes (the setting limits.output)" in failed.error.message


def test_a_captured_command_that_never_stops_to_write_is_ended(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "KILL_AFTER_S", 0.1)
    shell.connector = shell.another(output_bytes_max=1 << 20)
    failed = shell.failure(["sh", "-c", "trap '' TERM; head -c 2000000 /dev/zero; while :; do sleep 0.1; done"])
    assert failed.error.kind == "limit"


@pytest.mark.parametrize("is_running", [False, True])
def test_the_middle_of_what_a_displayed_command_wrote_is_cut_out(shell: Shell, is_running: bool) -> None:
    shell.connector = shell.another(output_bytes_max=1 << 20)
    script = "seq 500000; while [ -e wait ]; do sleep 0.01; done; echo the end"
    if is_running:
        (shell.directory / "wait").touch()
    attempt = shell.attempt(["sh", "-c", script], output="display")
    shell.connector.start(attempt, shell.loop.post)
    path = shell.path(attempt, "out")
    if is_running:
        shell.wait_for(lambda: os.path.exists(path + ".cut"))
        (shell.directory / "wait").unlink()
    assert isinstance(shell.loop.outcome_of(attempt.id), Done)
    shell.connector.settled(attempt.id, attempt.job_uid, attempt.arguments, {"statuses": [0], "output": None})
    shell.connector.close()
    assert os.stat(path).st_blocks * 512 <= 1 << 20
    shown = b"".join(data for data, _ in cutting.pieces(path)).decode()
    head, mark, tail = re.split(r"(\n\[fmsh: [\d,]+ bytes are cut out here.*\]\n)", shown)
    whole = "".join(f"{number}\n" for number in range(1, 500_001)) + "the end\n"
    assert whole.startswith(head) and whole.endswith(tail) and len(head) >= 1 << 19 and len(tail) >= 1 << 18
    cut_bytes = int(re.sub(r"\D", "", mark))
    assert len(head) + cut_bytes + len(tail) == len(whole)


def test_the_input_is_spooled_and_leaves_no_file(shell: Shell) -> None:
    for given, output in (("häl\udcff", "häl\udcff"), (b"\x00\xff", "\x00\udcff"), ("", ""), (SECRET, "hunter2")):
        assert shell.value(["cat"], input=given)["output"] == output
    assert shell.value(["cat"])["output"] == ""
    assert not [name for _, _, names in os.walk(shell.fx) for name in names if name == "in"]


# -- the environment


def test_the_environment_arrives_unchanged(shell: Shell) -> None:
    environment: dict[str, object] = {
        "PATH": os.environ["PATH"],
        "PLAIN": "a\nb $x \udcff",
        "EMPTY": "",
        "not.a-name": "1",
        "BASH_FUNC_f%%": "() { :; }",
        "IFS": ":",
        "PS4": "$(touch pwned)",
        "ENV": "/nowhere",
        "LD_LIBRARY_PATH": "/nowhere",
        "UID": "77",
        "OPTIND": "9",
        "OLDPWD": "/usr",
        "TOKEN": SECRET,
    }
    output = shell.value(["env", "-0"], environment=environment)["output"]
    assert isinstance(output, str)
    seen = dict(pair.split("=", 1) for pair in output.rstrip("\0").split("\0"))
    assert seen.pop("PWD") == str(shell.directory)
    seen.pop("_", None), seen.pop("SHLVL", None)  # a bash that is /bin/sh adds these
    assert seen == {name: "hunter2" if value is SECRET else value for name, value in environment.items()}


def test_stages_have_environments_of_their_own(shell: Shell) -> None:
    attempt = shell.attempt(["sh", "-c", "echo $A.$B"], ["sh", "-c", "cat; echo $A.$B"])
    path = os.environ["PATH"]
    attempt.arguments["stages"][0]["environment"] = {"PATH": path, "A": "1", "B": "x y"}
    attempt.arguments["stages"][1]["environment"] = {"PATH": path, "A": "2"}
    shell.connector.start(attempt, shell.loop.post)
    outcome = shell.loop.outcome_of(attempt.id)
    assert isinstance(outcome, Done) and outcome.value["output"] == "1.x y\n2.\n"


def test_a_secret_is_never_on_a_command_line(shell: Shell) -> None:
    script = "cat /proc/*/cmdline 2>/dev/null | tr '\\0' '\\n' | grep -c hunter[2]; echo $TOKEN"
    environment: dict[str, object] = {"PATH": os.environ["PATH"], "TOKEN": SECRET, "LD_X": SECRET}
    assert shell.value(["sh", "-c", script], environment=environment)["output"] == "0\nhunter2\n"


def test_a_secret_under_an_odd_name_arrives_and_is_on_no_command_line_either(shell: Shell) -> None:
    script = "cat /proc/*/cmdline 2>/dev/null | tr '\\0' '\\n' | grep -c hunter[2]; cat /proc/self/environ"
    environment: dict[str, object] = {"PATH": os.environ["PATH"], "npm/:_authToken": SECRET, "LD_X": "1", "a.b": "2"}
    output = shell.value(["sh", "-c", "sleep 0.02; " + script], environment=environment)["output"]
    assert isinstance(output, str) and output.startswith("0\n")
    # sh itself drops odd names, so a program that it did not start is asked too.
    output = shell.value(["env", "-0"], ["cat"], environment=environment)["output"]
    assert isinstance(output, str)
    seen = dict(pair.split("=", 1) for pair in output.rstrip("\0").split("\0"))
    assert seen.pop("PWD") == str(shell.directory) and seen.pop("PATH")
    assert seen == {"npm/:_authToken": "hunter2", "LD_X": "1", "a.b": "2"}
    value = shell.value(["yes"], ["head", "-n", "1"], environment=environment)
    assert value["statuses"] == [128 + signal.SIGPIPE, 0]


def test_a_command_inherits_one_descriptor_beside_its_own(shell: Shell) -> None:
    before = {int(name) for name in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{name}")}
    inherited = {fd for fd in before if fd > 2 and os.get_inheritable(fd)}
    for commands in ([["ls", "/proc/self/fd"]], [["true"], ["ls", "/proc/self/fd"]]):
        output = shell.value(*commands)["output"]
        assert isinstance(output, str)
        # 0, 1, 2, the directory that ls reads, and the lock that says that a command lives.
        assert {int(fd) for fd in output.split()} - inherited == {0, 1, 2, 3, 8}


def test_signals_are_as_a_program_expects_them(shell: Shell) -> None:
    output = shell.value(["sh", "-c", "grep -E '^Sig(Blk|Ign)' /proc/self/status"])["output"]
    assert isinstance(output, str)
    ignored = {line.split()[0]: int(line.split()[1], 16) for line in output.splitlines()}
    assert ignored["SigBlk:"] == 0
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGTTOU, signal.SIGCHLD):
        assert not ignored["SigIgn:"] >> (number - 1) & 1, number


def test_commands_can_have_a_umask_that_is_not_ours(shell: Shell) -> None:
    loop, mask = shell.loop, os.umask(0o077)
    try:
        shell.connector = ProcessConnector(shell.fx, loop.watch, loop.unwatch, str, loop.after, umask=0o022)
        assert shell.value(["sh", "-c", "umask"])["output"] == "0022\n"
        shell.connector = shell.another()
        assert shell.value(["sh", "-c", "umask"])["output"] == "0077\n"
    finally:
        os.umask(mask)


# -- what cannot be started


@pytest.mark.parametrize(
    ("argv", "status", "says"),
    [
        (["nonesuch"], 127, "command not found: nonesuch"),
        (["./nonesuch"], 127, "command not found: ./nonesuch"),
        (["./plain"], 126, "./plain is not executable"),
        (["plain"], 126, "plain is not executable"),
        (["/"], 126, "/ is a directory"),
        ([""], 127, "empty"),
    ],
)
def test_what_is_not_there_fails_before_anything_runs(shell: Shell, argv: list[str], status: int, says: str) -> None:
    (shell.directory / "plain").write_text("x")
    environment: dict[str, object] = {"PATH": f"{os.environ['PATH']}:{shell.directory}"}
    failed = shell.failure(["touch", "ran"], argv, environment=environment)
    assert failed.error.kind == "exit" and failed.error.fields["status"] == status and says in failed.error.message
    assert not failed.should_retry and not (shell.directory / "ran").exists()


def test_commands_are_found_in_the_tasks_path_and_directory(shell: Shell) -> None:
    (shell.directory / "bin").mkdir()
    (shell.directory / "bin" / "hello").write_text("#!/bin/sh\necho hello $0 $PWD\n")
    (shell.directory / "bin" / "hello").chmod(0o755)
    (shell.directory / "bin" / "bare").write_text("echo no interpreter line\n")
    (shell.directory / "bin" / "bare").chmod(0o755)
    at = {"PATH": f"bin:{os.environ['PATH']}"}
    assert shell.value(["hello"], environment=at)["output"] == f"hello bin/hello {shell.directory}\n"
    assert shell.value(["bin/hello"])["output"] == f"hello bin/hello {shell.directory}\n"
    assert shell.value(["bare"], environment=at)["output"] == "no interpreter line\n"


def test_arguments_that_no_process_can_have_are_type_errors(shell: Shell) -> None:
    for word in ("a\0b", "\ud800"):
        assert shell.failure(["echo", word]).error.kind == "type"


def test_arguments_beyond_what_the_system_takes_are_a_limit_error(shell: Shell) -> None:
    assert shell.failure(["echo", "x" * 200_000]).error.kind == "limit"
    many = ["y"] * 40_000
    assert shell.failure(["echo", *many], ["echo", *many]).error.kind == "limit"


def test_a_directory_that_is_gone_is_an_error(shell: Shell) -> None:
    failed = shell.failure(["true"], directory=str(shell.directory / "gone"))
    assert failed.error.fields["status"] == 126 and "working directory" in failed.error.message


def test_an_unusable_fx_directory_is_an_outcome(shell: Shell) -> None:
    (shell.directory / "fx").write_text("a file")
    assert shell.failure(["true"]).error.fields["status"] == 126


# -- takeover


def starter(shell: Shell, log: Path, kill_at: str, is_once: bool = False) -> str | None:
    """Starts an attempt in a real process that is killed at a point: what it printed, or None if it was killed."""
    argv = [sys.executable, "-m", "tests.connectors.starter", shell.fx, str(log), kill_at, "once" if is_once else "any"]
    found = subprocess.run(argv, capture_output=True, text=True, cwd=Path(__file__).parents[2], timeout=20)
    if found.returncode == -signal.SIGKILL:
        return None
    assert found.returncode == 0, found.stderr
    return found.stdout


def take_over(shell: Shell, log: Path, is_once: bool = False) -> Outcome:
    from tests.connectors.starter import effect_attempt

    attempt = effect_attempt(str(log), is_once=is_once, is_resumed=True)
    assert isinstance(attempt, Attempt)
    shell.connector.start(attempt, shell.loop.post)
    return shell.loop.outcome_of(attempt.id)


@pytest.mark.slow
@pytest.mark.parametrize("is_once", [False, True])
def test_killed_at_any_point_of_the_start_nothing_is_lost_and_nothing_runs_twice(tmp_path: Path, is_once: bool) -> None:
    calls = int(starter(Shell(tmp_path / "count"), tmp_path / "log", "none", is_once) or 0)
    assert calls > 10
    for kill_at in [*range(1, calls + 1), "spawned"]:
        shell, log = Shell(tmp_path / str(kill_at)), tmp_path / f"log-{kill_at}"
        assert starter(shell, log, str(kill_at), is_once) is None
        assert take_over(shell, log, is_once) == Done({"statuses": [3], "output": "out\n", "stderr": "err\n"}), kill_at
        assert log.read_text() == "ran\n", kill_at


def test_killed_while_the_command_runs_its_output_and_status_are_picked_up(shell: Shell, tmp_path: Path) -> None:
    log = tmp_path / "log"
    (tmp_path / "log.wait").touch()
    assert starter(shell, log, "running") is None
    shell.loop.after(0.1, (tmp_path / "log.go").touch)
    assert take_over(shell, log) == Done({"statuses": [3], "output": "out\n", "stderr": "err\n"})
    assert log.read_text() == "ran\n"


def test_what_ended_meanwhile_is_picked_up(shell: Shell, tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert starter(shell, log, "none") is not None
    assert take_over(shell, log, is_once=True) == Done({"statuses": [3], "output": "out\n", "stderr": "err\n"})
    assert log.read_text() == "ran\n"


def test_two_connectors_that_start_the_same_attempt_run_it_once(shell: Shell, tmp_path: Path) -> None:
    attempt = shell.attempt(["sh", "-c", f"echo ran >> {tmp_path}/log"])
    connectors = [shell.another() for _ in range(4)]
    for connector in connectors:
        connector.start(attempt, shell.loop.post)
    shell.wait_for(lambda: len(shell.loop.outcomes) == 4)
    assert all(isinstance(outcome, Done) for _, outcome in shell.loop.outcomes)
    assert (tmp_path / "log").read_text() == "ran\n"


# -- lost


def started(shell: Shell, *commands: list[str], **options: object) -> tuple[Attempt, int]:
    """Starts an attempt and waits for its claim: the wrapper's pid."""
    attempt = shell.attempt(*commands, **options)
    shell.connector.start(attempt, shell.loop.post)
    claim_path = shell.path(attempt, "claim")
    shell.wait_for(lambda: os.path.exists(claim_path) and os.path.getsize(claim_path) > 0)
    claim = spool.read_claim(os.path.dirname(claim_path))
    assert claim is not None
    return attempt, claim.pid


@pytest.mark.parametrize("is_once", [False, True])
@pytest.mark.parametrize("is_resumed", [False, True])
def test_a_killed_wrapper_is_lost_when_its_command_has_ended(shell: Shell, is_once: bool, is_resumed: bool) -> None:
    attempt, pid = started(
        shell, ["sh", "-c", "echo $$ > pid; while [ ! -e go ]; do sleep 0.01; done"], is_once=is_once
    )
    shell.wait_for(lambda: (shell.directory / "pid").exists())
    os.kill(pid, signal.SIGKILL)
    if is_resumed:
        shell.connector.close()
        shell.connector = shell.another()
        shell.connector.start(attempt.replace(is_resumed=True), shell.loop.post)
    for _ in range(3):
        shell.loop.turn(0.05)
    assert shell.loop.outcomes == []  # the command still runs
    (shell.directory / "go").touch()
    outcome = shell.loop.outcome_of(attempt.id)
    assert isinstance(outcome, Failed) and outcome.error.kind == "lost"
    assert outcome.should_retry == (not is_once) and outcome.error.fields["retryable"] == (not is_once)
    assert outcome.attempts_max is None


def test_a_wrapper_killed_between_its_last_acts_costs_nothing(shell: Shell) -> None:
    attempt, _ = started(shell, ["echo", "hi"])
    expected = shell.loop.outcome_of(attempt.id)
    directory = os.path.dirname(shell.path(attempt, "status"))
    os.rename(f"{directory}/status", f"{directory}/status.new")
    second = shell.another()
    second.start(attempt.replace(is_resumed=True), shell.loop.post)
    assert [expected] * 2 == [outcome for _, outcome in shell.loop.outcomes]


def after_reboot(shell: Shell, attempt: Attempt) -> Outcome:
    """Takes over an attempt as if the machine had been started anew."""
    connector = shell.another()
    connector._boot_id = "another-boot"
    shell.loop.outcomes.clear()
    connector.start(attempt.replace(is_resumed=True, terminal=None), shell.loop.post)
    outcome = shell.loop.outcome_of(attempt.id)
    connector.close()
    return outcome


@pytest.mark.parametrize("is_once", [False, True])
@pytest.mark.parametrize("gone", [("status",), ("status", "claim")])
def test_after_a_reboot_what_has_no_status_is_lost(shell: Shell, is_once: bool, gone: tuple[str, ...]) -> None:
    attempt, _ = started(shell, ["sh", "-c", "echo ran >> log"], is_once=is_once)
    shell.loop.outcome_of(attempt.id)
    for name in gone:
        os.unlink(shell.path(attempt, name))
    outcome = after_reboot(shell, attempt)
    if not is_once and "claim" in gone:
        # Nothing durable says that it may have run, and nothing needs to: it may be run again.
        assert isinstance(outcome, Done)
        return
    assert isinstance(outcome, Failed) and outcome.error.kind == "lost" and outcome.should_retry == (not is_once)
    assert (shell.directory / "log").read_text() == "ran\n"


def test_a_status_that_was_not_moved_counts_only_in_its_own_boot(shell: Shell) -> None:
    attempt, _ = started(shell, ["true"])
    shell.loop.outcome_of(attempt.id)
    os.rename(shell.path(attempt, "status"), shell.path(attempt, "status.new"))
    outcome = after_reboot(shell, attempt)
    assert isinstance(outcome, Failed) and outcome.error.kind == "lost"


def test_a_terminal_process_with_unknown_outcome_is_never_repeated(shell: Shell) -> None:
    with open(os.devnull, "r+b") as null:
        terminal = Terminal(null.fileno(), null.fileno(), null.fileno(), False)
        attempt, _ = started(shell, ["true"], output="display", terminal=terminal)
        shell.loop.outcome_of(attempt.id)
    os.unlink(shell.path(attempt, "claim"))
    outcome = after_reboot(shell, attempt)
    assert isinstance(outcome, Failed) and outcome.error.kind == "lost" and not outcome.should_retry


@pytest.mark.parametrize(
    ("kind", "is_once", "is_lost"), [("shell", False, True), ("daemon", False, False), ("daemon", True, True)]
)
def test_an_intent_that_says_its_boot_needs_no_record_beside_it(
    shell: Shell, kind: str, is_once: bool, is_lost: bool
) -> None:
    begun_by = f"{kind} {shell.connector._boot_id}"
    with open(os.devnull, "r+b") as null:
        terminal = Terminal(null.fileno(), null.fileno(), null.fileno(), False) if kind == "shell" else None
        given = {"output": "display", "terminal": terminal, "is_once": is_once, "begun_by": begun_by}
        attempt, _ = started(shell, ["sh", "-c", "echo ran >> log"], **given)
        shell.loop.outcome_of(attempt.id)
    assert not os.path.exists(shell.fx + ".terms") and not os.path.exists(shell.path(attempt, "terms"))
    for name in ("claim", "status", "status.new"):
        if os.path.exists(shell.path(attempt, name)):
            os.unlink(shell.path(attempt, name))
    outcome = after_reboot(shell, attempt)
    assert (isinstance(outcome, Failed) and outcome.error.kind == "lost") == is_lost
    assert (shell.directory / "log").read_text() == ("ran\n" if is_lost else "ran\nran\n")


@pytest.mark.parametrize("is_once", [False, True])
@pytest.mark.parametrize("name", ["terms", "claim"])
@pytest.mark.parametrize("kept", [0, 1, -1])
def test_what_was_cut_short_while_it_was_written_says_that_nothing_ran(
    shell: Shell, name: str, kept: int, is_once: bool
) -> None:
    with open(os.devnull, "r+b") as null:
        terminal = Terminal(null.fileno(), null.fileno(), null.fileno(), False)
        attempt, _ = started(shell, ["touch", "ran"], output="display", terminal=terminal, is_once=is_once)
        shell.loop.outcome_of(attempt.id)
    os.unlink(shell.directory / "ran")
    os.unlink(shell.path(attempt, "status.new"))
    if name == "claim":
        path = Path(shell.path(attempt, name))
        path.write_text(path.read_text()[:kept])
    else:
        os.unlink(shell.path(attempt, "claim"))
        table = Path(shell.fx + ".terms")
        record = table.read_bytes()[: terms.SLOT_BYTES]
        assert record.startswith(attempt.job_uid.encode()) and record.endswith(b"\n")
        with open(table, "r+b") as file:
            file.write(record[:kept] + bytes(terms.SLOT_BYTES - len(record[:kept])))
    shell.loop.outcomes.clear()
    shell.another().start(attempt.replace(is_resumed=True, terminal=None), shell.loop.post)
    assert isinstance(shell.loop.outcome_of(attempt.id), Done)
    assert (shell.directory / "ran").exists()


# -- cancelling


def is_alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


SLEEPERS = "sleep 300 & echo $! >> pids; echo $$ >> pids; wait"


def pids_of(shell: Shell, count: int) -> list[int]:
    path = shell.directory / "pids"
    shell.wait_for(lambda: path.exists() and len(path.read_text().split()) == count)
    return [int(pid) for pid in path.read_text().split()]


@pytest.mark.parametrize("is_resumed", [False, True])
def test_cancel_ends_the_whole_group(shell: Shell, is_resumed: bool) -> None:
    attempt, _ = started(shell, ["sh", "-c", SLEEPERS], ["sh", "-c", SLEEPERS])
    pids = pids_of(shell, 4)
    if is_resumed:
        shell.connector.close()
        shell.connector = shell.another()
        shell.connector.start(attempt.replace(is_resumed=True), shell.loop.post)
    shell.connector.cancel(attempt.id)
    shell.connector.cancel(attempt.id)
    assert shell.loop.outcome_of(attempt.id) == Cancelled()
    shell.wait_for(lambda: not any(map(is_alive, pids)))
    shell.connector.cancel(attempt.id)
    assert len(shell.loop.outcomes) == 1


def test_cancel_kills_what_does_not_listen(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "KILL_AFTER_S", 0.2)
    attempt, _ = started(shell, ["sh", "-c", "trap '' TERM; echo $$ > pids; while :; do sleep 0.05; done"])
    pids = pids_of(shell, 1)
    started_s = time.monotonic()
    shell.connector.cancel(attempt.id)
    assert shell.loop.outcome_of(attempt.id) == Cancelled()
    assert time.monotonic() - started_s >= 0.2
    shell.wait_for(lambda: not any(map(is_alive, pids)))


def test_cancel_reaches_a_stopped_process(shell: Shell) -> None:
    attempt, wrapper = started(shell, ["sh", "-c", "echo $$ > pids; exec sleep 300"])
    pids_of(shell, 1)
    os.killpg(wrapper, signal.SIGSTOP)
    shell.connector.cancel(attempt.id)
    assert shell.loop.outcome_of(attempt.id, timeout_s=4) == Cancelled()


def test_cancel_right_after_the_start_is_not_missed(shell: Shell) -> None:
    for _ in range(20):
        attempt = shell.attempt(["sleep", "300"])
        shell.connector.start(attempt, shell.loop.post)
        shell.connector.cancel(attempt.id)
        assert shell.loop.outcome_of(attempt.id, timeout_s=2) == Cancelled()


def test_an_interrupt_during_the_start_is_no_fault(shell: Shell) -> None:
    for _ in range(20):
        attempt = shell.attempt(["true"])
        shell.connector.start(attempt, shell.loop.post)
        os.killpg(shell.connector._running[attempt.id].pid, signal.SIGINT)
        outcome = shell.loop.outcome_of(attempt.id)
        assert isinstance(outcome, Done) and outcome.value["statuses"] in ([128 + signal.SIGINT], [0])


# -- Ctrl-C; the terminal is none here, but who is to have it when is the same


def at_terminal(shell: Shell, *commands: list[str]) -> tuple[Attempt, Handover]:
    """Starts commands that are to have the terminal, and waits, without turning the loop, until the wrapper speaks."""
    null = os.open(os.devnull, os.O_RDWR)
    attempt = shell.attempt(*commands, output="display", terminal=Terminal(null, null, null, True))
    shell.connector.start(attempt, shell.loop.post)
    os.close(null)
    handover = shell.connector._running[attempt.id].handover
    assert handover is not None
    return attempt, handover


def await_word(handover: Handover, words: int = 1) -> None:
    """Waits until the wrapper has said so much that nobody has heard yet."""
    until(lambda: int.from_bytes(ioctl(handover._told, FIONREAD, bytes(4)), sys.byteorder) >= words, "the wrapper")


@pytest.mark.parametrize("stages", [1, 3])
def test_an_interrupt_between_the_start_and_the_first_act_of_a_program_ends_it(shell: Shell, stages: int) -> None:
    attempt, handover = at_terminal(shell, *[["touch", f"ran-{stage}"] for stage in range(stages)])
    await_word(handover, stages * len("r\n"))
    os.killpg(shell.connector._running[attempt.id].pid, signal.SIGINT)
    outcome = shell.loop.outcome_of(attempt.id)
    assert isinstance(outcome, Done) and outcome.value["statuses"] == [130] * stages and outcome.is_interrupted
    assert not list(shell.directory.glob("ran-*"))


@pytest.mark.parametrize("stages", [1, 3])
def test_an_interrupt_between_the_end_of_a_program_and_ours_is_not_lost(shell: Shell, stages: int) -> None:
    attempt, handover = at_terminal(shell, *[["true"]] * stages)
    await_word(handover, stages * len("r\n"))
    shell.loop.turn(1)  # the terminal is lent
    await_word(handover)
    os.killpg(shell.connector._running[attempt.id].pid, signal.SIGINT)
    outcome = shell.loop.outcome_of(attempt.id)
    assert outcome == Done({"statuses": [0] * stages, "output": None, "stderr": ""}, is_interrupted=True)


def test_an_interrupt_that_a_program_deals_with_is_its_own(shell: Shell) -> None:
    attempt, _ = at_terminal(shell, ["sh", "-c", "trap 'exit 3' INT; touch ready; while :; do sleep 0.01; done"])
    shell.wait_for((shell.directory / "ready").exists)
    os.killpg(shell.connector._running[attempt.id].pid, signal.SIGINT)
    outcome = shell.loop.outcome_of(attempt.id)
    assert isinstance(outcome, Done) and outcome.value["statuses"] == [3] and not outcome.is_interrupted


def test_a_command_that_ends_with_130_by_itself_was_not_interrupted(shell: Shell) -> None:
    for script in ("exit 130", "kill -INT $$"):
        attempt, _ = at_terminal(shell, ["sh", "-c", script])
        outcome = shell.loop.outcome_of(attempt.id)
        assert isinstance(outcome, Done) and outcome.value["statuses"] == [130] and not outcome.is_interrupted


def test_a_cancel_before_the_terminal_is_lent_ends_what_waits_for_it(shell: Shell) -> None:
    attempt, handover = at_terminal(shell, ["touch", "ran"])
    await_word(handover)
    shell.connector.cancel(attempt.id)
    assert shell.loop.outcome_of(attempt.id) == Cancelled() and not (shell.directory / "ran").exists()


def test_what_waits_for_the_terminal_runs_without_it_when_we_die(shell: Shell) -> None:
    attempt, handover = at_terminal(shell, ["touch", "ran"])
    await_word(handover)
    shell.connector.close()
    shell.connector = shell.another()
    shell.connector.start(attempt.replace(is_resumed=True, terminal=None), shell.loop.post)
    assert isinstance(shell.loop.outcome_of(attempt.id), Done) and (shell.directory / "ran").exists()


# -- the rest of cancelling


def test_cancel_of_a_command_that_succeeds_all_the_same_is_done(shell: Shell) -> None:
    attempt, _ = started(shell, ["sh", "-c", "trap 'exit 0' TERM; echo $$ > pids; while :; do sleep 0.02; done"])
    pids_of(shell, 1)
    shell.connector.cancel(attempt.id)
    assert isinstance(shell.loop.outcome_of(attempt.id), Done)


def test_cancel_when_only_the_command_lives(shell: Shell) -> None:
    attempt, wrapper = started(shell, ["sh", "-c", SLEEPERS])
    pids = pids_of(shell, 2)
    os.kill(wrapper, signal.SIGKILL)
    for _ in range(3):
        shell.loop.turn(0.05)
    shell.connector.cancel(attempt.id)
    assert shell.loop.outcome_of(attempt.id) == Cancelled()
    shell.wait_for(lambda: not any(map(is_alive, pids)))


# -- descriptors that are ours


def test_a_displayed_command_inherits_our_descriptors(shell: Shell) -> None:
    (shell.directory / "in").write_text("typed")
    with (
        open(shell.directory / "in") as stdin,
        open(shell.directory / "o", "w") as out,
        open(shell.directory / "e", "w") as err,
    ):
        terminal = Terminal(stdin.fileno(), out.fileno(), err.fileno(), False)
        value = shell.value(["sh", "-c", "cat; echo err >&2; exit 2"], output="display", terminal=terminal)
        assert value == {"statuses": [2], "output": None, "stderr": ""}
    assert (shell.directory / "o").read_text() == "typed"
    assert (shell.directory / "e").read_text() == "err\n"


def test_what_a_captured_command_of_the_foreground_says_on_stderr_is_heard_at_once_and_kept(shell: Shell) -> None:
    script = "echo one >&2; until [ -e heard ]; do sleep 0.01; done; echo two >&2; echo got"
    attempt = shell.attempt(["sh", "-c", script], output="capture", terminal=Terminal(0, 1, 2, False))
    shell.connector.start(attempt, shell.loop.post)
    shell.loop.run_until(lambda: shell.heard == [b"one\n"])
    (shell.directory / "heard").touch()
    assert shell.loop.outcome_of(attempt.id).value == {"statuses": [0], "output": "got\n", "stderr": "one\ntwo\n"}
    assert b"".join(shell.heard) == b"one\ntwo\n"
    assert shell.value(["sh", "-c", "echo in a branch >&2"])["stderr"] == "in a branch\n"
    assert b"".join(shell.heard) == b"one\ntwo\n"


# -- a full disk


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to mount a small file system")
def test_a_full_disk_loses_no_status(shell: Shell, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(small)], capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        shell.fx = str(small / "fx")
        shell.connector = shell.another()
        value = shell.value(["head", "-c", "1000000", "/dev/zero"])
        assert value["statuses"] == [1] and os.statvfs(small).f_bavail == 0
        assert shell.failure(["true"]).error.fields["status"] == 126
    finally:
        subprocess.run(["umount", str(small)], check=True)


# ---- Redirections


def redirected(shell: Shell, command: list[str], *redirections: list[object], **options: object) -> Outcome:
    attempt = shell.attempt(command, **options)
    attempt.arguments["stages"][-1]["redirections"] = list(redirections)
    shell.connector.start(attempt, shell.loop.post)
    return shell.loop.outcome_of(attempt.id)


def test_a_named_pipe_holds_up_the_command_and_nobody_else(shell: Shell) -> None:
    os.mkfifo(shell.directory / "pipe")
    attempt = shell.attempt(["echo", "text"])
    attempt.arguments["stages"][0]["redirections"] = [[">", "pipe"]]
    shell.connector.start(attempt, shell.loop.post)
    assert shell.value(["echo", "meanwhile"])["output"] == "meanwhile\n"
    assert (shell.directory / "pipe").read_text() == "text\n"
    assert isinstance(shell.loop.outcome_of(attempt.id), Done)


def test_cancel_ends_the_wait_for_a_named_pipe(shell: Shell) -> None:
    os.mkfifo(shell.directory / "pipe")
    attempt = shell.attempt(["echo", "text"])
    attempt.arguments["stages"][0]["redirections"] = [[">", "pipe"]]
    shell.connector.start(attempt, shell.loop.post)
    shell.wait_for(lambda: os.path.exists(shell.path(attempt, "claim")))
    shell.connector.cancel(attempt.id)
    assert shell.loop.outcome_of(attempt.id) == Cancelled()


def test_names_of_files_are_data_whatever_they_hold(shell: Shell) -> None:
    for name in ("$(touch hacked)", "a b", "-n", "&1", "`x`", "\udcff", "new\nline", "'\"", "*"):
        assert isinstance(redirected(shell, ["echo", "text"], [">", name]), Done)
        assert (shell.directory / name).read_text() == "text\n"
    assert "hacked" not in os.listdir(shell.directory)


def test_a_text_is_read_and_leaves_no_file_also_if_it_is_a_secret(shell: Shell) -> None:
    for text, expected in (("é\n", "é\n"), (b"\xff", "\udcff"), (SECRET, "hunter2"), ("", "")):
        outcome = redirected(shell, ["cat"], ["<<", text])
        assert isinstance(outcome, Done) and outcome.value["output"] == expected
    assert not list(Path(shell.fx).rglob("in.*"))


def test_a_file_is_made_with_the_umask_of_the_job(shell: Shell) -> None:
    assert isinstance(redirected(shell, ["true"], [">", "f"], umask=0o027), Done)
    assert stat.S_IMODE((shell.directory / "f").stat().st_mode) == 0o640


@pytest.mark.skipif(os.getuid() == 0, reason="root may read and write everywhere")
def test_without_permission_nothing_starts(shell: Shell) -> None:
    for name, mode in (("unreadable", 0o200), ("unwritable", 0o400)):
        (shell.directory / name).write_text("old")
        (shell.directory / name).chmod(mode)
    for redirection in (["<", "unreadable"], [">", "unwritable"], ["2>>", "unwritable"]):
        outcome = redirected(shell, ["touch", "ran"], redirection)
        assert isinstance(outcome, Failed) and outcome.error.kind == "path", outcome
        assert "permission denied" in outcome.error.message and outcome.error.fields["command"] == "touch"
    assert not (shell.directory / "ran").exists()


def test_a_displayed_command_can_have_its_stderr_kept(shell: Shell) -> None:
    read_end, write_end = os.pipe()
    terminal = Terminal(0, write_end, write_end, is_tty=False)
    attempt = shell.attempt(["sh", "-c", "echo out; echo err >&2"], output="display", terminal=terminal)
    attempt.arguments["errors"] = "capture"
    shell.connector.start(attempt, shell.loop.post)
    outcome = shell.loop.outcome_of(attempt.id)
    os.close(write_end)
    with open(read_end) as displayed:
        assert displayed.read() == "out\n"
    assert isinstance(outcome, Done) and outcome.value["errors"] == "err\n" and outcome.value["output"] is None
