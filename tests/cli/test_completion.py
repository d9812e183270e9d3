"""Completion of `fmsh` in other shells, and that it knows what there is."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fmsh import cli
from fmsh.jobs.command import VERBS
from fmsh.shell import elsewhere
from tests.cli.shell import Shell

COMMANDS = ("daemon", "on", "events", "secret", "test", "fmt", "config", "doctor")


def offered(*words: str) -> list[str]:
    return [line.partition("\t")[0] for line in elsewhere.page(list(words)).splitlines()]


@pytest.fixture
def installed(shell: Shell) -> dict[str, str]:
    """An environment in which `fmsh` is a program."""
    program = shell.directory / "bin" / "fmsh"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m fmsh "$@"\n')
    program.chmod(0o755)
    (shell.directory / "jot.fmsh").touch()
    return shell.environment | {"PATH": f"{program.parent}:{os.environ['PATH']}"}


@pytest.mark.parametrize("words", [*(("jobs", verb) for verb in VERBS), *((name,) for name in COMMANDS)])
def test_every_flag_of_the_help_is_offered(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    for name in ("STATE", "RUNTIME", "CONFIG"):
        monkeypatch.setenv(f"FMSH_{name}_DIR", str(tmp_path / name))
    assert cli.run([*words, "--help"]) == 0
    usage = capsys.readouterr().out.partition("\n\n")[0]
    assert words[-1] in offered(*words)
    found = offered(*words, "--") + offered(*words, "token", "--")
    assert [flag for flag in re.findall(r"--[a-z-]+", usage) if flag not in found] == []


def test_what_is_offered_begins_as_what_is_typed_and_says_which_paths_may_stand_there() -> None:
    assert elsewhere.page(["jobs", "sh"]) == "nothing\nshow\tstate, what it waits for, steps, error\n"
    assert (
        offered("jobs", "list", "--state", "fa") == offered("jobs", "list", "--state=", "fa") == ["nothing", "failed"]
    )
    assert offered("jobs", "list", "--state=fa") == ["nothing", "--state=failed"]
    assert offered("--ch") == ["nothing", "--check"]
    assert offered("jo") == ["files", "jobs"] and offered("fmt", "x") == ["files"]
    assert offered() == offered("")


def test_bash_completes_fmsh(shell: Shell, installed: dict[str, str]) -> None:
    script = 'eval "$(fmsh completion bash)"; ask() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _fmsh; }\n'
    script += 'ask fmsh jo; echo "${COMPREPLY[@]}"; ask fmsh jobs list --state = fa; echo "${COMPREPLY[@]}"\n'
    done = subprocess.run(["bash", "-c", script], env=installed, cwd=shell.directory, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("jobs jot.fmsh\nfailed\n", "")


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
def test_fish_completes_fmsh(shell: Shell, installed: dict[str, str]) -> None:
    script = "fmsh completion fish | source; complete -C 'fmsh jo'; complete -C 'fmsh jobs list --state=fa'"
    done = subprocess.run(["fish", "-c", script], env=installed, cwd=shell.directory, capture_output=True, text=True)
    assert done.stdout == "jobs\tthe jobs of this store\njot.fmsh\n--state=failed\n", done.stderr
