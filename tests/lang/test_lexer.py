"""What the lexer guarantees: it never raises, its brackets balance, its tokens are all declared and used."""

from __future__ import annotations

import cases
import pytest

from fmsh.lang.grammar_table import TERMINALS
from fmsh.lang.lexer import lex
from fmsh.lang.lexing import numbers
from fmsh.lang.parser import flatten
from fmsh.lang.tokens import CLOSERS, HUMAN_NAMES, OPENERS, Token
from fmsh.values import Duration

STRUCTURED = {"COMPOUND", "BRACES", "ALTERNATIVE", "CODE", "ERR"}  # these never reach the grammar as they are


def all_tokens(tokens: list[Token]) -> list[Token]:
    """Gives tokens with all that are inside of them."""
    found: list[Token] = []
    for token in tokens:
        found.append(token)
        found.extend(all_tokens(token.parts or []))
    return found


def test_every_token_type_is_declared_and_used() -> None:
    lexed: set[str] = set()
    for _, program, _ in cases.read_cases():
        tokens = lex(program)
        lexed |= {token.type for token in all_tokens(tokens)} | {token.type for token in flatten(tokens)}
    assert lexed - STRUCTURED == set(TERMINALS)


def test_every_terminal_has_a_human_name() -> None:
    assert set(TERMINALS) <= set(HUMAN_NAMES)


def test_brackets_balance_whatever_the_text() -> None:
    for _, program, _ in cases.read_cases():
        depth = 0
        for token in flatten(lex(program)):
            depth += (token.type in OPENERS) - (token.type in CLOSERS)
            assert depth >= 0, program
        assert depth == 0, program


def test_tokens_inside_of_words_and_strings_have_offsets_of_the_whole_source() -> None:
    text = 'f "a $x.y $(cmd ${z})" b$w[$i]c'
    for token in all_tokens(lex(text)):
        if token.type in ("VAR", "WORD", "FIELD", "TEXT") and token.value:
            assert token.value in text[token.start : token.end]


def test_a_problem_is_a_token_and_the_rest_is_read() -> None:
    types = [token.type for token in lex("a `b` c; $1; d")]
    assert types.count("ERR") == 2
    assert [token.value for token in lex("a `b` c; $1; d") if token.type == "WORD"][-1] == "d"


@pytest.mark.parametrize(
    ("run", "value"),
    [
        ("5", 5),
        ("1_000", 1000),
        ("0xff", 255),
        ("0b11", 3),
        ("0o17", 15),
        ("2.5", 2.5),
        ("1e9", 1e9),
        ("1.5e-3", 0.0015),
        ("10s", Duration(10 * 10**9)),
        ("1h30m", Duration(5400 * 10**9)),
        ("0.25ms", Duration(250_000)),
        ("1.5h", Duration(5400 * 10**9)),
        ("10KB", 10_000),
        ("4MiB", 4 * 2**20),
        ("1.5KB", 1500),
        ("0.1GB", 100_000_000),
    ],
)
def test_a_whole_run_is_a_number_duration_or_size(run: str, value: object) -> None:
    assert numbers.read_run(run) == value
    assert numbers.run_end(run, 0) == len(run)


@pytest.mark.parametrize(
    "run",
    [
        "1.2.3",
        "10.0.0.1",
        "2to3",
        "7z",
        "007",
        "1__0",
        "0x",
        "0x_1",
        "5m5h",
        "1h1h",
        "5x",
        "1_",
        "2026-13-01",
        "9" * 5000,
    ],
)
def test_any_other_run_is_a_string(run: str) -> None:
    assert numbers.read_run(run) is numbers.NOT_A_NUMBER


def test_dates_without_an_offset_stay_naive() -> None:
    assert numbers.read_run("2026-12-24").isoformat() == "2026-12-24T00:00:00"
    assert numbers.read_run("2026-12-24T18:00Z").isoformat() == "2026-12-24T18:00:00+00:00"
    assert numbers.read_run("2026-12-24T18:00:01.5+01:30").isoformat() == "2026-12-24T18:00:01.500000+01:30"
