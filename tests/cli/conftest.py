from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cli.crew import Crew, a_crew
from tests.cli.shell import Shell, a_shell


@pytest.fixture
def shell() -> Iterator[Shell]:
    with a_shell() as shell:
        yield shell


@pytest.fixture(scope="session")
def crew() -> Iterator[Crew]:
    """Jobs in all states, which tests only look at; one may start jobs of its own beside them."""
    with a_crew() as crew:
        yield crew


@pytest.fixture(autouse=True)
def lines_of_any_length(monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs the tests may have a width of its own."""
    monkeypatch.delenv("COLUMNS", raising=False)
