"""Modes at the start of statements and stages.

The first token of a stage decides whether it is an expression or a command (rule 13 of the language); keywords are
keywords only there. `operands` reads expressions, `words` reads words.
"""

from __future__ import annotations

from fmsh.lang.lexing import arguments, compounds, hints, numbers, operands, records, words
from fmsh.lang.lexing.frames import (
    AFTER,
    ALIAS,
    ARGUMENTS,
    BODY,
    DEFINITION,
    ENVIRONMENT,
    NAMES,
    OPERAND,
    OPERATOR,
    PARAMETER,
    STAGE,
    STATEMENT,
    UNSET,
    USE,
    VALUE,
)
from fmsh.lang.lexing.marks import LITERALS, punctuation
from fmsh.lang.tokens import COMMAND_CHARS, DIGITS, NAME_START, name_end

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fmsh.lang.lexer import Lexer

# Statements only; the others may also stand where a value is taken.
ONLY_STATEMENTS = frozenset(["let", "while", "for", "defer", "undo", "def", "param", "export", "unset", "alias", "use"])
KEYWORD_MODES = {
    "let": NAMES,
    "if": VALUE,
    "while": VALUE,
    "for": NAMES,
    "match": VALUE,
    "try": BODY,
    "defer": BODY,
    "undo": BODY,
    "def": DEFINITION,
    "param": PARAMETER,
    "return": VALUE,
    "break": AFTER,
    "continue": AFTER,
    "export": ENVIRONMENT,
    "unset": UNSET,
    "alias": ALIAS,
    "use": USE,
}
CONDITIONALS = frozenset(("if", "while", "match"))


# ---- The start of a statement or stage


def start(lexer: Lexer) -> None:
    """Modes STATEMENT, STAGE and VALUE."""
    lexer.skip_blanks()
    if lexer.pos >= lexer.size:
        return
    c = lexer.text[lexer.pos]
    if c in COMMAND_CHARS and c not in DIGITS and c != "-":
        _first_word(lexer)
        return
    handler = _STARTS.get(c)
    if (handler is None or not handler(lexer)) and not punctuation(lexer):
        _check_operator(lexer)
        begin_command(lexer)


def begin_command(lexer: Lexer) -> None:
    """Begins the name of a command."""
    lexer.frame.mode = ARGUMENTS
    words.begin(lexer, "head")


def _check_operator(lexer: Lexer) -> None:
    """Reports an operator that begins a line; `*` or `?` alone is a pattern of paths."""
    end = lexer.pos
    while lexer.text[end : end + 1] in _OPERATOR_CHARS:
        end += 1
    if end > lexer.pos and lexer.text[lexer.pos : end] not in ("*", "?") and lexer.is_word_end(end):
        lexer.report(lexer.pos, end, *hints.LEADING_OPERATOR)


_OPERATOR_CHARS = frozenset("+-*/%=~?")


def _first_word(lexer: Lexer) -> None:
    text, begin = lexer.text, lexer.pos
    end = name_end(text, begin, COMMAND_CHARS)
    word, following = text[begin:end], text[end : end + 1]
    if following == "," or lexer.is_word_end(end):
        if word in KEYWORD_MODES:
            _keyword(lexer, word, end)
            return
        if word in LITERALS:
            lexer.emit("LIT", begin, end, LITERALS[word])
            lexer.frame.mode = OPERATOR
            return
        if word == "not":
            _not(lexer, end)
            return
        if word in ("and", "or"):
            lexer.report(begin, end, *hints.LEADING_OPERATOR)
        if word in hints.COMMANDS:
            _report_foreign(lexer, word, end)
    if following in ("+", "-", "*", "/") and text[end + 1 : end + 2] == "=":
        message, hint = hints.SPACED_ASSIGNMENT
        lexer.report(begin, end + 2, message.format(name=word), hint.format(name=word))
    if following == "=" and name_end(text, begin) == end and text[end + 1 : end + 2] not in ("=", "~"):
        compounds.environment_item(lexer, end)
        return
    begin_command(lexer)


def _report_foreign(lexer: Lexer, word: str, end: int) -> None:
    """Reports a word of another shell; of `then … fi` and `do … done` only the first part, for it is one mistake."""
    if word not in hints.BODY_WORDS or not lexer.has_bash_body:
        lexer.report(lexer.pos, end, *hints.COMMANDS[word])
    if word in hints.BODY_WORDS:
        lexer.has_bash_body = word in ("then", "do")


def _not(lexer: Lexer, end: int) -> None:
    lexer.emit("NOT", lexer.pos, end, "not")
    lexer.frame.mode = OPERAND
    target = lexer.next_significant(end)
    word_end = name_end(lexer.text, target, COMMAND_CHARS)
    word = lexer.text[target:word_end]
    if word[:1] in NAME_START and word not in LITERALS and word != "not":
        lexer.report(target, word_end, "`not` takes an expression", f"before a command write `!`: `! {word} …`")


def _keyword(lexer: Lexer, word: str, end: int) -> None:
    frame = lexer.frame
    if word in ONLY_STATEMENTS and frame.mode != STATEMENT:
        hint = f"put it in a group: `{{ {word} … }}`" if frame.mode == STAGE else ""
        if word != "while" or not _check_while_read(lexer, end):
            lexer.report(lexer.pos, end, f"`{word}` can only begin a statement", hint)
    elif word == "while":
        _check_while_read(lexer, end)
    lexer.emit(word.upper(), lexer.pos, end, word)
    frame.mode = KEYWORD_MODES[word]
    if frame.mode != AFTER and word != "return":
        frame.keyword = word
    frame.in_condition = frame.in_condition or word in CONDITIONALS
    frame.is_soft = word == "return"
    frame.position = NAMES if word in ("let", "for") else frame.position


def _check_while_read(lexer: Lexer, end: int) -> bool:
    """Reports `while read`, of which `while` ends at `end`; False if it is none."""
    target = lexer.next_significant(end)
    is_read = lexer.text.startswith("read", target) and lexer.text[target + 4 : target + 5] in (" ", "\t", "\n", ";")
    if is_read:
        lexer.report(lexer.pos, target + 4, *hints.WHILE_READ)
    return is_read


def _open_parenthesis(lexer: Lexer) -> bool:
    begin = lexer.pos
    target = lexer.next_significant(begin + 1)
    if lexer.frame.mode == STATEMENT and lexer.text.startswith(("cd ", "cd\t"), target):
        lexer.report(begin, begin + 1, *hints.SUBSHELL_CD)
    lexer.open("paren", "LPAR", ")", STATEMENT, OPERATOR)
    return True


def _open_bracket(lexer: Lexer) -> bool:
    text, begin = lexer.text, lexer.pos
    if text.startswith("[[ ", begin) and text[begin + 3 : begin + 4] in ("-", "$", '"', "!"):
        lexer.report(begin, begin + 2, *hints.DOUBLE_BRACKET)
    elif text[begin + 1 : begin + 2] in (" ", "\t"):
        target = lexer.next_significant(begin + 1)
        is_flag = text[target : target + 1] == "-" and text[target + 1 : target + 2] in NAME_START
        if is_flag or text.startswith("! ", target) or _is_test(text, target):
            lexer.report(begin, begin + 1, *hints.TEST_BRACKET)
    lexer.open("list", "LSQB", "]", OPERAND, OPERATOR)
    return True


def _is_test(text: str, target: int) -> bool:
    """Whether `a -eq b ]` or `a = b ]` stands at `target`."""
    line = text[target : target + 400].partition("\n")[0]
    words = line.partition(" ]")[0].split(" ")
    return len(words) == 3 and " ]" in line and (words[1] == "=" or words[1] in hints.TEST_OPERATORS)


def _open_brace(lexer: Lexer) -> bool:
    records.open_brace(lexer, lexer.frame.mode)
    return True


def _dot(lexer: Lexer) -> bool:
    following = lexer.text[lexer.pos + 1 : lexer.pos + 2]
    if following in NAME_START or following in ('"', "'"):
        return operands.begin_operand(lexer)
    if lexer.is_word_end(lexer.pos + 1):
        lexer.report(lexer.pos, lexer.pos + 1, *hints.DOT)
    return False


def _minus(lexer: Lexer) -> bool:
    following = lexer.text[lexer.pos + 1 : lexer.pos + 2]
    if following in DIGITS or following in ("$", "("):
        return operands.begin_operand(lexer)
    if following == "." and lexer.text[lexer.pos + 2 : lexer.pos + 3] in NAME_START:
        return operands.begin_operand(lexer)
    return False


def _digit(lexer: Lexer) -> bool:
    end = numbers.run_end(lexer.text, lexer.pos)
    following = lexer.text[end : end + 1]
    if following == "-" and lexer.text[end + 1 : end + 2] in NAME_START:
        return False  # `7-zip x`
    if following and following not in _AFTER_NUMBER:
        return False
    return operands.begin_operand(lexer)


_AFTER_NUMBER = frozenset(" \t\r\n;|&<>(){}[],.+-*/%=!?")


def _bang(lexer: Lexer) -> bool:
    lexer.emit("BANG", lexer.pos, lexer.pos + 1)
    lexer.frame.mode = STAGE
    return True


def _caret(lexer: Lexer) -> bool:
    lexer.emit("CARET", lexer.pos, lexer.pos + 1)
    if lexer.text[lexer.pos : lexer.pos + 1] in ("", " ", "\t", "\n"):
        lexer.report(lexer.pos - 1, lexer.pos, "`^` stands directly before a command's name", "write `^name`")
        return True
    begin_command(lexer)
    return True


def _angle(lexer: Lexer) -> bool:
    if lexer.text.startswith(("<(", ">("), lexer.pos):
        arguments.process_substitution(lexer)
        return True
    lexer.report(lexer.pos, lexer.pos + 1, "a redirection stands after its command", "write `COMMAND > FILE`")
    arguments.redirect(lexer)
    return True


def _at(lexer: Lexer) -> bool:
    if lexer.text.startswith("@(", lexer.pos):
        lexer.report(lexer.pos, lexer.pos + 2, *hints.AT_PAREN)
        lexer.pos += 1
        lexer.frame.mode = OPERAND
        return True
    return False


_STARTS: Mapping[str, Callable[[Lexer], bool]] = (
    dict.fromkeys("$\"'", operands.begin_operand)
    | dict.fromkeys("0123456789", _digit)
    | dict.fromkeys("<>", _angle)
    | {
        "(": _open_parenthesis,
        "[": _open_bracket,
        "{": _open_brace,
        ".": _dot,
        "-": _minus,
        "!": _bang,
        "^": _caret,
        "@": _at,
        "`": operands.backtick,
    }
)
