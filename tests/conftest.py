"""What all tests have in common."""

from __future__ import annotations

import compileall
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "fmsh"


def pytest_configure(config: pytest.Config) -> None:
    """Compiles fmsh once: where Python may write no bytecode, each of the many processes would do it again."""
    if not hasattr(config, "workerinput"):
        compileall.compile_dir(str(PACKAGE), quiet=1)
