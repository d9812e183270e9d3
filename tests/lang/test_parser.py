"""What the parser guarantees: the tree of every form, the problem of every mistake, and its limits."""

from __future__ import annotations

import sys
from collections.abc import Callable

import cases
import pytest

from fmsh.errors import SourceError
from fmsh.lang.parser import is_complete, parse
from fmsh.lang.syntax import Def, Program
from fmsh.lang.tree import walk
from fmsh.spans import Source

CASES = cases.read_cases()


def problems(text: str) -> list[tuple[str, str]]:
    """Gives the (place, message) of all problems of a text."""
    with pytest.raises(SourceError) as caught:
        parse(Source("t", text))
    return [(str(d.source.place(d.span[0])), d.message) for d in caught.value.diagnostics]


@pytest.mark.parametrize(("program", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_program_gives_its_tree_or_its_problem(program: str, expected: str) -> None:
    assert cases.outcome(program) == expected


def test_ids_are_preorder_indexes() -> None:
    for program in cases.programs():
        assert [node.id for node in walk(parse(Source("t", program)))] == list(range(_size(program)))


def _size(program: str) -> int:
    return len(list(walk(parse(Source("t", program)))))


def test_spans_lie_within_the_text_and_within_their_parents() -> None:
    for program in cases.programs():
        tree = parse(Source("t", program))
        for node in walk(tree):
            assert 0 <= node.span[0] <= node.span[1] <= len(program), (program, node)


def test_every_problem_of_a_program_is_found() -> None:
    text = "$x y\nlet a = 1\nlet 3\nif $a {\n  [1 2]\n  echo ok\n}\nf(1)\n"
    assert [place for place, _ in problems(text)] == ["t:1:4", "t:3:5", "t:5:6", "t:8:2"]


def test_one_mistake_gives_one_problem() -> None:
    for text in ("echo {a, b", "let x = [1, {a: 2]", "f 'x\necho b", "if $x == {a: 1} { b } else { c }"):
        assert len(problems(text)) == 1, text


@pytest.mark.parametrize(
    "text", ["a |", "a &&", "a || ", "let x =", "if $x", "if $x {", "f (", "[1,", '"""a', "cat <<E\nb", "a \\"]
)
def test_a_text_that_ends_too_early_is_incomplete(text: str) -> None:
    assert not is_complete(text)


@pytest.mark.parametrize("text", ["", "a", "a\n", "if $x { a }", "a }", "echo 'a", "let 3\nif {", "$1 (", "cat <<E\nE"])
def test_other_texts_are_complete(text: str) -> None:
    assert is_complete(text)


@pytest.mark.parametrize(
    "opener", ["(", "[", "{", "$(", '{"a": ', "f (", "f {", "if (", '"$(', "${x[", "x{", "[[", "$x["]
)
def test_nesting_is_limited_with_a_message(opener: str) -> None:
    with pytest.raises(SourceError) as caught:
        parse(Source("t", opener * 100_000))
    assert caught.value.diagnostics[0].message


def test_brackets_may_nest_a_hundred_deep_and_no_deeper() -> None:
    parse(Source("t", "(" * 100 + "1" + ")" * 100))
    with pytest.raises(SourceError) as caught:
        parse(Source("t", "(" * 101 + "1" + ")" * 101))
    assert caught.value.diagnostics[0].code == "limit"


@pytest.mark.parametrize("text", ["1" + "+1" * 20_000, "not " * 20_000 + "true", "- " * 20_000 + "$x"])
def test_deep_expressions_are_limited_with_a_message(text: str) -> None:
    with pytest.raises(SourceError):
        parse(Source("t", text))


def test_comments_are_the_help_of_programs_definitions_and_parameters() -> None:
    tree = parse(
        Source("t", "#!/usr/bin/env fmsh\n# One.\n# Two.\n\n# Of f.\ndef f(\n  a: int  # of a\n  b  # of b\n) { }\n")
    )
    assert isinstance(tree, Program)
    [definition] = [node for node in walk(tree) if isinstance(node, Def)]
    assert (tree.help, definition.help) == ("One.\nTwo.", "Of f.")
    assert [parameter.help for parameter in definition.parameters] == ["of a", "of b"]


def test_ten_times_the_lines_take_about_ten_times_the_work() -> None:
    """Counted in calls of Python functions, which no other process slows down."""
    line = "let x = GET $ci/builds/$id?x=1 | get a.b | where { .rate > 0.01 } | first 3\n"
    few, many = (_calls(lambda text=line * count: parse(Source("t", text))) for count in (100, 1000))
    assert 9 < many / few < 11


def _calls(work: Callable[[], object]) -> int:
    count = 0

    def note(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count
