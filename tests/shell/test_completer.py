"""What may stand at the cursor."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmsh.assembly import LIBRARY
from fmsh.errors import FmshError
from fmsh.lang.pages import find
from fmsh.shell.candidates import World
from fmsh.shell.completer import complete
from fmsh.shell.described import Offer
from fmsh.values import Handle

VALUES = {
    "build": {"id": 7, "status": "passed", "items": [{"name": "a"}], "odd key": 1},
    "xs": [{"a": 1, "b c": 2}, {"a": 3, "d": {"e": 4}}],
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


def evaluate(pipeline: str) -> object:
    name = pipeline.partition("|")[0].strip().removeprefix("$")
    if name not in VALUES:
        raise FmshError("it is wrong")
    return VALUES[name]


@pytest.fixture
def world(tmp_path: Path) -> World:
    (tmp_path / "notes.txt").touch()
    (tmp_path / "with blank").mkdir()
    (tmp_path / ".hidden").touch()
    return world_in(tmp_path)


def world_in(tmp_path: Path) -> World:
    return World(
        lambda: COMMANDS,
        lambda: ["grep", "git", "ls"],
        lambda name: find(name, LIBRARY),
        lambda name, words, word: OFFERS.get(" ".join([name, *words])),
        list(VALUES),
        lambda name: VALUES[name],
        evaluate,
        lambda: {"HOME": str(tmp_path), "HOUSE": ""},
        str(tmp_path),
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("g", ["get", "git", "grep"]),
        ("echo x | ge", ["get"]),
        ("if $x { GE", ["GET"]),
        ("s", ["str"]),
        ("str ", ["trim", "upper"]),
        ("str u", ["upper"]),
        ("$b", ["build"]),
        ("echo $", ["build", "env", "hook", "job", "xs"]),
        ("$build.", ["id", "status", "items", '"odd key"']),
        ('$build."o', ['"odd key"']),
        ('echo "${build.st', ["status"]),
        ('echo "${build."o', ['"odd key"']),
        ('echo "$build.', ["id", "status", "items"]),  # no key in quotes within quotes
        ("echo '$build.", []),
        ('echo "$(git br', ["branch", "br\\ ob"]),
        ('echo "$(git branch) $build.st', ["status"]),
        ("$xs[", ["0]", "1]"]),
        ("$xs[1].d.", ["e"]),
        ("$xs | get ", ["a", '"b c"', "d"]),
        ("let y = $xs | where { .a > 1 } | sort-by d.", ["e"]),
        ("$xs | where { .", ["a", '"b c"', "d"]),
        ("$xs | each { echo $it.d.", ["e"]),
        ("$xs | each { |one| echo $one.d.", ["e"]),
        ("for one in $xs { echo $one.", ["a", '"b c"', "d"]),
        ("let one = $build\necho $one.st", ["status"]),
        ("let build = 1 + $build.i", ["id", "items"]),
        ("git branch x; $xs | get a ", []),
        ("$env.HOU", ["HOUSE"]),
        ("let found = 1; $fo", ["found"]),
        ("for one, two in $xs { $t", ["two"]),
        ("$job.k", ["key"]),
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
        ("cd ", ["with\\ blank/"]),
        ("cat $env.HOME/no", ["$env.HOME/notes.txt"]),
        ('cat "$env.HOME/no', ['"$env.HOME/notes.txt"']),
        ("cat $env.NONE/", []),
        ('cat "with blank"/../no', ['"with blank"/../notes.txt']),
        ("cat *.txt", ["notes.txt"]),
        ("cat ..", ["../"]),
        ("cat \0", []),
        ("cat NO", ["notes.txt"]),
        ("cat otes", ["notes.txt"]),
        ("git branch mai..HE", ["HEAD"]),
        ("sudo -n git br", ["branch", "br\\ ob"]),
        ("env A=1 gre", ["grep"]),
        ("git branch x > no", ["notes.txt"]),
        ("to json --in", ["--indent"]),
        ("sleep ", []),
        ("$build.id == no", ["notes.txt"]),
        ("unknown x && gr", ["grep"]),
        ("echo | ^g", ["git", "grep"]),
    ],
)
def test_candidates(world: World, text: str, expected: list[str]) -> None:
    found = complete(text, world)
    assert [candidate.text for candidate in found] == expected
    assert all(candidate.start <= len(text) for candidate in found)


def test_a_candidate_says_what_it_is(world: World) -> None:
    about = {candidate.text: candidate.about for candidate in complete("$build.", world)}
    assert about == {"id": "int 7", "status": "string passed", "items": "list of 1", '"odd key"': "int 1"}
    assert complete("GE", world)[0].about == "Sends a GET request."
    assert complete("GET x --ins", world)[0].about == "does not verify the certificate"


PARTS = [
    *("$xs", "$build", "$it", ".", "a", " ", " | ", "where { ", "get ", "{", "}", "(", ")", "[", "]", '"', "'", "$("),
    *(
        "${",
        "~",
        "/",
        "*",
        "\\",
        "\n",
        "=",
        "..",
        "git ",
        "--",
        "-",
        "let x = ",
        "for x in ",
        "{ |x| ",
        "$x.",
        "?",
        ">",
        "@",
    ),
]


@given(st.lists(st.sampled_from(PARTS), max_size=12).map("".join))
def test_any_text_has_candidates_within_it(text: str) -> None:
    for candidate in complete(text, world_in(Path("/usr"))):
        assert 0 <= candidate.start <= len(text) and candidate.text
