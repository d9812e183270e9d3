"""Where the cursor, at the end of a text, stands: in which code, quotes, word, command and pipeline.

Nothing here knows what commands, variables or files there are.
"""

from __future__ import annotations

import re
import shlex

from fmsh.lang.lexer import lex
from fmsh.lang.parser import flatten
from fmsh.lang.tokens import BLANKS
from fmsh.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from fmsh.lang.tokens import Token

QUOTES = ("'", '"')
WORD_ENDS = BLANKS.union("\n;|&({<>=,[")
NAME_IS_NEXT = ("COMMAND", "CARET")
OPENING = ("LPAR", "DLPAR", "LSQB", "LINDEX", "LREC", "LBLOCK", "LGROUP", "LBODY", "LMATCH", "LSUB")
CLOSING = ("RPAR", "RBRACE", "RSQB")
STATEMENTS = ("EXPORT", "UNSET", "USE")  # whose words complete as arguments do
PARTING = ("SEP", "ANDOR", "AMP", "PIPE", "ASSIGN", "COLON", "COMMA")  # what follows is of no command before it
BEFORE_PIPELINE = ("SEP", "ANDOR", "AMP", "BANG", "ASSIGN", "IN", "COLON", "COMMA", "IF", "WHILE", "RETURN", "ARROW")
# Programs that run the command behind their flags and their `NAME=value`.
WRAPPERS = ("sudo", "doas", "env", "nohup", "nice", "xargs", "watch", "strace", "setsid")

UNWRITABLE = re.compile("[\0-\x1f\udc80-\udcff]")  # by a backslash; the last are bytes of no text


class Spot(Record):
    """`code`: where the innermost code begins, 0 or behind a `$(` in quotes; `word`: where the word begins that the
    cursor is in; `quote`: where quotes begin that are open, or None."""

    code: int
    word: int
    quote: int | None


def spot_of(text: str) -> Spot:
    """Quotes do not cross a line."""
    spot, depth = Spot(0, 0, None), 0
    around: list[tuple[Spot, int]] = []  # each `$(` in quotes
    at = 0
    while at < len(text):
        character = text[at]
        mark = "" if spot.quote is None else text[spot.quote]
        if character == "\n":
            spot, depth, around = Spot(0, at + 1, None), 0, []
        elif character == "\\" and mark != "'":
            at += 1
        elif mark == '"' and text.startswith("$(", at):
            around.append((spot, depth))
            spot, depth, at = Spot(at + 2, at + 2, None), 0, at + 1
        elif mark:
            spot = spot.replace(quote=None) if character == mark else spot
        elif character in QUOTES:
            spot = spot.replace(quote=at)
        elif around and character == ")" and depth == 0:
            spot, depth = around.pop()
        elif character in WORD_ENDS and not text.startswith("${", at - 1):
            spot = spot.replace(word=at + 1)
            depth += character == "("
        elif character == ")":
            depth -= 1
        at += 1
    return spot


class Around(Record):
    """The command whose argument stands at the cursor, or else `name` is "" and a command itself stands there.

    `stage`: where its stage of the pipeline begins; `words`: those between its name and the cursor's word.
    `is_known`: whether there is a place for a command or an argument at all.
    """

    name: str
    words: list[str]
    stage: int
    is_known: bool = True


def command_around(before: str) -> Around:
    """What stands before the cursor's word. A command in brackets that are closed is over."""
    tokens = _tokens(before + "x")
    index = _last_open(tokens, (*NAME_IS_NEXT, *STATEMENTS, *PARTING), len(tokens))
    if index is None or tokens[index].type in PARTING:
        return Around("", [], len(before), is_known=False)
    is_statement = tokens[index].type in STATEMENTS
    name = tokens[index] if is_statement else tokens[index + 1] if index + 1 < len(tokens) else None
    if name is None or name.end > len(before):
        return Around("", [], tokens[index].start)
    return _unwrapped(before[name.start : name.end], before[name.end :], tokens[index].start)


def _unwrapped(name: str, rest: str, stage: int) -> Around:
    """The command that `sudo`, `env` and the like run goes before these."""
    words = words_of(rest)
    while name in WRAPPERS:
        own = [word for word in words if not word.startswith("-") and "=" not in word]
        if not own:
            return Around("", [], stage)
        name, words = own[0], words[words.index(own[0]) + 1 :]
    return Around(name, words, stage)


def piped_into(text: str, stage: int) -> str:
    """The stages before the one that begins at an index; "" if there are none."""
    tokens = [token for token in _tokens(text[:stage]) if token.end > token.start]
    if not tokens or tokens[-1].type != "PIPE":
        return ""
    first = _last_open(tokens, (*BEFORE_PIPELINE, *OPENING), len(tokens) - 1)
    begin = 0 if first is None else tokens[first].end
    return text[begin : tokens[-1].start].strip()


def block_of(text: str) -> Around | None:
    """The command in whose block the end of a text is."""
    tokens = _tokens(text)
    opening = _last_open(tokens, OPENING, len(tokens))
    if opening is None or tokens[opening].type != "LBLOCK":
        return None
    return command_around(text[: tokens[opening].start])


def _tokens(text: str) -> list[Token]:
    found: Iterable[Token] = flatten(lex(text))
    return [token for token in found if token.type in NAME_IS_NEXT or (token.end > token.start and token.type != "ERR")]


def _last_open(tokens: list[Token], types: tuple[str, ...], end: int) -> int | None:
    """The index of the last token of some types that is not in brackets that are closed before `end`."""
    closed = 0
    for index in range(end - 1, -1, -1):
        type = tokens[index].type
        if type in types and not closed:
            return index
        if type in CLOSING:
            closed += 1
        elif type in OPENING:
            closed = max(0, closed - 1)
    return None


def words_of(text: str) -> list[str]:
    """The words of a text, without their quotes, as far as they are whole."""
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def escaped(name: str) -> str:
    """A word that stands for a text. What no backslash can write stands in quotes."""
    if UNWRITABLE.search(name):
        return quoted(name)
    return re.sub(r"[ \"'$|&;()<>\[\]{}*?#\\`~]", r"\\\g<0>", name)


def unescaped(word: str) -> str:
    """The text that a word stands for, which may not be whole."""
    return re.sub(r"\\(.)|[\"'\\]", lambda found: found[1] or "", word)


def in_marks(text: str, mark: str) -> str:
    """A text as it stands between quotes."""
    return text if mark == "'" else quoted(text)[1:-1]


def quoted(text: str) -> str:
    """A text in double quotes."""
    import json

    written = json.dumps(text, ensure_ascii=False).replace("$", "\\$")
    return UNWRITABLE.sub(lambda found: f"\\u{{{ord(found[0]):x}}}", written)
