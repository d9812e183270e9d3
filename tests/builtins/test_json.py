"""JSON against the standard parser: every spelling of a document, and documents that are broken somewhere.

A document is read by `from json`, small and large (two parsers), by `from jsonl`, and as a literal of the language.
"""

from __future__ import annotations

import json
import os
import random
import sys
from typing import Any

import pytest

from fmsh.values import Raised
from tests.builtins.running import run
from tests.builtins.test_help import shown

SEED = int(os.environ.get("FMSH_TEST_SEED", "20260202"))
DOCUMENTS = int(os.environ.get("FMSH_TEST_DOCUMENTS", "1500"))
LARGE = " " * 70_000  # is read by the other parser
SHORT = {'"': '\\"', "\\": "\\\\", "/": "\\/", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
LETTERS = "ab $\"\\/\b\f\n\r\t{}[]():,'`#é日😀\u2028\x00\x01\x7f$(x_~*\ufeff\ufffd"
MARKS = '{}[],:"\\ \n0123456789.eE+-tfnua\x00\ud800é'


class Writer:
    """Writes a random document, each part in one of the ways that JSON allows."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)

    def document(self) -> str:
        return self.space() + self.value(0) + self.space()

    def space(self) -> str:
        return self.chance.choice(("", "", "", " ", "\n", "\t ", "\r\n"))

    def value(self, depth: int) -> str:
        kind = self.chance.randint(0, 5 if depth > 5 else 8)
        if kind == 6:
            items = [self.space() + self.value(depth + 1) + self.space() for _ in range(self.chance.randint(0, 4))]
            return "[" + (",".join(items) or self.space()) + "]"
        if kind > 6:
            keys = list(dict.fromkeys(self.string() for _ in range(self.chance.randint(0, 4))))
            pairs = [f"{self.space()}{key}{self.space()}:{self.space()}{self.value(depth + 1)}" for key in keys]
            return "{" + (",".join(pairs) or self.space()) + "}"
        return self.chance.choice((self.string, self.string, self.number, self.number, self.word))()

    def word(self) -> str:
        return self.chance.choice(("true", "false", "null"))

    def number(self) -> str:
        chance = self.chance
        whole = chance.choice(("0", str(chance.randint(1, 9)), str(chance.randint(1, 10 ** chance.randint(1, 40)))))
        fraction = chance.choice(("", "", "." + "".join(chance.choices("0123456789", k=chance.randint(1, 20)))))
        mark, sign = chance.choice("eE"), chance.choice(("", "+", "-"))
        exponent = chance.choice(("", "", f"{mark}{sign}{chance.randint(0, 200)}"))
        return chance.choice(("", "-")) + whole + fraction + exponent

    def string(self) -> str:
        return '"' + "".join(map(self.letter, self.chance.choices(LETTERS, k=self.chance.randint(0, 8)))) + '"'

    def letter(self, letter: str) -> str:
        ways = [] if letter in '"\\' or letter < " " else [letter]
        if letter in SHORT:
            ways.append(SHORT[letter])
        ways.append(json.dumps(letter)[1:-1] if ord(letter) > 126 else f"\\u{ord(letter):04{self.chance.choice('xX')}}")
        return self.chance.choice(ways)


def as_literal(document: str) -> str:
    """In a string of the language, a `$` before a letter, `_`, `(` or `{` is written with a backslash."""
    pieces = document.split("$")
    return pieces[0] + "".join(
        ("\\$" if piece[:1].isalpha() or piece[:1] in ("_", "(", "{") else "$") + piece for piece in pieces[1:]
    )


def exact(value: Any) -> Any:
    """Tells 1, 1.0 and true apart, and -0.0 from 0.0."""
    if type(value) is list:
        return [exact(item) for item in value]
    return {key: exact(item) for key, item in value.items()} if type(value) is dict else (type(value), repr(value))


def is_finite(document: str) -> bool:
    """JSON has numbers that no float holds; these are an error here."""
    values = [json.loads(document)]
    for value in values:
        values += value if type(value) is list else value.values() if type(value) is dict else ()
    return all(value - value == 0 for value in values if type(value) is float)


@pytest.mark.parametrize("part", range(4))
def test_every_spelling_of_a_document_is_read_as_the_standard_parser_reads_it(part: int) -> None:
    seed = SEED + part
    print(f"FMSH_TEST_SEED={seed}")
    writer = Writer(seed)
    for _ in range(DOCUMENTS // 4):
        document = writer.document()
        if not is_finite(document):
            continue
        expected = exact(json.loads(document))
        assert exact(run("from json", document)) == expected, document
        assert exact(run("from json", document.encode())) == expected, document
        assert exact(run("from json", run("to json", json.loads(document)))) == expected, document
        line = document.replace("\n", " ").replace("\r", " ")
        assert exact(run("from jsonl", f"{line}\n\n{line}\n")) == [expected, expected], document


def test_large_documents_too() -> None:
    print(f"FMSH_TEST_SEED={SEED}")
    writer = Writer(SEED)
    for _ in range(DOCUMENTS // 10):
        document = writer.document()
        if is_finite(document):
            assert exact(run("from json", document + LARGE)) == exact(json.loads(document)), document
    assert "msgspec" in sys.modules


def test_a_document_is_a_literal_of_the_language() -> None:
    print(f"FMSH_TEST_SEED={SEED}")
    writer = Writer(SEED + 9)
    documents = [document for document in (writer.document() for _ in range(DOCUMENTS)) if is_finite(document)]
    for first in range(0, len(documents), 100):  # a program for each would take longer to start than to run
        chunk = documents[first : first + 100]
        program = "[\n" + ",\n".join(as_literal(document.strip()) for document in chunk) + "\n] | to json"
        assert exact(json.loads(shown(program))) == exact([json.loads(document) for document in chunk])


@pytest.mark.parametrize("part", range(4))
def test_what_the_standard_parser_refuses_is_refused(part: int) -> None:
    seed = SEED + part
    print(f"FMSH_TEST_SEED={seed}")
    writer, chance = Writer(seed), random.Random(seed)
    for _ in range(DOCUMENTS // 4):
        document = writer.document()
        at = chance.randint(0, len(document))
        broken = document[:at] + chance.choice(("", chance.choice(MARKS))) + document[at + chance.randint(0, 2) :]
        try:
            json.loads(broken)
            is_right = is_finite(broken)
        except ValueError:
            is_right = False
        for text in (broken, broken + LARGE) if chance.random() < 0.1 else (broken,):
            try:
                found = run("from json", text)
            except Raised as refusal:
                assert not is_right, broken
                assert refusal.error.kind in ("parse", "limit")
            else:
                assert is_right, broken
                assert exact(found) == exact(json.loads(broken))
