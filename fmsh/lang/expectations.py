"""What to say where the table has no action: what was found, what was expected, what to do."""

from __future__ import annotations

from fmsh.lang.grammar_table import NONTERMINALS, RULES, TERMINALS
from fmsh.lang.table import ACTIONS, GOTOS
from fmsh.lang.tokens import HUMAN_NAMES, Problem, Token

ACCEPT = GOTOS[NONTERMINALS.index("start")] - 1
CLOSING = frozenset(("RPAR", "RSQB", "RBRACE"))
ORDER = ("RPAR", "RSQB", "RBRACE", "COMMA", "COLON", "ARROW", "ASSIGN", "IN", "NAME", "KEY")
NAMES_MAX = 4  # more expected things than that help nobody

# (the token before, what was found) → message and hint. "" stands for any.
SPECIAL: dict[tuple[str, str], tuple[str, str]] = {
    ("", "ELSE"): ("`else` without an `if` before it", "write it directly after the `}` of an `if`"),
    ("", "CATCH"): ("`catch` without a `try` before it", "write it directly after the `}` of a `try`"),
    ("", "FINALLY"): ("`finally` without a `try` before it", "write it directly after the `}` of a `try`"),
    ("COMMA", "COMMA"): ("two commas with nothing between them", "remove one"),
    ("RETURN", "PIPE"): ("`return` has no value to pipe on", "write `return (… | …)`"),
    ("AMP", "PIPE"): ("`&` ends a chain", "put the pipeline in a group: `{ a | b } &`"),
}
OPERATORS = frozenset(
    ["CMP", "OR", "AND", "COALESCE", "RANGE", "PLUS", "MINUS", "MULTIPLY", "POWER", "FIELD", "KEYDOT", "LINDEX"]
)
# What was found, where nothing above says more.
HINTS: dict[str, str] = {
    "ASSIGN": "to compare write `==`; to assign, begin the statement with `$x = …`",
    "LBODY": "a block or record in a condition stands in ( )",
    "LMATCH": "a block or record in a condition stands in ( )",
}


CHAINED = {
    "CMP": ("comparisons do not chain", "write `$a < $b and $b < $c`"),
    "RANGE": ("ranges do not chain", "a range has one `..`"),
}


def problem_at(states: list[int], token: Token, before: Token | None, text: str) -> Problem:
    """Says what is wrong with a token in a state of the parser."""
    previous = before.type if before is not None else ""
    special = SPECIAL.get((previous, token.type)) or SPECIAL.get(("", token.type))
    if special is not None:
        return Problem(*special)
    if previous == "REDIR":
        return Problem("a redirection takes a file", "write `COMMAND > FILE`")
    expected = _expected(states)
    if token.type in CHAINED and "a value" not in expected and "a command or a value" not in expected:
        return Problem(*CHAINED[token.type])
    wanted = _join(expected)
    if token.type == "$END":
        return Problem(f"the text ends where {wanted} was expected", is_at_end=True)
    return Problem(f"{wanted} was expected, {_found(token, text)} was found", _hint(previous, token, accepted(states)))


def _hint(previous: str, token: Token, possible: set[str]) -> str:
    if token.type == "SEP" and "LBODY" in possible:
        return "a body stands in braces: `{ … }`"
    if token.type in ("ANDOR", "PIPE", "AMP") and "SEP" in possible:
        return "this statement has no value: end it with `;` or a new line"
    if token.type == "PIPE" and "RBRACE" in possible and "SEP" not in possible:
        return "`${ }` holds an expression; for a pipeline write `$( )`"
    if token.type == "ASSIGN" and "NAME" in possible:
        return ""
    if {"COMMA", "COLON", "ASSIGN"} <= possible:
        return "parameters stand with commas between them: `a, b: int = 1`"
    if previous == "NAME" and "IN" in possible:
        return "write `for NAME in … { … }`"
    if previous == "NAME" and "ASSIGN" in possible:
        return "write `let NAME = …`"
    return HINTS.get(token.type, "")


def _found(token: Token, text: str) -> str:
    shown = text[token.start : token.end]
    if (
        token.type in ("WORD", "NAME", "KEY", "LIT", "FLAG", "VAR", "TEXT")
        and 0 < len(shown) <= 40
        and "\n" not in shown
    ):
        return f"`{shown}`"
    if token.type == "COMMAND":
        return "a command"
    return HUMAN_NAMES.get(token.type, "something else")


def accepted(states: list[int]) -> set[str]:
    """Gives the terminals that the parser could take in a state, as lark's `accepts` does."""
    return {name for index, name in enumerate(TERMINALS) if _is_accepted(states, index)}


def _is_accepted(states: list[int], terminal: int) -> bool:
    """Whether reductions lead to a shift, or to the end."""
    stack = list(states)
    while True:
        action = ACTIONS[stack[-1] * len(TERMINALS) + terminal]
        if action >= 0:
            return action > 0 or (stack[-1] == ACCEPT and terminal == TERMINALS.index("$END"))
        origin, length, _ = RULES[-1 - action]
        del stack[len(stack) - length :]
        stack.append(GOTOS[stack[-1] * len(NONTERMINALS) + origin] - 1)


def _expected(states: list[int]) -> list[str]:
    """Gives human names of what could come, most telling first."""
    found = accepted(states)
    if "LBODY" in found or "LMATCH" in found:
        return ["`{`"]
    names: list[str] = []
    if "COMMAND" in found:
        names.append("a statement" if "LET" in found else "a command or a value")
        found &= CLOSING
    elif "LREC" in found and "VAR" in found:
        names.append("a value")
        found &= CLOSING
    elif "CMP" in found:
        names.append("an operator")
    elif "FLAG" in found and "REDIR" in found:
        names.append("an argument")
        found &= CLOSING
    found -= OPERATORS
    if "ASSIGN" in found or "IN" in found:
        found -= {"ALT"}  # alternatives belong to the patterns of `match`
    if len(found | {"$END", "SEP"}) > 2:
        found -= {"$END"}
    for name in [*(name for name in ORDER if name in found), *sorted(found - set(ORDER))]:
        human = HUMAN_NAMES.get(name, "")
        if human and human not in names:
            names.append(human)
    return names


def _join(names: list[str]) -> str:
    names = names[:NAMES_MAX] or ["something else"]
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " or " + names[-1]
