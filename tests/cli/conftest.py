from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cli.shell import Shell, a_shell


@pytest.fixture
def shell() -> Iterator[Shell]:
    with a_shell() as shell:
        yield shell
