"""What may stand at the cursor."""

from __future__ import annotations

from pathlib import Path

import pytest

from fmsh.lang.forms import FORMS
from fmsh.shell.completer import World, complete
from fmsh.shell.described import Offer
from fmsh.values import Handle

VALUES = {
    "build": {"id": 7, "status": "passed", "items": [{"name": "a"}], "odd key": 1},
    "hook": Handle("callback", "1", {"id": "1", "url": "http://x"}),
}
OFFERS = {
    "git": Offer({"branch": "branches", "br ob": ""}),
    "git branch": Offer({"main": "the commit", "HEAD": ""}, "files"),
    "git -m a b": Offer({"here": ""}),
    "git (ls)": Offer({}),
    "git --form=": Offer({"json": ""}),
}
COMMANDS = {"GET": "Sends a GET request.", "get": "Reads a path.", "str upper": "Makes it upper.", "str trim": "Trims."}


@pytest.fixture
def world(tmp_path: Path) -> World:
    (tmp_path / "notes.txt").touch()
    (tmp_path / "with blank").mkdir()
    (tmp_path / ".hidden").touch()
    return World(
        lambda: COMMANDS,
        lambda: ["grep", "git", "ls"],
        lambda name: FORMS[name].signature if name in FORMS else None,
        lambda name, words, word: OFFERS.get(" ".join([name, *words])),
        list(VALUES),
        lambda name: VALUES[name],
        str(tmp_path),
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("g", ["get", "git", "grep"]),
        ("echo x | ge", ["get"]),
        ("if $x { GE", ["GET"]),
        ("s", ["str"]),
        ("str ", ["trim", "upper", "notes.txt", "with\\ blank/"]),
        ("str u", ["upper"]),
        ("$b", ["build"]),
        ("echo $", ["build", "env", "hook", "job"]),
        ("$build.", ["id", "status", "items"]),
        ("echo $build.st", ["status"]),
        ('echo "it is $build.it', ["items"]),
        ("$build.items[0].", ["name"]),
        ("$build?.st", ["status"]),
        ("$hook.", ["id", "url"]),
        ("$none.", []),
        ("$build.id.", []),
        ("GET http://x --ret", ["--retry"]),
        ("cat no", ["notes.txt"]),
        ("cat .h", [".hidden"]),
        ("cat wi", ["with\\ blank/"]),
        ("cat nowhere/", []),
        ("./no", ["./notes.txt"]),
        ("let x = ge", ["get"]),
        ("cat with\\ bl", ["with\\ blank/"]),
        ("cat 'wi", ["'with blank/"]),
        ('cat "no', ['"notes.txt"']),
        ("cat 'a b' no", ["notes.txt"]),
        ("git branch 'm", ["'main'"]),
        ("cat it\\'s no", ["notes.txt"]),
        ("git ", ["branch", "br\\ ob"]),
        ("git br\\ ", ["br\\ ob"]),
        ("git branch ", ["main", "HEAD", "notes.txt", "with\\ blank/"]),
        ("git branch no", ["notes.txt"]),
        ("^git br", ["branch", "br\\ ob"]),
        ("git -m 'a b' ", ["here"]),
        ("git --form=", ["json"]),
        ("git --fo", []),
        ("git (ls) ", []),
        ("git branch (ls) | git ", ["branch", "br\\ ob"]),
        ("if (git bra", ["branch"]),
        ("git no", ["notes.txt"]),
    ],
)
def test_candidates(world: World, text: str, expected: list[str]) -> None:
    found = complete(text, world)
    assert [candidate.text for candidate in found] == expected
    assert all(candidate.start <= len(text) for candidate in found)


def test_a_candidate_says_what_it_is(world: World) -> None:
    about = {candidate.text: candidate.about for candidate in complete("$build.", world)}
    assert about == {"id": "int 7", "status": "string passed", "items": "list of 1"}
    assert complete("GE", world)[0].about == "Sends a GET request."
    assert complete("GET x --ins", world)[0].about == "does not verify the certificate"
