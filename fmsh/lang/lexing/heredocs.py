"""Heredocs: `<<EOF` (interpolating) and `<<'EOF'` (raw). Bodies are read when the line that names them ends.

The end tag may be indented; that indentation is removed from every line (rule 20 of the language).
"""

from __future__ import annotations

from fmsh.lang.lexing import interpolation
from fmsh.lang.lexing.frames import Pending
from fmsh.lang.tokens import BLANKS, COMMAND_CHARS, Token, name_end

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fmsh.lang.lexer import Lexer

HEREDOCS_IN_HEREDOCS_MAX = 10  # each level is a lexer of its own


class Heredoc:
    """A heredoc whose body is still to come; `token` gets its text or parts."""

    __slots__ = ("is_raw", "tag", "token")

    def __init__(self, tag: str, is_raw: bool, token: Token) -> None:
        self.tag = tag
        self.is_raw = is_raw
        self.token = token


def begin(lexer: Lexer) -> None:
    """Reads the tag after `<<` and emits the STR token that the body will fill."""
    text = lexer.text
    if text[lexer.pos : lexer.pos + 1] == "-":
        hint = "write `<<EOF`: the indentation of the end tag is removed from every line"
        lexer.report(lexer.pos - 2, lexer.pos + 1, "`<<-` does not exist", hint)
        lexer.pos += 1
    while text[lexer.pos : lexer.pos + 1] in BLANKS:
        lexer.pos += 1
    start = lexer.pos
    quote = text[start : start + 1]
    is_raw = quote in ("'", '"')
    tag_start = start + is_raw
    end = name_end(text, tag_start, COMMAND_CHARS)
    tag = text[tag_start:end]
    if not tag or (is_raw and text[end : end + 1] != quote):
        lexer.report(start - 2, start, "`<<` needs the word that ends the text", 'write `<<EOF`, or `<<< "text"`')
        lexer.pos = max(end, start)
        return
    lexer.pos = end + is_raw
    token = lexer.emit("STR", start, lexer.pos, "")
    lexer.heredocs.append(Heredoc(tag, is_raw, token))


def read_bodies(lexer: Lexer, pos: int) -> int:
    """Reads the bodies that begin at `pos`, a line's start, in order; gives where the program goes on."""
    waiting, lexer.heredocs = lexer.heredocs, []
    for heredoc in waiting:
        start, pos = pos, _read_body(lexer, heredoc, pos)
        lexer.heredoc_bodies.append((heredoc.token.start, start, pos))
    return pos


def report_missing(lexer: Lexer) -> None:
    """Reports the heredocs whose line was the last of the text."""
    for heredoc in lexer.heredocs:
        _report_unclosed(lexer, heredoc)
    lexer.heredocs = []


def _report_unclosed(lexer: Lexer, heredoc: Heredoc) -> None:
    token = heredoc.token
    lexer.report(
        token.start,
        token.end,
        "the text of this heredoc never ends",
        f"end it with a line `{heredoc.tag}`",
        is_at_end=True,
    )


def _read_body(lexer: Lexer, heredoc: Heredoc, start: int) -> int:
    text, pos = lexer.text, start
    while pos < lexer.size:
        end = text.find("\n", pos, lexer.size)
        end = lexer.size if end < 0 else end
        line = text[pos:end].rstrip("\r")
        if line.strip(" \t") == heredoc.tag:
            indentation = line[: len(line) - len(line.lstrip(" \t"))]
            _fill(lexer, heredoc, start, pos, indentation)
            return min(end + 1, lexer.size)
        pos = end + 1
    _report_unclosed(lexer, heredoc)
    return lexer.size


def _fill(lexer: Lexer, heredoc: Heredoc, start: int, end: int, indentation: str) -> None:
    if heredoc.is_raw:
        lines = lexer.text[start:end].split("\n")
        heredoc.token.value = "\n".join(line.removeprefix(indentation) for line in lines)
        return
    if lexer.heredoc_depth >= HEREDOCS_IN_HEREDOCS_MAX:
        lexer.report(heredoc.token.start, heredoc.token.end, "heredocs stand too deep inside one another", code="limit")
        return
    inner = lexer.heredoc_lexer(start, end)
    pending = Pending("<<", start, inner.out)
    pending.is_raw = True
    inner.heredoc_indentation = indentation
    inner.frame.pending.append(pending)
    _skip_indentation(inner)
    inner.run()
    lexer.frame.out.extend(token for token in inner.out if token.type == "ERR")
    pending.flush(end)
    if all(part.type == "TEXT" for part in pending.parts):
        heredoc.token.value = "".join(part.value for part in pending.parts)
    else:
        heredoc.token.value = None
        heredoc.token.parts = pending.parts


def scan(lexer: Lexer, pending: Pending) -> None:
    """Reads on in an interpolating heredoc until it ends or code begins. Only `\\$` and `\\\\` are escapes."""
    if pending.path is not None and interpolation.continue_path(lexer, pending):
        return
    text, size = lexer.text, lexer.size
    while lexer.pos < size:
        c = text[lexer.pos]
        if c == "$" and interpolation.begin_code(lexer, pending):
            return
        if c == "\\" and text[lexer.pos + 1 : lexer.pos + 2] in ("$", "\\"):
            lexer.pos += 1
            c = text[lexer.pos]
        pending.text.append(c)
        lexer.pos += 1
        if c == "\n":
            _skip_indentation(lexer)
    lexer.frame.pending.pop()


def _skip_indentation(lexer: Lexer) -> None:
    if lexer.text.startswith(lexer.heredoc_indentation, lexer.pos, lexer.size):
        lexer.pos += len(lexer.heredoc_indentation)
