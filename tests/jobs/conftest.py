"""Every test of the verbs runs over both stores: one process holds the jobs, another looks on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fmsh.store.base import EventStore
from fmsh.store.memory import MemoryStore
from fmsh.store.memory_disk import MemoryDisk
from fmsh.store.sqlite import SqliteStore
from tests.jobs.stories import Screen


@pytest.fixture(params=["memory", "sqlite"])
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[EventStore, EventStore]]:
    if request.param == "memory":
        disk = MemoryDisk()
        pair: tuple[EventStore, EventStore] = (MemoryStore(disk, kind="daemon"), MemoryStore(disk))
    else:
        directory = str(tmp_path / "state")
        pair = (SqliteStore.open(directory, kind="daemon"), SqliteStore.open(directory, kind="shell"))
    yield pair
    for store in pair:
        store.close()


@pytest.fixture
def holding(stores: tuple[EventStore, EventStore]) -> EventStore:
    return stores[0]


@pytest.fixture
def screen(stores: tuple[EventStore, EventStore], tmp_path: Path) -> Screen:
    return Screen(stores[1], str(tmp_path / "fx"))
