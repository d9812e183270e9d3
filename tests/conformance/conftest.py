"""Each store in turn, empty."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fmsh.store.base import EventStore
from tests.conformance.worlds import WORLDS, World


@pytest.fixture(params=WORLDS)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    world = WORLDS[request.param](str(tmp_path))
    yield world
    world.close()


@pytest.fixture
def store(world: World) -> EventStore:
    return world.open()
