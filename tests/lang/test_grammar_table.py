"""What is promised of the grammar: no conflicts, and the shipped table is the one that it gives."""

from __future__ import annotations

from fmsh.lang import build_table, grammar_table, table
from fmsh.lang.builders import BUILDERS


def test_the_shipped_table_is_the_one_of_the_grammar() -> None:
    built = build_table.build()  # strict: a conflict raises
    assert tuple(built.terminals) == grammar_table.TERMINALS
    assert tuple(built.nonterminals) == grammar_table.NONTERMINALS
    assert built.rules == grammar_table.RULES
    assert [number for row in built.actions for number in row] == list(table.ACTIONS)
    assert [number for row in built.gotos for number in row] == list(table.GOTOS)


def test_every_action_has_a_builder_and_every_builder_an_action() -> None:
    assert {action for _, _, action in grammar_table.RULES if action} == set(BUILDERS)
