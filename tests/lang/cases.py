"""The corpus: programs with the tree that they must give, or the first problem that they must show.

A file of `corpus/` begins with a title; cases are separated by `%%` lines. In a case the lines that begin with `→ ` are
what is expected: `sexpr`'s way to write a tree, or `! line:column message | hint`, and ` [more]` where more text could
make it right.
"""

from __future__ import annotations

from pathlib import Path

import sexpr

from fmsh.errors import SourceError
from fmsh.lang.parser import parse
from fmsh.spans import Source

CORPUS = Path(__file__).parent / "corpus"
MARK = "→ "


def read_cases() -> list[tuple[str, str, str]]:
    """Gives (name, program, expected) of every case."""
    cases = []
    for path in sorted(CORPUS.glob("*.txt")):
        _, *blocks = path.read_text(encoding="utf-8").rstrip("\n").split("\n%%\n")
        for number, block in enumerate(blocks, 1):
            lines = block.split("\n")
            program = "\n".join(line for line in lines if not line.startswith(MARK))
            expected = "\n".join(line.removeprefix(MARK) for line in lines if line.startswith(MARK))
            cases.append((f"{path.stem}-{number}", program, expected))
    return cases


def programs() -> list[str]:
    """Gives the programs of all cases that are right."""
    return [program for _, program, expected in read_cases() if not expected.startswith("! ")]


def outcome(program: str) -> str:
    """Gives what a case would have to expect."""
    try:
        return sexpr.write(parse(Source("t", program)))
    except SourceError as error:
        first = error.diagnostics[0]
        place = first.source.place(first.span[0])
        hint = f" | {first.hint}" if first.hint else ""
        return f"! {place.line}:{place.column} {first.message}{hint}{' [more]' if error.incomplete else ''}"
