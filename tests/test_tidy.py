"""The tree stays tidy: sizes, forbidden calls, and words that have no place in it.

Limits are for what people write; a file whose first line says `Generated` is exempt from those on length.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from functools import cache

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FUNCTION_LINES_MAX = 70
MODULE_LINES_MAX = 500
LINE_COLUMNS_MAX = 120

FACES = ("fmsh/daemon/", "fmsh/shell/", "fmsh/render/", "fmsh/jobs.py", "fmsh/cli.py", "fmsh/__main__.py")
SQL = re.compile(
    r"^\s*(SELECT\s.+\sFROM|INSERT (OR \w+ )?INTO|UPDATE \w+\s+SET|DELETE FROM|CREATE (TABLE|INDEX|TRIGGER)|PRAGMA\s"
    r"|BEGIN IMMEDIATE)",
    re.IGNORECASE | re.DOTALL,
)
# Written in two parts, so that this file does not find itself.
UNFINISHED = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")
MACHINE_PATHS = re.compile(r"(?<![\w.])/(wo" + r"rk|home/[a-z]+|Us" + r"ers)/")
TEXT_SUFFIXES = (".py", ".md", ".toml", ".fmsh", ".sh", ".sql", ".lark", ".txt", ".fish", ".bash", "Makefile", "run")
SKIPPED = {".git", ".venv", "__pycache__", "build", "dist", "data"}


def _files(*tops: str) -> Iterator[str]:
    for top in tops:
        for directory, names, files in os.walk(os.path.join(ROOT, top)):
            names[:] = sorted(name for name in names if name not in SKIPPED and not name.endswith(("_cache", "-info")))
            for file in sorted(files):
                yield os.path.relpath(os.path.join(directory, file), ROOT)


@cache
def _text(path: str) -> str:
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


PYTHON = [path for path in _files("fmsh", "examples", "benchmarks") if path.endswith(".py")]
TEXTS = [path for path in _files("") if path.endswith(TEXT_SUFFIXES)]


def _is_generated(path: str) -> bool:
    return "Generated" in _text(path).partition("\n")[0]


def _calls(path: str) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(_text(path))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.func.id, node.lineno


def _imports(path: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(_text(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def _docstrings(tree: ast.Module) -> set[int]:
    """Ids of the constants that are docstrings."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.body:
            first = node.body[0]
            if isinstance(first, ast.Expr):
                found.add(id(first.value))
    return found


@pytest.mark.parametrize("path", PYTHON)
def test_functions_and_modules_are_short(path: str) -> None:
    if _is_generated(path):
        return
    assert _text(path).count("\n") <= MODULE_LINES_MAX, f"{path} has more than {MODULE_LINES_MAX} lines"
    for node in ast.walk(ast.parse(_text(path))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            assert lines <= FUNCTION_LINES_MAX, f"{path}:{node.lineno}: {node.name} has {lines} lines"


@pytest.mark.parametrize("path", PYTHON)
def test_sql_is_in_the_store_only(path: str) -> None:
    if path.startswith(("fmsh/store/", "examples/rows/")):  # the second is about a database of somebody else
        return
    tree = ast.parse(_text(path))
    docstrings = _docstrings(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            assert not SQL.match(node.value), f"{path}:{node.lineno}: SQL outside the store"


@pytest.mark.parametrize("path", PYTHON)
def test_text_never_becomes_code(path: str) -> None:
    assert not {"pickle", "shelve", "marshal"} & set(_imports(path)), f"{path} unpickles"
    for node in ast.walk(ast.parse(_text(path))):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
            continue
        assert node.func.id != "eval", f"{path}:{node.lineno}: eval"
        if node.func.id in ("exec", "compile"):  # code built by `ast` may run; a text may not
            assert not (node.args and isinstance(node.args[0], ast.Constant | ast.JoinedStr)), f"{path}:{node.lineno}"
    if "exec" in {name for name, _ in _calls(path)}:
        assert "ast" in set(_imports(path)), f"{path} runs code that does not come from `ast`"


@pytest.mark.parametrize("path", PYTHON)
def test_only_faces_print(path: str) -> None:
    if path.startswith(FACES) or not path.startswith("fmsh/"):
        return
    for name, line in _calls(path):
        assert name != "print", f"{path}:{line}: print outside the faces"


@pytest.mark.parametrize("path", TEXTS)
def test_nothing_is_left_unfinished_or_tied_to_one_machine(path: str) -> None:
    for number, line in enumerate(_text(path).splitlines(), 1):
        assert not UNFINISHED.search(line), f"{path}:{number}: {line.strip()}"
        assert not MACHINE_PATHS.search(line), f"{path}:{number}: a path of one machine: {line.strip()}"


def test_the_ci_runs_what_the_readme_says() -> None:
    command = "python3 -m venv .venv && .venv/bin/pip install '.[dev]' && .venv/bin/pytest"
    assert command in _text("README.md").splitlines()
    assert command in _text(".ci/run").splitlines()
