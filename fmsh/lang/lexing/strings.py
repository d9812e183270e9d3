"""Strings and heredocs: quotes, escapes, indentation. Interpolation is `interpolation`'s.

A string without code inside becomes a STR token with its text as the value; one with code is a STR token with parts.
Common indentation is removed from `triple "` strings when they end: until then their text is kept in pieces, of which
those at the start of a line are `Indentation`.
"""

from __future__ import annotations

from fmsh.lang.lexing import interpolation
from fmsh.lang.lexing.frames import Pending
from fmsh.lang.tokens import Token

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fmsh.lang.lexer import Lexer

ESCAPES = {
    '"': '"',
    "\\": "\\",
    "/": "/",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "$": "$",
    "'": "'",
    "e": "\x1b",
    "0": "\0",
}
CODE_POINT_MAX = 0x10FFFF


def begin(lexer: Lexer, out: list[Token]) -> None:
    """Begins the string whose opening quote stands at the lexer's position; its token will go to `out`."""
    text, start = lexer.text, lexer.pos
    quote = text[start]
    if text.startswith(quote * 3, start):
        quote *= 3
    pending = Pending(quote, start, out)
    lexer.pos = pending.text_start = start + len(quote)
    if quote[0] == "'":
        _raw(lexer, pending)
        return
    if quote == '"""':
        _skip_first_newline(lexer, pending)
    lexer.frame.pending.append(pending)


def scan(lexer: Lexer, pending: Pending) -> None:
    """Reads on in a double-quoted string until it ends or code begins."""
    if pending.path is not None and interpolation.continue_path(lexer, pending):
        return
    text, size, quote = lexer.text, lexer.size, pending.role
    while lexer.pos < size:
        start = lexer.pos
        c = text[start]
        if c not in '"\\$\n':
            lexer.pos = _plain_end(text, start, size)
            pending.text.append(text[start : lexer.pos])
        elif c == '"' and text.startswith(quote, start):
            lexer.pos += len(quote)
            _finish(lexer, pending)
            return
        elif c == "$" and interpolation.begin_code(lexer, pending):
            return
        elif c == "\\":
            _escape(lexer, pending)
        elif c == "\n" and quote == '"':
            break
        else:
            pending.text.append(c)
            lexer.pos += 1
            if c == "\n":
                _begin_line(lexer, pending)
    _report_unclosed(lexer, pending)
    _finish(lexer, pending)


def _plain_end(text: str, pos: int, size: int) -> int:
    while pos < size and text[pos] not in '"\\$\n':
        pos += 1
    return pos


def _report_unclosed(lexer: Lexer, pending: Pending) -> None:
    is_long = len(pending.role) == 3
    hint = (
        f"end it with {pending.role}" if is_long else f"end it with {pending.role}; {pending.role * 3} goes over lines"
    )
    lexer.report(
        pending.start,
        pending.start + len(pending.role),
        "this string is never closed" if is_long else "this string is not closed on its line",
        hint,
        is_at_end=is_long,
    )


def _raw(lexer: Lexer, pending: Pending) -> None:
    text, start = lexer.text, lexer.pos
    limit = lexer.size
    if len(pending.role) == 1:
        newline = text.find("\n", start, limit)
        limit = limit if newline < 0 else newline
    end = text.find(pending.role, start, limit)
    if end < 0:
        _report_unclosed(lexer, pending)
        lexer.pos = limit
        pending.text.append(text[start:limit])
    else:
        pending.text.append(text[start:end])
        lexer.pos = end + len(pending.role)
    _emit(lexer, pending)


def _finish(lexer: Lexer, pending: Pending) -> None:
    lexer.frame.pending.pop()
    if pending.role == '"""':
        _remove_indentation(pending)
        pending.role = '"'
    _emit(lexer, pending)


def _emit(lexer: Lexer, pending: Pending) -> None:
    token = Token("STR", pending.start, lexer.pos)
    if not pending.parts:
        token.value = "".join(pending.text)
    else:
        pending.flush(lexer.pos)
        token.parts = pending.parts
    pending.out.append(token)


# ---- Escapes


def _escape(lexer: Lexer, pending: Pending) -> None:
    text, start = lexer.text, lexer.pos
    c = text[start + 1 : start + 2]
    if c == "u":
        _unicode_escape(lexer, pending)
    elif c in ESCAPES:
        pending.text.append(ESCAPES[c])
        lexer.pos = start + 2
    elif c == "\n":
        lexer.pos = start + 2  # the line goes on
        _skip_indentation(lexer)
    else:
        hint = f"write `\\\\{c}` for a backslash, or use '…' quotes" if c else ""
        lexer.report(start, start + 1 + len(c), f"`\\{c}` is not an escape", hint)
        pending.text.append(c)
        lexer.pos = start + 1 + len(c)


def _skip_indentation(lexer: Lexer) -> None:
    while lexer.pos < lexer.size and lexer.text[lexer.pos] in " \t":
        lexer.pos += 1


def _unicode_escape(lexer: Lexer, pending: Pending) -> None:
    text, start = lexer.text, lexer.pos
    if text[start + 2 : start + 3] == "{":
        close = text.find("}", start, start + 12)
        code, end = (_hex(text[start + 3 : close]), close + 1) if close > 0 else (-1, start + 3)
    else:
        end = start + 6
        code = _hex(text[start + 2 : end]) if len(text[start + 2 : end]) == 4 else -1
        if 0xD800 <= code < 0xDC00 and text[end : end + 2] == "\\u":
            low = _hex(text[end + 2 : end + 6])
            if 0xDC00 <= low < 0xE000 and len(text[end + 2 : end + 6]) == 4:  # two halves are one character, as in JSON
                code, end = 0x10000 + ((code - 0xD800) << 10) + low - 0xDC00, end + 6
    if not 0 <= code <= CODE_POINT_MAX:
        lexer.report(start, start + 2, "`\\u` needs the number of a character", "write `\\u00e9` or `\\u{e9}`")
        lexer.pos = start + 2
        return
    pending.text.append(chr(code))
    lexer.pos = end


def _hex(digits: str) -> int:
    return int(digits, 16) if digits and all(c in "0123456789abcdefABCDEF" for c in digits) else -1


# ---- Indentation of `triple "` strings


class Indentation(str):
    """The blanks at the start of a line of the source, as a piece of a string's text."""

    __slots__ = ()


def _skip_first_newline(lexer: Lexer, pending: Pending) -> None:
    pos = lexer.pos
    while lexer.text[pos : pos + 1] in (" ", "\t", "\r"):
        pos += 1
    if lexer.text[pos : pos + 1] == "\n":
        lexer.pos = pending.text_start = pos + 1
        _begin_line(lexer, pending)


def _begin_line(lexer: Lexer, pending: Pending) -> None:
    start = lexer.pos
    _skip_indentation(lexer)
    pending.text.append(Indentation(lexer.text[start : lexer.pos]))


def _remove_indentation(pending: Pending) -> None:
    """Takes away what all lines that hold something have in common, and the blanks before the closing quotes."""
    pieces: list[tuple[list[str], int]] = []
    for gathered in [part.value for part in pending.parts if part.type == "TEXT"] + [pending.text]:
        pieces.extend((gathered, index) for index in range(len(gathered)))
    common = _common_indentation(pieces, pending)
    for gathered, index in pieces:
        if type(gathered[index]) is Indentation:
            is_last = gathered is pending.text and index == len(gathered) - 1
            gathered[index] = "" if is_last else gathered[index][len(common) :]
    for part in pending.parts:
        if part.type == "TEXT":
            part.value = "".join(part.value)


def _common_indentation(pieces: list[tuple[list[str], int]], pending: Pending) -> str:
    common: str | None = None
    for gathered, index in pieces:
        piece = gathered[index]
        if type(piece) is not Indentation:
            continue
        following = gathered[index + 1] if index + 1 < len(gathered) else ""
        is_empty = following.startswith("\n") or (not following and gathered is pending.text)
        if not is_empty:
            common = piece if common is None else _common_prefix(common, piece)
    return common or ""


def _common_prefix(left: str, right: str) -> str:
    length = 0
    while length < min(len(left), len(right)) and left[length] == right[length]:
        length += 1
    return left[:length]
