"""What comes on standard input, as a stream: as it comes, ended early, and not lost with the fmsh that began it."""

from __future__ import annotations

import os
import subprocess

from tests.cli.shell import Shell, until


def test_a_script_that_has_enough_ends_its_standard_input_without_an_error(shell: Shell) -> None:
    source = subprocess.Popen(["yes"], stdout=subprocess.PIPE)
    process = shell.start(shell.script("$in | first 3"), stdin=source.stdout)
    assert source.stdout is not None
    source.stdout.close()
    assert process.communicate(timeout=60) == ("y\ny\ny\n", "")
    assert process.returncode == 0
    source.wait(timeout=30)  # nobody reads it any more


def test_a_script_takes_its_standard_input_as_it_comes(shell: Shell) -> None:
    reading, writing = os.pipe()
    process = shell.start("-c", 'for x in $in { print "got $x" }', stdin=reading)
    os.close(reading)
    assert process.stdout is not None
    for line in ("a", "b"):
        os.write(writing, f"{line}\n".encode())
        assert process.stdout.readline() == f"got {line}\n"
    os.close(writing)
    assert process.wait(timeout=30) == 0


def test_lines_that_stages_choose_are_shown_as_they_come(shell: Shell) -> None:
    source = "sh -c 'echo a1; echo b1; until [ -e go ]; do sleep 0.01; done; echo a2; exit 3'"
    process = shell.start("-c", f"{source} | where {{ $it =~ a }} | skip 0")
    assert process.stdout is not None and process.stdout.readline() == "a1\n"
    (shell.cwd / "go").touch()
    out, error = process.communicate(timeout=60)
    assert (out, process.returncode) == ("a2\n", 3) and error.startswith("error: sh ended with status 3")


def test_standard_input_that_comes_to_one_value_is_one_step(shell: Shell) -> None:
    text = "def even() { $in | where { ($it | int) % 2 == 0 } }\n$in | lines | even | count"
    counted = shell.run("-c", text, input="".join(f"{number}\n" for number in range(50_000)))
    assert (counted.out, counted.err) == ("25000\n", "")
    assert shell.job(1)["steps"] == 1


def test_the_input_of_a_detached_job_is_read_before_it_starts(shell: Shell) -> None:
    number = shell.run("-d", "-c", "$in | lines | count", input="x\n" * 5).out.strip()
    assert shell.run("jobs", "wait", number).status == 0
    assert shell.job(number)["value"] == 5


def test_standard_input_is_not_lost_with_the_fmsh_that_began_to_read_it(shell: Shell) -> None:
    """The daemon goes on where the killed one was: nothing is missing, and nothing that was recorded comes twice."""
    text = "for x in $in { sleep 20ms; sh -c 'echo \"$0\" >> took' $x }\necho end"
    with subprocess.Popen(["seq", "40"], stdout=subprocess.PIPE) as source:
        process = shell.start("-c", text, stdin=source.stdout, environment={"FMSH_NO_DAEMON": "1"})
        until(lambda: (shell.file("took") or "").count("\n") > 3)
    process.kill()
    process.wait(timeout=30)
    assert (shell.file("took") or "").count("\n") < 40
    shell.ok("daemon", "start")
    assert shell.run("jobs", "wait", "1").status == 0
    took = (shell.file("took") or "").split()
    assert list(dict.fromkeys(took)) == [str(number) for number in range(1, 41)]
    assert len(took) <= 41, "only what was in flight may come twice"


def test_a_count_of_standard_input_goes_on_after_a_kill(shell: Shell) -> None:
    reading, writing = os.pipe()
    process = shell.start("-c", "$in | count", stdin=reading, environment={"FMSH_NO_DAEMON": "1"})
    os.close(reading)
    os.write(writing, b"x\n" * 1000)
    until(lambda: [path.stat().st_size for path in shell.state.glob("fx/**/out")] == [2000])
    process.kill()
    process.wait(timeout=30)
    os.write(writing, b"x\n" * 10)
    os.close(writing)
    shell.ok("daemon", "start")
    assert shell.run("jobs", "wait", "1").status == 0
    assert shell.job(1)["value"] == 1010
