"""All verbs of `fmsh jobs` on real jobs, for people and with --json."""

from __future__ import annotations

import json

from tests.cli.shell import Shell, until

JOB_FIELDS = {
    "id", "uid", "key", "name", "tags", "state", "source", "command", "created_at", "started_at", "ended_at", "owner",
    "detached", "waiting_for", "steps", "events", "value", "error", "exit_status",
}  # fmt: skip


def test_list_show_log_and_output_of_an_ended_job(shell: Shell) -> None:
    file = shell.script("echo a\nsh -c 'echo p; echo e >&2'\nlet x = sh -c 'echo kept'\n{x: $x}\n")
    shell.ok("--name", "made", "--tag", "k=v", "-d", file, "arg")
    shell.ok("jobs", "wait", "made")
    (job,) = shell.json("jobs", "list", "--tag", "k=v", "--state", "succeeded", "--limit", "3")
    assert set(job) >= JOB_FIELDS
    assert (job["id"], job["source"], job["command"]) == (1, "script.fmsh", "script.fmsh arg")
    assert (job["value"], job["steps"], job["exit_status"], job["waiting_for"]) == ({"x": "kept"}, 2, 0, [])
    assert shell.json("jobs", "list", "--tag", "k=other") == []
    assert shell.json("jobs", "show", "%1") == shell.json("jobs", "show", "last") == shell.json("jobs", "show", "made")
    events = shell.json("jobs", "log", "1")
    assert [event["seq"] for event in events] == list(range(1, job["events"] + 1))
    made = [event for event in events if event["type"] == "RequestMade"]
    assert [event["where"] for event in made] == [
        {"file": "script.fmsh", "line": 2, "column": 1}, {"file": "script.fmsh", "line": 3, "column": 9},
    ]  # fmt: skip
    result = shell.run("jobs", "output", "1")
    assert (result.out, result.err) == ('a\np\n{"x":"kept"}\n', "e\n")
    assert shell.ok("jobs", "output", "1", "--step", "2") == "kept\n"
    assert [chunk["text"] for chunk in shell.json("jobs", "output", "1", "--step", "1")] == ["p\n", "e\n"]
    for words in (["jobs"], ["jobs", "list", "--all"], ["jobs", "show", "1"], ["jobs", "log", "1"]):
        assert "script.fmsh" in shell.ok(*words) or words[1] == "log"


def test_attach_and_output_follow_what_is_still_to_come(shell: Shell) -> None:
    text = "echo one; sh -c 'echo two; until [ -e go ]; do sleep 0.02; done; echo three'; fail last"
    shell.ok("-d", "-c", text)
    followers = [shell.start("jobs", *words) for words in (["attach", "1"], ["output", "1", "--follow"])]
    for process in followers:
        assert process.stdout is not None
        assert [process.stdout.readline(), process.stdout.readline()] == ["one\n", "two\n"]
    (shell.directory / "go").touch()
    ends = [process.communicate(timeout=30) for process in followers]
    assert [out for out, _ in ends] == ["three\n", "three\n"]
    assert [process.returncode for process in followers] == [1, 0]
    assert ends[0][1].startswith("error: last\n  --> -c:1:") and ends[1][1] == ""
    document = json.loads(shell.run("jobs", "attach", "1", "--json").out)
    assert (document["state"], document["error"]["message"], document["exit_status"]) == ("failed", "last", 1)


def test_pause_resume_cancel_and_wait(shell: Shell) -> None:
    shell.ok("-d", "-c", "sh -c 'until [ -e go ]; do sleep 0.02; done'; sh -c 'echo > second'; sleep 1h")
    shell.await_state(1, "running")
    (paused,) = shell.json("jobs", "pause", "1")
    assert paused["id"] == 1
    shell.await_state(1, "paused")
    (shell.directory / "go").touch()
    result = shell.run("jobs", "wait", "1", "--timeout", "300ms")
    assert result.status == 1 and "has not ended in time: it is paused" in result.err
    assert result.err.startswith("fmsh: job 1 is paused\n  `fmsh jobs resume 1` lets it go on\n"), result
    assert shell.file("second") is None
    shell.ok("jobs", "resume", "1", "--json")
    waiting = shell.await_state(1, "waiting")
    assert [wait["kind"] for wait in waiting["waiting_for"]] == ["timer"]
    assert waiting["waiting_for"][0]["where"]["line"] == 1 and shell.file("second") == "\n"
    result = shell.run("jobs", "resume", "1")
    assert result.status == 1 and "job 1 is not paused: it is waiting" in result.err
    assert shell.json("jobs", "cancel", "1")[0]["id"] == 1
    assert shell.run("jobs", "wait", "1").status == 130
    (ended,) = json.loads(shell.run("jobs", "wait", "1", "--json").out)
    assert (ended["state"], ended["error"]["kind"], ended["exit_status"]) == ("cancelled", "cancelled", 130)
    for verb in ("cancel", "pause", "resume", "retry", "answer"):
        result = shell.run("jobs", verb, "1")
        assert result.status == 1 and "ended" in result.err, result


def test_a_lost_step_parks_its_job_and_retry_or_answer_go_on(shell: Shell) -> None:
    """The wrapper and its command are killed inside of `once`: nobody can know what the command did."""
    shell.ok("daemon", "start")
    for number in (1, 2):
        (shell.directory / "pids").unlink(missing_ok=True)
        text = "once { sh -c 'echo $$ $PPID > pids; [ -e second ] && exit 0; sleep 600' }; echo after"
        shell.ok("-d", "-c", text)
        pids = shell.await_file("pids").split()
        group = int(pids[1])
        import os
        import signal

        os.killpg(os.getpgid(group), signal.SIGKILL)
        job = shell.await_state(number, "parked")
        assert job["error"]["kind"] == "lost" and job["exit_status"] is None
        (shell.directory / "second").touch()
        if number == 1:
            assert shell.json("jobs", "retry", "1")[0]["id"] == 1
        else:
            answer = '{"statuses": [0], "output": null, "stderr": ""}'
            assert shell.json("jobs", "answer", "2", answer)[0]["id"] == 2
        assert shell.ok("jobs", "attach", str(number)) == "after\n"
        (shell.directory / "second").unlink()


def test_keys_go_to_the_followed_job(shell: Shell) -> None:
    shell.ok("-d", "-c", "undo { echo undone }; echo begun; sleep 1h")
    shell.await_state(1, "waiting")
    attached = shell.terminal("jobs", "attach", "1")
    attached.expect("begun")
    attached.sendcontrol("z")
    attached.expect("detached from job 1")
    attached.expect(r"\Z|$")
    until(lambda: not attached.isalive(), "its end")
    assert attached.exitstatus == 0 and shell.job(1)["state"] == "waiting"
    attached = shell.terminal("jobs", "attach", "1")
    attached.expect("begun")
    attached.sendcontrol("c")
    attached.expect("undone")
    until(lambda: not attached.isalive(), "its end")
    assert attached.exitstatus == 130 and shell.job(1)["state"] == "cancelled"


def test_several_terminals_follow_one_job_and_each_may_steer_it(shell: Shell) -> None:
    shell.ok("-d", "-c", "undo { echo undone }; echo begun; await (inbox go) | print; echo more; sleep 1h")
    shell.await_state(1, "waiting")
    leaving, staying, cancelling = (shell.terminal("jobs", "attach", "1") for _ in range(3))
    for terminal in (leaving, staying, cancelling):
        terminal.expect("begun")
    leaving.sendcontrol("z")
    leaving.expect("detached from job 1")
    until(lambda: not leaving.isalive(), "its end")
    shell.ok("jobs", "signal", "1", "go", "7")
    for terminal in (staying, cancelling):
        terminal.expect("7\r\nmore")
    cancelling.sendcontrol("c")
    for terminal in (staying, cancelling):
        terminal.expect("undone")
        until(lambda terminal=terminal: not terminal.isalive(), "its end")  # type: ignore[misc]
    assert [leaving.exitstatus, staying.exitstatus, cancelling.exitstatus] == [0, 130, 130]


def test_two_who_steer_one_job_at_once_both_get_an_answer(shell: Shell) -> None:
    shell.ok("-d", "-c", "sleep 1h")
    shell.await_state(1, "waiting")
    steering = [shell.start("jobs", verb, "1") for verb in ("pause", "cancel", "cancel", "resume")]
    for process in steering:
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0 or (process.returncode == 1 and "job 1" in said), said
    assert shell.run("jobs", "cancel", "1").status in (0, 1)
    shell.await_state(1, "cancelled")
    assert shell.json("jobs", "log", "1")[-1]["type"] == "JobEnded"
