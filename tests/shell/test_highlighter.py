"""What is coloured, and as what."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmsh.shell.highlighter import STYLES, styled


def is_command(name: str) -> bool:
    return name in ("echo", "get", "ls", "GET")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("echo hi", [("echo", "command")]),
        ("ehco hi | get x", [("ehco", "unknown"), ("|", "operator"), ("get", "command")]),
        ("let x = 5 # why", [("let", "keyword"), ("=", "operator"), ("5", "number"), ("# why", "comment")]),
        ('"a $x.b c"', [('"a ', "string"), ("$x", "variable"), (".b", "variable"), (' c"', "string")]),
        ("GET https://a/b --retry 3", [("GET", "command"), ("--retry", "flag"), ("3", "number")]),
        ("ls *.txt", [("ls", "command"), ("*", "pattern")]),
        ("# only\necho # two\n# three", [("# only", "comment"), ("echo", "command"), ("# two", "comment"),
                                          ("# three", "comment")]),
        ("^ls x | ^nosuch", [("ls", "command"), ("|", "operator"), ("nosuch", "unknown")]),
        ("let = 3", [("let", "keyword"), ("=", "error"), ("3", "number")]),
        ("def f(a int) { }", [("def", "keyword"), ("int", "error")]),
        ("let =", [("let", "keyword"), ("=", "operator")]),  # at the end it may still become right
        ("echo )", [("echo", "command"), (")", "error")]),
    ],
)  # fmt: skip
def test_pieces(tmp_path: Path, text: str, expected: list[tuple[str, str]]) -> None:
    found = [(text[piece.start : piece.end], piece.style) for piece in styled(text, is_command, str(tmp_path))]
    assert found == expected


def test_a_path_that_exists(tmp_path: Path) -> None:
    for name in ("a.txt", "notes", "a b"):
        (tmp_path / name).touch()

    def paths(text: str) -> list[str]:
        pieces = styled(text, is_command, str(tmp_path))
        return [text[piece.start : piece.end] for piece in pieces if piece.style.endswith("path")]

    assert paths("ls a.txt b.txt notes") == ["a.txt", "notes"]
    assert paths("ls 'a b' a\\ b a\\ c ~/ ~/no/such") == ["'a b'", "a\\ b", "~", "/"]
    assert paths('ls "a $x" $x/notes notes/* $x/etc "$x/etc" "/etc$x"') == []
    assert paths("notes notes") == ["notes"]
    assert paths("ls ~\0 \0/ a.txt") == ["a.txt"]


@given(st.text(alphabet="abc $\"'{}()[]|&#\n.-=<>*12", max_size=60))
def test_any_text_has_pieces_within_it(text: str) -> None:
    for piece in styled(text, is_command, "/"):
        assert 0 <= piece.start < piece.end <= len(text) and set(piece.style.split(",")) <= set(STYLES)
