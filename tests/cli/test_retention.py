"""What is kept and what is not, with real shells, a real daemon and real processes."""

from __future__ import annotations

import json
import os

from tests.cli.shell import Shell, until

LARGE = "range 1 20000 | where { true }"  # over 64 KiB as JSON; a range itself is small


def files(shell: Shell) -> list[str]:
    found = (os.path.join(at, name) for at, _, names in os.walk(shell.state / "fx") for name in names)
    return sorted(os.path.relpath(path, shell.state / "fx").partition("/")[2] for path in found)


def test_a_captured_output_is_on_disk_once_and_a_displayed_one_until_it_expires(shell: Shell) -> None:
    text = 'sh -c "echo shown; echo err >&2"; let x = $(sh -c "echo captured; echo aside >&2"); ^true; $x'
    number = shell.run("-d", "-c", text).out.strip()
    assert shell.run("jobs", "wait", number).status == 0
    kept = ["1-1/err", "1-1/out", "3-1/err", "3-1/out"]
    until(lambda: files(shell) == kept, "the daemon cleaned up behind the outcome that it had committed")
    assert shell.run("jobs", "output", number, "--step", "2").out == "captured\n"
    assert shell.run("jobs", "output", number).out == "shown\ncaptured\n"
    shell.run("config", "set", "retention.output", "0s")
    freed = json.loads(shell.run("jobs", "gc", "--json").out)
    assert freed["output_removed"] == [int(number)] and files(shell) == []
    refused = shell.run("jobs", "output", number)
    assert refused.status == 1 and "retention.output" in refused.err, refused


def test_what_went_to_the_terminal_leaves_nothing_behind(shell: Shell) -> None:
    assert shell.run("-c", "echo a; ^true; let x = $(echo b)").status == 0
    assert not (shell.state / "fx").exists() or os.listdir(shell.state / "fx") == []


def test_a_large_value_is_there_for_everybody_until_it_expires(shell: Shell) -> None:
    assert shell.run("--key", "big", "-c", f"let v = ({LARGE}); $v | count | print; $v").status == 0
    again = shell.run("--key", "big", "--json", "-c", "true")
    shown = json.loads(shell.run("jobs", "show", "big", "--json").out)
    assert json.loads(again.out) == shown["value"] == list(range(1, 20_001))
    assert json.loads(shell.run("jobs", "wait", "big", "--json").out)[0]["value"] == shown["value"]
    shell.run("config", "set", "retention.output", "0s")
    assert json.loads(shell.run("jobs", "gc", "--json").out)["bytes"] > 64 * 1024
    refused = shell.run("--key", "big", "--json", "-c", "true")
    assert refused.status == 1 and refused.out == "" and "retention.output" in refused.err, refused
    assert shell.run("--key", "big", "-c", "true").status == 0, "its status is kept"
    shown = json.loads(shell.run("jobs", "show", "big", "--json").out)
    assert shown["value"] is None and "retention.output" in shown["expired"]


def test_a_parent_gets_the_large_value_of_its_child(shell: Shell) -> None:
    done = shell.run("-c", f"let t = ({LARGE}) &\nlet v = await $t\n$v | count")
    assert (done.status, done.out) == (0, "20000\n"), done


def test_ended_jobs_are_removed_by_hand_and_active_ones_are_not(shell: Shell) -> None:
    shell.run("-c", "true", "--name", "x")
    active = shell.run("-d", "-c", "sleep 1h").out.strip()
    refused = shell.run("jobs", "rm", active, "1")
    assert refused.status == 1 and f"job {active} is" in refused.err and "only ended jobs" in refused.err, refused
    assert shell.run("jobs", "gc", "--older-than", "0s").out.startswith("removed 0 jobs")
    gone = shell.run("jobs", "show", "1")
    assert gone.status == 1 and "job 1 is not kept any more" in gone.err, gone
    shell.run("jobs", "cancel", active)
    shell.run("jobs", "wait", active)
    assert json.loads(shell.run("jobs", "gc", "--older-than", "0s", "--json").out)["removed"] == [int(active)]
    assert json.loads(shell.run("jobs", "--all", "--json").out) == []
