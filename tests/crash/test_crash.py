"""Killed with SIGKILL at any write and any effect, a job comes to the same end, and nothing is lost or done unrecorded.

`python -m tests.crash.torture` tries pairs of kills for as long as one likes.
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.world import AFTER_CREATION, WITHOUT_DAEMON, World, kill_daemon, start_daemon

PAIRS = 4
DAEMON_BOUNDARIES_EVERY = 6  # each takes the start of two daemons


@pytest.fixture
def world() -> Iterator[World]:
    directory = Path(tempfile.mkdtemp(prefix="fmsh-"))
    world = World(directory)
    try:
        yield world
    finally:
        world.close()
        shutil.rmtree(directory)


@pytest.mark.parametrize(
    ("option", "first", "every", "kills_max"),
    [("--key", 1, 2, 1000), ("--key", 2, 2, 1000), ("--name", 1, 1, 10)],  # the options differ in the beginning
)
def test_the_foreground_killed_at_every_boundary_is_brought_to_the_same_end(
    world: World, option: str, first: int, every: int, kills_max: int
) -> None:
    start_daemon(world)
    begun = time.monotonic()
    passed = world.foreground("straight", 0, option=option)
    assert world.judge("straight")
    assert len(passed) > 40 and "before start of http" in passed and "after commit" in passed
    became_jobs = 0
    kills = range(first, min(kills_max, len(passed)) + 1, every)
    for kill_at in kills:
        case = f"kill-{kill_at}"
        world.foreground(case, kill_at, option=option)
        became_jobs += world.judge(case)
    assert became_jobs == len(kills) - (first == 1)  # all but the kill before there was a job
    took_s = time.monotonic() - begun
    print(f"{len(kills)} kills at {len(passed)} boundaries, {became_jobs} jobs resumed, in {took_s:.1f} s")


def test_the_daemon_killed_at_its_boundaries_is_followed_by_another(world: World) -> None:
    seed = int(os.environ.get("FMSH_TEST_SEED", time.time_ns() % 1_000_000))
    print(f"seed {seed}")
    first = random.Random(seed).randrange(DAEMON_BOUNDARIES_EVERY)
    kill_at = 1 + first
    while daemon_case(world, f"daemon-{kill_at}", AFTER_CREATION, kill_at):
        kill_at += DAEMON_BOUNDARIES_EVERY
    assert kill_at > 20
    print(f"{kill_at - 1} boundaries")


def test_pairs_of_kills(world: World) -> None:
    seed = int(os.environ.get("FMSH_TEST_SEED", time.time_ns() % 1_000_000))
    print(f"seed {seed}")
    choose = random.Random(seed)
    for number in range(PAIRS):
        first, second = choose.randrange(AFTER_CREATION, WITHOUT_DAEMON), choose.randrange(1, 40)
        daemon_case(world, f"pair-{number}-{first}-{second}", first, second)


def daemon_case(world: World, case: str, first: int, second: int) -> bool:
    """A foreground job killed at one boundary, the daemon that takes it over at another. False: it was not killed."""
    world.foreground(case, first, FMSH_NO_DAEMON="1")
    was_killed = world.daemon_victim(case, second)
    start_daemon(world)
    assert world.judge(case)
    kill_daemon(world)
    return was_killed
