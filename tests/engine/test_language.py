"""Programs in the language, each three ways: straight through, killed at every commit, and loaded again after each."""

from __future__ import annotations

from pathlib import Path

import pytest

from fmsh.assembly import load_program, make_program
from fmsh.engine.engine import NewRun
from fmsh.spans import Source
from fmsh.store.base import NewJob
from fmsh.store.sqlite import SqliteStore
from tests.engine.world import DyingStore, Killed, Process, World, history

TEXTS = {
    "loop": 'let xs = [1, 2, 3]\nfor x in $xs { sleep 0ms; print $x }\n"done"',
    "cleanup": """
        try {
          defer { sleep 0ms; print cleaned }
          undo { sleep 0ms; print undone }
          sleep 0ms
          fail "on purpose"
        } catch e { print $e.message }
        sleep 0ms
    """,
    "parallel": "let n = now\n[1, 2, 3, 4] | each --parallel 2 { sleep 0ms; $it * 2 }",
    "function": "def twice(n: int) { sleep 0ms; $n * 2 }\nlet a = twice 4\nlet b = (twice $a)\nprint $b\nexit 3",
    "error": "defer { sleep 0ms }\nlet r = result { sleep 0ms; fail {kind: odd, message: no} }\nfail $r.error",
}


def start(process: Process, text: str) -> int:
    stored, program = make_program(Source("test.fmsh", text))
    process.world.programs[stored.hash] = load_program(stored)
    job = NewJob("uid-1", "test.fmsh", "test.fmsh", 1, stored)
    run = NewRun(job, program, [], {"HOME": "/", "LANG": "C"}, "/", "UTC", {})
    return process.engine.submit(run)[0].id


def straight(text: str) -> tuple[list[tuple[str, int | None, str]], str, int]:
    process = World().process()
    start(process, text)
    ended = process.engine.run_until_ended(1, timeout_s=5)
    assert ended is not None and not process.world.reports
    assert isinstance(process.store, DyingStore)
    return history(process.store, 1), ended.state, process.store.commits


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("dies_before", [True, False])
def test_a_program_killed_at_any_commit_ends_as_it_would_have(name: str, dies_before: bool) -> None:
    expected, state, commits = straight(TEXTS[name])
    for dies_at in range(1, commits + 1):
        world = World()
        process = world.process()
        assert isinstance(process.store, DyingStore)
        process.store.dies_at, process.store.dies_before = dies_at, dies_before
        with pytest.raises(Killed):
            start(process, TEXTS[name])
            process.engine.run_until_ended(1, timeout_s=5)
        process.kill()
        heir = world.process()
        job = heir.store.job(1)
        if job is None or job.head == 0:
            continue  # it never started, and nothing happened
        if job.owner_id is not None:
            heir.run_on(1)
        assert heir.state(1) == state and not world.reports
        assert sorted(map(repr, history(heir.store, 1))) == sorted(map(repr, expected)), dies_at


@pytest.mark.parametrize("name", TEXTS)
def test_a_program_handed_over_after_every_turn_ends_as_it_would_have(name: str, tmp_path: Path) -> None:
    expected, state, _ = straight(TEXTS[name])
    directory = str(tmp_path / "state")
    world = World(lambda kind: SqliteStore.open(directory, kind="shell"))
    process = world.process()
    start(process, TEXTS[name])
    for _ in range(40):
        if 1 in process.engine.workers:
            process.engine.release(1, within_s=0)
        process = world.process()
        if process.state(1) == state:
            break
        assert process.engine.adopt(1)
        for _ in range(3):
            process.engine.step(0.001)
    assert process.state(1) == state and not world.reports
    boot = process.store.owner.boot_id  # which a disk in memory has none of
    assert sorted(repr(event).replace(boot, "boot") for event in history(process.store, 1)) == sorted(
        map(repr, expected)
    )
