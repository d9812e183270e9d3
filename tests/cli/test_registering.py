"""Scripts that run as jobs for events."""

from __future__ import annotations

from tests.cli.shell import ROOT, Shell, until
from tests.connectors.http_server import Server


def children(shell: Shell, state: str = "succeeded") -> list[dict[str, object]]:
    found = shell.json("jobs", "list", "--all")
    return [job for job in found if job["parent"] is not None and job["state"] == state]


def test_a_script_runs_for_every_event_until_it_is_removed(shell: Shell) -> None:
    script = shell.script('param greeting: string\nprint "$greeting $in.name"\n')
    number = shell.ok("on", "--name", "hello", "people", script, "hi").strip()
    (shell.directory / script).unlink()
    until(lambda: shell.job(number)["waiting_for"])
    for name in ("Ada", "Bo"):
        shell.ok("publish", "people", f'{{"name": "{name}"}}')
    ended = until(lambda: len(found := children(shell)) == 2 and found)
    shown = {shell.ok("jobs", "output", str(job["id"])) for job in ended}
    assert shown == {"hi Ada\n", "hi Bo\n"}
    (listed,) = shell.json("on", "list")
    assert (str(listed["id"]), listed["name"], listed["state"]) == (number, "hello", "waiting")
    assert "people" in shell.ok("on", "list")
    again = shell.run("on", "--name", "hello", "others", shell.script("echo $in\n"))
    assert again.status == 2 and f"registration {number}" in again.err and "fmsh on rm hello" in again.err
    assert len(shell.json("jobs", "list", "--all")) == 3, "no job was made for it"
    shell.ok("on", "rm", "hello")
    shell.await_state(int(number), "cancelled")
    assert shell.json("on", "list") == [] and shell.run("on", "rm", "hello").status == 2


def test_with_concurrency_only_so_many_run_at_once(shell: Shell) -> None:
    script = shell.script("sh -c 'echo . >> begun; until [ -e go ]; do sleep 0.02; done'\n")
    number = shell.ok("on", "--concurrency", "2", "t", script).strip()
    until(lambda: shell.job(number)["waiting_for"])
    for n in range(3):
        shell.ok("publish", "t", str(n))
    until(lambda: (shell.file("begun") or "").count(".") == 2)
    assert len(shell.json("jobs", "list")) == 3, "the registration, and two of three"
    (shell.directory / "go").touch()
    until(lambda: len(children(shell)) == 3)


def test_jobs_that_hear_of_jobs_are_not_told_of_themselves(shell: Shell) -> None:
    """Nor of what they start, or that would start more, without an end."""
    script = shell.script("let child = start { sleep 1ms }; let end = await $child; echo $in.command $in.state\n")
    number = shell.ok("on", "jobs", script).strip()
    until(lambda: shell.job(number)["waiting_for"])
    listens = (
        "for job in (subscribe jobs --from now) { let child = start { sleep 1ms }; let end = await $child; break }"
    )
    listener = shell.start("-c", listens)
    until(lambda: any(job["command"] == listens and job["waiting_for"] for job in shell.json("jobs", "list")))
    shell.ok("-c", "true")
    assert listener.communicate(timeout=30)[0] == ""

    def told() -> list[str]:
        jobs = [job for job in shell.json("jobs", "list", "--all") if job["command"].endswith(script)]
        assert len(jobs) < 9, "it goes on and on"
        return [shell.ok("jobs", "output", str(job["id"])) for job in jobs if job["parent"] is not None]

    until(lambda: "true succeeded\n" in told(), "that it is told")
    until(lambda: not [*children(shell, "running"), *children(shell, "waiting")], "the end of all")
    shell.ok("on", "rm", number)
    shell.await_state(int(number), "cancelled")
    assert all(line.startswith(("true ", listens)) for line in told()), told()


def test_the_example_tells_somebody_of_failed_and_parked_jobs_only(shell: Shell) -> None:
    server = Server(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    try:
        number = shell.ok("on", "jobs", f"{ROOT}/examples/page.fmsh", server.url + "/p").strip()
        until(lambda: shell.job(number)["waiting_for"])
        shell.ok("-c", "true")
        assert shell.run("-c", "fail 'no disk'").status == 1
        until(lambda: server.seen, "the page")
        until(lambda: not [*children(shell, "running"), *children(shell, "waiting")], "all runs")
        failed = next(job["id"] for job in shell.json("jobs", "list", "--all") if job["state"] == "failed")
        text = f"job {failed} is failed: fail 'no disk' (fmsh jobs why {failed})"
        assert [(seen.target, seen.body) for seen in server.seen] == [("/p", text.encode())]
    finally:
        server.close()


def test_a_script_is_registered_for_times_too(shell: Shell) -> None:
    number = shell.ok("on", "cron", "0 9 * * 1-5", shell.script("echo $in\n")).strip()
    (wait,) = until(lambda: shell.job(number)["waiting_for"])
    assert wait["kind"] == "timer" and "cron '0 9 * * 1-5'" in shell.ok("on", "list")


def test_what_cannot_be_registered_is_said_at_once(shell: Shell) -> None:
    script = shell.script("param n: int\n")
    for arguments in (
        ["on"],
        ["on", "t"],
        ["on", "t", "missing.fmsh"],
        ["on", "t", script, "x"],
        ["on", "--concurrency", "0", "t", script, "1"],
        ["on", "--odd", "1", "t", script],
        ["on", "t", shell.script("let x =", "wrong.fmsh")],
        ["on", "cron", "bad expr", script, "1"],
        ["on", "cron", "0 0 30 2 *", script, "1"],
        ["on", "rm"],
    ):
        assert shell.run(*arguments).status == 2, arguments


def test_a_registration_is_removed_also_where_no_daemon_ran(shell: Shell) -> None:
    number = int(shell.ok("on", "topic", shell.script("echo $in\n")))
    until(lambda: shell.job(number)["waiting_for"])
    shell.ok("daemon", "stop")
    shell.ok("on", "rm", str(number))
    shell.await_state(number, "cancelled")
