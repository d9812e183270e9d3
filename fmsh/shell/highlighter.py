"""Colours of a text at the prompt, from the language's own lexer."""

from __future__ import annotations

import os
from bisect import bisect_left

from fmsh.errors import SourceError
from fmsh.lang.lexer import Lexer
from fmsh.lang.parser import flatten, parse
from fmsh.lang.tokens import KEYWORDS
from fmsh.record import Record
from fmsh.spans import Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Styled(Record):
    """A piece of a text, `start` to `end`, and what it is: one of `STYLES`."""

    start: int
    end: int
    style: str


STYLES = (
    "keyword", "command", "unknown", "string", "variable", "number", "flag", "operator", "pattern", "comment", "path",
    "error",
)  # fmt: skip

_BY_TYPE = {
    **dict.fromkeys([word.upper() for word in KEYWORDS], "keyword"),
    "STR": "string",
    **dict.fromkeys(["VAR", "FIELD", "IT", "LSUB"], "variable"),
    **dict.fromkeys(["FLAG", "FLAGEQ"], "flag"),
    **dict.fromkeys(["GLOB", "TILDE"], "pattern"),
    **dict.fromkeys(
        ["PIPE", "ANDOR", "AMP", "BANG", "CMP", "OR", "AND", "NOT", "COALESCE", "RANGE", "PLUS", "MINUS", "MULTIPLY"],
        "operator",
    ),
    **dict.fromkeys(["POWER", "REDIR", "REDIRDUP", "ASSIGN", "ARROW"], "operator"),
    "LIT": "number",
    "ERR": "error",
}


PARSED_CHARACTERS_MAX = 2000  # about 2 ms


def styled(text: str, is_command: Callable[[str], bool], directory: str) -> list[Styled]:
    """The styled pieces of a text, in order, none inside another. `is_command` says whether a name can be run."""
    lexer = Lexer(text)
    lexer.run()
    tokens = flatten(lexer.out)
    pieces = [Styled(start, end, "comment") for start, end in lexer.comments]
    strings: list[tuple[int, int]] = []
    is_name = False
    for token in tokens:
        style = _BY_TYPE.get(token.type, "")
        if token.type == "SBEGIN" and (not strings or token.start >= strings[-1][1]):
            strings.append((token.start, token.end))
        elif token.type == "WORD":
            word = text[token.start : token.end]
            if is_name:
                style = "command" if is_command(word) else "unknown"
            else:
                style = "path" if _exists(word, directory) else ""
        is_name = token.type in ("COMMAND", "CARET")
        if style and token.end > token.start:
            pieces.append(Styled(token.start, token.end, style))
    pieces += _of_strings(strings, pieces)
    wrong = _wrong(text)
    if wrong is not None:
        pieces = [piece for piece in pieces if piece.end <= wrong.start or piece.start >= wrong.end] + [wrong]
    return sorted(pieces, key=lambda piece: piece.start)


def _wrong(text: str) -> Styled | None:
    """What the parser finds wrong first, if it would stay wrong whatever is typed behind the text."""
    if len(text) > PARSED_CHARACTERS_MAX:
        return None
    try:
        parse(Source("prompt", text))
    except SourceError as problem:
        start, end = problem.diagnostics[0].span
        is_at_end = problem.incomplete or end >= len(text.rstrip())
        return None if is_at_end or start >= end else Styled(start, end, "error")
    return None


def _of_strings(strings: list[tuple[int, int]], pieces: list[Styled]) -> Iterator[Styled]:
    """What of the strings is not code."""
    ordered = sorted(pieces, key=lambda piece: piece.start)
    starts = [piece.start for piece in ordered]
    for start, end in strings:
        at = start
        for piece in ordered[bisect_left(starts, start) : bisect_left(starts, end)]:
            if piece.start > at:
                yield Styled(at, piece.start, "string")
            at = max(at, piece.end)
        if at < end:
            yield Styled(at, end, "string")


def _exists(word: str, directory: str) -> bool:
    return ("/" in word or "." in word) and os.path.exists(os.path.join(directory, os.path.expanduser(word)))
