"""A store of every version loads for ever: it verifies, reads the same, and its jobs end as they would have."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import fmsh
from fmsh.store.sqlite import SqliteStore
from tests.golden import going_on

HERE = Path(__file__).parent
VERSIONS = sorted(path.parent.name for path in HERE.glob("*/expected.json"))


@pytest.fixture
def place() -> Iterator[Path]:
    """A short directory: the path of a socket is limited."""
    directory = Path(tempfile.mkdtemp(prefix="fmsh-"))
    yield directory
    shutil.rmtree(directory)


def known(now: Any, then: Any) -> Any:
    """What a document says now of what was known then: fields may have been added."""
    if isinstance(then, dict):
        return {name: known(now[name], then[name]) for name in then}
    return now


def test_this_version_has_a_golden_store() -> None:
    assert fmsh.__version__ in VERSIONS, "make one: python -m tests.golden.make"


@pytest.mark.parametrize("version", VERSIONS)
def test_a_golden_store_reads_as_it_did(version: str, place: Path) -> None:
    jobs = json.loads((HERE / version / "expected.json").read_text())["jobs"]
    shell = going_on.open_copy(HERE / version, place)
    store = SqliteStore.open(str(shell.state), kind="shell")
    assert list(store.verify()) == [], (
        f"the schema is another one than that of {version}: a released store needs a migration; "
        "before the release, `python -m tests.golden.make` makes the golden store anew"
    )
    store.close()
    for name, then in jobs.items():
        number = str(then["show"]["id"])
        assert known(shell.json("jobs", "show", number), then["show"]) == then["show"], name
        log = shell.json("jobs", "log", number)
        assert [known(now, was) for now, was in zip(log, then["log"], strict=True)] == then["log"], name


@pytest.mark.slow
@pytest.mark.parametrize("version", VERSIONS)
def test_the_jobs_of_a_golden_store_end_as_they_did(version: str, place: Path) -> None:
    jobs = json.loads((HERE / version / "expected.json").read_text())["jobs"]
    now = going_on.endings(HERE / version, place / "again", jobs)
    for name, then in jobs.items():
        assert known(now[name], then["ending"]) == then["ending"], name
