"""What is promised of the check: one run says all that is wrong, and each thing that it says is one."""

from __future__ import annotations

from pathlib import Path

from fmsh.assembly import check
from fmsh.spans import Source


def found(text: str) -> list[str]:
    return [
        f"{problem.source.place(problem.span[0])}: {problem.message}" for problem in check(Source("t", text)).problems
    ]


def test_what_stands_beside_a_syntax_error_is_checked_too() -> None:
    assert found("echo $a\nlet x = 1 +;\ndef f(n: int) { echo $c ) ; echo $d }\nf abc\nif [ -f x ] { }") == [
        "t:1:6: there is no variable $a here",
        "t:2:11: `+` with a blank before it and none after",
        "t:3:25: `)` closes nothing",
        "t:3:34: there is no variable $d here",
        "t:4:3: n must be an int, this is a string",
        "t:5:4: `[` begins a list",
    ]


def test_what_a_broken_statement_declares_is_no_problem_elsewhere() -> None:
    assert found("let x = (1 2)\necho $x $y\ndef g(5) { }\ng 1 2 3") == [
        "t:1:12: `2` after a value: an operator or the end of the statement is expected",
        "t:2:9: there is no variable $y here",
        "t:3:7: `5` is out of place here",
    ]


def test_modules_with_syntax_errors_are_checked_with_the_rest(tmp_path: Path) -> None:
    (tmp_path / "lib.fmsh").write_text("def ok(a) { $a }\ndef broken(5) { }\ndef third() { $nothing }\n")
    text = "use ./lib.fmsh\nlib ok 1 2\nlib broken\necho $none\n"
    problems = check(Source(str(tmp_path / "main.fmsh"), text)).problems
    assert [(Path(each.source.name).name, each.message) for each in problems] == [
        ("main.fmsh", "`lib ok` takes one argument, this is one too many"),
        ("main.fmsh", "there is no variable $none here"),
        ("lib.fmsh", "`5` is out of place here"),
        ("lib.fmsh", "there is no variable $nothing here"),
    ]


def test_a_module_that_is_missing_does_not_hide_the_syntax_errors(tmp_path: Path) -> None:
    problems = check(Source(str(tmp_path / "main.fmsh"), "use ./nothing.fmsh\necho )\n")).problems
    assert [each.code for each in problems] == ["use", "syntax"]
