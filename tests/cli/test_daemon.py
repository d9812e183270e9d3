"""Detached jobs, keys, the daemon's verbs, and what holds without one."""

from __future__ import annotations

import json
import os
import urllib.request

from tests.cli.shell import Shell, until


def post(url: str, value: object) -> int:
    data = json.dumps(value).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return int(answer.status)


def test_a_detached_job_gives_its_number_and_runs_in_the_daemon(shell: Shell) -> None:
    out = shell.ok(
        "-d", "--name", "n", "--tag", "team=web", "-c", "echo from $args[0]; sh -c 'echo process'; {a: 1}", "x"
    )
    assert out == "1\n"
    assert shell.ok("jobs", "wait", "1") == ""
    job = shell.job(1)
    assert (job["state"], job["detached"], job["name"], job["tags"]) == ("succeeded", True, "n", {"team": "web"})
    assert (job["value"], job["exit_status"], job["owner"]) == ({"a": 1}, 0, None)
    assert shell.ok("jobs", "attach", "1") == 'from x\nprocess\n{"a":1}\n'


def test_a_job_that_a_script_starts_late_gets_a_daemon_at_once(shell: Shell) -> None:
    shell.ok("-c", "sleep 50ms; sh -c 'echo > done' &")
    shell.await_file("done")


def test_start_status_and_stop(shell: Shell) -> None:
    result = shell.run("daemon", "status")
    assert (result.status, result.out) == (1, "the daemon is not running\n")
    started = json.loads(shell.ok("daemon", "start", "--json"))
    assert started["running"] and shell.daemon_status() == started
    assert set(started) >= {"running", "pid", "version", "listen", "public_url", "socket", "jobs"}
    assert json.loads(shell.ok("daemon", "start", "--json"))["pid"] == started["pid"]
    assert shell.run("daemon", "status").status == 0
    assert shell.run("daemon", "run").status == 1  # a second one
    assert shell.ok("daemon", "stop") == "the daemon has ended\n"
    assert shell.ok("daemon", "stop", "--json") == '{"running": false}\n'
    assert not os.path.exists(f"/proc/{started['pid']}/exe")
    for arguments in ([], ["odd"], ["start", "twice"]):
        assert shell.run("daemon", *arguments).status == 2


def test_a_detached_command_has_the_umask_of_whoever_started_its_job(shell: Shell) -> None:
    shell.ok("daemon", "start")
    before = os.umask(0o027)
    try:
        shell.ok("-d", "-c", "sh -c 'umask > mask; mkdir d; : > f'")
    finally:
        os.umask(before)
    shell.ok("jobs", "wait", "1")
    assert shell.file("mask") == "0027\n"
    assert (shell.directory / "d").stat().st_mode & 0o777 == 0o750
    assert (shell.directory / "f").stat().st_mode & 0o777 == 0o640


def test_a_callback_is_delivered_to_a_waiting_job(shell: Shell) -> None:
    process = shell.start("-c", "let hook = callback; echo $hook.url; let got = await $hook; echo $got.status")
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    assert post(url, {"status": "passed"}) == 202
    assert process.communicate(timeout=30) == ("passed\n", "")
    assert process.returncode == 0


def test_a_key_makes_one_job_and_gives_its_result_again(shell: Shell) -> None:
    line = ("--key", "once", "-c", "sh -c 'echo ran >> log'; echo shown; {n: 5}")
    first = shell.ok(*line)
    assert shell.ok(*line) == first == 'shown\n{"n":5}\n'
    result = shell.run("--json", *line)
    assert result.out == '{"n":5}\n' and result.err.endswith('shown\n{"n":5}\n')
    assert shell.ok("-d", *line) == "1\n"
    assert shell.file("log") == "ran\n" and len(shell.json("jobs", "list")) == 1
    failing = ("--key", "failing", "-c", "sh -c 'exit 6'")
    assert [shell.run(*failing).status for _ in range(2)] == [6, 6]


def test_a_key_attaches_to_the_job_that_runs(shell: Shell) -> None:
    line = ("--key", "k", "-c", "echo begun; sh -c 'until [ -e go ]; do sleep 0.02; done'; echo done")
    first = shell.start(*line)
    assert first.stdout is not None and first.stdout.readline() == "begun\n"
    second = shell.start(*line)
    assert second.stdout is not None and second.stdout.readline() == "begun\n"
    (shell.directory / "go").touch()
    assert (first.communicate(timeout=30)[0], second.communicate(timeout=30)[0]) == ("done\n", "done\n")
    assert (first.returncode, second.returncode) == (0, 0)
    assert len(shell.json("jobs", "list")) == 1


def test_many_starts_with_one_key_make_one_job(shell: Shell) -> None:
    shell.ok("-c", "echo the store is there")
    processes = [shell.start("--key", "k", "-c", "sh -c 'echo ran >> log'; echo $job.id") for _ in range(8)]
    assert [process.communicate(timeout=60)[0] for process in processes] == ["2\n"] * 8
    assert shell.file("log") == "ran\n"


def test_a_job_of_a_stopped_daemon_is_taken_up_by_the_next_fmsh(shell: Shell) -> None:
    shell.ok("-d", "-c", "sleep 0.2; sh -c 'echo woke > woke'")
    shell.ok("daemon", "stop")
    assert shell.ok("-c", "echo other") == "other\n"
    assert shell.await_file("woke") == "woke\n"


def test_steering_a_job_that_nobody_holds_starts_the_daemon(shell: Shell) -> None:
    shell.ok("-d", "-c", "undo { sh -c 'echo undone > undone' }; sleep 1h")
    shell.await_state(1, "waiting")
    shell.ok("daemon", "stop")
    assert not shell.daemon_status()["running"]
    result = shell.run("jobs", "pause", "1", FMSH_NO_DAEMON="1")
    assert result.status == 0 and result.err.count("fmsh: ") == 1 and "nobody runs job 1" in result.err, result
    assert not shell.daemon_status()["running"]
    shell.ok("jobs", "cancel", "1")
    assert shell.run("jobs", "wait", "1").status == 130
    assert shell.job(1)["state"] == "cancelled" and shell.file("undone") == "undone\n"


def test_waiting_for_a_job_that_nobody_holds_starts_the_daemon(shell: Shell) -> None:
    shell.ok("-d", "-c", "sleep 0.5; echo slept; exit 3")
    shell.ok("daemon", "stop")
    result = shell.run("jobs", "attach", "1")
    assert (result.status, result.out) == (3, "slept\n")


def test_without_a_daemon_what_needs_it_says_so(shell: Shell) -> None:
    shell.environment["FMSH_NO_DAEMON"] = "1"
    for arguments in (["-d", "-c", "echo a"], ["-c", "callback"], ["-c", "echo a &"]):
        result = shell.run(*arguments)
        assert (result.status, result.out) == (1, "") and "FMSH_NO_DAEMON=1" in result.err, result
    assert shell.ok("-c", "sleep 1.2; echo slept") == "slept\n"
    assert not shell.daemon_status()["running"]
    assert [job["state"] for job in shell.json("jobs", "list")] == ["succeeded", "failed", "failed"]


def test_a_job_that_grows_old_gets_a_daemon(shell: Shell) -> None:
    process = shell.start("-c", "sleep 1h")
    until(lambda: shell.daemon_status()["running"], "the daemon")
    process.kill()
    process.wait()
    until(lambda: (shell.job(1)["owner"] or {"kind": "daemon"})["kind"] == "daemon", "the takeover")
    shell.ok("jobs", "cancel", "1")
    assert shell.run("jobs", "wait", "1").status == 130
    assert [event["type"] for event in shell.json("jobs", "log", "1")].count("HandedOver") >= 1


def test_a_detached_command_that_asks_for_a_terminal_says_so(shell: Shell) -> None:
    shell.ok("-d", "-c", "sh -c 'read -r answer < /dev/tty'")
    shell.await_state(1, "failed")
    shown = shell.ok("jobs", "show", "1")
    assert "/dev/tty" in shown and "it seems to have asked for a terminal" in shown
