"""Hostile texts for the lexer, the parser and the check: beginnings and mutations of all programs of this repository.

    python -m tests.lang.fuzz SECONDS [SEED]      as many as there is time for; says what took longest

A text gives a tree, or problems that can be shown; and of what it gives, all can be checked. It never takes long: a
program of 10 kB less than a second.
"""

from __future__ import annotations

import random
import re
import sys
import time
import traceback
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from fmsh.assembly import LIBRARY
from fmsh.errors import SourceError, UsageError
from fmsh.lang.checking import check_source
from fmsh.lang.parser import parse
from fmsh.render.diagnostics import render, to_json
from fmsh.spans import Source

ROOT = Path(__file__).resolve().parents[2]
SECONDS_MAX, PER_CHARACTER_S = 1.0, 1.0 / 10_000
FRAGMENTS = (
    *"{}[]()|&;$\"'`\\\n #=<>!*?.,:-+/@^~0a\t",
    *("$(", "${", '"""', "'''", "&&", "||", "<<EOF\n", "...", "..", "=>", "let ", "if ", "match ", "else ", "\\u{"),
    *("[0]", "EOF\n", "https://", "--x=", "{|x|", "for x in ", "def f(", "\r\n", "\x00", "é", "\ud800", "?."),
    *("catch ", "$x.y", "let y = ", " not ", "undo ", "export A=", "${x#", "((", "[ -f x ]"),
)  # fmt: skip


@cache
def programs() -> list[str]:
    """The texts of all programs: the corpus, the transcripts, the pages, the examples and the library."""
    found = []
    for path in sorted((ROOT / "tests" / "lang" / "corpus").glob("*.txt")):
        blocks = path.read_text(encoding="utf-8").split("\n%%\n")[1:]
        found += [re.sub(r"^→ .*\n?", "", block, flags=re.MULTILINE) for block in blocks]
    for path in sorted((ROOT / "tests" / "transcripts").glob("*.txt")):
        blocks = re.split(r"^=== .*\n", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
        found += [re.split(r"^--- ", block, maxsplit=1, flags=re.MULTILINE)[0] for block in blocks]
    for path in sorted((ROOT / "docs").glob("*.md")):
        found += re.findall(r"^```fmsh\n(.*?)^```", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for directory in ("examples", "stdlib", "benchmarks"):
        found += [path.read_text(encoding="utf-8") for path in sorted((ROOT / directory).rglob("*.fmsh"))]
    return found


def examine(text: str, *, is_checked: bool = True) -> None:
    """Reads a text, and checks it as a program. Raises: whatever is a fault of ours."""
    source = Source("t", text)
    try:
        parse(source)
    except SourceError as error:
        for diagnostic in error.diagnostics:
            assert 0 <= diagnostic.span[0] <= diagnostic.span[1] <= len(text), text
            render([diagnostic], color=False)
            to_json(diagnostic)
    if is_checked:
        for diagnostic in check_source(source, LIBRARY, _no_module).problems:
            render([diagnostic], color=False)


def _no_module(path: str, user: str) -> tuple[str, Source]:
    raise UsageError(f"{path} cannot be read")


def mutated(chance: random.Random) -> str:
    """Gives a program with up to four pieces cut out, put in or taken from another."""
    text = chance.choice(programs())
    for _ in range(chance.randint(1, 4)):
        at = chance.randint(0, len(text))
        other = chance.choice(programs())
        begin = chance.randint(0, len(other))
        text = chance.choice(
            (
                text[:at] + text[at + chance.randint(1, 5) :],
                text[:at] + chance.choice(FRAGMENTS) + text[at:],
                text[:at] + other[begin : begin + 20] + text[at:],
            )
        )
    return text


def repeated(chance: random.Random) -> str:
    """Gives 10 kB of one piece of a program, again and again: what is slow is slow here."""
    text = mutated(chance)
    begin = chance.randrange(len(text) + 1)
    piece = text[begin : begin + chance.choice([1, 2, 3, 5, 8, 20])] or "("
    return chance.choice(["", "let x = ", 'echo "', "match $x { "]) + piece * (10_000 // len(piece))


def prefixes() -> Iterator[str]:
    for program in programs():
        for end in range(len(program)):
            yield program[:end]


def main(arguments: list[str]) -> int:
    seconds, seed = float(arguments[0]), int(arguments[1]) if len(arguments) > 1 else 1
    chance, end = random.Random(seed), time.monotonic() + seconds
    beginnings, count, failed = prefixes(), 0, 0
    slowest, slowest_text = 0.0, ""
    while time.monotonic() < end:
        kind = chance.random()
        text = repeated(chance) if kind < 0.05 else mutated(chance) if kind < 0.5 else next(beginnings, None)
        text = mutated(chance) if text is None else text
        started = time.process_time()
        try:
            examine(text)
        except Exception:
            failed += 1
            print(f"---- {text!r}\n" + "\n".join(traceback.format_exc().splitlines()[-7:]), flush=True)
        count, took = count + 1, time.process_time() - started
        if took > slowest:
            slowest, slowest_text = took, text
        if took > max(SECONDS_MAX, len(text) * PER_CHARACTER_S):
            failed += 1
            print(f"---- {took:.1f} s for {len(text)} characters: {text[:200]!r}", flush=True)
    print(f"seed {seed}: {failed} of {count} texts fail; the slowest took {slowest:.2f} s: {slowest_text[:80]!r}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
