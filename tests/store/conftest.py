from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fmsh.store.sqlite import SqliteStore
from tests.store.started import Processes


@pytest.fixture
def state(tmp_path: Path) -> str:
    return str(tmp_path / "state")


@pytest.fixture
def store(state: str) -> Iterator[SqliteStore]:
    store = SqliteStore.open(state, kind="shell")
    yield store
    store.close()


@pytest.fixture
def processes() -> Iterator[Processes]:
    processes = Processes()
    yield processes
    processes.end()
