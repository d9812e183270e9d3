"""Modes of expressions: where an operand or an operator is expected, in lists and records, and in paths.

What `/`, `-`, `[` and `{` mean depends on which of the two is expected, and on whether a blank stands before.
"""

from __future__ import annotations

from fmsh.lang.lexing import hints, interpolation, marks, numbers, words
from fmsh.lang.lexing.frames import (
    AFTER,
    ARGUMENTS,
    BODY,
    COLON,
    DECIDE,
    KEY,
    OPERAND,
    OPERATOR,
    PARAMETER,
    STAGE,
    STATEMENT,
    VALUE,
)
from fmsh.lang.tokens import COMMAND_CHARS, DIGITS, NAME_CHARS, NAME_START, WORD_END, Token, name_end
from fmsh.values import Duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from fmsh.lang.lexer import Lexer

# Longest first. The terminal of each, and whether it is arithmetic (rule 14 of the language).
OPERATORS: tuple[tuple[str, str], ...] = (
    ("..<", "RANGE"),
    ("**", "POWER"),
    ("//", "MULTIPLY"),
    ("==", "CMP"),
    ("!=", "CMP"),
    ("<=", "CMP"),
    (">=", "CMP"),
    ("=~", "CMP"),
    ("!~", "CMP"),
    ("??", "COALESCE"),
    ("..", "RANGE"),
    ("=>", "ARROW"),
    ("+=", "ASSIGN"),
    ("-=", "ASSIGN"),
    ("*=", "ASSIGN"),
    ("/=", "ASSIGN"),
    ("*", "MULTIPLY"),
    ("/", "MULTIPLY"),
    ("%", "MULTIPLY"),
    ("+", "PLUS"),
    ("-", "MINUS"),
    ("<", "CMP"),
    (">", "CMP"),
    ("=", "ASSIGN"),
)
ARITHMETIC = frozenset(("PLUS", "MINUS", "MULTIPLY", "POWER"))
OPERATOR_WORDS = {"or": "OR", "and": "AND", "in": "CMP"}
# What may go on with a path that stands directly after it.
PATH_BASES = frozenset(["VAR", "IT", "FIELD", "RPAR", "RSQB", "RBRACE"])
KEY_CHARS = COMMAND_CHARS | {".", "$"}


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
        _comma(lexer)
    elif c == "-":
        _minus(lexer)
    elif c == "!" and text[lexer.pos + 1 : lexer.pos + 2] not in ("", " "):
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
    open_brace(lexer, OPERAND)
    return True


def _dot(lexer: Lexer) -> bool:
    text, begin = lexer.text, lexer.pos
    following = text[begin + 1 : begin + 2]
    frame = lexer.frame
    if text.startswith("...", begin):
        lexer.emit("SPREAD", begin, begin + 3)
        return True
    if following == "." and frame.kind == "index":
        _emit_range(lexer)
        return True
    if following in NAME_START or following in ('"', "'"):
        lexer.emit("IT", begin, begin)
        frame.mode = OPERATOR
        return True
    return False


def _emit_range(lexer: Lexer) -> None:
    symbol = "..<" if lexer.text.startswith("..<", lexer.pos) else ".."
    lexer.emit("RANGE", lexer.pos, lexer.pos + len(symbol), symbol)
    lexer.frame.is_soft = True
    lexer.frame.mode = OPERAND


def _backtick(lexer: Lexer) -> bool:
    lexer.report_backtick()
    lexer.frame.mode = OPERATOR
    return True


_OPERANDS: dict[str, Callable[[Lexer], bool]] = (
    dict.fromkeys("\"'", _string)
    | dict.fromkeys("0123456789", _digit)
    | {
        "$": _dollar,
        "(": _parenthesis,
        "[": _bracket,
        "{": _brace,
        ".": _dot,
        "-": lambda lexer: _minus(lexer) or True,
        "`": _backtick,
    }
)


def _minus(lexer: Lexer) -> None:
    following = lexer.text[lexer.pos + 1 : lexer.pos + 2]
    if following in DIGITS or following in ("$", "(", "."):
        lexer.emit("MINUS", lexer.pos, lexer.pos + 1, "-")
        lexer.frame.mode = OPERAND
    else:
        _word(lexer)


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
    frame.mode = OPERATOR
    words.begin(lexer, "operand")


_OPERAND_END = WORD_END | {",", "]"}


def _check_comparison(lexer: Lexer) -> None:
    last = lexer.last
    if last is not None and last.type == "CMP" and last.value in ("<", ">"):
        hint = "to compare, quote the word; to write to a file: `… | save FILE`"
        lexer.report(last.start, last.end, f"`{last.value}` compares here, and its right side is a bare word", hint)


# ---- Operators


def operator(lexer: Lexer) -> None:
    """Mode OPERATOR."""
    begin = lexer.pos
    lexer.skip_blanks()
    if lexer.pos >= lexer.size:
        return
    has_blank = lexer.pos > begin
    if not has_blank and _path_step(lexer):
        return
    c, frame = lexer.text[lexer.pos], lexer.frame
    if c == "{" and frame.in_condition:
        marks.open_body(lexer)
    elif c == ",":
        _comma(lexer)
    elif c == ":" and frame.kind == "inner":
        lexer.report_expansion(lexer.pos, ":")
        _skip_inner(lexer)
    elif not _operator_word(lexer) and not _operator_symbol(lexer, has_blank) and not marks.punctuation(lexer):
        _out_of_place(lexer)


def _comma(lexer: Lexer) -> None:
    frame = lexer.frame
    if frame.kind in ("list", "record", "parameters", "bars"):
        lexer.emit("COMMA", lexer.pos, lexer.pos + 1, ",")
        frame.mode = lexer.next_mode(frame)
    else:
        lexer.unexpected("`,` stands between the items of a list", "write `[a, b]`")


def _path_step(lexer: Lexer) -> bool:
    last = lexer.last
    if last is None or not _takes_path(lexer, last):
        return False
    text, begin = lexer.text, lexer.pos
    is_optional = text[begin] == "?"
    at = begin + is_optional
    mark, following = text[at : at + 1], text[at + 1 : at + 2]
    if mark == "." and following in NAME_START:
        end = name_end(text, at + 1)
        lexer.emit("FIELD", begin, end, text[at + 1 : end]).is_optional = is_optional
    elif mark == "." and following in ('"', "'"):
        lexer.emit("KEYDOT", begin, at + 1).is_optional = is_optional
        lexer.begin_string()
    elif mark == "[":
        interpolation.open_index(lexer, None, is_optional)
    else:
        return False
    return True


def _takes_path(lexer: Lexer, last: Token) -> bool:
    if last.type == "STR":
        before = lexer.frame.out[-2:-1]
        return bool(before) and before[0].type == "KEYDOT"
    return last.type in PATH_BASES


def argument_path(lexer: Lexer) -> None:
    """Mode ARGUMENT_PATH: steps directly after a `( )` argument; then arguments go on."""
    if _path_step(lexer):
        return
    lexer.frame.mode = ARGUMENTS
    if lexer.text[lexer.pos] not in WORD_END and lexer.text[lexer.pos] not in "],":
        lexer.report(lexer.pos, lexer.pos + 1, "text directly after `)`", "write `$( )` for a value inside a word")


def _operator_word(lexer: Lexer) -> bool:
    text, begin = lexer.text, lexer.pos
    if text[begin] not in "oani":
        return False
    end = name_end(text, begin, COMMAND_CHARS)
    word = text[begin:end]
    type_ = OPERATOR_WORDS.get(word)
    if word == "not":
        target = lexer.next_significant(end)
        if not (text.startswith("in", target) and text[target + 2 : target + 3] not in NAME_CHARS):
            return False
        type_, word, end = "CMP", "not in", target + 2
    elif word == "if" and lexer.frame.kind == "match":
        type_ = "IF"
    if type_ is None:
        return False
    lexer.emit(type_, begin, end, word)
    lexer.frame.mode = OPERAND
    return True


def _operator_symbol(lexer: Lexer, has_blank: bool) -> bool:
    text, begin = lexer.text, lexer.pos
    for symbol, type_ in OPERATORS:
        if text.startswith(symbol, begin):
            break
    else:
        return False
    end = begin + len(symbol)
    following = text[end : end + 1]
    if type_ == "RANGE":
        _emit_range(lexer)
        return True
    if type_ in ARITHMETIC:
        _check_glue(lexer, symbol, following, has_blank)
    elif symbol in ("<", ">") and following in ("<", ">", "&", "("):
        return _bad_redirection(lexer, end)
    lexer.emit(type_, begin, end, symbol)
    lexer.frame.mode = {"ASSIGN": VALUE, "ARROW": BODY}.get(type_, OPERAND)
    if type_ == "ARROW":
        lexer.frame.in_condition = False
    return True


def _check_glue(lexer: Lexer, symbol: str, following: str, has_blank: bool) -> None:
    begin, end = lexer.pos, lexer.pos + len(symbol)
    if following in NAME_START or following == "~":
        hint = 'quote the text as a whole (`"$dir/file"`), or put blanks on both sides of the operator'
        lexer.report(begin, end, f"`{symbol}` stands directly before a word", hint)
    elif has_blank and following not in (" ", "\t", "\r", "\n", "") and symbol in ("+", "-", "*", "/", "%"):
        lexer.report(
            begin, end, f"`{symbol}` with a blank before it and none after", "put blanks on both sides, or none"
        )


def _bad_redirection(lexer: Lexer, end: int) -> bool:
    begin = lexer.pos
    while end < lexer.size and lexer.text[end] in "<>&":
        end += 1
    lexer.report(begin, end, *marks.NO_REDIRECTION)
    lexer.pos = end
    lexer.frame.mode = OPERAND
    return True


def _out_of_place(lexer: Lexer) -> None:
    """Reports what stands where an operator should, and goes on as if it were the next operand."""
    text, begin, frame = lexer.text, lexer.pos, lexer.frame
    c, last = text[begin], lexer.last
    end = max(name_end(text, begin, COMMAND_CHARS), begin + 1)
    shown = text[begin:end]
    if frame.kind == "inner" and c in hints.EXPANSIONS:
        lexer.report_expansion(begin, c)
        _skip_inner(lexer)
        return
    if shown in ("2", "1") and text[end : end + 1] == ">":
        lexer.report(begin, end + 1, *marks.NO_REDIRECTION)
    elif last is not None and last.end == begin:
        lexer.report(begin, end, *_glued(lexer, last, shown))
    elif frame.kind in ("list", "record"):
        lexer.report(
            begin, end, f"`,` or a new line is missing before `{shown}`", "a list is `[a, b]`, a record `{a: 1, b: 2}`"
        )
    else:
        lexer.report(begin, end, *_unjoined(lexer, shown))
    frame.mode = OPERAND
    lexer.pos = end
    _skip_rest(lexer)


def _glued(lexer: Lexer, last: Token, shown: str) -> tuple[str, str]:
    if last.type == "STR":
        return (
            f"`{shown}` directly after a string",
            'a word that begins with a quote is a string; to run it write `^"name"`',
        )
    return f"`{shown}` directly after `{lexer.text[last.start : last.end]}`", 'quote the text as a whole: `"${x}text"`'


def _unjoined(lexer: Lexer, shown: str) -> tuple[str, str]:
    """Says what a value followed by something means: a command held in a variable, the list of a `for`, a missing `|`."""
    out, frame = lexer.frame.out, lexer.frame
    index = len(out) - 1
    while index >= 0 and out[index].type in ("FIELD", "VAR", "RSQB", "LIT", "LINDEX"):
        index -= 1
    first = out[index + 1] if index + 1 < len(out) else None
    before = out[index].type if index >= 0 else ""
    if before == "IN" and first is not None:
        message, hint = hints.FOR_WORDS
        return message, hint.format(words=f"{lexer.text[first.start : out[-1].end]}, {shown}, …")
    if (
        first is not None
        and first.type == "VAR"
        and before in ("", "SEP", "LBODY", "LGROUP", "LPAR", "PIPE", "ANDOR", "ASSIGN")
    ):
        message, hint = hints.VARIABLE_AS_COMMAND
        return message, hint.format(variable=lexer.text[first.start : out[-1].end])
    if out and out[-1].type == "STR" and frame.kind != "index":
        return (
            f"`{shown}` after a string: an operator or the end is expected",
            'to run a command of that name write `^"name"`',
        )
    return (
        f"`{shown}` after a value: an operator or the end of the statement is expected",
        "put an operator or `|` between them",
    )


def _skip_rest(lexer: Lexer) -> None:
    """Skips to where the statement may end, so that one mistake is told once."""
    text = lexer.text
    while lexer.pos < lexer.size and text[lexer.pos] not in "\n;|&{}()[],\"'$":
        lexer.pos += 1
    lexer.frame.mode = OPERATOR if lexer.pos < lexer.size and text[lexer.pos] in "\n;|&{})]," else OPERAND


def _skip_inner(lexer: Lexer) -> None:
    text, depth = lexer.text, 0
    while lexer.pos < lexer.size and text[lexer.pos] != "\n":
        depth += (text[lexer.pos] == "{") - (text[lexer.pos] == "}")
        if depth < 0:
            return
        lexer.pos += 1


# ---- Braces: record, block or body?


def open_bracket(lexer: Lexer, after: str) -> None:
    """Opens the list, record or block that stands at the position; then the frame goes on in mode `after`."""
    if lexer.text[lexer.pos] == "[":
        lexer.open("list", "LSQB", "]", OPERAND, after)
    elif lexer.text[lexer.pos] == "{":
        open_brace(lexer, after)
    else:
        lexer.open("paren", "LPAR", ")", STATEMENT, after)


def is_brace_list(lexer: Lexer) -> bool:
    """Whether the `{` at the position begins a brace list, as the start of an argument."""
    _, is_list = lexer.brace_pair(lexer.pos)
    return is_list and not _is_record(lexer)


def _is_record(lexer: Lexer) -> bool:
    text = lexer.text
    target = lexer.next_significant(lexer.pos + 1)
    if text[target : target + 1] == "}" or text.startswith("...", target):
        return True
    end = name_end(text, target, KEY_CHARS)
    return end > target and text[end : end + 1] == ":" and not text.startswith("://", end)


def open_brace(lexer: Lexer, position: str) -> None:
    """Opens a `{` as a body, record, group or block, by the mode `position` that it stands in."""
    frame = lexer.frame
    if frame.in_condition:
        marks.open_body(lexer)
        return
    text = lexer.text
    target = lexer.next_significant(lexer.pos + 1)
    following = text[target : target + 1]
    after = OPERATOR if position in (STATEMENT, STAGE, VALUE, OPERAND) else position
    if following in ('"', "'"):
        _open_undecided(lexer, position, after)
    elif _is_record(lexer):
        lexer.open("record", "LREC", "}", KEY, after)
    elif following == "|":
        _open_block_with_parameters(lexer, target, after)
    elif position in (STATEMENT, STAGE):
        frame.keyword = "group"
        lexer.open("group", "LGROUP", "}", STATEMENT, AFTER)
    else:
        lexer.open("block", "LBLOCK", "}", STATEMENT, after)


def _open_block_with_parameters(lexer: Lexer, bar: int, after: str) -> None:
    lexer.open("block", "LBLOCK", "}", STATEMENT, after)
    lexer.pos = bar
    inner = lexer.open("bars", "BAR", "|", PARAMETER, STATEMENT)
    inner.position = "names"


def _open_undecided(lexer: Lexer, position: str, after: str) -> None:
    """A string follows: what comes after it decides, and it may be long, so it is read before the decision."""
    inner = lexer.open("either", "LREC", "}", DECIDE, after)
    inner.position = position
    lexer.pos = lexer.next_significant(lexer.pos)
    lexer.begin_string()


def decide(lexer: Lexer) -> None:
    """Mode DECIDE: after the first string of a `{`."""
    frame = lexer.frame
    target = lexer.next_significant(lexer.pos)
    if lexer.text[target : target + 1] == ":":
        frame.kind, frame.mode = "record", COLON
        return
    assert frame.opener is not None
    frame.mode = OPERATOR
    if frame.position in (STATEMENT, STAGE):
        frame.kind, frame.opener.type = "group", "LGROUP"
        outer = lexer.frames[-2]
        outer.mode, outer.keyword = AFTER, "group"
    else:
        frame.kind, frame.opener.type = "block", "LBLOCK"


def key(lexer: Lexer) -> None:
    """Mode KEY: a key of a record, in values and patterns."""
    lexer.skip_blanks()
    if lexer.pos >= lexer.size:
        return
    text, begin, frame = lexer.text, lexer.pos, lexer.frame
    c = text[begin]
    if c in ('"', "'"):
        frame.mode = COLON
        lexer.begin_string()
    elif text.startswith("...", begin):
        lexer.emit("SPREAD", begin, begin + 3)
        frame.mode = OPERAND if frame.kind == "record" else frame.position
    elif c == ",":
        lexer.emit("COMMA", begin, begin + 1, ",")
    elif c in NAME_START:
        _bare_key(lexer)
    elif not marks.punctuation(lexer):
        _bad_key(lexer)


def _bare_key(lexer: Lexer) -> None:
    text, begin, frame = lexer.text, lexer.pos, lexer.frame
    end = name_end(text, begin, COMMAND_CHARS)
    following = text[end : end + 1]
    if following == ":":
        lexer.emit("KEY", begin, end, text[begin:end])
        lexer.emit("COLON", end, end + 1)
        frame.mode = OPERAND if frame.kind == "record" else frame.position
    elif frame.kind == "pattern record":
        lexer.emit("KEY", begin, end, text[begin:end])
        frame.mode = frame.position if text[lexer.next_significant(end) : end + 2] == ":" else KEY
    else:
        _bad_key(lexer)


def _bad_key(lexer: Lexer) -> None:
    text, begin = lexer.text, lexer.pos
    end = begin
    while end < lexer.size and text[end] not in " \t\r\n:,{}[]()":
        end += 1
    end = max(end, begin + 1)
    word = text[begin:end]
    if text[lexer.next_significant(end) : lexer.next_significant(end) + 1] == ":":
        hint = "`:` stands directly after the key" if word.isidentifier() else f'quote the key: `"{word}": …`'
    else:
        hint = "a record is `{key: value, …}`"
    lexer.report(begin, end, f"`{word}` is not a key", hint)
    lexer.pos = end
    lexer.frame.mode = COLON


def colon(lexer: Lexer) -> None:
    """Mode COLON: after a quoted key."""
    lexer.skip_blanks()
    if lexer.pos >= lexer.size:
        return
    frame = lexer.frame
    c = lexer.text[lexer.pos]
    if c == ":":
        lexer.emit("COLON", lexer.pos, lexer.pos + 1)
        frame.mode = OPERAND if frame.kind == "record" else frame.position
    elif c == "\n":
        lexer.newline()
    elif not marks.punctuation(lexer):
        lexer.unexpected("`:` is missing after the key", "a record is `{key: value, …}`")
        frame.mode = OPERAND if frame.kind == "record" else frame.position
