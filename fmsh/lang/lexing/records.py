"""Braces that begin a value: is `{` a record, a group, a block or a body? And the modes inside of a record."""

from __future__ import annotations

from fmsh.lang.lexing import marks
from fmsh.lang.lexing.frames import (
    AFTER,
    ARGUMENT_PATH,
    ARGUMENTS,
    COLON,
    DECIDE,
    KEY,
    OPERAND,
    OPERATOR,
    PARAMETER,
    PATTERN,
    STAGE,
    STATEMENT,
    VALUE,
)
from fmsh.lang.tokens import COMMAND_CHARS, NAME_START, WORD_END, name_end

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fmsh.lang.lexer import Lexer

KEY_CHARS = COMMAND_CHARS | {".", "$"}


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
    if end == target:
        return False
    if text[end : end + 1] == ":":
        return not text.startswith("://", end)
    colon = lexer.next_significant(end)
    return text[colon : colon + 1] == ":" and text[colon + 1 : colon + 2] in WORD_END  # to say what is wrong


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
        is_path_welcome = after == ARGUMENTS and following != "}"  # `find -exec cp {} {}.bak \;`
        lexer.open("record", "LREC", "}", KEY, ARGUMENT_PATH if is_path_welcome else after)
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
    outer = lexer.frames[-2]
    if lexer.text[target : target + 1] == ":":
        frame.kind, frame.mode = "record", COLON
        outer.mode = ARGUMENT_PATH if outer.mode == ARGUMENTS else outer.mode
        return
    assert frame.opener is not None
    frame.mode = OPERATOR
    if frame.position in (STATEMENT, STAGE):
        frame.kind, frame.opener.type = "group", "LGROUP"
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
        name = text[begin:end]
        lexer.emit("KEY", begin, end, name)
        if frame.position == PATTERN and text[lexer.next_significant(end) : end + 2] != ":":
            hint = f"write `{name}: ${name}` to bind it, or `{name}: _` if it must only be there"
            lexer.report(begin, end, "in `match` a field needs a pattern", hint)
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
