from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.shell import Shell


@pytest.fixture
def shell() -> Iterator[Shell]:
    """A shell in a short directory of its own: the path of a socket is limited."""
    directory = Path(tempfile.mkdtemp(prefix="fmsh-"))
    shell = Shell(directory)
    try:
        yield shell
    finally:
        shell.end()
        shutil.rmtree(directory)
