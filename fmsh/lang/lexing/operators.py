"""Modes where an operator is expected: operators, steps of a path, and what is said when neither comes.

Whether a blank stands before a mark decides what `.`, `[`, `?` and `-` mean here.
"""

from __future__ import annotations

from fmsh.lang.lexing import hints, interpolation, marks
from fmsh.lang.lexing.frames import ARGUMENTS, BODY, OPERAND, OPERATOR, VALUE
from fmsh.lang.tokens import COMMAND_CHARS, DIGITS, NAME_CHARS, NAME_START, WORD_END, Token, name_end

TYPE_CHECKING = False
if TYPE_CHECKING:
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


def operator(lexer: Lexer) -> None:
    """Mode OPERATOR."""
    begin = lexer.pos
    if lexer.frame.kind == "inner" and lexer.text[begin] == "#":
        lexer.report_expansion(begin, "#")
        interpolation.skip_inner(lexer)
        return
    lexer.skip_blanks()
    if lexer.pos >= lexer.size:
        return
    has_blank = lexer.pos > begin
    if not has_blank and _path_step(lexer):
        return
    c, frame = lexer.text[lexer.pos], lexer.frame
    if c == "{" and frame.in_condition:
        marks.open_body(lexer)
    elif c == "," and frame.kind == "inner":
        lexer.report_expansion(lexer.pos, c)
        interpolation.skip_inner(lexer)
    elif c == ",":
        marks.comma(lexer)
    elif c == ":" and frame.kind == "inner":
        lexer.report_expansion(lexer.pos, ":")
        interpolation.skip_inner(lexer)
    elif not _operator_word(lexer) and not _operator_symbol(lexer, has_blank) and not marks.punctuation(lexer):
        _out_of_place(lexer)


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
    """Mode ARGUMENT_PATH: steps directly after a `( )`, list or record as an argument; then arguments go on."""
    if _path_step(lexer):
        return
    text, pos, frame = lexer.text, lexer.pos, lexer.frame
    frame.mode = ARGUMENTS
    if text[pos] in WORD_END or text[pos] in "],{":
        return
    hint = "write `$( )` for a value inside a word"
    if text[pos] == "." and text[pos + 1 : pos + 2] in DIGITS:
        hint = f"an item is `[{text[pos + 1]}]`"
    lexer.report(pos, pos + 1, f"text directly after `{text[pos - 1]}`", hint)


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
    found = next((pair for pair in OPERATORS if text.startswith(pair[0], begin)), None)
    if found is None:
        return False
    symbol, type_ = found
    end = begin + len(symbol)
    following = text[end : end + 1]
    if type_ == "RANGE":
        marks.emit_range(lexer)
        return True
    is_expansion = symbol[0] in hints.EXPANSIONS and (symbol != "-" or following in NAME_START)
    if lexer.frame.kind == "inner" and is_expansion and not has_blank and type_ in ARITHMETIC:
        lexer.report_expansion(begin, symbol[0])
        interpolation.skip_inner(lexer)
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
    last = lexer.last
    if symbol == "-" and last is not None and last.type == "FIELD" and not has_blank and following in NAME_START:
        whole = f"{last.value}{lexer.text[begin : name_end(lexer.text, end, COMMAND_CHARS)]}"
        lexer.report(begin, end, "`-` stands directly before a word", f'for a field of that name write `."{whole}"`')
    elif symbol == "-" and has_blank and lexer.text[begin : name_end(lexer.text, end)] in hints.TEST_OPERATORS:
        word = lexer.text[begin : name_end(lexer.text, end)]
        message, hint = hints.TEST_OPERATOR
        lexer.report(
            begin, begin + len(word), message.format(word=word), hint.format(operator=hints.TEST_OPERATORS[word])
        )
    elif following in NAME_START or following == "~":
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
        interpolation.skip_inner(lexer)
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
    if shown == "(":
        return "`(` directly after a value", "a function is called as a command: `name argument`"
    return f"`{shown}` directly after `{lexer.text[last.start : last.end]}`", 'quote the text as a whole: `"${x}text"`'


def _unjoined(lexer: Lexer, shown: str) -> tuple[str, str]:
    """Says what a value and then something means: a command held in a variable, the list of a `for`, a missing `|`."""
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
