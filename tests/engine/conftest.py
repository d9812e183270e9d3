from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.engine import world


@pytest.fixture(autouse=True)
def _worlds_are_closed() -> Iterator[None]:
    yield
    while world.OPEN:
        world.OPEN.pop().close()
