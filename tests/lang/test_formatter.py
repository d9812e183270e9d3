"""The formatter: one layout for each program, the same meaning, every comment; and it never layouts worse by itself."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path

import cases
import pytest
from test_fuzz import SEED

from fmsh.errors import InternalError, SourceError
from fmsh.lang.formatter import format_program
from fmsh.lang.layout import leaves, writing
from fmsh.lang.parser import parse
from fmsh.lang.tree import walk
from fmsh.spans import Source
from tests import test_transcripts as transcripts
from tests.lang import fuzz, layouts

ROOT = Path(__file__).resolve().parents[2]
LAYOUTS = layouts.read()
MUTATIONS = 1200
LOOSENED = 300
BLANKS = (" ", "  ", "\t")
LINES = (" \\\n", " \\\n    ", "\n", "\n  ")
BEGINS_LINES = frozenset(("LBODY", "LBLOCK", "LGROUP", "LMATCH", "BAR", "SEP"))  # a new line behind these is a choice


def layout(text: str) -> str:
    return format_program(Source("t", text))


def shape(text: str) -> list[tuple[object, ...]]:
    """The tree without places."""
    fields = []
    for node in walk(parse(Source("t", text))):
        values = [getattr(node, name) for name in node.fields if name not in ("span", "spelling")]
        plain = [value for value in values if not isinstance(value, tuple) and not hasattr(value, "span")]
        fields.append((type(node).__name__, *map(repr, plain)))
    return fields


def comments(text: str) -> list[str]:
    return [comment.text for leaf in leaves.read(text) for comment in leaf.comments]


def documents() -> list[str]:
    """The programs in the documentation."""
    found = []
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for block in path.read_text(encoding="utf-8").split("\n```fmsh\n")[1:]:
            found.append(block.partition("\n```")[0] + "\n")
    return found


def programs() -> list[str]:
    """All programs of this repository that can be parsed."""
    texts = cases.programs()
    for name in transcripts.FILES:
        texts += [case.program for case in transcripts.read(name)[1]]
    texts += documents()
    for path in [*ROOT.glob("examples/**/*.fmsh"), *ROOT.glob("stdlib/**/*.fmsh")]:
        texts.append(path.read_text(encoding="utf-8"))
    return [text for text in texts if is_right(text)]


def is_right(text: str) -> bool:
    try:
        parse(Source("t", text))
    except SourceError:
        return False
    return True


@pytest.mark.parametrize(("program", "expected"), [case[1:] for case in LAYOUTS], ids=[case[0] for case in LAYOUTS])
def test_a_program_gets_its_layout(program: str, expected: str) -> None:
    assert layout(program) == expected


def test_every_program_keeps_its_meaning_and_comments_and_a_layout_is_final() -> None:
    for program in programs():
        text = layout(program)
        assert shape(text) == shape(program), program
        assert comments(text) == comments(program), program
        assert layout(text) == text, program
        assert (
            not [line for line in text.splitlines() if line.endswith((" ", "\t"))] or "\\ \n" in text or '"""' in text
        )
        assert text == "" or (text.endswith("\n") and not text.startswith("\n"))


def test_a_program_that_chance_made_keeps_its_meaning_or_is_refused() -> None:
    print(f"FMSH_TEST_SEED={SEED}")
    chance, tried, refused = random.Random(SEED), 0, 0
    for _ in range(MUTATIONS):
        program = fuzz.mutated(chance)
        if not is_right(program):
            continue
        tried += 1
        try:
            text = layout(program)
        except InternalError:  # a lone half of a character, a `;` on which the reading of what follows depends
            refused += 1
        else:
            assert shape(text) == shape(program) and layout(text) == text, program
    assert tried > MUTATIONS // 6 and refused < tried // 50, (tried, refused)


def test_white_space_that_means_nothing_changes_nothing() -> None:
    print(f"FMSH_TEST_SEED={SEED}")
    chance, tried = random.Random(SEED), 0
    texts = [layout(program) for program in programs()]
    for _ in range(LOOSENED):
        text = chance.choice(texts)
        loose = loosened(chance, text)
        if loose != text and is_right(loose) and shape(loose) == shape(text) and comments(loose) == comments(text):
            assert layout(loose) == text, loose
            tried += 1
    assert tried > LOOSENED // 4, tried


def loosened(chance: random.Random, text: str) -> str:
    """Gives a text with blanks and new lines put in between its tokens, where no line of the layout is a choice."""
    found = leaves.read(text)
    places = []
    for before, leaf in pairwise(found):
        is_choice = before.type in BEGINS_LINES or leaf.type in (*BEGINS_LINES, "RBRACE", "$END")
        if not is_choice and not leaf.comments and not before.bodies and before.text and leaf.text:
            places.append((leaf.start, BLANKS if leaf.has_newline_before else BLANKS + LINES))
    for place, choices in sorted(chance.sample(places, min(len(places), chance.randint(1, 4))), reverse=True):
        text = text[:place] + chance.choice(choices) + text[place:]
    return text


def test_what_can_break_stays_within_the_columns() -> None:
    words = " ".join(f"--option-{number} value-{number}" for number in range(20))
    text = layout(f"cmd {words} | each {{ {' + '.join(['$it'] * 60)} }}\nlet x = [{', '.join(map(str, range(200)))}]\n")
    assert max(map(len, text.splitlines())) <= writing.COLUMNS


@pytest.mark.parametrize("brackets", [("(", ")"), ("[", "]"), ("{a: ", "}"), ("f { ", " }"), ("f { |x| ", " }")])
def test_depth_is_no_matter(brackets: tuple[str, str]) -> None:
    for depth in (40, 99):
        program = f"let x = {brackets[0] * depth}1{brackets[1] * depth}\n"
        assert layout(layout(program)) == layout(program)


def test_a_syntax_error_is_raised() -> None:
    with pytest.raises(SourceError):
        layout("let x = (\n")


def test_a_layout_that_would_change_the_meaning_is_never_given_away(monkeypatch: pytest.MonkeyPatch) -> None:
    lay_out = writing.write
    monkeypatch.setattr(writing, "write", lambda block: lay_out(block).replace("1", "2"))
    with pytest.raises(InternalError):
        layout("let x = 1\n")
    monkeypatch.setattr(writing, "write", lambda block: lay_out(block).replace("  # why", ""))
    with pytest.raises(InternalError):
        layout("let x = 1 # why\n")
