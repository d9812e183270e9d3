"""Tokens: what the lexer hands to the parser, the highlighter and the completer.

A word, string or heredoc with parts inside is one token; its parts are tokens again, and a part that holds code
(`$x.y`, `$( )`, `${ }`) keeps that code's own tokens in `parts`. Offsets are always those of the whole source.
A problem is a token of type ERR; the lexer never raises.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Token:
    """A piece of the source, `start` to `end`. `value` depends on the type; `parts` only words, strings and code have.

    | type | value |
    | --- | --- |
    | WORD, TEXT, STR, GLOB, NAME, KEY, FLAG, VAR, ENV | the text, without quotes, escapes, dollar, or `=` |
    | LIT | the value of a number, duration, size, date, or null, true, false |
    | TILDE | the user, or "" |
    | COMPOUND | a word with parts: a `Shape` |
    | FIELD | the name; `parts` is empty, and `is_optional` tells whether `?` stood before it |
    | ERR | a `Problem` |
    | operators and keywords | the text |
    """

    __slots__ = ("end", "is_optional", "parts", "start", "type", "value")

    def __init__(self, type_: str, start: int, end: int, value: Any = None, parts: list[Token] | None = None) -> None:
        self.type = type_
        self.start = start
        self.end = end
        self.value = value
        self.parts = parts
        self.is_optional = False

    def __repr__(self) -> str:
        return f"{self.type}[{self.start}:{self.end}]{'' if self.value is None else repr(self.value)}"


class Shape:
    """What is known of a word as a whole: whether it is text whatever its parts are, and whether it is an address."""

    __slots__ = ("is_text", "is_url")

    def __init__(self, *, is_text: bool, is_url: bool) -> None:
        self.is_text = is_text
        self.is_url = is_url


class Problem:
    """What the lexer found wrong. `is_at_end`: more text could still make it right."""

    __slots__ = ("code", "hint", "is_at_end", "message")

    def __init__(self, message: str, hint: str = "", code: str = "syntax", *, is_at_end: bool = False) -> None:
        self.message = message
        self.hint = hint
        self.code = code
        self.is_at_end = is_at_end


# What people call each terminal of the grammar, as it stands after "found" and "expected".
HUMAN_NAMES: dict[str, str] = {
    "$END": "the end of the text",
    "SEP": "the end of the statement",
    "PIPE": "`|`",
    "ANDOR": "`&&` or `||`",
    "AMP": "`&`",
    "BANG": "`!`",
    "CARET": "`^`",
    "LPAR": "`(`",
    "DLPAR": "`$(`",
    "RPAR": "`)`",
    "LSQB": "`[`",
    "LINDEX": "`[`",
    "RSQB": "`]`",
    "LREC": "a record",
    "LBLOCK": "a block",
    "LGROUP": "a group",
    "LBODY": "`{`",
    "LMATCH": "`{`",
    "LSUB": "`${`",
    "RBRACE": "`}`",
    "BAR": "`|`",
    "ALT": "`|`",
    "COMMA": "`,`",
    "COLON": "`:`",
    "ARROW": "`=>`",
    "ASSIGN": "`=`",
    "CMP": "a comparison",
    "OR": "`or`",
    "AND": "`and`",
    "NOT": "`not`",
    "COALESCE": "`??`",
    "RANGE": "`..`",
    "PLUS": "an operator",
    "MINUS": "an operator",
    "MULTIPLY": "an operator",
    "POWER": "an operator",
    "WORD": "a word",
    "LIT": "a number",
    "STR": "a string",
    "VAR": "a variable",
    "IT": "a field",
    "FIELD": "a field",
    "KEYDOT": "a field",
    "NAME": "a name",
    "KEY": "a key",
    "FLAG": "a flag",
    "FLAGEQ": "a flag",
    "SPREAD": "`...`",
    "STAR": "`*`",
    "ENV": "an environment variable",
    "ENVEMPTY": "an environment variable",
    "REDIR": "a redirection",
    "REDIRDUP": "a redirection",
    "COMMAND": "a command",
    "PATHS": "a pattern of paths",
    "TEXT": "text",
    "GLOB": "a pattern of paths",
    "TILDE": "`~`",
    "WBEGIN": "a word",
    "WEND": "the end of the word",
    "SBEGIN": "a string",
    "SEND": "the end of the string",
    "BBEGIN": "`{`",
    "BNEXT": "`,`",
    "BEND": "`}`",
}

KEYWORDS = [
    "let",
    "if",
    "else",
    "while",
    "for",
    "in",
    "match",
    "try",
    "catch",
    "finally",
    "defer",
    "undo",
    "def",
    "param",
    "return",
    "break",
    "continue",
    "export",
    "unset",
    "alias",
    "use",
]

HUMAN_NAMES.update((word.upper(), f"`{word}`") for word in KEYWORDS)

OPENERS = frozenset(
    [
        "LPAR",
        "DLPAR",
        "LSQB",
        "LINDEX",
        "LREC",
        "LBLOCK",
        "LGROUP",
        "LBODY",
        "LMATCH",
        "LSUB",
        "WBEGIN",
        "SBEGIN",
        "BBEGIN",
    ]
)
CLOSERS = frozenset(["RPAR", "RSQB", "RBRACE", "WEND", "SEND", "BEND"])

# Characters. Text of the source is never looked at by regular expressions: `re` alone would cost 12 ms of start-up.
NAME_START = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_")
DIGITS = frozenset("0123456789")
NAME_CHARS = NAME_START | DIGITS
COMMAND_CHARS = NAME_CHARS | {"-"}
BLANKS = frozenset(" \t\r")
WORD_END = frozenset(" \t\r\n;|&<>()}")


def name_end(text: str, pos: int, chars: frozenset[str] = NAME_CHARS) -> int:
    """Gives where the run of name characters that starts at `pos` ends."""
    size = len(text)
    while pos < size and text[pos] in chars:
        pos += 1
    return pos
