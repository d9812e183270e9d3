"""Modes of compound statements, and of the statements with a form of their own: `export`, `unset`, `alias`, `use`."""

from __future__ import annotations

from fmsh.lang.lexing import arguments, records, words
from fmsh.lang.lexing.frames import ARGUMENTS, BODY, ENVIRONMENT, STAGE, STATEMENT, VALUE
from fmsh.lang.lexing.marks import open_body, punctuation
from fmsh.lang.tokens import COMMAND_CHARS, NAME_START, name_end

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fmsh.lang.lexer import Lexer

FOLLOWERS = {"if": ("else",), "try": ("catch", "finally")}


def body(lexer: Lexer) -> None:
    """Mode BODY: `{` must come; after `else` also `if`, after `catch` a name."""
    lexer.skip_blanks()
    if lexer.pos >= lexer.size:
        return
    text, begin, frame = lexer.text, lexer.pos, lexer.frame
    c = text[begin]
    last = lexer.last.type if lexer.last is not None else ""
    end = name_end(text, begin)
    if c == "{":
        open_body(lexer)
    elif c == "\n":
        lexer.newline()
    elif last == "ELSE" and text[begin:end] == "if":
        lexer.emit("IF", begin, end, "if")
        frame.mode, frame.in_condition = VALUE, True
    elif last == "CATCH" and c in NAME_START:
        lexer.emit("NAME", begin, end, text[begin:end])
    elif not punctuation(lexer):
        keyword = last.lower() if last in ("ELSE", "CATCH", "FINALLY") else frame.keyword or "=>"
        hint = "write `catch e { … }`" if last == "CATCH" and c == "$" else "a body stands in braces: `{ … }`"
        lexer.report(begin, begin + 1, f"`{{` must follow `{keyword}`", hint)
        frame.mode = STATEMENT


def continuation_at(lexer: Lexer, pos: int) -> str:
    """Gives the `else`, `catch` or `finally` at `pos` if it goes on with the compound statement before, else ""."""
    end = name_end(lexer.text, pos)
    word = lexer.text[pos:end]
    return word if word in FOLLOWERS.get(lexer.frame.keyword, ()) else ""


def after_compound(lexer: Lexer) -> None:
    """Mode AFTER: the end of a compound statement, a group, a jump or `&`."""
    lexer.skip_blanks()
    if lexer.pos >= lexer.size:
        return
    frame, begin = lexer.frame, lexer.pos
    word = continuation_at(lexer, begin)
    last = lexer.last.type if lexer.last is not None else ""
    if word:
        lexer.emit(word.upper(), begin, begin + len(word), word)
        frame.mode = BODY
    elif frame.in_condition and lexer.text[begin] == "{":
        open_body(lexer)
    elif frame.keyword == "group" and lexer.text[begin] in "<>12&" and _redirect_group(lexer):
        pass
    elif not punctuation(lexer):
        if last == "AMP":
            lexer.emit("SEP", begin, begin, "")
        else:
            _report_after(lexer)
        frame.begin_statement()


def _redirect_group(lexer: Lexer) -> bool:
    frame, text, pos = lexer.frame, lexer.text, lexer.pos
    if text[pos] in "12&" and text[pos + 1 : pos + 2] not in ("<", ">"):
        return False
    arguments.redirect(lexer)
    frame.mode = ARGUMENTS
    return True


def _report_after(lexer: Lexer) -> None:
    begin = lexer.pos
    if lexer.text[begin] == "{":
        hint = "the block before this was already the body; a block in a condition stands in ( )"
        lexer.report(begin, begin + 1, "a second `{`", hint)
    else:
        end = max(name_end(lexer.text, begin), begin + 1)
        hint = "begin a new line, or write `;` before it"
        if lexer.text[begin:end] in ("elif", "elsif", "elseif"):
            hint = "write `} else if CONDITION { … }`"
        lexer.report(begin, end, f"`{lexer.text[begin:end]}` after the end of the statement", hint)


# ---- Statements with a form of their own


def environment_item(lexer: Lexer, end: int) -> None:
    """Takes `NAME=`, and begins its value."""
    frame, begin = lexer.frame, lexer.pos
    is_export = frame.mode == ENVIRONMENT
    name = lexer.text[begin:end]
    following = lexer.text[end + 1 : end + 2]
    if not is_export:
        frame.mode = STAGE
    if following in ("", " ", "\t", "\r", "\n", ";", "|", "&", ")", "}"):
        lexer.emit("ENVEMPTY", begin, end + 1, name)
        frame.is_soft = True
        return
    lexer.emit("ENV", begin, end + 1, name)
    if following == "(":
        lexer.open("paren", "LPAR", ")", STATEMENT, frame.mode)
    elif following == "[" or (following == "{" and not records.is_brace_list(lexer)):
        records.open_bracket(lexer, frame.mode)
    elif not arguments.literal(lexer):
        words.begin(lexer, "environment")
    frame.is_soft = True  # the command stands on the same line


def environment(lexer: Lexer) -> None:
    """Mode ENVIRONMENT: the items of `export`."""
    lexer.skip_blanks()
    if lexer.pos >= lexer.size:
        return
    text, begin = lexer.text, lexer.pos
    end = name_end(text, begin)
    if text[begin] in NAME_START and text[end : end + 1] == "=":
        environment_item(lexer, end)
    elif text[begin] in NAME_START:
        name = text[begin:end]
        lexer.report(
            begin, end, f"`export {name}` gives no value", f"write `export {name}=value`, or `export {name}=${name}`"
        )
        lexer.pos = end
    elif text[begin] == "." and arguments.spread(lexer):
        pass
    elif lexer.last is not None and lexer.last.type == "SPREAD":
        _spread_value(lexer)
    elif not punctuation(lexer):
        lexer.unexpected(hint="write `export NAME=value`")


def _spread_value(lexer: Lexer) -> None:
    if lexer.text[lexer.pos] == "$":
        words.begin(lexer, "environment")
    else:
        records.open_bracket(lexer, ENVIRONMENT)


def unset(lexer: Lexer) -> None:
    """Mode UNSET: names."""
    lexer.skip_blanks()
    if lexer.pos >= lexer.size:
        return
    begin = lexer.pos
    if lexer.text[begin] in NAME_START:
        end = name_end(lexer.text, begin)
        lexer.emit("NAME", begin, end, lexer.text[begin:end])
    elif not punctuation(lexer):
        hint = "write the name without `$`" if lexer.text[begin] == "$" else "write `unset NAME`"
        lexer.unexpected(hint=hint)


def alias(lexer: Lexer) -> None:
    """Mode ALIAS: a name, `=`, and then one command."""
    lexer.skip_blanks()
    if lexer.pos >= lexer.size:
        return
    text, begin = lexer.text, lexer.pos
    last = lexer.last.type if lexer.last is not None else ""
    if text[begin] in NAME_START and last != "NAME":
        end = name_end(text, begin, COMMAND_CHARS)
        lexer.emit("NAME", begin, end, text[begin:end])
    elif text[begin] == "=" and last == "NAME":
        lexer.emit("ASSIGN", begin, begin + 1, "=")
        lexer.frame.mode = VALUE
        if text[begin + 1 : begin + 2] in ('"', "'"):
            lexer.report(
                begin + 1, begin + 2, "an alias stands for a command, not for text", "write `alias ll = ls -l`"
            )
    elif not punctuation(lexer):
        lexer.unexpected(hint="write `alias NAME = COMMAND`")


def use(lexer: Lexer) -> None:
    """Mode USE: a path, and perhaps `*`."""
    lexer.skip_blanks()
    if lexer.pos >= lexer.size or punctuation(lexer):
        return
    text, begin = lexer.text, lexer.pos
    last = lexer.last.type if lexer.last is not None else ""
    if text[begin] == "*" and last != "USE" and lexer.is_word_end(begin + 1):
        lexer.emit("STAR", begin, begin + 1)
    else:
        words.begin(lexer, "environment")
