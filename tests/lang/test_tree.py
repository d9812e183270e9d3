"""What is promised of a stored tree: it reads back the same, ids included, through any JSON writer."""

from __future__ import annotations

import json

import cases
import pytest

from fmsh.lang.parser import parse
from fmsh.lang.syntax import TREE_VERSION
from fmsh.lang.tree import NODE_KINDS, from_data, to_data, walk
from fmsh.spans import Source

HARD = [
    "[1e300, -1e-300, 123456789012345678901234567890, 1h30m, 2026-12-24T18:00+01:00, 10KB]",
    '"\\ud800 \\u{1f600}"',
    "\udc80",
    "(" * 30 + "1" + ")" * 30,
]


@pytest.mark.parametrize("program", [*cases.programs(), *HARD])
def test_a_tree_reads_back_the_same(program: str) -> None:
    tree = parse(Source("t", program))
    again = from_data(json.loads(json.dumps(to_data(tree), ensure_ascii=True)))
    assert again == tree
    assert [node.id for node in walk(again)] == [node.id for node in walk(tree)]
    assert to_data(again) == to_data(tree)


def test_every_kind_of_node_occurs_in_the_corpus() -> None:
    seen = {type(node).__name__ for program in cases.programs() for node in walk(parse(Source("t", program)))}
    assert seen == set(NODE_KINDS) - {"Node"}


def test_a_tree_of_another_version_is_refused() -> None:
    data = to_data(parse(Source("t", "a")))
    with pytest.raises(ValueError, match=f"version {TREE_VERSION + 1}"):
        from_data([TREE_VERSION + 1, data[1]])
