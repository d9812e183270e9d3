"""The lexer: from text to tokens, for the parser, the highlighter, the completer and "is this complete?".

It keeps a stack of bracket frames, each with one mode (`frames`); what each mode does stands in `stages`, `operands`
and `patterns`, and words and strings in progress in `words`, `strings` and `heredocs`. This module holds what they
share: the position, the brackets, newlines and the end of the text.

Invariants: it never raises; brackets in its tokens always balance (missing ones are made up, of no length, after an ERR
token); it never recurses but for a heredoc inside a heredoc; every text takes time in proportion to its length.
It knows nothing of the parser.
"""

from __future__ import annotations

from fmsh.lang.lexing import (
    arguments,
    compounds,
    frames,
    hints,
    operands,
    operators,
    records,
    stages,
    words,
)
from fmsh.lang.lexing.frames import (
    AFTER,
    COMMA_KINDS,
    COMPLETE_MODES,
    ENUMERATING_MODES,
    KEY,
    NAMES,
    OPERAND,
    PARAMETER,
    PATTERN,
    STATEMENT,
    STATEMENT_KINDS,
    Frame,
    Pending,
)
from fmsh.lang.tokens import WORD_END, Problem, Token

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from fmsh.lang.lexing.heredocs import Heredoc

NESTING_MAX = 100  # brackets inside brackets; a hundred levels are five screens wide at two blanks each

CLOSER_TYPES = {")": "RPAR", "]": "RSQB", "}": "RBRACE", "|": "BAR"}


def _pattern(lexer: Lexer) -> None:
    from fmsh.lang.lexing import patterns  # few texts have any, and start-up is short

    patterns.pattern(lexer)


def _parameter(lexer: Lexer) -> None:
    from fmsh.lang.lexing import patterns

    patterns.parameter(lexer)


def _definition(lexer: Lexer) -> None:
    from fmsh.lang.lexing import patterns

    patterns.definition(lexer)


MODES: dict[str, Callable[[Lexer], None]] = {
    frames.STATEMENT: stages.start,
    frames.STAGE: stages.start,
    frames.VALUE: stages.start,
    frames.ARGUMENTS: arguments.argument,
    frames.ARGUMENT_PATH: operators.argument_path,
    frames.AFTER: compounds.after_compound,
    frames.BODY: compounds.body,
    frames.OPERAND: operands.operand,
    frames.OPERATOR: operators.operator,
    frames.KEY: records.key,
    frames.COLON: records.colon,
    frames.DECIDE: records.decide,
    frames.NAMES: _pattern,
    frames.PATTERN: _pattern,
    frames.PARAMETER: _parameter,
    frames.DEFINITION: _definition,
    frames.ENVIRONMENT: compounds.environment,
    frames.UNSET: compounds.unset,
    frames.ALIAS: compounds.alias,
    frames.USE: compounds.use,
}
# After these a list, record or pattern has nothing that a newline could end.
OPEN_TYPES = frozenset(
    [
        "LSQB",
        "LREC",
        "LPAR",
        "LET",
        "FOR",
        "DEF",
        "ALIAS",
        "BAR",
        "COMMA",
        "COLON",
        "ASSIGN",
        "SPREAD",
        "ALT",
        "PARAM",
    ]
)
NEXT_MODES = {
    "list": OPERAND,
    "record": KEY,
    "parameters": PARAMETER,
    "bars": PARAMETER,
    "pattern list": PATTERN,
    "pattern record": KEY,
}


def lex(text: str) -> list[Token]:
    """Reads a whole text into tokens; the last one is `$END`."""
    lexer = Lexer(text)
    lexer.run()
    return lexer.out


class Lexer:
    """The state of reading one text.

    `comments` gathers (start, end) of every comment; `heredoc_bodies`, of every heredoc, where its tag stands, and
    where its text starts and the line after it begins.
    """

    def __init__(self, text: str, start: int = 0, end: int | None = None) -> None:
        self.text = text
        self.size = len(text) if end is None else end
        self.pos = start
        self.out: list[Token] = []
        self.frame = Frame("top", start, "", STATEMENT, self.out)
        self.frames = [self.frame]
        self.comments: list[tuple[int, int]] = []
        self.heredocs: list[Heredoc] = []
        self.heredoc_bodies: list[tuple[int, int, int]] = []
        self.heredoc_depth = 0
        self.heredoc_indentation = ""
        self.depth = 0
        self.has_bash_body = False  # a `then` or `do` was reported, and its end is still to come
        self.suspect: Frame | None = None
        self._joined_until = -1
        self._brace_pairs: dict[int, tuple[int, bool]] = {}
        self._word_limit = (-1, -1)

    def run(self) -> None:
        """Reads to the end of the text."""
        place, stuck = (-1, 0), 0
        while True:
            frame = self.frame
            if frame.pending:
                self._resume(frame.pending[-1])
            elif self.pos < self.size:
                MODES[frame.mode](self)
            elif not self._finish():
                return
            stuck = stuck + 1 if place == (self.pos, len(self.frames)) else 0
            place = (self.pos, len(self.frames))
            if stuck > 20:  # no mode may leave a character to another for ever
                self.unexpected()
                stuck = 0

    def _resume(self, pending: Pending) -> None:
        if pending.role in words.WORD_ROLES:
            words.scan(self, pending)
        elif pending.role == "<<":
            from fmsh.lang.lexing import heredocs

            heredocs.scan(self, pending)
        else:
            from fmsh.lang.lexing import strings

            strings.scan(self, pending)

    # ---- Tokens

    def emit(self, type_: str, start: int, end: int, value: Any = None) -> Token:
        """Puts out a token and moves behind it."""
        token = Token(type_, start, end, value)
        self.frame.out.append(token)
        self.pos = end
        self.frame.is_soft = False
        return token

    def report(
        self, start: int, end: int, message: str, hint: str = "", code: str = "syntax", *, is_at_end: bool = False
    ) -> None:
        """Puts out a problem, as a token of type ERR; the position stays. After a limit nothing more is said."""
        if self.depth > NESTING_MAX and code != "limit":
            return
        problem = Problem(message, hint, code, is_at_end=is_at_end)
        self.frame.out.append(Token("ERR", start, end, problem))

    def report_positional(self, pos: int) -> None:
        message, hint = hints.POSITIONAL
        digit = self.text[pos]
        self.report(pos - 1, pos + 1, message.format(digit=digit), hint.format(index=max(int(digit) - 1, 0)))

    def report_expansion(self, pos: int, operator: str) -> None:
        message, hint = hints.PARAMETER_EXPANSION
        self.report(pos, pos + 1, message.format(operator=operator), hint.format(hint=hints.EXPANSIONS[operator]))

    def report_backtick(self) -> None:
        """Reports a backtick and skips to its partner, if the line has one."""
        start = self.pos
        self.report(start, start + 1, *hints.BACKTICK)
        line_end = self.text.find("\n", start, self.size)
        end = self.text.find("`", start + 1, self.size if line_end < 0 else line_end)
        self.pos = start + 1 if end < 0 else end + 1

    def unexpected(self, message: str = "", hint: str = "") -> None:
        """Reports the character at the position as out of place and goes past it."""
        c = self.text[self.pos]
        shown = c if c.isprintable() else f"U+{ord(c):04X}"
        self.report(self.pos, self.pos + 1, message or f"`{shown}` is out of place here", hint)
        self.pos += 1

    @property
    def last(self) -> Token | None:
        """The token before, of the same stream."""
        out = self.frame.out
        return out[-1] if out else None

    def begin_string(self, out: list[Token] | None = None) -> None:
        """Begins the string at the position; its token goes to `out`, by default the stream."""
        self.frame.is_soft = False
        from fmsh.lang.lexing import strings

        strings.begin(self, self.frame.out if out is None else out)

    def begin_braces(self, out: list[Token]) -> None:
        words.begin_braces(self, out)

    def word_done(self, pending: Pending, token: Token) -> None:
        arguments.word_done(self, pending, token)

    def heredoc_lexer(self, start: int, end: int) -> Lexer:
        """Gives a lexer for the body of a heredoc."""
        inner = Lexer(self.text, start, end)
        inner.heredoc_depth = self.heredoc_depth + 1
        inner.depth = self.depth
        return inner

    # ---- Blanks and newlines

    def skip_blanks(self) -> None:
        """Skips blanks, continued lines and a comment; a newline is not a blank."""
        text, size = self.text, self.size
        while self.pos < size:
            c = text[self.pos]
            if c in " \t\r":
                self.pos += 1
            elif c == "\\" and text.startswith(("\n", "\r\n"), self.pos + 1):
                self.pos = text.index("\n", self.pos) + 1
            elif c == "#":
                end = text.find("\n", self.pos, size)
                end = size if end < 0 else end
                self.comments.append((self.pos, end))
                self.pos = end
            else:
                return

    def next_significant(self, pos: int) -> int:
        """Gives where the next character stands that is no blank, newline or comment."""
        text, size = self.text, self.size
        while pos < size:
            c = text[pos]
            if c in " \t\r\n":
                pos += 1
            elif c == "#":
                end = text.find("\n", pos, size)
                pos = size if end < 0 else end
            else:
                break
        return pos

    def newline(self) -> None:
        """Takes the newline at the position: as white space, as a separator, or as the end of a statement."""
        frame, start = self.frame, self.pos
        end = start + 1
        if self.heredocs:
            from fmsh.lang.lexing import heredocs

            end = heredocs.read_bodies(self, end)
        self.pos = end
        if not self._newline_matters(frame) or start < self._joined_until:
            return
        target = self.next_significant(end)
        if frame.kind in COMMA_KINDS:
            if self.text[target : target + 1] in (",", frame.close):
                self._joined_until = target
            else:
                self.emit("COMMA", start, start + 1, "\n")
                self.pos = end
                frame.mode = self.next_mode(frame)
        elif self._continues(frame, target):
            self._joined_until = target
        else:
            self.emit("SEP", start, start + 1, "\n")
            self.pos = end
            frame.begin_statement()

    def _newline_matters(self, frame: Frame) -> bool:
        if frame.kind not in STATEMENT_KINDS and frame.kind not in COMMA_KINDS:
            return False
        if frame.mode in ENUMERATING_MODES:
            return self.last is not None and self.last.type not in OPEN_TYPES
        return frame.mode in COMPLETE_MODES or frame.is_soft

    def next_mode(self, frame: Frame) -> str:
        """Gives what follows a comma. Patterns keep theirs, which says whether bare names bind."""
        if frame.kind.startswith("pattern"):
            return KEY if frame.kind == "pattern record" else frame.position
        return NEXT_MODES.get(frame.kind, NAMES)

    def _continues(self, frame: Frame, target: int) -> bool:
        """Whether what stands at `target`, on a later line, goes on with the statement before."""
        text = self.text
        if text.startswith(("|", "&&"), target):
            return True
        if frame.in_condition:
            return text.startswith("{", target)
        return frame.mode == AFTER and compounds.continuation_at(self, target) != ""

    # ---- Brackets

    def push(self, frame: Frame) -> None:
        """Opens a bracket. Too deep a nesting is reported and ends the reading."""
        self.depth += 1
        line_start = self.text.rfind("\n", 0, frame.start) + 1
        frame.indentation = self.next_significant(line_start) - line_start
        self.frames.append(frame)
        self.frame = frame
        if self.depth > NESTING_MAX:
            message = f"brackets stand more than {NESTING_MAX} deep inside one another"
            self.report(frame.start, frame.start + 1, message, "split it up with `let` or `def`", code="limit")
            self.pos = self.size = frame.start

    def open(self, kind: str, opener: str, close: str, mode: str, after: str, length: int = 1) -> Frame:
        """Opens a bracket of the main stream at the position; `after` is the mode that the present frame goes on in."""
        outer, start = self.frame, self.pos
        outer.mode = after
        token = self.emit(opener, start, start + length)
        frame = Frame(kind, start, close, mode, outer.out)
        frame.opener = token
        self.push(frame)
        return frame

    def close(self) -> None:
        """Takes the closing bracket at the position."""
        c, frame = self.text[self.pos], self.frame
        if frame.close == c:
            if c == "}" and self.suspect is None:
                self._compare_indentation(frame)
            self._pop(self.pos, self.pos + 1)
            return
        depth = self._frame_closed_by(c)
        if depth < 0:
            self.unexpected(f"`{c}` closes nothing", "remove it, or quote it if it is text")
            return
        line = self.text.count("\n", 0, frame.start) + 1
        opened = self.text[frame.start]
        self.report(
            self.pos, self.pos + 1, f"`{frame.close}` is missing before `{c}`", f"`{opened}` was opened in line {line}"
        )
        while len(self.frames) - 1 > depth:
            self._pop(self.pos, self.pos)

    def _frame_closed_by(self, c: str) -> int:
        for index in range(len(self.frames) - 1, 0, -1):
            if self.frames[index].close == c:
                return index
            if self.frames[index].code is not None:
                return -1
        return -1

    def _pop(self, start: int, end: int) -> None:
        frame = self.frames.pop()
        self.depth -= 1
        frame.out.append(Token(CLOSER_TYPES[frame.close], start, end))
        self.frame = self.frames[-1]
        self.pos = end
        if frame.code is not None:
            frame.code.end = end

    def _compare_indentation(self, frame: Frame) -> None:
        """Remembers a `}` that begins its line left of the line that it closes: one before it is missing."""
        line_start = self.text.rfind("\n", 0, self.pos) + 1
        is_first = line_start > frame.start and not self.text[line_start : self.pos].strip()
        if is_first and self.pos - line_start < frame.indentation:
            self.suspect = frame

    def _finish(self) -> bool:
        """Ends the text: closes what is open, one frame a call, then puts out `$END`; False when all is done."""
        if self.heredocs:
            from fmsh.lang.lexing import heredocs

            heredocs.report_missing(self)
        if len(self.frames) > 1:
            if self.depth <= NESTING_MAX:
                self._report_unclosed()
            self.depth = NESTING_MAX + 1  # one report is enough
            self._pop_at_end()
            return True
        if self.frame.pending:
            return True
        self.emit("$END", self.size, self.size)
        return False

    def _report_unclosed(self) -> None:
        frame = self.suspect or self.frame
        opened = self.text[frame.start : frame.start + 1 + self.text.startswith("$", frame.start)]
        is_at_end = self.heredoc_depth == 0
        message, hint = f"`{opened}` is never closed", f"`{frame.close}` is missing"
        self.report(frame.start, frame.start + 1, message, hint, is_at_end=is_at_end)

    def _pop_at_end(self) -> None:
        depth = self.depth
        self._pop(self.pos, self.pos)
        self.depth = depth

    # ---- Look-ahead that is remembered, so that no text is scanned twice

    def brace_pair(self, pos: int) -> tuple[int, bool]:
        """Gives where the `{` at `pos` is closed without white space in between (-1: nowhere), and if it is a list."""
        if pos not in self._brace_pairs:
            self._pair_braces(pos)
        return self._brace_pairs[pos]

    def _pair_braces(self, start: int) -> None:
        text, pairs = self.text, self._brace_pairs
        waiting: list[tuple[int, bool]] = []
        for pos in range(start, self.word_limit(start)):
            c = text[pos]
            if c == "{":
                pairs[pos] = (-1, False)
                waiting.append((pos, False))
            elif waiting and (c == "," or (c == "." and text[pos + 1 : pos + 2] == ".")):
                waiting[-1] = (waiting[-1][0], c == "," or waiting[-1][1] or _is_sequence(text, waiting[-1][0]))
            elif c == "}" and waiting:
                opener, is_list = waiting.pop()
                pairs[opener] = (pos, is_list)
                if not waiting:
                    return

    def is_word_end(self, pos: int) -> bool:
        """Whether no word goes on at `pos`. A `{` with white space before its `}` is a block, or a body."""
        following = self.text[pos : pos + 1]
        return not following or following in WORD_END or (following == "{" and self.brace_pair(pos)[0] < 0)

    def word_limit(self, pos: int) -> int:
        """Gives where the next white space stands."""
        known_from, limit = self._word_limit
        if not known_from <= pos < limit:
            limit = pos
            while limit < self.size and self.text[limit] not in " \t\r\n":
                limit += 1
            self._word_limit = (pos, limit)
        return limit


def _is_sequence(text: str, opener: int) -> bool:
    """Whether `1..3` or `a..e` follows the brace."""
    close = text.find("}", opener, opener + 48)
    first, dots, last = text[opener + 1 : close].partition("..") if close > 0 else ("", "", "")
    return bool(dots) and first.lstrip("-").isalnum() and last.lstrip("-").isalnum()
