"""Secrets from the command line to the world and back: their texts lie nowhere in clear."""

from __future__ import annotations

import os
from pathlib import Path

import pexpect
import pytest

from tests.cli.shell import Shell
from tests.connectors.http_server import Server, json_answer

CANARY = "canary-6b1f0c"


def files_with(directory: Path, text: str) -> list[str]:
    found = []
    for parent, _, names in os.walk(directory):
        for name in names:
            path = Path(parent, name)
            if path.is_file() and text.encode() in path.read_bytes():
                found.append(str(path))
    return found


def test_a_secret_is_kept_listed_used_and_removed(shell: Shell) -> None:
    assert shell.run("secret", "set", "CI_TOKEN", input=f"{CANARY}\n").status == 0
    assert shell.run("secret", "list").out == "CI_TOKEN\n"
    assert shell.run("secret", "list", "--json").out == '[{"name": "CI_TOKEN"}]\n'
    shown = shell.run("-c", 'let token = secret CI_TOKEN; echo "it is $token"; $token | wc -c')
    assert shown.out == f"it is •••\n{len(CANARY)}\n", shown
    assert not files_with(shell.state, CANARY)
    assert shell.run("-c", "reveal (secret CI_TOKEN) | str length").out == f"{len(CANARY)}\n"
    assert shell.run("secret", "rm", "CI_TOKEN").status == 0
    assert shell.run("secret", "list").out == ""
    gone = shell.run("-c", "secret CI_TOKEN")
    assert gone.status == 1 and "there is no secret 'CI_TOKEN'" in gone.err and "fmsh secret set CI_TOKEN" in gone.err


def test_a_secret_is_typed_unseen_and_twice(shell: Shell) -> None:
    child = shell.terminal("secret", "set", "TYPED")
    child.expect("TYPED: ")
    child.sendline(CANARY)
    child.expect("again: ")
    child.sendline(CANARY)
    child.expect(pexpect.EOF)
    assert CANARY not in child.before
    assert shell.run("-c", "reveal (secret TYPED)").out == f"{CANARY}\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("set",), "one NAME"),
        (("set", "A", "value"), "standard input"),
        (("set", "a b"), "a word without blanks"),
        (("set", "new"), "secret new"),
        (("show",), "no verb show"),
        (("rm", "NONE"), "there is no secret 'NONE'"),
        (("list", "-x"), "no option -x"),
    ],
)
def test_what_is_wrong_is_said(shell: Shell, arguments: tuple[str, ...], said: str) -> None:
    done = shell.run("secret", *arguments, input="x")
    assert done.status in (1, 2) and said in done.err and done.err.startswith("fmsh: "), done


def test_an_empty_value_is_refused(shell: Shell) -> None:
    done = shell.run("secret", "set", "A", input="\n")
    assert done.status == 1 and "empty" in done.err and shell.run("secret", "list").out == ""


def test_a_secret_that_a_service_makes_is_nowhere_in_clear(shell: Shell) -> None:
    """Kept with `| secret NAME`, or named with `--secret`: events, snapshots and displays hold references."""
    server = Server(json_answer(f'{{"access_token": "{CANARY}", "scope": "all"}}'))
    try:
        script = f"""
          POST {server.url} | get access_token | secret MADE
          let answer = POST {server.url} --secret access_token
          echo $answer.scope $answer.access_token
          GET {server.url} --auth bearer:MADE | get access_token
          sleep 1ms
          GET {server.url} --auth $answer.access_token | get scope
        """
        done = shell.run("-c", script)
    finally:
        server.close()
    assert done.status == 0 and done.out == "all •••\nall\n", done
    sent = [seen.headers.get("authorization") for seen in server.seen]
    assert sent == [None, None, f"Bearer {CANARY}", f"Bearer {CANARY}"]
    assert not files_with(shell.state, CANARY)
    assert CANARY not in shell.run("jobs", "log", "last", "--json").out


def test_the_output_of_a_command_can_be_a_secret(shell: Shell) -> None:
    Path(shell.directory, "value").write_text(f"{CANARY}\n")
    done = shell.run("-c", "cat value | secret FROM_FILE; let s = secret FROM_FILE; print $s (reveal $s)")
    assert done.out == f"••• {CANARY}\n", done


def test_a_fresh_secret_is_the_same_after_a_replay_and_other_every_time(shell: Shell) -> None:
    done = shell.run("-c", "let a = secret new --bytes 8; let b = secret new; print (reveal $a) (reveal $b)")
    first, second = done.out.split()
    assert len(first) == 11 and len(second) == 43
    wrong = shell.run("-c", "secret new --bytes 0")
    assert wrong.status == 1 and "from 1 to 1024" in wrong.err
