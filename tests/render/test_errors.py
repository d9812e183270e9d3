"""Errors for people: place, source line, caret, calls, hint."""

from __future__ import annotations

from fmsh.render.errors import render_error
from fmsh.render.excerpt import draw
from fmsh.spans import Source
from fmsh.values import ErrorValue, error_value

SOURCE = Source("a.fmsh", "let x = 1\n\tif $x.stauts {\n}\n")
WHERE = {"file": "a.fmsh", "line": 2, "column": 5}


def shown(error: ErrorValue, *, color: bool = False) -> str:
    return render_error(error, {"a.fmsh": SOURCE}, color=color)


def test_an_error_marks_the_whole_of_what_failed() -> None:
    error = error_value("name", "there is no field `stauts`", hint="did you mean `status`?")
    error.fields["where"] = WHERE
    assert shown(error) == (
        "error: there is no field `stauts`\n"
        "  --> a.fmsh:2:5\n"
        "    2 |     if $x.stauts {\n"
        "      |        ^^^^^^^^^\n"
        "   = hint: did you mean `status`?\n"
    )


def test_of_a_field_that_is_not_there_its_name_is_marked() -> None:
    source = Source("a.fmsh", "[{a: 1}] | where { .b > 60 and .c }")
    error = error_value("name", "there is no field `b`", where={"file": "a.fmsh", "line": 1, "column": 20})
    assert render_error(error, {"a.fmsh": source}, color=False).endswith(f"|{' ' * 20}^^\n")


def test_a_span_is_marked_whole() -> None:
    assert draw(Source("x", "ab日本cd"), (2, 4), color=False) == "    1 | ab日本cd\n      |   ^^^^\n"
    assert draw(Source("x", "ab"), (8, 13), color=False) == "    1 | ab\n      |   ^\n"
    assert draw(Source("x", "\n\n"), (1, 2), color=False) == "    2 |\n      | ^\n"


def test_a_long_line_is_cut_around_the_caret() -> None:
    drawn = draw(Source("x", "x" * 10_000 + "HERE" + "y" * 10_000), (10_000, 10_004), color=False)
    line, carets = drawn.splitlines()
    assert len(line) < 180 and line[carets.index("^") :].startswith("HERE") and "…" in line


def test_calls_are_shown_innermost_first_and_a_long_chain_is_cut() -> None:
    trace = [{"function": f"f{number}", **WHERE} for number in range(30)]
    lines = shown(error_value("fail", "no", trace=trace)).splitlines()
    assert lines[1] == "  in f0, called at a.fmsh:2:5" and "  … 20 more calls" in lines and len(lines) == 12


def test_a_failed_command_shows_the_end_of_what_it_wrote() -> None:
    text = shown(
        error_value("exit", "kubectl ended with status 1", status=1, stderr="".join(f"{n}\n" for n in range(20)))
    )
    assert text.endswith("  | …\n" + "".join(f"  | {n}\n" for n in range(10, 20))) and "= status" not in text


def test_a_command_that_had_no_terminal_and_asked_for_one_gets_a_hint() -> None:
    for said in (
        "sh: 1: cannot open /dev/tty: No such device or address\n",
        "stty: 'standard input': Inappropriate ioctl",
    ):
        text = shown(error_value("exit", "sh ended with status 2", status=2, stderr=said))
        assert "= hint: it seems to have asked for a terminal, which only a command has that" in text
    assert "hint" not in shown(error_value("exit", "make ended with status 2", status=2, stderr="no rule for tty.c\n"))


def test_details_of_an_http_error_are_shown() -> None:
    text = shown(
        error_value("http", "GET https://x ended with 404", status=404, body={"why": "gone"}, url="https://x", tries=3)
    )
    assert "   = body: {why: gone}\n" in text and "   = tries: 3\n" in text
    assert text.count("https://x") == 1  # what the message says is not said again


def test_an_error_cannot_write_to_the_terminal() -> None:
    error = error_value(
        "fail", "a\x1b]0;x\x07\nsecond", hint="\x9b", stderr="\x1b[2J", trace=[{"function": "\x1b", **WHERE}]
    )
    error.fields["where"] = {"file": "\x1b", "line": 1, "column": 1}
    text = shown(error)
    assert text.isascii() and "\x1b" not in text and "error: a\\u{1b}]0;x\\u{7}\n  second\n" in text


def test_colours_only_if_asked() -> None:
    error = error_value("fail", "no", trace=[{"function": "f", **WHERE}])
    error.fields["where"] = WHERE
    assert "\x1b" not in shown(error) and "\x1b[1;31m" in shown(error, color=True)


def test_a_source_that_is_not_there_leaves_the_place() -> None:
    error = error_value("fail", "no")
    error.fields["where"] = {"file": "b.fmsh", "line": 7, "column": 1}
    assert shown(error) == "error: no\n  --> b.fmsh:7:1\n"
    error.fields["where"] = {"file": "a.fmsh", "line": 99, "column": 1}
    assert shown(error) == "error: no\n  --> a.fmsh:99:1\n"
