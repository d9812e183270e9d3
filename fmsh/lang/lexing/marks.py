"""Marks that mean the same in every mode of the lexer: newlines, separators, closing brackets, joiners, bodies."""

from __future__ import annotations

from fmsh.lang.lexing import hints
from fmsh.lang.lexing.frames import AFTER, OPERAND, PATTERN, STAGE, STATEMENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fmsh.lang.lexer import Lexer

LITERALS = {"true": True, "false": False, "null": None}


def punctuation(lexer: Lexer) -> bool:
    """Takes a newline, separator, closing bracket or joiner at the position; False if there is none."""
    handler = _PUNCTUATION.get(lexer.text[lexer.pos])
    if handler is None:
        return False
    handler(lexer)
    return True


def _newline(lexer: Lexer) -> None:
    lexer.newline()


def _close(lexer: Lexer) -> None:
    lexer.close()


def _semicolon(lexer: Lexer) -> None:
    frame = lexer.frame
    if frame.kind in ("list", "record", "index", "parameters", "bars"):
        lexer.unexpected("`;` does not separate values", "write `,`")
        return
    following = lexer.next_significant(lexer.pos + 1)
    for word in ("then", "do"):
        if frame.in_condition and lexer.text.startswith(word, following):
            message, _hint = hints.COMMANDS[word]
            lexer.report(following, following + len(word), message, f"write `{frame.keyword} … {{ … }}`")
            lexer.has_bash_body = True
    if frame.mode == STATEMENT and (lexer.last is None or lexer.last.type in _STATEMENT_OPENERS):
        lexer.pos += 1
    else:
        lexer.emit("SEP", lexer.pos, lexer.pos + 1, ";")
    frame.begin_statement()


_STATEMENT_OPENERS = frozenset(["SEP", "LPAR", "DLPAR", "LBODY", "LBLOCK", "LGROUP", "ARROW", "BAR"])


def _bar(lexer: Lexer) -> None:
    text, start, frame = lexer.text, lexer.pos, lexer.frame
    if frame.close == "|":
        lexer.close()
        return
    if frame.mode == AFTER and frame.keyword in ("while", "for"):
        lexer.report(start, start + 1, f"`{frame.keyword}` has no value to pipe on", "use `… | each { … }`")
    _refuse_in_alias(lexer)
    if text.startswith("||", start):
        lexer.emit("ANDOR", start, start + 2, "||")
    elif text.startswith("|&", start):
        lexer.report(start, start + 2, *hints.PIPE_BOTH)
        lexer.emit("PIPE", start, start + 2)
    else:
        lexer.emit("PIPE", start, start + 1)
    frame.mode = STAGE
    frame.keyword = frame.keyword if frame.in_condition else ""


def _refuse_in_alias(lexer: Lexer) -> None:
    if lexer.frame.keyword == "alias":
        lexer.report(lexer.pos, lexer.pos + 1, *hints.ALIAS_OF_PIPELINE)


def _ampersand(lexer: Lexer) -> None:
    text, start, frame = lexer.text, lexer.pos, lexer.frame
    _refuse_in_alias(lexer)
    if text.startswith("&&", start):
        lexer.emit("ANDOR", start, start + 2, "&&")
        frame.mode = STAGE
    elif text.startswith("&>", start):
        lexer.report(start, start + 2, *NO_REDIRECTION)
        lexer.pos += 2
        frame.mode = OPERAND
    else:
        lexer.emit("AMP", start, start + 1)
        frame.mode, frame.keyword = AFTER, ""


NO_REDIRECTION = ("a redirection stands after a command, not after an expression", "write `… | save FILE`")

_PUNCTUATION: Mapping[str, Callable[[Lexer], None]] = {
    "\n": _newline,
    ";": _semicolon,
    ")": _close,
    "]": _close,
    "}": _close,
    "|": _bar,
    "&": _ampersand,
}


def open_body(lexer: Lexer) -> None:
    """Opens the `{` of a body, or the arms of a `match`."""
    frame = lexer.frame
    is_match = frame.keyword == "match" and frame.in_condition
    frame.in_condition = False
    if is_match:
        inner = lexer.open("match", "LMATCH", "}", PATTERN, AFTER)
        inner.position = PATTERN
    else:
        after = PATTERN if frame.kind == "match" else AFTER
        target = lexer.next_significant(lexer.pos + 1)
        if lexer.text.startswith("|", target) and not lexer.text.startswith("||", target):
            lexer.report(lexer.pos, lexer.pos + 1, "a body has no parameters", "a block in a condition stands in ( )")
        lexer.open("body", "LBODY", "}", STATEMENT, after)


def comma(lexer: Lexer) -> None:
    frame = lexer.frame
    if frame.kind in ("list", "record", "parameters", "bars"):
        lexer.emit("COMMA", lexer.pos, lexer.pos + 1, ",")
        frame.mode = lexer.next_mode(frame)
    else:
        lexer.unexpected("`,` stands between the items of a list", "write `[a, b]`")


def emit_range(lexer: Lexer) -> None:
    symbol = "..<" if lexer.text.startswith("..<", lexer.pos) else ".."
    lexer.emit("RANGE", lexer.pos, lexer.pos + len(symbol), symbol)
    lexer.frame.is_soft = True
    lexer.frame.mode = OPERAND
