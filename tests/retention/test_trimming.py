"""Trimming with real machines: what a job in flight still needs is kept, and what is over goes, files too."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fmsh import retention
from fmsh.connectors.base import Attempt, AttemptId, Done
from fmsh.engine import snapshots
from fmsh.store.sqlite import SqliteStore
from tests.retention import racers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fmsh.connectors.base import Post

TWO_BRANCHES = "parallel { ^hold forever } { for i in 1..200 { ^say $i } }"


class Leaving(racers.Saying):
    """Leaves a file for each attempt, as processes do; `hold` does not end."""

    def __init__(self, fx: str) -> None:
        self._fx = fx
        self.held: tuple[AttemptId, Post] | None = None

    def start(self, attempt: Attempt, post: Post) -> None:
        directory = f"{self._fx}/{attempt.job_uid}/{attempt.id.step}-{attempt.id.attempt}"
        os.makedirs(directory, exist_ok=True)
        Path(directory, "out").write_text("output")
        if attempt.arguments["stages"][0]["argv"][0] == "hold":
            self.held = (attempt.id, post)
        else:
            super().start(attempt, post)


def steps_with_files(fx: str, uid: str) -> set[int]:
    return {int(name.partition("-")[0]) for name in os.listdir(f"{fx}/{uid}")}


@pytest.mark.parametrize("is_taken_over", [False, True])
def test_files_go_with_the_events_of_steps_that_are_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_taken_over: bool
) -> None:
    monkeypatch.setattr(snapshots, "INTERVAL_EVENTS", 20)
    monkeypatch.setattr(snapshots, "SAVE_SHARE", 0)
    fx = str(tmp_path / "fx")
    store = SqliteStore.open(str(tmp_path / "state"), kind="shell")
    connector = Leaving(fx)
    engine = racers.make_engine(store, fx, connector)
    job, _ = engine.submit(racers.new_run(TWO_BRANCHES, "busy"))
    for _ in range(100):
        engine.step(0)
    assert connector.held is not None
    held = connector.held[0].step
    trimmed = store.job(job.id)
    assert trimmed is not None and trimmed.trimmed_seq > 1, "the holder trims by itself"
    left = steps_with_files(fx, "busy")
    kept = {event.step for event in store.events(job.id) if event.step is not None}
    assert held in left and kept <= left and 0 < len(left) < 60, (left, kept)
    if is_taken_over:
        engine.release(job.id, within_s=0)
        retention.Sweep(store, fx, racers.AT_ONCE).run()
        assert held in steps_with_files(fx, "busy")
        assert engine.adopt(job.id)
        engine.step(0)
    assert connector.held is not None
    id, post = connector.held
    post(id, Done({"statuses": [0], "output": None, "stderr": ""}))
    while engine.workers:
        engine.step(0)
    ended = store.job(job.id)
    assert ended is not None and ended.state == "succeeded", ended
    assert store.existed(job.id) and list(store.verify()) == []
    retention.Sweep(store, fx, racers.AT_ONCE).run()
    assert not os.path.exists(f"{fx}/busy") and store.job(job.id) is None
    store.close()
