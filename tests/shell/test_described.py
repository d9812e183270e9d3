"""What the arguments of the system's commands may be, as the files in `completions/` say it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fmsh.errors import FmshError, UsageError
from fmsh.machine.code import Program
from fmsh.machine.facts import Facts
from fmsh.shell import outputs
from fmsh.shell.described import FIELDS, OTHERS, PLACES, Described, Offer
from fmsh.shell.knowledge import OWN_COMPLETIONS
from fmsh.shell.outputs import NotYet, Outputs, Run
from fmsh.shell.pure import evaluate

SHIPPED = sorted(
    {name.removesuffix(".fmsh") for name in os.listdir(OWN_COMPLETIONS) if name.endswith(".fmsh")} - {OTHERS}
)


class Prompt:
    """Asks for completions in a directory, as the prompt does. `knows` is what programs wrote without being run."""

    def __init__(self, directory: Path, *places: str) -> None:
        self.directory = directory
        self.described = Described([*places, OWN_COMPLETIONS])
        self.outputs = Outputs()
        self.ran: list[Run] = []
        self.answer: str | None = None
        self.time_s = 60.0
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(directory)}

    def evaluate(self, program: Program, variables: dict[str, Any]) -> Any:
        facts = Facts(0, None, None, [], str(self.directory), "UTC", variables)
        return evaluate(program, facts, self.environment, answer=self.outputs.answer, budget=100_000)

    def offer(self, line: str) -> dict[str, str]:
        name, *words = line.split(" ")
        while True:
            try:
                found = self.described.offer(name, words[:-1], words[-1], self.evaluate)
            except NotYet as asks:
                self.ran.append(asks.wanted)
                written = outputs.run(asks.wanted, self.time_s) if self.answer is None else (0, self.answer)
                self.outputs.know(asks.wanted, *written)
                continue
            assert found is not None
            return {**found.texts, **({found.paths: ""} if found.paths != "nothing" else {})}


@pytest.fixture
def prompt(tmp_path: Path) -> Prompt:
    return Prompt(tmp_path, str(tmp_path / "own"))


def write(prompt: Prompt, name: str, text: str) -> None:
    (prompt.directory / "own").mkdir(exist_ok=True)
    (prompt.directory / "own" / f"{name}.fmsh").write_text(text)


def lines_with_a_function(value: dict[str, Any], words: str) -> Iterator[str]:
    """A line for each place of a description where a function is called."""
    arguments = value.get("arguments", [])
    for index, source in enumerate(arguments if isinstance(arguments, list) else [arguments]):
        if isinstance(source, str) and source not in PLACES:
            yield f"{words}{' x' * index} "
    for spellings, part in {**value.get("flags", {}), **value.get("before", {})}.items():
        source = part.get("value") if isinstance(part, dict) else None
        if isinstance(source, str) and source not in PLACES:
            yield f"{words} {spellings.split()[0]} "
    for name, part in value.get("commands", {}).items():
        if isinstance(part, dict):
            yield from lines_with_a_function(part, f"{words} {name}")


@pytest.mark.parametrize("name", SHIPPED)
def test_every_function_that_a_shipped_file_names_is_there_and_takes_what_programs_write(
    prompt: Prompt, name: str
) -> None:
    prompt.answer = "[]\n" if name == "fmsh" else "one two\nthree\n"
    assert prompt.offer(f"{name} -")
    _, found = prompt.described._read[f"{OWN_COMPLETIONS}/{name}.fmsh"]
    assert set(found.value) <= set(FIELDS)
    for line in lines_with_a_function(dict(found.value), name):
        prompt.offer(line)


def test_git_offers_commands_flags_branches_and_what_is_changed(prompt: Prompt) -> None:
    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", "-C", str(prompt.directory), *identity, *arguments], check=True, capture_output=True)

    git("init", "-b", "main")
    git("commit", "--allow-empty", "-m", "first")
    git("branch", "topic")
    (prompt.directory / "new file").touch()
    assert prompt.offer("git sw")["switch"] == "switches branches"
    assert prompt.offer("git switch ") == {"main": "first", "topic": "first"}
    assert "HEAD" in prompt.offer("git log --oneline ") and "--oneline" in prompt.offer("git log -")
    assert prompt.offer("git add ") == {"new file": "new"}
    git("add", "new file")
    assert prompt.offer("git restore --staged ") == {"new file": "in the index"}
    git("commit", "-m", "second")
    (prompt.directory / "new file").write_text("changed")
    prompt.outputs.forget()
    git("update-ref", "refs/remotes/origin/main", "HEAD")
    git("update-ref", "refs/remotes/origin/far", "HEAD")
    assert prompt.offer("git add ") == prompt.offer("git checkout main ") == {"new file": "changed"}
    assert list(prompt.offer("git checkout ")) == ["main", "topic", "far", "HEAD", "new file"]
    assert "raw" in prompt.offer("git log --pretty= ")
    assert "--git-dir=" in prompt.offer("git -") and "--git-dir=" not in prompt.offer("git log -")
    assert prompt.offer("git commit -m ") == {}
    assert {run.argvs[0][1] for run in prompt.ran} == {"for-each-ref", "ls-files", "diff"}


def test_ssh_offers_the_hosts_of_its_files(prompt: Prompt) -> None:
    (prompt.directory / ".ssh").mkdir()
    (prompt.directory / ".ssh" / "config").write_text(
        "Host build prod-1\n  User me\nHost *\nhost other\nInclude more/* none\n"
    )
    (prompt.directory / ".ssh" / "more").mkdir()
    (prompt.directory / ".ssh" / "more" / "one").write_text("Host included\n")
    (prompt.directory / ".ssh" / "known_hosts").write_text(
        "[a.example]:2222 ssh-rsa A\nb.example,10.0.0.1 x A\n|1|x= y\n"
    )
    hosts = ["build", "prod-1", "other", "included", "a.example", "b.example", "10.0.0.1"]
    assert list(prompt.offer("ssh ")) == list(prompt.offer("ssh -v -J ")) == hosts
    assert prompt.offer("ssh build ") == {}


def test_make_offers_the_targets_of_the_makefile(prompt: Prompt) -> None:
    assert prompt.offer("make ") == {}
    (prompt.directory / "Makefile").write_text("X := 3\nall: a ## makes all\na b:\n\ttrue\n.PHONY: all\n")
    (prompt.directory / "other.mk").write_text("else:\n")
    assert prompt.offer("make -j 4 ") == {"all": "makes all", "a": "", "b": ""}
    assert prompt.offer("make -f other.mk ") == {"else": ""}


def test_of_commands_without_a_file_fish_is_asked(prompt: Prompt, monkeypatch: pytest.MonkeyPatch) -> None:
    def other(*words: str) -> Offer:
        try:
            return prompt.described.other(list(words), prompt.evaluate)
        except NotYet as asks:
            prompt.outputs.know(asks.wanted, *outputs.run(asks.wanted, 60.0))
            return prompt.described.other(list(words), prompt.evaluate)

    monkeypatch.chdir(prompt.directory)
    fish = prompt.directory / "fish"
    (prompt.directory / "a file").touch()
    prompt.environment["PATH"] = f"{prompt.directory}:{prompt.environment['PATH']}"
    fish.write_text("#!/bin/sh\nshift 3\nprintf 'word\\tof %s\\n' \"$*\"\n")  # which words it is asked for
    fish.chmod(0o755)
    assert other("tar", "-x", "wo") == Offer({"word": "of tar -x wo"})
    fish.write_text("#!/bin/sh\nprintf 'word\\tmore\\na file\\n'\n")
    assert other("tar", "") == Offer({"word": "more"}, "files")
    fish.write_text("#!/bin/sh\nexit 1\n")
    assert other("tar", "-y") == Offer({}, "files")


OWN = """\
def places(words: list) { ["of $(echo ($words | str join ,))", "b\\tsecond"] }
def asks() { printf 'a\\nb\\n' | lines | where { $it != "a" } }
def loops() { let out = []; for each in (printf 'x\\ny\\n' | lines) { if $each == y { return [$each] } }; $out }
def piped() { printf 'a\\nb\\n' | grep b | lines }
def fails() { sh -c 'echo a; exit 3' | lines }
def slow() { sh -c 'sleep 600 & wait' | lines }
def writes() { "a" | save made; [b] }
def endless() { while true { } }
def broken() { [1, 2] | get nothing }
{
  flags: {"--to": {about: "where", value: places}, "--color=": {about: "how", value: [auto, never]}, "-v": "more"}
  commands: {
    one: {about: "the first", arguments: [places, directories, asks]}
    loops: {arguments: loops}
    piped: {arguments: piped}
    fails: {arguments: fails}
    slow: {arguments: slow}
    writes: {arguments: writes}
    endless: {arguments: endless}
    broken: {arguments: broken}
    missing: {arguments: missing}
  }
}
"""


def test_a_file_of_ones_own(prompt: Prompt) -> None:
    write(prompt, "git", OWN)  # in the place of ours
    assert prompt.offer("git o")["one"] == "the first"
    assert prompt.offer("git -") == {"--to": "where", "--color=": "how", "-v": "more"}
    assert prompt.offer("git --to ") == {"of --to": "", "b": "second"}
    assert prompt.offer("git --color= ") == {"auto": "", "never": ""}
    assert list(prompt.offer("git -v --color one "))[:1] == ["of -v,--color,one"]
    assert prompt.offer("git one x ") == {"directories": ""}
    assert prompt.offer("git one x y ") == prompt.offer("git one x y z ") == {"b": ""}
    assert prompt.offer("git one -- ") == {"of one,--": "", "b": "second"}
    assert prompt.offer("git loops ") == {"y": ""} and prompt.offer("git piped ") == {"b": ""}
    assert prompt.offer("git fails ") == {}
    (prompt.directory / "own" / "git.fmsh").write_text("{arguments: [[now]]}\n")
    os.utime(prompt.directory / "own" / "git.fmsh", (1, 1))
    assert prompt.offer("git ") == {"now": ""}


def test_a_completion_changes_nothing_and_ends(prompt: Prompt) -> None:
    write(prompt, "x", OWN)
    prompt.time_s = 0.1
    assert prompt.offer("x slow ") == {}
    for line, says in {
        "x writes ": "it asks for",
        "x endless ": "does not end",
        "x broken ": "broken: ",
        "x missing ": "has no function `missing`",
    }.items():
        with pytest.raises(FmshError) as problem:
            prompt.offer(line)
        assert says in problem.value.message
    assert not (prompt.directory / "made").exists()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("let x = (\n", "x.fmsh:1:"),
        ("5\n", "no description"),
        ("{flag: {}}\n", "no field 'flag'"),
        ("{flags: [a]}\n", "`flags` is no record"),
        ("{commands: {a: 1}}\n", "neither a text nor a record"),
        ("{arguments: places}\ndef places() { 1 }\n", "x.fmsh"),
        ("GET http://127.0.0.1:1/\n", "it asks for"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(prompt: Prompt, text: str, says: str) -> None:
    write(prompt, "x", text)
    with pytest.raises(UsageError) as problem:
        prompt.offer("x ")
    assert says in problem.value.message
