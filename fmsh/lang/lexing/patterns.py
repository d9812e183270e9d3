"""Modes of patterns and parameters: `let`, `for`, `match`, `def`, `param`, and the bars of a block.

In NAMES a bare word is a name that binds; in PATTERN it is a string, and `$name` binds.
"""

from __future__ import annotations

from fmsh.lang.lexing import hints, marks, numbers, operands, words
from fmsh.lang.lexing.frames import BODY, KEY, NAMES, OPERAND, PARAMETER, PATTERN, VALUE
from fmsh.lang.tokens import COMMAND_CHARS, DIGITS, NAME_CHARS, NAME_START, name_end
from fmsh.values import Duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fmsh.lang.lexer import Lexer


def pattern(lexer: Lexer) -> None:
    """Modes NAMES and PATTERN."""
    lexer.skip_blanks()
    if lexer.pos >= lexer.size:
        return
    c = lexer.text[lexer.pos]
    handler = _PATTERNS.get(c)
    if handler is not None and handler(lexer):
        return
    if c in NAME_START:
        _word(lexer)
    elif not marks.punctuation(lexer):
        _out_of_place(lexer)


def _out_of_place(lexer: Lexer) -> None:
    if lexer.frame.mode == PATTERN and lexer.frame.kind in ("match", "pattern list", "pattern record"):
        words.begin(lexer, "operand")
    elif lexer.frame.mode == NAMES and _is_after_pattern(lexer):
        _report_missing(lexer)
    elif lexer.frame.keyword == "for" and lexer.text.startswith("((", lexer.pos):
        lexer.report(lexer.pos, lexer.pos + 2, *hints.FOR_COUNTING)
        end = lexer.text.find("))", lexer.pos, lexer.size)
        lexer.pos = lexer.pos + 2 if end < 0 else end + 2
        lexer.frame.begin_statement()
    else:
        lexer.unexpected(hint="a name is a letter or `_`, then letters, digits, `_`")


def _report_missing(lexer: Lexer) -> None:
    """Reports that `=` or `in` does not come after the names."""
    keyword = lexer.frame.keyword
    wanted, form = ("in", "`for x in … { … }`") if keyword == "for" else ("=", "`let x = …`")
    lexer.unexpected(f"`{wanted}` was expected, `{lexer.text[lexer.pos]}` was found", f"write {form}")
    lexer.frame.mode = VALUE


def _word(lexer: Lexer) -> None:
    text, begin, frame = lexer.text, lexer.pos, lexer.frame
    end = name_end(text, begin)
    word = text[begin:end]
    is_match = frame.mode == PATTERN
    if not is_match and word == "in" and frame.keyword == "for" and _is_after_pattern(lexer):
        lexer.emit("IN", begin, end, "in")
        frame.mode, frame.in_condition = VALUE, True
    elif not is_match:
        _check_name(lexer, end)
        lexer.emit("NAME", begin, end, word)
    elif word == "if" and frame.kind == "match" and _is_after_pattern(lexer):
        lexer.emit("IF", begin, end, "if")
        frame.mode, frame.in_condition = VALUE, True
    elif word == "_" and text[end : end + 1] not in COMMAND_CHARS:
        lexer.emit("NAME", begin, end, "_")
    elif word in marks.LITERALS and text[end : end + 1] not in COMMAND_CHARS:
        lexer.emit("LIT", begin, end, marks.LITERALS[word])
    else:
        words.begin(lexer, "operand")


def _is_after_pattern(lexer: Lexer) -> bool:
    return lexer.last is not None and lexer.last.type in ("NAME", "RSQB", "RBRACE", "WORD", "LIT", "STR")


def _check_name(lexer: Lexer, end: int) -> None:
    if lexer.text[end : end + 1] == "-":
        whole = name_end(lexer.text, end, COMMAND_CHARS)
        name = lexer.text[lexer.pos : whole]
        hint = f"write `{name.replace('-', '_')}`"
        lexer.report(lexer.pos, whole, f"`{name}` is not a name: names of variables have no `-`", hint)


def _dollar(lexer: Lexer) -> bool:
    text, begin = lexer.text, lexer.pos
    end = name_end(text, begin + 1)
    if text[begin + 1 : begin + 2] not in NAME_START or (lexer.frame.mode == NAMES and _is_after_pattern(lexer)):
        return False
    if lexer.frame.mode == NAMES:
        name = text[begin + 1 : end]
        where = lexer.frame.keyword or "let"
        lexer.report(
            begin, end, f"`{where}` takes the name without `$`", f"write `{name}`; `${name} = …` changes a variable"
        )
    lexer.emit("NAME", begin, end, text[begin + 1 : end])
    return True


def _literal(lexer: Lexer) -> bool:
    text, begin = lexer.text, lexer.pos
    first = begin + (text[begin] == "-")
    if lexer.frame.mode != PATTERN or text[first : first + 1] not in DIGITS:
        return False
    end = numbers.run_end(text, first)
    value = numbers.read_run(text[first:end])
    if value is numbers.NOT_A_NUMBER or text[end : end + 1] in NAME_CHARS:
        return False
    if first > begin and type(value) not in (int, float, Duration):
        lexer.report(begin, end, "`-` stands before a number or a duration only", "remove it, or quote the text")
        first = begin
    lexer.emit("LIT", begin, end, operands.negated(value) if first > begin else value)
    return True


def _string(lexer: Lexer) -> bool:
    if lexer.frame.mode == NAMES:
        return False
    lexer.begin_string()
    return True


def _open_list(lexer: Lexer) -> bool:
    frame = lexer.frame
    position = _inner_position(lexer)
    inner = lexer.open("pattern list", "LSQB", "]", position, frame.mode)
    inner.position, inner.keyword = position, frame.keyword
    return True


def _open_record(lexer: Lexer) -> bool:
    frame = lexer.frame
    if frame.keyword == "for" and _is_after_pattern(lexer) and frame.kind not in ("pattern list", "pattern record"):
        marks.open_body(lexer)
        return True
    position = _inner_position(lexer)
    mode = frame.position if frame.kind == "pattern record" else frame.mode
    inner = lexer.open("pattern record", "LREC", "}", KEY, mode)
    inner.position, inner.keyword = position, frame.keyword
    return True


def _inner_position(lexer: Lexer) -> str:
    return PATTERN if lexer.frame.mode == PATTERN else NAMES


def _bar(lexer: Lexer) -> bool:
    if lexer.frame.mode != PATTERN or lexer.text.startswith("||", lexer.pos):
        return False
    lexer.emit("ALT", lexer.pos, lexer.pos + 1)
    return True


def _comma(lexer: Lexer) -> bool:
    frame = lexer.frame
    if frame.kind == "match":
        lexer.pos += 1  # between arms a comma is as good as a blank
        return True
    lexer.emit("COMMA", lexer.pos, lexer.pos + 1, ",")
    if frame.kind == "pattern record":
        frame.mode = KEY
    return True


def _equals(lexer: Lexer) -> bool:
    frame, begin = lexer.frame, lexer.pos
    if lexer.text.startswith("=>", begin) and frame.kind == "match":
        lexer.emit("ARROW", begin, begin + 2)
        frame.mode = BODY
        frame.keyword = ""
    elif frame.mode == NAMES:
        lexer.emit("ASSIGN", begin, begin + 1, "=")
        frame.mode = VALUE
    else:
        return False
    return True


def _colon(lexer: Lexer) -> bool:
    lexer.emit("COLON", lexer.pos, lexer.pos + 1)
    return True


def _dots(lexer: Lexer) -> bool:
    text, begin = lexer.text, lexer.pos
    if text.startswith("...", begin):
        lexer.emit("SPREAD", begin, begin + 3)
    elif text.startswith("..", begin):
        symbol = "..<" if text.startswith("..<", begin) else ".."
        lexer.emit("RANGE", begin, begin + len(symbol), symbol)
    else:
        return False
    return True


def _semicolon(lexer: Lexer) -> bool:
    if lexer.frame.kind != "match":
        return False
    lexer.pos += 1
    return True


_PATTERNS: Mapping[str, Callable[[Lexer], bool]] = (
    dict.fromkeys("0123456789-", _literal)
    | dict.fromkeys("\"'", _string)
    | {
        "$": _dollar,
        "[": _open_list,
        "{": _open_record,
        "|": _bar,
        ",": _comma,
        "=": _equals,
        ":": _colon,
        ".": _dots,
        ";": _semicolon,
    }
)


# ---- Parameters


def definition(lexer: Lexer) -> None:
    """Mode DEFINITION: the name after `def`, and `(`."""
    lexer.skip_blanks()
    if lexer.pos >= lexer.size:
        return
    text, begin, frame = lexer.text, lexer.pos, lexer.frame
    last = lexer.last.type if lexer.last is not None else ""
    if text[begin] in NAME_START and last == "DEF":
        end = name_end(text, begin, COMMAND_CHARS)
        lexer.emit("NAME", begin, end, text[begin:end])
    elif text[begin] == "(" and last == "NAME":
        frame.keyword = "def"
        inner = lexer.open("parameters", "LPAR", ")", PARAMETER, BODY)
        inner.position = NAMES
    elif text[begin] == "{" and last == "NAME":
        lexer.report(begin, begin + 1, "a definition needs its parameters in ( )", "write `def NAME() { … }`")
        frame.mode = BODY
    elif not marks.punctuation(lexer):
        lexer.unexpected(hint="write `def NAME(PARAMETERS) { … }`")


def parameter(lexer: Lexer) -> None:
    """Mode PARAMETER: `name: type = default`, `...rest`, `--flag (-f): type = default`, a pattern."""
    lexer.skip_blanks()
    if lexer.pos >= lexer.size:
        return
    text, begin = lexer.text, lexer.pos
    c = text[begin]
    if c in NAME_START:
        end = name_end(text, begin)
        _check_name(lexer, end)
        lexer.emit("NAME", begin, max(end, name_end(text, end, COMMAND_CHARS)), text[begin:end])
    elif c == "-":
        _flag(lexer)
    elif text.startswith("...", begin):
        lexer.emit("SPREAD", begin, begin + 3)
    elif not _parameter_mark(lexer, c) and not marks.punctuation(lexer):
        hint = "write the name without `$`" if c == "$" else "write `name: type = default`"
        lexer.unexpected(hint=hint)


def _parameter_mark(lexer: Lexer, c: str) -> bool:
    frame, begin = lexer.frame, lexer.pos
    if c == ",":
        lexer.emit("COMMA", begin, begin + 1, ",")
    elif c == ":":
        lexer.emit("COLON", begin, begin + 1)
    elif c == "=":
        lexer.emit("ASSIGN", begin, begin + 1, "=")
        frame.mode = OPERAND
    elif c == "[":
        _open_list(lexer)
    elif c == "{":
        _open_record(lexer)
    elif c == "(":
        _short(lexer)
    else:
        return False
    return True


def _flag(lexer: Lexer) -> None:
    begin = lexer.pos
    end = name_end(lexer.text, begin, COMMAND_CHARS)
    if end == begin + 1:
        lexer.unexpected(hint="a flag is written `--name`")
    else:
        lexer.emit("FLAG", begin, end, lexer.text[begin:end])


SHORT_FORM = "the short form of a flag is written `--name (-n)`"


def _short(lexer: Lexer) -> None:
    """Takes the `(-v)` of a flag."""
    text, begin = lexer.text, lexer.pos
    end = name_end(text, begin + 1, COMMAND_CHARS)
    if text[begin + 1 : begin + 2] != "-" or text[end : end + 1] != ")":
        is_list = text[:begin].rstrip(" ").endswith("param")
        hint = "one parameter follows `param`: `param name: string`, `param --flag`" if is_list else SHORT_FORM
        lexer.unexpected(hint=hint)
        return
    lexer.emit("LPAR", begin, begin + 1)
    lexer.emit("FLAG", begin + 1, end, text[begin + 1 : end])
    lexer.emit("RPAR", end, end + 1)
