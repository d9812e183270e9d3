"""The lines before: what is suggested, gone through and found, from several slices and after new lines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fmsh.assembly import make_program
from fmsh.machine import events
from fmsh.shell.past import FOUND_MAX, RECENT_LINES, SLICE_LINES, Past
from fmsh.spans import Source
from fmsh.store.base import EventStore, NewEvent, NewJob, Summary
from fmsh.store.sqlite import SqliteStore

OLD_LINES = 1000 + 2 * SLICE_LINES + 100


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EventStore]:
    store = SqliteStore.open(str(tmp_path), kind="shell")
    yield store
    store.close()


def enter(store: EventStore, *texts: str) -> None:
    stored, _ = make_program(Source("prompt", "true"))
    history = [
        NewEvent("JobStarted", 1, events.encode(events.JobStarted(stored.hash, [], "", "/", "UTC", {}))),
        NewEvent("JobEnded", 1, events.encode(events.JobEnded())),
    ]
    row = Summary("succeeded", None, 2, value_json="null", exit_status=0, ended_at_ms=1)
    before = store.last_job()
    first = 0 if before is None else before.id
    for number, text in enumerate(texts, first):
        store.create_job(NewJob(f"uid-{number}", "prompt", text, 1, stored), history, row, lease=False)


def test_lines_are_suggested_and_found_however_old_they_are(store: EventStore) -> None:
    lines = [f"make target{number}" for number in range(OLD_LINES)]
    lines[5] = "Deploy api\n  to Prod"
    enter(store, *lines)
    past = Past(store, "prompt")
    assert past.suggest("Deploy") is None  # not read yet
    while past.read_more():
        pass
    assert past.suggest("m") == lines[-1]
    assert past.suggest("make target7") == "make target799"
    assert past.suggest("make target79") == "make target799"
    assert past.suggest("make target799") is None and past.suggest("nothing") is None
    assert past.suggest("Dep") == past.suggest("Deploy api\n  ") == lines[5]
    assert [entry.text for entry in past.find("prod api")] == [lines[5]] == [entry.text for entry in past.find("Prod")]
    assert past.find("PROD") == [] and past.find("make nothing") == []
    assert [entry.text for entry in past.find("make")] == lines[: -FOUND_MAX - 1 : -1]
    assert past.find("target9")[0].job_id == 1000  # target999, the first job being that of target0
    assert past.recent() == lines[: -RECENT_LINES - 1 : -1]


def test_new_lines_come_first_and_stand_once_among_what_is_found(store: EventStore) -> None:
    enter(store, "echo one", "echo two")
    past = Past(store, "prompt")
    for text in ("echo three", "echo one", "echo one"):
        enter(store, text)
        past.refresh()
    assert past.suggest("echo") == "echo one" and past.suggest("echo t") == "echo three"
    assert [entry.text for entry in past.find("echo")] == ["echo one", "echo three", "echo two"]
    assert past.recent() == ["echo one", "echo three", "echo two", "echo one"]
