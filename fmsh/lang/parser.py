"""The parser: from tokens to the syntax tree, by the table that `build_table` made of `grammar.lark`.

The driver is a loop over integers. It never recurses, so the depth of a program costs no stack; depth is limited all
the same, because what comes after it does recurse. After a problem it drops to the innermost list of statements, skips
to the end of the statement, and goes on, so that one run finds the problems of a whole program.
"""

from __future__ import annotations

from fmsh.errors import Diagnostic, SourceError
from fmsh.lang.builders import BUILDERS, Context
from fmsh.lang.comments import Comments
from fmsh.lang.grammar_table import NONTERMINALS, RULES, TERMINALS
from fmsh.lang.lexer import Lexer
from fmsh.lang.syntax import Program
from fmsh.lang.table import ACTIONS, GOTOS
from fmsh.lang.tokens import CLOSERS, OPENERS, Problem, Token
from fmsh.lang.tree import number
from fmsh.record import Record
from fmsh.spans import Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from fmsh.lang.builders import Builder
    from fmsh.spans import Span

DEPTH_MAX = 1000  # levels of the tree; a hundred brackets are at most about seven hundred
PROBLEMS_MAX = 50  # enough to work through; more are rarely read

_INDEX = {name: index for index, name in enumerate(TERMINALS)}
_WIDTH, _GOTO_WIDTH = len(TERMINALS), len(NONTERMINALS)
_STEPS = tuple((origin, length, BUILDERS[action] if action else None) for origin, length, action in RULES)
_STATEMENT = NONTERMINALS.index("statement")
_END = _INDEX["$END"]
_ACCEPT = GOTOS[NONTERMINALS.index("start")] - 1


class Parsed(Record):
    """What could be read of a text, its problems, and where the statements stand that are left out for them.

    `program` is None where nothing can be told of the text; otherwise every node of it has an id.
    """

    program: Program | None
    problems: Sequence[Diagnostic]
    lost: Sequence[Span]
    is_incomplete: bool


def parse(source: Source) -> Program:
    """Reads a program. Every node has an id.

    Raises: SourceError with all problems that were found; `incomplete` if the first is that the text ends too early.
    """
    parsed = parse_partly(source)
    if parsed.problems or parsed.program is None:
        raise SourceError(parsed.problems, incomplete=parsed.is_incomplete)
    return parsed.program


def parse_partly(source: Source) -> Parsed:
    """Reads what can be read of a program: the statements that have no problem."""
    lexer = Lexer(source.text)
    lexer.run()
    driver = Driver(source.text, lexer)
    program = driver.run(flatten(lexer.out))
    problems = driver.problems
    if program is not None:
        depth, deepest = number(program)
        if depth > DEPTH_MAX:
            program = None
            message = f"this stands more than {DEPTH_MAX} levels deep"
            if not problems:
                problems.append((deepest.span, Problem(message, "split it up with `let`", "limit")))
    diagnostics = [Diagnostic(source, span, p.message, p.hint, "error", p.code) for span, p in problems]
    return Parsed(program, diagnostics, driver.lost, bool(problems) and problems[0][1].is_at_end)


def is_complete(text: str) -> bool:
    """Whether Enter may submit a text: false only if its first problem is that it ends too early (rule 17)."""
    try:
        parse(Source("", text))
    except SourceError as error:
        return not error.incomplete
    return True


def flatten(tokens: list[Token]) -> list[Token]:
    """Puts the parts of words and strings between brackets of their own into one list, without recursion."""
    flat: list[Token] = []
    waiting: list[Token] = tokens[::-1]
    while waiting:
        token = waiting.pop()
        brackets = _BRACKETS.get(token.type)
        if brackets is None or token.parts is None:
            flat.append(token)
            continue
        opener, separator, closer = brackets
        if closer:
            waiting.append(Token(closer, token.end, token.end))
        for part in reversed(token.parts):
            waiting.append(part)
            if separator and part is not token.parts[0]:
                waiting.append(Token(separator, part.start, part.start))
        if opener:
            flat.append(Token(opener, token.start, token.end, token.value))
    return flat


_BRACKETS = {
    "COMPOUND": ("WBEGIN", "", "WEND"),
    "STR": ("SBEGIN", "", "SEND"),
    "BRACES": ("BBEGIN", "BNEXT", "BEND"),
    "ALTERNATIVE": ("", "", ""),
    "CODE": ("", "", ""),
}


class Driver:
    """The state of one parse: stacks of states, values, and where each value starts and ends (-1: nowhere)."""

    def __init__(self, text: str, lexer: Lexer) -> None:
        self.context = Context(text, Comments(text, lexer.comments))
        self.problems: list[tuple[Span, Problem]] = []
        self.lost: list[Span] = []
        self.states = [0]
        self.values: list[Any] = [None]
        self.starts = [0]
        self.ends = [0]

    def run(self, tokens: list[Token]) -> Program | None:
        """Parses to the end. Gives the program, or None if it could not be put together."""
        states, values, starts, ends = self.states, self.values, self.starts, self.ends
        actions, index_of, size, at = ACTIONS, _INDEX, len(tokens), 0
        while at < size:
            token = tokens[at]
            terminal = index_of.get(token.type, -1)
            action = actions[states[-1] * _WIDTH + terminal] if terminal >= 0 else 0
            if action > 0:
                states.append(action - 1)
                values.append(token)
                starts.append(token.start)
                ends.append(token.end)
                at += 1
            elif action < 0:
                origin, length, builder = _STEPS[-1 - action]
                if builder is None:  # one symbol takes the place of another
                    states[-1] = GOTOS[states[-2] * _GOTO_WIDTH + origin] - 1
                else:
                    self._reduce(origin, length, builder, token)
            elif terminal == _END and states[-1] == _ACCEPT:
                break
            else:
                at = self._recover(tokens, at)
        self._take_problems()
        program = values[-1]
        return program if isinstance(program, Program) else None

    def _reduce(self, origin: int, length: int, builder: Builder, token: Token) -> None:
        states, values, starts, ends = self.states, self.values, self.starts, self.ends
        start = end = -1
        symbols: list[Any] = []
        if length:
            symbols = values[-length:]
            start, end = starts[-length], ends[-1]
            if start < 0 or end < 0:
                start = next((place for place in starts[-length:] if place >= 0), -1)
                end = next((place for place in ends[: -length - 1 : -1] if place >= 0), -1)
            del states[-length:], values[-length:], starts[-length:], ends[-length:]
        span = (start, end) if start >= 0 else (token.start, token.start)
        values.append(builder(symbols, span, self.context))
        starts.append(start)
        ends.append(end)
        states.append(GOTOS[states[-1] * _GOTO_WIDTH + origin] - 1)

    # ---- Problems

    def _recover(self, tokens: list[Token], at: int) -> int:
        """Notes the problem at a token, drops to a list of statements, and gives where to go on."""
        token = tokens[at]
        self._take_problems()
        if token.type == "ERR":
            self._note((token.start, token.end), token.value)
        elif not self.problems or token.type != "$END":
            before = tokens[at - 1] if at else None
            from fmsh.lang import expectations

            problem = expectations.problem_at(self.states, token, before, self.context.text)
            self._note(self._place_of(token), problem)
        depth = self._drop_to_statements()
        at = _skip_statement(tokens, at, depth)
        self.lost.append((max(self.ends), tokens[at].start))
        if token.type == "$END" or len(self.problems) >= PROBLEMS_MAX:
            return len(tokens)
        self.states.append(GOTOS[self.states[-1] * _GOTO_WIDTH + _STATEMENT] - 1)
        self.values.append(None)
        self.starts.append(token.start)
        self.ends.append(token.start)
        return at

    def _place_of(self, token: Token) -> Span:
        """Where to point: of the end of the text, at what stands last."""
        if token.type != "$END":
            return token.start, token.end
        end = len(self.context.text.rstrip())
        return end, end

    def _note(self, span: Span, problem: Problem) -> None:
        self.problems.append((span, problem))

    def _take_problems(self) -> None:
        """Takes over what the builders noted."""
        self.problems.extend((span, Problem(message, hint)) for span, message, hint in self.context.problems)
        self.context.problems.clear()

    def _drop_to_statements(self) -> int:
        """Drops to the innermost state that takes a statement; gives how many brackets were open above it."""
        depth = 0
        while depth < 0 or not GOTOS[self.states[-1] * _GOTO_WIDTH + _STATEMENT]:
            value = self.values.pop()
            depth += type(value) is Token and value.type in OPENERS
            depth -= type(value) is Token and value.type in CLOSERS
            del self.states[-1], self.starts[-1], self.ends[-1]
        return depth


def _skip_statement(tokens: list[Token], at: int, depth: int) -> int:
    """Gives the index of the separator or bracket that ends the statement around `at`."""
    while True:
        kind = tokens[at].type
        if kind == "$END":
            return at
        if kind in OPENERS:
            depth += 1
        elif kind in CLOSERS:
            if depth == 0:
                return at
            depth -= 1
        elif kind == "SEP" and depth == 0:
            return at
        at += 1
