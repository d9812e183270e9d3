"""Colours of a text at the prompt, from the language's own lexer."""

from __future__ import annotations

import os
from bisect import bisect_left

from fmsh.errors import SourceError
from fmsh.lang.lexer import Lexer
from fmsh.lang.parser import flatten, parse
from fmsh.lang.tokens import KEYWORDS
from fmsh.record import Record
from fmsh.shell.cursor import unescaped
from fmsh.spans import Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fmsh.lang.tokens import Token


class Styled(Record):
    """A piece of a text, `start` to `end`, and what it is: one of `STYLES`, or two with a comma."""

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


PLAIN = ("WORD", "TEXT", "STR", "TILDE")  # parts of words that are known before they run
PARSED_CHARACTERS_MAX = 2000  # about 2 ms


def styled(text: str, is_command: Callable[[str], bool], directory: str) -> list[Styled]:
    """The styled pieces of a text, in order, none inside another. `is_command` says whether a name can be run."""
    lexer = Lexer(text)
    lexer.run()
    tokens = flatten(lexer.out)
    pieces = [Styled(start, end, "comment") for start, end in lexer.comments]
    strings: list[tuple[int, int]] = []
    paths = _paths(text, tokens, directory)
    is_name = False
    for token in tokens:
        style = _BY_TYPE.get(token.type, "")
        if token.start in paths and token.type in PLAIN:
            style = "string,path" if token.type == "STR" else "path"
        elif token.type == "SBEGIN" and (not strings or token.start >= strings[-1][1]):
            strings.append((token.start, token.end))
        elif token.type == "WORD" and is_name:
            style = "command" if is_command(text[token.start : token.end]) else "unknown"
        is_name = token.type in ("COMMAND", "CARET")
        if style and token.end > token.start:
            pieces.append(Styled(token.start, token.end, style))
    pieces += _of_strings(strings, pieces)
    wrong = _wrong(text)
    if wrong is not None:
        pieces = [piece for piece in pieces if piece.end <= wrong.start or piece.start >= wrong.end] + [wrong]
    return sorted(pieces, key=lambda piece: piece.start)


def _paths(text: str, tokens: list[Token], directory: str) -> set[int]:
    """Where the parts begin of words that are paths of something that exists."""
    found: set[int] = set()
    word: list[Token] | None = None
    for index, token in enumerate(tokens):
        if token.type == "WBEGIN":
            word = []
        elif token.type in PLAIN and token.end > token.start:
            if word is not None:
                word.append(token)
            is_name = index > 0 and tokens[index - 1].type in ("COMMAND", "CARET")
            if token.type == "WORD" and not is_name and _exists(text[token.start : token.end], directory):
                found.add(token.start)
        elif token.type == "WEND" and word and _exists(text[word[0].start : word[-1].end], directory):
            found.update(part.start for part in word)
        elif token.type not in ("SBEGIN", "SEND"):
            word = None  # what it is has to be computed
    return found


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
    if "\0" in word:  # no name of anything has it
        return False
    path = unescaped(word)
    path = os.path.expanduser(path) if word.startswith("~") else path
    return os.path.exists(os.path.join(directory, path))
