"""Long and deep programs: a limit is told, nothing breaks, and nothing takes long."""

from __future__ import annotations

import time

import pytest

from fmsh.assembly import make_program
from fmsh.errors import SourceError
from fmsh.spans import Source

DEEP = 100_000
LIMITS = {
    "lists": "[" * DEEP,
    "groups": "{" * DEEP,
    "parentheses": "(" * DEEP + "1" + ")" * DEEP,
    "substitutions": '"$(' * DEEP,
    "indexes": "fmsh print $xs[" * 200,
    "records": "{a: " * DEEP + "1" + "}" * DEEP,
    "conjunction": "true && " * 3000 + "true",
    "disjunction": "true || " * 3000 + "true",
    "path": "let x = {}\n$x" + ".a" * 3000,
    "braces": "^echo " + "{a,b}" * 100,
}
FINE = {
    "arguments": "^echo" + " a" * 5000,
    "words": "echo" + " a" * 5000,
    "stages": "echo x" + " | cat" * 1000,
    "branches": "if true { }" + " else if true { }" * 500,
    "redirections": "echo x" + " > f" * 1000,
    "blocks for text": "let x = " + "{ echo " * 60 + "1" + " }" * 60,
    "blocks": "let x = " + "{ || " * 60 + "1" + " }" * 60,
}
CPU_S_MAX = 10.0  # ten thousand arguments took minutes when each looked at all that follow


@pytest.mark.parametrize("name", LIMITS)
def test_what_is_too_long_or_too_deep_is_a_limit(name: str) -> None:
    with pytest.raises(SourceError) as problem:
        make_program(Source("t", LIMITS[name]))
    assert problem.value.diagnostics[0].code in ("limit", "syntax")


@pytest.mark.parametrize("name", FINE)
def test_what_is_only_long_is_compiled_in_linear_time(name: str) -> None:
    started = time.process_time()
    make_program(Source("t", FINE[name]))
    assert time.process_time() - started < CPU_S_MAX
