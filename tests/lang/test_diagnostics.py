"""What is promised of a shown problem: the carets stand under the span, and nothing raw reaches the terminal."""

from __future__ import annotations

from fmsh.errors import Diagnostic
from fmsh.lang.diagnostics import render, to_json
from fmsh.spans import Source


def shown(text: str, start: int, end: int) -> list[str]:
    return render(Diagnostic(Source("f", text), (start, end), "wrong", "do this")).split("\n")


def test_carets_stand_under_the_span() -> None:
    assert shown("let x\n$a foo b\n", 9, 12) == ["f:2:4: error: wrong", "  $a foo b", "     ^^^", "hint: do this"]


def test_an_empty_span_has_one_caret() -> None:
    assert shown("ab", 2, 2)[2] == "    ^"


def test_tabs_and_wide_characters_move_the_carets() -> None:
    assert shown("\ta日本b", 4, 5)[1:3] == ["      a日本b", "           ^"]
    assert shown("日本", 1, 2)[2] == "    ^^"


def test_control_characters_are_escaped_everywhere() -> None:
    lines = render(Diagnostic(Source("f\x1b[2J", "a\x1b[31m\u202eb"), (1, 2), "a \x07", "b \x9b")).split("\n")
    assert not any(c in line for line in lines for c in "\x1b\x07\x9b\u202e")
    assert lines[2] == "   " + "^" * len("\\u{1b}")


def test_a_long_line_is_cut_around_the_carets() -> None:
    text = "a" * 500 + "X" + "b" * 500
    _, line, carets, _ = shown(text, 500, 501)
    assert len(line) < 200
    assert line[carets.index("^")] == "X"


def test_a_span_over_lines_ends_with_the_first() -> None:
    assert shown("ab\ncd", 1, 4)[1:3] == ["  ab", "   ^"]


def test_color_is_only_put_around() -> None:
    problem = Diagnostic(Source("f", "ab"), (0, 1), "wrong")
    assert "\x1b[" in render(problem, color=True)
    assert "\x1b[" not in render(problem)


def test_as_data_a_problem_has_both_ends() -> None:
    problem = Diagnostic(Source("f", "ab\ncd"), (1, 4), "wrong", "do", "warning", "glob")
    assert to_json(problem) == {
        "file": "f",
        "line": 1,
        "column": 2,
        "end_line": 2,
        "end_column": 2,
        "severity": "warning",
        "code": "glob",
        "message": "wrong",
        "hint": "do",
    }
