"""Builds the parser's table from `grammar.lark`: run `python -m fmsh.lang.build_table` after a change of the grammar.

lark is used here and in tests only, with `strict=True`: without it lark would settle conflicts silently. States are
numbered breadth first in the order of symbol names, so the same grammar always gives the same table.
"""

from __future__ import annotations

from array import array
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

HERE = Path(__file__).parent
END = "$END"

HEADER = '''"""The parser's table, written by `python -m fmsh.lang.build_table` from `grammar.lark`. Do not edit.

`ACTIONS` and `GOTOS` are rows of 16-bit numbers, one row a state, packed. An action is a state to shift to, plus one;
or, below zero, a rule to reduce by, minus one; zero is an error.
"""

'''


class Table:
    """What the driver needs: names of the symbols, rules as (nonterminal, length, action), and the two matrices."""

    def __init__(
        self, states: list[dict[str, Any]], rules: list[Any], terminals: list[str], nonterminals: list[str]
    ) -> None:
        self.terminals = terminals
        self.nonterminals = nonterminals
        self.rules = tuple((nonterminals.index(origin), length, action) for origin, length, action in rules)
        self.actions = [[row.get(name, 0) for name in terminals] for row in states]
        self.gotos = [[row.get(name, 0) for name in nonterminals] for row in states]


def build() -> Table:
    """Builds the table. Raises: lark.GrammarError when the grammar has a conflict."""
    parse_table = _lark_table()
    rules = sorted({_rule_key(rule) for rule in _rules(parse_table)})
    numbers = _state_numbers(parse_table)
    states: list[dict[str, Any]] = [{} for _ in numbers]
    for state, actions in parse_table.states.items():
        row = states[numbers[state]]
        for symbol, (_, argument) in actions.items():
            if type(argument) is int:
                row[symbol] = numbers[argument] + 1
            else:
                row[symbol] = -1 - rules.index(_rule_key(argument))
    nonterminals = sorted({rule[0] for rule in rules})
    terminals = sorted({symbol for row in states for symbol in row} - set(nonterminals))
    flat = [(origin, len(symbols), action) for origin, symbols, action in rules]
    return Table(states, flat, terminals, nonterminals)


def render(table: Table) -> str:
    """Writes the table as the module that is shipped."""
    lines = [HEADER]
    lines.append(_strings("TERMINALS", table.terminals))
    lines.append(_strings("NONTERMINALS", table.nonterminals))
    lines.append("RULES: tuple[tuple[int, int, str], ...] = (\n")
    lines.extend(f'    ({origin}, {length}, "{action}"),\n' for origin, length, action in table.rules)
    lines.append(")\n")
    lines.append(_packed("ACTIONS", table.actions))
    lines.append(_packed("GOTOS", table.gotos))
    return "".join(lines)


def _lark_table() -> Any:
    from lark import Lark
    from lark.lexer import Lexer

    class NoLexer(Lexer):
        def __init__(self, lexer_conf: Any) -> None:
            pass

        def lex(self, lexer_state: Any, parser_state: Any) -> Iterator[Any]:
            return iter(())

    grammar = (HERE / "grammar.lark").read_text(encoding="utf-8")
    parser: Any = Lark(
        grammar, parser="lalr", lexer=NoLexer, strict=True, maybe_placeholders=False, keep_all_tokens=True
    )
    return parser.parser.parser._parse_table


def _rules(parse_table: Any) -> Iterator[Any]:
    for actions in parse_table.states.values():
        yield from (argument for _, argument in actions.values() if type(argument) is not int)


def _rule_key(rule: Any) -> tuple[str, tuple[str, ...], str]:
    symbols = tuple(str(symbol.name) for symbol in rule.expansion)
    if not rule.alias and len(symbols) != 1:
        raise ValueError(f"{rule.origin.name}: {' '.join(symbols)} has no action")
    return str(rule.origin.name), symbols, str(rule.alias or "")


def _state_numbers(parse_table: Any) -> dict[int, int]:
    [start] = parse_table.start_states.values()
    numbers, waiting = {start: 0}, [start]
    for state in waiting:
        for _, (_, argument) in sorted(parse_table.states[state].items()):
            if type(argument) is int and argument not in numbers:
                numbers[argument] = len(numbers)
                waiting.append(argument)
    return numbers


def _strings(name: str, values: list[str]) -> str:
    return f"{name}: tuple[str, ...] = (\n" + "".join(f'    "{value}",\n' for value in values) + ")\n"


def _packed(name: str, rows: list[list[int]]) -> str:
    from binascii import b2a_base64
    from sys import byteorder
    from zlib import compress

    numbers = array("h", [number for row in rows for number in row])
    if byteorder == "big":
        numbers.byteswap()
    text = b2a_base64(compress(numbers.tobytes(), 9), newline=False).decode()
    chunks = [text[at : at + 100] for at in range(0, len(text), 100)]
    return f"{name} = (\n" + "".join(f'    "{chunk}"\n' for chunk in chunks) + ")\n"


if __name__ == "__main__":
    (HERE / "grammar_table.py").write_text(render(build()), encoding="utf-8")
