"""What a displayed command says on stderr is shown; if that is not where the display is, its error holds the end."""

from __future__ import annotations

import subprocess

from tests.cli.shell import Shell

SAYS = "sh -c 'echo out; echo no >&2; exit 4' || echo \"said <$error.stderr>\""


def test_the_error_of_a_displayed_command_holds_what_it_said(shell: Shell) -> None:
    done = shell.run("-c", SAYS)
    assert (done.status, done.out, done.err) == (0, "out\nsaid <no\n>\n", "no\n")


def test_what_a_displayed_command_says_is_shown_while_it_runs(shell: Shell) -> None:
    going = shell.start("-c", "sh -c 'echo first >&2; until [ -e go ]; do sleep 0.01; done; echo second >&2'")
    assert going.stderr is not None and going.stderr.readline() == "first\n"
    (shell.cwd / "go").touch()
    assert going.communicate()[1] == "second\n"


def test_where_both_outputs_are_one_file_their_order_stays(shell: Shell) -> None:
    both = "sh -c 'for i in 1 2 3 4 5; do echo out $i; echo err $i >&2; done'"
    going = shell.start("-c", both, stderr=subprocess.STDOUT)
    assert going.communicate()[0] == "".join(f"out {i}\nerr {i}\n" for i in range(1, 6))
