"""What is promised of a shown problem: the carets stand under the span, and nothing raw reaches the terminal."""

from __future__ import annotations

from fmsh.errors import Diagnostic
from fmsh.render.diagnostics import render, to_json
from fmsh.spans import Source

MARGIN = "      | "


def shown(text: str, start: int, end: int) -> tuple[str, str]:
    """The line and the carets of a problem, without their margins."""
    _, _, line, carets, _ = render([problem(text, start, end)], color=False).splitlines()
    assert carets.startswith(MARGIN)
    return line[len(MARGIN) :], carets[len(MARGIN) :]


def problem(text: str, start: int, end: int, severity: str = "error") -> Diagnostic:
    return Diagnostic(Source("f", text), (start, end), "wrong", "do this", severity, "glob")


def test_a_problem_says_what_where_and_what_to_do() -> None:
    first, second = problem("let x\n$a foo b\n", 9, 12), problem("a", 0, 1, "warning")
    assert render([first, second], color=False).splitlines() == [
        "error: wrong",
        "  --> f:2:4",
        "    2 | $a foo b",
        "      |    ^^^",
        "   = hint: do this",
        "warning: wrong",
        "  --> f:1:1",
        "    1 | a",
        "      | ^",
        "   = hint: do this",
    ]


def test_an_empty_span_has_one_caret() -> None:
    assert shown("ab", 2, 2) == ("ab", "  ^")


def test_tabs_and_wide_characters_move_the_carets() -> None:
    assert shown("\ta日本b", 4, 5) == ("    a日本b", "         ^")
    assert shown("日本", 1, 2) == ("日本", "  ^^")


def test_control_characters_are_escaped_everywhere() -> None:
    text = "a\x1b[31m\u202eb"
    lines = render([Diagnostic(Source("f\x1b[2J", text), (1, 2), "a \x07", "b \x9b")], color=False).split("\n")
    assert not any(c in line for line in lines for c in "\x1b\x07\x9b\u202e")
    assert lines[3] == MARGIN + " " + "^" * len("\\u{1b}")


def test_a_long_line_is_cut_around_the_carets() -> None:
    line, carets = shown("a" * 500 + "X" + "b" * 500, 500, 501)
    assert len(line) < 200
    assert line[carets.index("^")] == "X"


def test_a_span_over_lines_ends_with_the_first() -> None:
    assert shown("ab\ncd", 1, 4) == ("ab", " ^")


def test_color_is_only_put_around() -> None:
    colored = render([problem("ab", 0, 1)], color=True)
    for code in ("\x1b[1;31m", "\x1b[34m", "\x1b[1m", "\x1b[0m"):
        assert code in colored
        colored = colored.replace(code, "")
    assert colored == render([problem("ab", 0, 1)], color=False)


def test_as_data_a_problem_has_both_ends() -> None:
    assert to_json(problem("ab\ncd", 1, 4, "warning")) == {
        "file": "f",
        "line": 1,
        "column": 2,
        "end_line": 2,
        "end_column": 2,
        "severity": "warning",
        "code": "glob",
        "message": "wrong",
        "hint": "do this",
    }
