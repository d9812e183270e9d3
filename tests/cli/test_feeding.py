"""Streams that go into programs: as much as is read, and no end that is none."""

from __future__ import annotations

import signal

from tests.cli.shell import Shell, until
from tests.connectors.http_server import Server, answer


def test_a_range_of_any_length_stops_with_its_reader(shell: Shell) -> None:
    shown = shell.ok("-c", "1..1000000 | each { $it * 2 } | ^tail -n 1; range 1 1000000000000 | ^head -n 1")
    assert shown == "2000000\n1\n"


def test_a_followed_file_goes_through_programs_line_by_line(shell: Shell) -> None:
    (shell.directory / "log").write_text("one x\ntwo\nthree x\n")
    script = "follow log --from start | ^grep --line-buffered x | ^sed -u s/x/y/ | each { print $it }"
    process = shell.start("-c", script)
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(2)] == ["one y\n", "three y\n"]
    with open(shell.directory / "log", "a") as log:
        log.write("four x\n")
    assert process.stdout.readline() == "four y\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 130


def test_after_a_kill_no_program_takes_what_came_for_all(shell: Shell) -> None:
    (shell.directory / "log").write_text("a\nb\n")
    shell.ok("daemon", "start")
    script = """
      let nothing = follow log --from start | take-while { $it != stop } | ^sh -c 'cat > taken; echo >> ends'
      echo done
    """
    process = shell.start("-c", script)
    until(lambda: shell.file("taken") == "a\nb\n")
    process.kill()
    process.wait()
    until(lambda: "AttemptFailed" in shell.ok("jobs", "log", "1"), "the takeover")
    until(lambda: shell.file("taken") == "a\nb\n")
    assert shell.file("ends") is None
    with open(shell.directory / "log", "a") as log:
        log.write("c\nstop\n")
    assert shell.await_state(1, "succeeded", "failed", "parked")["state"] == "succeeded"
    assert (shell.file("taken"), shell.file("ends")) == ("a\nb\nc\n", "\n")


def test_the_lines_of_a_service_go_into_a_program(shell: Shell) -> None:
    server = Server(answer(200, '{"n":1}\n{"n":2}\n', "application/x-ndjson"))
    try:
        shown = shell.ok("-c", f"GET {server.url} --stream | ^sort -r | from jsonl | get n | str join ,")
    finally:
        server.close()
    assert shown == "2,1\n"
