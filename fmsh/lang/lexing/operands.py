"""The mode where an operand is expected; what `-`, `[`, `{` and `.` mean here differs from where an operator is."""

from __future__ import annotations

from fmsh.lang.lexing import hints, interpolation, marks, numbers, records, words
from fmsh.lang.lexing.frames import (
    OPERAND,
    OPERATOR,
    STATEMENT,
)
from fmsh.lang.tokens import COMMAND_CHARS, DIGITS, NAME_START, WORD_END, name_end
from fmsh.values import Duration

INFINITY = float("inf")  # there is none in the language, as there is none in JSON

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from fmsh.lang.lexer import Lexer


def negated(value: Any) -> Any:
    """Gives the negative of a number or duration."""
    return Duration(-value.nanoseconds) if type(value) is Duration else -value


# ---- Operands


def operand(lexer: Lexer) -> None:
    """Mode OPERAND."""
    lexer.skip_blanks()
    if lexer.pos >= lexer.size:
        return
    text, c = lexer.text, lexer.text[lexer.pos]
    if c == "," and lexer.frame.kind in ("list", "record", "parameters", "bars"):
        marks.comma(lexer)
    elif c == "!" and text[lexer.pos + 1 : lexer.pos + 2] not in WORD_END:
        lexer.report(lexer.pos, lexer.pos + 1, "`!` stands before a command", "before an expression write `not`")
        lexer.pos += 1
    elif text.startswith("@(", lexer.pos):
        lexer.report(lexer.pos, lexer.pos + 2, *hints.AT_PAREN)
        lexer.pos += 1
    elif not begin_operand(lexer) and not marks.punctuation(lexer):
        _word(lexer)


def begin_operand(lexer: Lexer) -> bool:
    """Takes an operand that does not begin as a bare word; False if it does."""
    handler = _OPERANDS.get(lexer.text[lexer.pos])
    return handler is not None and handler(lexer)


def _dollar(lexer: Lexer) -> bool:
    text, begin = lexer.text, lexer.pos
    following = text[begin + 1 : begin + 2]
    frame = lexer.frame
    if following in NAME_START:
        end = name_end(text, begin + 1)
        frame.mode = OPERATOR
        lexer.emit("VAR", begin, end, text[begin + 1 : end])
    elif following == "(":
        lexer.open("paren", "DLPAR", ")", STATEMENT, OPERATOR, 2)
    elif following == "{":
        frame.mode = OPERATOR
        interpolation.open_inner(lexer, None)
    else:
        _bad_dollar(lexer, following)
    return True


def _bad_dollar(lexer: Lexer, following: str) -> None:
    begin = lexer.pos
    if following in DIGITS:
        lexer.report_positional(begin + 1)
    elif following in hints.DOLLARS:
        lexer.report(begin, begin + 2, *hints.DOLLARS[following])
    else:
        lexer.report(begin, begin + 1, "`$` without a name", "write `$name`; a `$` that is text is quoted")
        following = ""
    lexer.pos = begin + 1 + len(following)
    lexer.frame.mode = OPERATOR


def _string(lexer: Lexer) -> bool:
    lexer.frame.mode = OPERATOR
    lexer.begin_string()
    return True


def _digit(lexer: Lexer) -> bool:
    text, begin = lexer.text, lexer.pos
    end = numbers.run_end(text, begin)
    value = numbers.read_run(text[begin:end])
    if value is numbers.NOT_A_NUMBER:
        return False
    if value == INFINITY:
        lexer.report(begin, end, "the number is too large for a float", "quote it if it is text", "limit")
    lexer.emit("LIT", begin, end, value)
    lexer.frame.mode = OPERATOR
    return True


def _parenthesis(lexer: Lexer) -> bool:
    lexer.open("paren", "LPAR", ")", STATEMENT, OPERATOR)
    return True


def _bracket(lexer: Lexer) -> bool:
    lexer.open("list", "LSQB", "]", OPERAND, OPERATOR)
    return True


def _brace(lexer: Lexer) -> bool:
    records.open_brace(lexer, OPERAND)
    return True


def _dot(lexer: Lexer) -> bool:
    text, begin = lexer.text, lexer.pos
    following = text[begin + 1 : begin + 2]
    frame = lexer.frame
    if text.startswith("...", begin):
        lexer.emit("SPREAD", begin, begin + 3)
        return True
    if following == "." and frame.kind == "index":
        marks.emit_range(lexer)
        return True
    if following in NAME_START or following in ('"', "'"):
        lexer.emit("IT", begin, begin)
        frame.mode = OPERATOR
        return True
    return False


def _minus(lexer: Lexer) -> bool:
    following = lexer.text[lexer.pos + 1 : lexer.pos + 2]
    if following in DIGITS or following in ("$", "(", "."):
        lexer.emit("MINUS", lexer.pos, lexer.pos + 1, "-")
        lexer.frame.mode = OPERAND
        return True
    return False


def backtick(lexer: Lexer) -> bool:
    lexer.report_backtick()
    lexer.frame.mode = OPERATOR
    return True


_OPERANDS: Mapping[str, Callable[[Lexer], bool]] = (
    dict.fromkeys("\"'", _string)
    | dict.fromkeys("0123456789", _digit)
    | {
        "$": _dollar,
        "(": _parenthesis,
        "[": _bracket,
        "{": _brace,
        ".": _dot,
        "-": _minus,
        "`": backtick,
    }
)


def _word(lexer: Lexer) -> None:
    """Takes a bare word: `true`, `false`, `null`, `not`, or a string."""
    text, begin, frame = lexer.text, lexer.pos, lexer.frame
    end = name_end(text, begin, COMMAND_CHARS)
    word = text[begin:end]
    is_whole = text[end : end + 1] in _OPERAND_END or end >= lexer.size
    if is_whole and word in marks.LITERALS:
        lexer.emit("LIT", begin, end, marks.LITERALS[word])
        frame.mode = OPERATOR
        return
    if is_whole and word == "not":
        lexer.emit("NOT", begin, end, "not")
        return
    _check_comparison(lexer)
    if lexer.last is not None and lexer.last.value == "\n" and text[begin] in "+-*/%=<>":
        hint = "write the operator at the end of the line before, or put the expression in ( )"
        lexer.report(begin, begin + 1, f"`{text[begin]}` cannot begin a line here", hint)
    frame.mode = OPERATOR
    words.begin(lexer, "operand")


_OPERAND_END = WORD_END | {",", "]"}


def _check_comparison(lexer: Lexer) -> None:
    last = lexer.last
    if last is not None and last.type == "CMP" and last.value in ("<", ">"):
        hint = "to compare, quote the word; to write to a file: `… | save FILE`"
        lexer.report(last.start, last.end, f"`{last.value}` compares here, and its right side is a bare word", hint)
