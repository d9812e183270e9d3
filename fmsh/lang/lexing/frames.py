"""The lexer's memory: a stack of bracket frames, each with one mode, and the words and strings that are in progress.

A frame is an open bracket. Its mode says what the next token means there. A word or string that meets `$(` or an index
stays in its frame's `pending` while a frame for that code is on top, so nothing in the lexer recurses.
"""

from __future__ import annotations

from fmsh.lang.tokens import Token

# ---- Modes: what is expected next

STATEMENT = "statement"  # the start of a statement
STAGE = "stage"  # the start of a stage after `|`, `&&`, `||`, `!`
VALUE = "value"  # the start of a stage after `=`, `return`, `in`, and of a condition
ARGUMENTS = "arguments"
ARGUMENT_PATH = "argument path"  # directly after a `( )` argument
AFTER = "after"  # after a compound statement or a group
BODY = "body"  # `{` of a body must follow
OPERAND = "operand"
OPERATOR = "operator"
KEY = "key"  # a record's key
COLON = "colon"  # `:` after a quoted key
DECIDE = "decide"  # after the string that follows `{`: a record if `:` comes, else a block
NAMES = "names"  # the pattern of a `let` or `for`: bare names bind
PATTERN = "pattern"  # the pattern of a `match`: bare words are strings
PARAMETER = "parameter"
DEFINITION = "definition"  # the name of a `def`
ENVIRONMENT = "environment"  # the items of `export`
UNSET = "unset"
ALIAS = "alias"
USE = "use"

# Modes in which a newline may end something; elsewhere it is white space.
COMPLETE_MODES = frozenset((ARGUMENTS, ARGUMENT_PATH, AFTER, OPERATOR, ENVIRONMENT, UNSET, USE))
# Modes in which the last token tells whether something is complete.
ENUMERATING_MODES = frozenset((NAMES, PATTERN, PARAMETER, KEY, DEFINITION, ALIAS))

# ---- Kinds of frames, by what a newline means in them

STATEMENT_KINDS = frozenset(("top", "body", "block", "group", "either"))
COMMA_KINDS = frozenset(("list", "record", "parameters", "pattern list", "pattern record"))
# "paren", "index", "inner", "match", "bars": white space


class Frame:
    """An open bracket (or the whole text, kind "top").

    `out` takes the tokens. `code` is the part of a pending word that this frame fills, None in the main stream.
    `command` is the name of the command whose arguments are read, "" if unknown; `keyword` the compound statement that
    is being read.
    """

    __slots__ = (
        "arguments",
        "close",
        "code",
        "command",
        "in_condition",
        "indentation",
        "is_soft",
        "keyword",
        "kind",
        "mode",
        "opener",
        "out",
        "pending",
        "position",
        "start",
        "takes_url",
    )

    def __init__(self, kind: str, start: int, close: str, mode: str, out: list[Token]) -> None:
        self.kind = kind
        self.start = start
        self.close = close
        self.mode = mode
        self.out = out
        self.code: Token | None = None
        self.opener: Token | None = None
        self.pending: list[Pending] = []
        self.position = ""
        self.indentation = 0
        self.begin_statement()
        self.mode = mode

    def begin_statement(self) -> None:
        """Forgets all of the statement before."""
        self.mode = STATEMENT
        self.in_condition = False
        self.is_soft = False  # a newline ends the statement although more is welcome
        self.keyword = ""
        self.begin_command("")

    def begin_command(self, name: str) -> None:
        self.command = name
        self.arguments = 0
        self.takes_url = False


class Pending:
    """A word, string or brace list in progress. `out` takes it when it is done.

    `text` holds the literal text since the last part, from `text_start` on; `path` the variable whose path may go on.
    `role`: "head", "argument", "operand", "environment" for words; "brace" for a brace list; else the opening quote.
    """

    __slots__ = (
        "alternatives",
        "brackets",
        "has_url_syntax",
        "is_raw",
        "is_text",
        "is_url",
        "out",
        "parts",
        "path",
        "role",
        "start",
        "text",
        "text_start",
    )

    def __init__(self, role: str, start: int, out: list[Token]) -> None:
        self.role = role
        self.start = start
        self.out = out
        self.parts: list[Token] = []
        self.text: list[str] = []
        self.text_start = start
        self.path: Token | None = None
        self.alternatives: list[Token] = []
        self.brackets: list[str] = []
        self.is_text = False
        self.is_raw = False
        self.is_url = False
        self.has_url_syntax = False

    def flush(self, end: int) -> None:
        """Makes a part of the literal text that was gathered."""
        if self.text:
            value = self.text if self.role == '"""' else "".join(self.text)
            self.parts.append(Token("TEXT", self.text_start, end, value))
            self.text = []
