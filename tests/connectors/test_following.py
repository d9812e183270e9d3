"""Files that grow, followed: each line once, across rotation, and from a recorded position."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fmsh.builtins.streaming import STAGES, Chain
from fmsh.connectors.base import Attempt, AttemptId, Cancelled, Done, Failed, Items
from fmsh.connectors.following import Following
from fmsh.connectors.reading import ReadingConnector
from fmsh.engine.loop import Loop
from fmsh.observing import observe


class World:
    def __init__(self, directory: Path) -> None:
        self.log = directory / "log"
        self.log.write_text("1\n2\n")
        self.loop = Loop()
        self.answers: list[Any] = []
        self.connector = ReadingConnector("lines", lambda attempt, give: Following(attempt, give, self.loop.after))

    def start(self, *stages: Any, output: str = "stream", **options: Any) -> Attempt:
        arguments = {"output": output, **observe("followed", {"base": "/", "path": str(self.log), "from": "start"})}
        made = lambda: Chain([STAGES[name](*given) for name, *given in stages], [0] * len(stages), [])  # noqa: E731
        attempt = Attempt(AttemptId(1, 1, 1), "uid", "lines", arguments, {}, "/", "key", 0, make_chain=made)
        attempt = attempt.replace(**options)
        self.connector.start(attempt, lambda _id, answer: self.answers.append(answer))
        return attempt

    def answer(self) -> Any:
        while not self.answers:
            self.loop.run_once(None)
        return self.answers.pop(0)

    def read(self, attempt: Attempt) -> Any:
        self.connector.read(attempt.id, None)
        return self.answer()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.connector.close()
    world.loop.close()


def test_lines_come_once_across_a_rotation(world: World) -> None:
    attempt = world.start()
    assert world.read(attempt).items == ["1", "2"]
    with world.log.open("a") as log:
        log.write("3\nlast")
    world.log.rename(world.log.with_name("log.1"))
    world.log.write_text("4\n")
    assert [item for _ in range(3) for item in world.read(attempt).items] == ["3", "last", "4"]


def test_what_was_renamed_while_nobody_looked_is_read_to_its_end(world: World) -> None:
    attempt = world.start()
    position = world.read(attempt).position
    world.connector.forget(attempt.id)
    with world.log.open("a") as log:
        log.write("3\n")
    world.log.rename(world.log.with_name("log.1"))
    world.log.write_text("4\n")
    again = world.start(position=position, is_resumed=True)
    assert world.read(again).items + world.read(again).items == ["3", "4"]


def test_a_file_that_was_emptied_is_read_from_its_beginning(world: World) -> None:
    attempt = world.start()
    world.read(attempt)
    world.log.write_text("n\n")
    assert world.read(attempt).items == ["n"]


def test_stages_that_have_enough_end_it(world: World) -> None:
    world.start(("first", 1), output="fold")
    assert world.answer() == Done({"statuses": [], "value": ["1"]})


def test_what_stands_before_a_failure_comes_first(world: World) -> None:
    from fmsh.builtins.table import find

    whole = find("int")
    assert whole is not None
    world.log.write_text("1\nx\n")
    attempt = world.start(("each", whole.function))
    assert isinstance(items := world.read(attempt), Items) and items.items == [1]
    assert isinstance(failed := world.read(attempt), Failed) and failed.error.kind == "parse"


def test_a_cancelled_one_ends(world: World) -> None:
    attempt = world.start()
    world.connector.cancel(attempt.id)
    assert world.answer() == Cancelled()
