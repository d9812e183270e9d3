"""Hostile input: prefixes and mutations of programs, and JSON against the standard parser."""

from __future__ import annotations

import json
import os
import random

import cases
import pytest

from fmsh.lang import syntax as s
from fmsh.lang.parser import parse
from fmsh.spans import Source
from tests.lang import fuzz

SEED = int(os.environ.get("FMSH_TEST_SEED", "20260101"))
MUTATIONS = 4000
DOCUMENTS = 400


@pytest.mark.parametrize("part", range(4))
def test_no_prefix_of_a_program_crashes(part: int) -> None:
    for _, program, _ in cases.read_cases()[part::4]:
        for end in range(len(program)):
            fuzz.examine(program[:end], is_checked=False)


@pytest.mark.parametrize("part", range(4))
def test_no_mutation_of_a_program_crashes(part: int) -> None:
    seed = SEED + part
    print(f"FMSH_TEST_SEED={seed}")
    chance = random.Random(seed)
    for number in range(MUTATIONS // 4):
        fuzz.examine(fuzz.mutated(chance), is_checked=number % 4 == 0)


def test_a_json_document_is_a_literal_of_the_same_value() -> None:
    print(f"FMSH_TEST_SEED={SEED}")
    chance = random.Random(SEED)
    for _ in range(DOCUMENTS):
        value = random_value(chance, 0)
        text = json.dumps(value, indent=chance.choice((None, 2)), ensure_ascii=chance.random() < 0.5)
        assert evaluate(stage(as_program(text))) == json.loads(text), text


START = tuple("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_({")


def as_program(document: str) -> str:
    """In a string of the language, a `$` before a letter, `_`, `(` or `{` is written with a backslash."""
    pieces = document.split("$")
    return pieces[0] + "".join(
        ("\\$" if piece[:1].isalpha() or piece[:1] in ("_", "(", "{") else "$") + piece for piece in pieces[1:]
    )


def random_value(chance: random.Random, depth: int) -> object:
    kind = chance.randint(0, 5 if depth > 4 else 7)
    if kind == 6:
        return [random_value(chance, depth + 1) for _ in range(chance.randint(0, 4))]
    if kind == 7:
        return {random_text(chance): random_value(chance, depth + 1) for _ in range(chance.randint(0, 4))}
    numbers = (
        chance.randint(-9, 9),
        chance.randint(-(10**25), 10**25),
        chance.random() * 10 ** chance.randint(-30, 30),
        -0.0,
    )
    return chance.choice((None, True, False, chance.choice(numbers), chance.choice(numbers), random_text(chance)))


def random_text(chance: random.Random) -> str:
    return "".join(chance.choice("ab $\"\\/\n\t{}[]():,'`#é日😀\u2028\x01$(x_~*") for _ in range(chance.randint(0, 8)))


def stage(program: str) -> s.Node:
    """Gives the expression that a text is as a whole."""
    [chain] = parse(Source("t", program)).body.statements
    assert isinstance(chain, s.Chain)
    [only] = chain.first.stages
    assert isinstance(only, s.ExpressionStage)
    return only.value


def evaluate(node: object) -> object:
    if isinstance(node, s.Literal):
        return node.value
    if isinstance(node, s.ListLiteral):
        return [evaluate(item) for item in node.items]
    assert isinstance(node, s.RecordLiteral)
    return {evaluate(entry.key): evaluate(entry.value) for entry in node.entries if isinstance(entry, s.Entry)}
