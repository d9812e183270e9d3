"""Words: adjacent parts that make one argument; addresses; globs, braces, `~`.

A word of one unquoted text is a WORD token with that text; any other is a COMPOUND token with parts and a `Shape`.
Whether a word is read as an address, a command's name, an argument or an operand is decided before it begins.
"""

from __future__ import annotations

from fmsh.lang.lexing import hints, interpolation
from fmsh.lang.lexing.frames import Pending
from fmsh.lang.tokens import DIGITS, NAME_CHARS, NAME_START, Shape, Token, name_end

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fmsh.lang.lexer import Lexer

PLAIN = NAME_CHARS | frozenset("-./:=+%@^!#")
SCHEME_CHARS = NAME_CHARS | frozenset("+-.")
BRACE_STEPS_MAX = 10_000  # alternatives that `{1..n}` may have
WORD_ROLES = frozenset(("head", "argument", "operand", "environment", "brace"))
PAIRS = {"(": ")", "[": "]", "{": "}"}


def begin(lexer: Lexer, role: str, *, is_url: bool = False) -> None:
    """Begins a word at the lexer's position. `is_url`: an address is taken here, whatever it begins with."""
    pending = Pending(role, lexer.pos, lexer.frame.out)
    has_scheme = role != "head" and begins_with_scheme(lexer.text, lexer.pos)
    pending.is_url = is_url or has_scheme
    pending.has_url_syntax = pending.is_url and lexer.text[lexer.pos : lexer.pos + 1] not in ('"', "'")
    lexer.frame.pending.append(pending)
    if lexer.text[lexer.pos] == "~" and not pending.is_url:
        _tilde(lexer, pending)


def begins_with_scheme(text: str, pos: int) -> bool:
    """Whether `scheme://` stands at `pos`."""
    if text[pos : pos + 1] not in NAME_START:
        return False
    return text.startswith("://", name_end(text, pos, SCHEME_CHARS))


def scan(lexer: Lexer, pending: Pending) -> None:
    """Reads on in a word until it ends or code or a string begins."""
    if pending.path is not None:
        if interpolation.continue_path(lexer, pending):
            return
        _question_mark(lexer, pending)
    text, size = lexer.text, lexer.size
    while lexer.pos < size:
        start = pos = lexer.pos
        while pos < size and text[pos] in PLAIN:
            pos += 1
        if pos > start:
            if not pending.text:
                pending.text_start = start
            pending.text.append(text[start:pos])
            lexer.pos = pos
            continue
        special = _SPECIAL.get(text[pos], _other)
        if pending.has_url_syntax and text[pos] in _URL_SPECIAL:
            special = _URL_SPECIAL[text[pos]]
        outcome = special(lexer, pending)
        if outcome is _SUSPEND:
            return
        if outcome is _END:
            break
    _finish(lexer, pending)


# What a special character does: the word goes on, waits for a frame or string above it, or ends before the character.
_GO_ON, _SUSPEND, _END = "go on", "suspend", "end"


def _literal(lexer: Lexer, pending: Pending) -> str:
    if not pending.text:
        pending.text_start = lexer.pos
    pending.text.append(lexer.text[lexer.pos])
    lexer.pos += 1
    return _GO_ON


def _other(lexer: Lexer, pending: Pending) -> str:
    c = lexer.text[lexer.pos]
    if c >= " " and c != "\x7f":
        return _literal(lexer, pending)
    lexer.report(lexer.pos, lexer.pos + 1, "a control character cannot stand in a program", 'write it as "\\u{…}"')
    lexer.pos += 1
    return _GO_ON


def _end(lexer: Lexer, pending: Pending) -> str:
    return _END


def _quote(lexer: Lexer, pending: Pending) -> str:
    pending.flush(lexer.pos)
    pending.is_text = True
    lexer.begin_string(out=pending.parts)
    return _SUSPEND


def _backslash(lexer: Lexer, pending: Pending) -> str:
    following = lexer.text[lexer.pos + 1 : lexer.pos + 2]
    if following == "\n":
        lexer.pos += 2
        return _GO_ON
    if not following:
        lexer.report(lexer.pos, lexer.pos + 1, "`\\` at the end of the text: the line must go on", is_at_end=True)
        lexer.pos += 1
        return _END
    lexer.pos += 1
    pending.is_text = True
    return _literal(lexer, pending)


def _dollar(lexer: Lexer, pending: Pending) -> str:
    if interpolation.begin_code(lexer, pending):
        if pending.path is None:
            return _SUSPEND
        while pending.path is not None and interpolation.continue_path(lexer, pending):
            if lexer.frame.pending[-1:] != [pending]:
                return _SUSPEND
        _question_mark(lexer, pending)
        return _GO_ON
    following = lexer.text[lexer.pos + 1 : lexer.pos + 2]
    if following in DIGITS:
        lexer.report_positional(lexer.pos + 1)
    elif following in hints.DOLLARS:
        lexer.report(lexer.pos, lexer.pos + 2, *hints.DOLLARS[following])
    else:
        return _literal(lexer, pending)
    lexer.pos += 2
    return _GO_ON


def _question_mark(lexer: Lexer, pending: Pending) -> None:
    """A `?` that ends a path but begins no step is text, not a pattern of paths."""
    if lexer.text.startswith("?", lexer.pos, lexer.size):
        _literal(lexer, pending)


def _backtick(lexer: Lexer, pending: Pending) -> str:
    lexer.report_backtick()
    return _GO_ON


def _open_parenthesis(lexer: Lexer, pending: Pending) -> str:
    start = lexer.pos
    if lexer.text[start - 1] == "@":
        lexer.report(start - 1, start + 1, *hints.AT_PAREN)
    elif lexer.text.startswith("()", start) and pending.role == "head":
        name = lexer.text[pending.start : start]
        message, hint = hints.SHELL_FUNCTION
        lexer.report(pending.start, start + 2, message.format(name=name), hint.format(name=name))
    else:
        hint = "write `$( )` for a value inside a word, or put a blank before `(`"
        if pending.role == "head":
            hint = f"arguments stand without ( ): `{lexer.text[pending.start : start]} …`"
        lexer.report(start, start + 1, "`(` cannot follow a word directly", hint)
    return _END


def _ampersand(lexer: Lexer, pending: Pending) -> str:
    before, after = lexer.text[lexer.pos - 1], lexer.text[lexer.pos + 1 : lexer.pos + 2]
    if before in NAME_CHARS and after in NAME_CHARS:
        lexer.report(lexer.pos, lexer.pos + 1, "`&` inside a word", "quote the word, or put blanks around `&`")
        return _literal(lexer, pending)
    return _END


def _star(lexer: Lexer, pending: Pending) -> str:
    if pending.role == "operand" and not _is_item(lexer):
        return _literal(lexer, pending)
    start = lexer.pos
    while lexer.text[lexer.pos : lexer.pos + 1] in ("*", "?"):
        lexer.pos += 1
    _glob(lexer, pending, start)
    return _GO_ON


def _is_item(lexer: Lexer) -> bool:
    """Whether the word in progress is an item of a list: there a pattern stands for the paths that match it."""
    last = lexer.last
    return lexer.frame.kind == "list" and last is not None and last.type in ("LSQB", "COMMA")


def _glob(lexer: Lexer, pending: Pending, start: int) -> None:
    pending.flush(start)
    pending.parts.append(Token("GLOB", start, lexer.pos, lexer.text[start : lexer.pos]))


def _open_bracket(lexer: Lexer, pending: Pending) -> str:
    close = lexer.text.find("]", lexer.pos + 2, lexer.word_limit(lexer.pos))
    if pending.role == "operand" and close >= 0:
        pending.brackets.append("]")
        return _literal(lexer, pending)
    if close < 0:
        return _literal(lexer, pending)
    start = lexer.pos
    lexer.pos = close + 1
    _glob(lexer, pending, start)
    return _GO_ON


def _close_bracket(lexer: Lexer, pending: Pending) -> str:
    if pending.brackets and pending.brackets[-1] == lexer.text[lexer.pos]:
        pending.brackets.pop()
        return _literal(lexer, pending)
    return _END if pending.role == "operand" or lexer.frame.close == "]" else _literal(lexer, pending)


def _comma(lexer: Lexer, pending: Pending) -> str:
    if pending.role == "brace" and not pending.brackets:
        _next_alternative(lexer, pending)
        return _GO_ON
    return _END if pending.role == "operand" and not pending.brackets else _literal(lexer, pending)


def _open_brace(lexer: Lexer, pending: Pending) -> str:
    close, is_list = lexer.brace_pair(lexer.pos)
    if close < 0:
        return _END
    if not is_list or pending.role == "operand":
        pending.brackets.append("}")
        return _literal(lexer, pending)
    pending.flush(lexer.pos)
    lexer.begin_braces(out=pending.parts)
    return _SUSPEND


def _close_brace(lexer: Lexer, pending: Pending) -> str:
    if pending.brackets and pending.brackets[-1] == "}":
        pending.brackets.pop()
        return _literal(lexer, pending)
    return _END


_SPECIAL = (
    dict.fromkeys(" \t\r\n;|<>)", _end)
    | dict.fromkeys("\"'", _quote)
    | dict.fromkeys("*?", _star)
    | {
        "\\": _backslash,
        "$": _dollar,
        "`": _backtick,
        "(": _open_parenthesis,
        "&": _ampersand,
        "[": _open_bracket,
        "]": _close_bracket,
        "{": _open_brace,
        "}": _close_brace,
        ",": _comma,
    }
)


# ---- Addresses: rule 3 of the language


def _url_open(lexer: Lexer, pending: Pending) -> str:
    pending.brackets.append(PAIRS[lexer.text[lexer.pos]])
    return _literal(lexer, pending)


def _url_close(lexer: Lexer, pending: Pending) -> str:
    if lexer.text[lexer.pos] not in pending.brackets:
        return _END
    while pending.brackets.pop() != lexer.text[lexer.pos]:
        pass
    return _literal(lexer, pending)


def _url_semicolon(lexer: Lexer, pending: Pending) -> str:
    return (
        _END if lexer.text[lexer.pos + 1 : lexer.pos + 2] in ("", " ", "\t", "\r", "\n") else _literal(lexer, pending)
    )


def _url_comma(lexer: Lexer, pending: Pending) -> str:
    return _END if pending.role == "operand" else _url_semicolon(lexer, pending)


_URL_SPECIAL = (
    dict.fromkeys("&?*", _literal)
    | dict.fromkeys("([{", _url_open)
    | dict.fromkeys(")]}", _url_close)
    | dict.fromkeys("\"'", _end)
    | {";": _url_semicolon, ",": _url_comma}
)


# ---- Braces and tilde


def begin_braces(lexer: Lexer, out: list[Token]) -> None:
    """Begins the brace list at the lexer's position; `brace_pair` has said that it is one."""
    start = lexer.pos
    close, _ = lexer.brace_pair(start)
    steps = _sequence(lexer, start + 1, close)
    if steps is not None:
        lexer.pos = close + 1
        out.append(Token("BRACES", start, lexer.pos, None, steps))
        return
    lexer.pos += 1
    pending = Pending("brace", start, out)
    pending.text_start = lexer.pos
    lexer.frame.pending.append(pending)


def _next_alternative(lexer: Lexer, pending: Pending) -> None:
    pending.flush(lexer.pos)
    start = pending.alternatives[-1].end + 1 if pending.alternatives else pending.start + 1
    pending.alternatives.append(Token("ALTERNATIVE", start, lexer.pos, None, pending.parts))
    pending.parts = []
    lexer.pos += 1


def _finish_braces(lexer: Lexer, pending: Pending) -> None:
    _next_alternative(lexer, pending)
    pending.out.append(Token("BRACES", pending.start, lexer.pos, None, pending.alternatives))


def _sequence(lexer: Lexer, start: int, end: int) -> list[Token] | None:
    """Writes out `1..3` or `a..e`; None when it is none."""
    inside = lexer.text[start:end]
    first, dots, last = inside.partition("..")
    if not dots:
        return None
    if len(first) == len(last) == 1 and first.isalpha() and last.isalpha():
        codes = _steps(ord(first), ord(last))
        return [_alternative(start, end, chr(code)) for code in codes]
    if not _is_integer(first) or not _is_integer(last):
        return None
    numbers = _steps(int(first), int(last))
    if len(numbers) > BRACE_STEPS_MAX:
        lexer.report(
            start, end, f"a brace list of more than {BRACE_STEPS_MAX} words", "use a loop over a range", code="limit"
        )
        return []
    width = len(first) if first[0] == "0" and len(first) > 1 else 0
    return [_alternative(start, end, str(number).zfill(width)) for number in numbers]


def _steps(first: int, last: int) -> range:
    return range(first, last + 1) if first <= last else range(first, last - 1, -1)


def _is_integer(text: str) -> bool:
    digits = text.removeprefix("-")
    return digits.isdecimal() and digits.isascii() and len(digits) <= 18


def _alternative(start: int, end: int, text: str) -> Token:
    return Token("ALTERNATIVE", start, end, None, [Token("TEXT", start, end, text)])


def _tilde(lexer: Lexer, pending: Pending) -> None:
    start = lexer.pos
    end = name_end(lexer.text, start + 1, NAME_CHARS | {"-", "."})
    if lexer.text[end : end + 1] in ("/", "]", ",") or lexer.is_word_end(end):
        lexer.pos = end
        pending.parts.append(Token("TILDE", start, end, lexer.text[start + 1 : end]))
    else:
        _literal(lexer, pending)


# ---- The end


def _finish(lexer: Lexer, pending: Pending) -> None:
    lexer.frame.pending.pop()
    if pending.role == "brace":
        _finish_braces(lexer, pending)
        return
    if not pending.parts and not pending.is_text and not pending.is_url:
        token = Token("WORD", pending.start, lexer.pos, "".join(pending.text))
    else:
        pending.flush(lexer.pos)
        shape = Shape(is_text=pending.is_text or len(pending.parts) > 1, is_url=pending.is_url)
        token = Token("COMPOUND", pending.start, lexer.pos, shape, pending.parts)
    lexer.word_done(pending, token)
