"""Topics between real processes: jobs, the command line, and the store that tells of jobs itself."""

from __future__ import annotations

import json

from tests.cli.shell import Shell, until


def test_what_is_published_reaches_the_jobs_that_subscribed_wherever_they_run(shell: Shell) -> None:
    text = "let news = subscribe builds; for x in $news { print $x; if $x == stop { break } }"
    foreground = shell.start("-c", text)
    shell.ok("-d", "-c", text)
    for number in (1, 2):
        until(lambda number=number: any(wait["kind"] == "topic" for wait in shell.job(number)["waiting_for"]))
    assert shell.job(2)["waiting_for"][0]["label"] == "builds"
    number = int(shell.ok("publish", "builds", '"one"'))
    shell.ok("-c", "let n = publish builds two; publish other three; publish builds stop")
    assert foreground.communicate(timeout=30)[0] == "one\ntwo\nstop\n"
    shell.ok("jobs", "wait", "2")
    assert shell.ok("jobs", "output", "2") == "one\ntwo\nstop\n"
    found = shell.json("events", "builds")
    assert [event["value"] for event in found] == ["one", "two", "stop"] and found[0]["seq"] == number
    assert shell.json("events", "builds", "--after", str(number)) == found[1:]
    follower = shell.start("events", "builds", "--follow", "--json", "--after", str(found[1]["seq"]))
    assert follower.stdout is not None
    assert json.loads(follower.stdout.readline()) == found[2]
    shell.ok("publish", "builds", "{}")
    assert json.loads(follower.stdout.readline())["value"] == {}
    for arguments in (["publish"], ["publish", "a", "b", "c"], ["events", "a", "b"], ["events", "--odd"]):
        assert shell.run(*arguments).status == 2
    assert shell.run("-c", "subscribe t --from never").status == 1


def test_a_job_hears_of_the_states_of_others_and_not_of_its_own(shell: Shell) -> None:
    text = "for job in (subscribe jobs --from now) { print $job.command $job.state; if $job.state == failed { break } }"
    listener = shell.start("-c", text)
    until(lambda: (jobs := shell.json("jobs", "list")) and jobs[0]["waiting_for"])
    shell.ok("-c", "sleep 1ms")
    shell.run("-c", "fail x")
    lines = ["sleep 1ms waiting", "sleep 1ms succeeded", "fail x failed"]
    assert [line for line in listener.communicate(timeout=30)[0].splitlines() if "running" not in line] == lines


def test_nobody_but_the_store_tells_of_jobs(shell: Shell) -> None:
    for topic in ("jobs", "fmsh.end of job 1"):
        refused = shell.run("publish", topic, '{"id": 1, "state": "failed"}')
        assert refused.status == 2 and "nobody but fmsh itself" in refused.err and "another name" in refused.err
    caught = "let t = 'jobs'; try { publish $t {id: 1, state: failed} } catch e { print $e.kind $e.message }"
    assert "topic nobody but fmsh itself" in shell.ok("-c", caught)
    assert {event["value"]["state"] for event in shell.json("events")} <= {"running", "waiting", "succeeded"}
    assert shell.run("publish", "", "1").status == shell.run("publish", "a\x1bb", "1").status == 2
