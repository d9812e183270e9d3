"""What a `$` begins inside a word, string or heredoc: `$x.path`, `${ }`, `$( )`; and paths into variables there.

The code goes into a CODE part of its own; a frame is pushed for it where it has brackets.
"""

from __future__ import annotations

from fmsh.lang.lexing import hints
from fmsh.lang.lexing.frames import OPERAND, OPERATOR, STATEMENT, Frame, Pending
from fmsh.lang.tokens import DIGITS, NAME_START, Token, name_end

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fmsh.lang.lexer import Lexer


def begin_code(lexer: Lexer, pending: Pending) -> bool:
    """Reads what the `$` at the lexer's position begins into `pending`; False if the `$` is text."""
    text, start = lexer.text, lexer.pos
    following = text[start + 1 : start + 2]
    if following not in _CODE_START:
        return False
    pending.flush(start)
    code = Token("CODE", start, start, None, [])
    pending.parts.append(code)
    assert code.parts is not None
    if following == "(":
        open_parenthesis(lexer, code)
    elif following == "{":
        open_inner(lexer, code)
    else:
        end = name_end(text, start + 1)
        code.parts.append(Token("VAR", start, end, text[start + 1 : end]))
        lexer.pos = code.end = end
        pending.path = code
    return True


_WORD_ROLES = frozenset(("head", "argument", "operand", "environment", "brace"))
_CODE_START = NAME_START | {"(", "{"}


def open_parenthesis(lexer: Lexer, code: Token) -> None:
    """Opens `$(` as code of a word."""
    assert code.parts is not None
    _open(lexer, code, Frame("paren", lexer.pos, ")", STATEMENT, code.parts), "DLPAR", lexer.pos + 2)


def open_inner(lexer: Lexer, code: Token | None) -> None:
    """Opens `${`, as code of a word or, without `code`, in the main stream. A bare name after it is a variable."""
    start = lexer.pos
    out = lexer.frame.out if code is None or code.parts is None else code.parts
    _open(lexer, code, Frame("inner", start, "}", OPERAND, out), "LSUB", start + 2)
    text, pos = lexer.text, lexer.pos
    while text[pos : pos + 1] in (" ", "\t"):
        pos += 1
    following = text[pos : pos + 1]
    if following in NAME_START:
        lexer.frame.mode = OPERATOR
        lexer.emit("VAR", pos, name_end(text, pos), text[pos : name_end(text, pos)])
    elif following in DIGITS:
        lexer.report_positional(pos)
    elif following in hints.EXPANSIONS:
        lexer.report_expansion(pos, following)
        skip_inner(lexer)


def skip_inner(lexer: Lexer) -> None:
    """Skips to the `}` of the `${` that is open."""
    text, depth = lexer.text, 0
    lexer.frame.mode = OPERATOR
    while lexer.pos < lexer.size and text[lexer.pos] != "\n":
        depth += (text[lexer.pos] == "{") - (text[lexer.pos] == "}")
        if depth < 0:
            return
        lexer.pos += 1


def _open(lexer: Lexer, code: Token | None, frame: Frame, opener: str, end: int) -> None:
    frame.code = code
    frame.out.append(Token(opener, lexer.pos, end))
    lexer.pos = end
    lexer.push(frame)


def continue_path(lexer: Lexer, pending: Pending) -> bool:
    """Reads one more step of the path of the variable just read; False when the path has ended."""
    code = pending.path
    assert code is not None and code.parts is not None
    text, start = lexer.text, lexer.pos
    is_optional = text[start : start + 1] == "?"
    at = start + is_optional
    mark, following = text[at : min(at + 1, lexer.size)], text[at + 1 : at + 2]  # behind a limit nothing is read
    is_word = pending.role in _WORD_ROLES and not pending.has_url_syntax
    if mark == "." and following in NAME_START:
        end = name_end(text, at + 1)
        code.parts.append(field_token(start, end, text[at + 1 : end], is_optional))
        lexer.pos = end
    elif mark == "." and is_word and following in ('"', "'"):
        token = field_token(start, at + 1, "", is_optional)
        token.type = "KEYDOT"
        code.parts.append(token)
        lexer.pos = at + 1
        lexer.begin_string(out=code.parts)
    elif mark == "[" and is_word:
        open_index(lexer, code, is_optional)
    elif mark == "[":
        end = _simple_index(lexer, code.parts, at, is_optional)
        if end < 0:
            pending.path = None
            return False
        lexer.pos = end
    else:
        pending.path = None
        return False
    code.end = lexer.pos
    return True


def field_token(start: int, end: int, name: str, is_optional: bool) -> Token:
    """Makes the token of one step `.name`."""
    token = Token("FIELD", start, end, name)
    token.is_optional = is_optional
    return token


def open_index(lexer: Lexer, code: Token | None, is_optional: bool) -> None:
    """Opens `[` or `?[` after a variable."""
    start = lexer.pos
    out = lexer.frame.out if code is None or code.parts is None else code.parts
    frame = Frame("index", start, "]", OPERAND, out)
    _open(lexer, code, frame, "LINDEX", start + 1 + is_optional)
    next(token for token in reversed(out) if token.type == "LINDEX").is_optional = is_optional


def _simple_index(lexer: Lexer, out: list[Token], at: int, is_optional: bool) -> int:
    """Reads `[INT]`, `[INT..INT]` or `[$name]`, the only indexes inside of strings; -1 when it is none of them."""
    text, pos = lexer.text, at + 1
    inside: list[Token] = []
    if text[pos : pos + 1] == "$" and text[pos + 1 : pos + 2] in NAME_START:
        end = name_end(text, pos + 1)
        inside.append(Token("VAR", pos, end, text[pos + 1 : end]))
    else:
        end = _integer(text, pos, inside)
        if end >= 0 and text[end : end + 2] == "..":
            is_exclusive = text[end + 2 : end + 3] == "<"
            inside.append(Token("RANGE", end, end + 2 + is_exclusive, "..<" if is_exclusive else ".."))
            end = _integer(text, end + 2 + is_exclusive, inside)
    if end < 0 or text[end : end + 1] != "]" or end == pos + (text[pos : pos + 1] == "$"):
        return -1
    opener = Token("LINDEX", at - is_optional, at + 1)
    opener.is_optional = is_optional
    out.extend((opener, *inside, Token("RSQB", end, end + 1)))
    return end + 1


def _integer(text: str, pos: int, out: list[Token]) -> int:
    start = pos + (text[pos : pos + 1] == "-")
    end = start
    while text[end : end + 1] in DIGITS:
        end += 1
    if end == start or end - start > 18:
        return -1
    if start > pos:
        out.append(Token("MINUS", pos, start, "-"))
    out.append(Token("LIT", start, end, int(text[start:end])))
    return end
