"""A connector that others wrote: how it is had, and what becomes of one that keeps no rule."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fmsh.conformance import ConnectorSuite, World, attempt_of
from fmsh.connectors import plugin
from fmsh.connectors.base import Attempt, Cancelled, Connector, Done, Failed
from fmsh.connectors.threaded import Later, Operation, ThreadedConnector
from fmsh.errors import UsageError
from fmsh.values import raised

NUMBERS = itertools.count()
BROKEN = """\
from datetime import datetime
from decimal import Decimal
from fmsh.connectors.base import Done, Failed
from fmsh.values import error_value

class Broken:
    def start(self, attempt, post):
        what = attempt.operation
        if what == "raise": raise ValueError("no idea")
        if what == "twice": post(attempt.id, Done(1)); post(attempt.id, Done(2))
        if what == "text": post(attempt.id, "done")
        if what == "decimal": post(attempt.id, Done({"a": [Decimal(1)]}))
        if what == "key": post(attempt.id, Done({1: 2}))
        if what == "naive": post(attempt.id, Done(datetime(2026, 1, 1)))
        if what == "error": post(attempt.id, Failed("it failed"))
        if what == "field": post(attempt.id, Failed(error_value("x", "y", cause=Decimal(1))))
        if what == "deep":
            found = []
            for _ in range(5000): found = [found]
            post(attempt.id, Done(found))
    def cancel(self, id): pass
    def close(self): pass

def connector(world): return Broken()
"""


class PluginWorld(World):
    """Packages in a directory of their own, each of which is made once."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self.directory = directory

    def package(self, text: str) -> str:
        name = f"a_package_{next(NUMBERS)}"
        (self.directory / f"{name}.py").write_text(text)
        return name

    def plugin(self, package: Callable[[], str]) -> plugin.Plugin:
        def submit(callback: Callable[..., object], *arguments: object) -> None:
            self.loop.after(0, lambda: callback(*arguments))

        return plugin.Plugin("odd", package, plugin.World(str, self.loop.after), submit)

    def outcome(self, connector: Connector, operation: str, **fields: object) -> object:
        attempt = attempt_of(operation, {"value": None}, id=self.next_id(), **fields)
        connector.start(attempt, self.loop.post)
        return self.loop.outcome_of(attempt.id)

    def refusal(self, package: Callable[[], str] | str, operation: str = "x") -> str:
        """The message with which a step fails."""
        name = package if callable(package) else self.package(package)
        connector = self.plugin(name if callable(name) else lambda: name)
        failed = self.outcome(connector, operation)
        connector.close()
        assert isinstance(failed, Failed) and failed.error.kind == "plugin" and not failed.should_retry, failed
        return failed.error.message


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PluginWorld]:
    monkeypatch.syspath_prepend(str(tmp_path))
    world = PluginWorld(tmp_path)
    yield world
    world.close()


def test_what_cannot_be_had_fails_with_what_is_wrong_and_where(world: PluginWorld) -> None:
    def unknown() -> str:
        raise UsageError("there is no connector odd", hint="name its package")

    assert world.refusal(unknown) == "there is no connector odd (name its package)"
    missing = world.refusal(lambda: "no_such_package_at_all")
    assert "no_such_package_at_all is not installed" in missing and sys.executable in missing
    assert "needs the module not_there" in world.refusal("import not_there")
    assert "cannot be imported: SyntaxError" in world.refusal("def")
    assert "cannot be imported: ZeroDivisionError" in world.refusal("1 / 0")
    assert "has no function `connector`" in world.refusal("x = 1")
    assert "cannot be used: TypeError" in world.refusal("def connector(): pass")
    assert "gives a NoneType without start and cancel and close" in world.refusal("def connector(world): pass")


def test_what_could_not_be_had_is_looked_for_again(world: PluginWorld) -> None:
    connector = world.plugin(lambda: "a_late_package")
    assert isinstance(world.outcome(connector, "twice"), Failed)
    (world.directory / "a_late_package.py").write_text(BROKEN)
    assert world.outcome(connector, "twice") == Done(1)
    connector.close()


def test_in_once_what_a_missing_plug_in_had_begun_is_lost(world: PluginWorld) -> None:
    connector = world.plugin(lambda: "no_such_package_at_all")
    failed = world.outcome(connector, "x", is_once=True, is_resumed=True)
    assert isinstance(failed, Failed) and failed.error.kind == "lost"


def test_what_is_posted_against_the_rules_costs_its_own_step_only(world: PluginWorld) -> None:
    name = world.package(BROKEN)
    connector = world.plugin(lambda: name)
    assert world.outcome(connector, "twice") == Done(1)
    for operation, what in {
        "raise": "ValueError: no idea",
        "text": "it posts a str, which is no outcome",
        "decimal": "it gives a Decimal, which is no value",
        "key": "a key that is no string",
        "naive": "a datetime without its offset",
        "error": "an error that is none",
        "field": "it fails with a Decimal",
        "deep": "more than 200 deep",
    }.items():
        failed = world.outcome(connector, operation)
        assert isinstance(failed, Failed) and what in failed.error.message, (operation, failed)
    assert len(world.loop.outcomes) == 9
    connector.close()


def test_a_package_that_takes_long_to_import_keeps_nobody_waiting(world: PluginWorld) -> None:
    read, write = os.pipe()
    name = world.package(f"import os\nos.read({read}, 1)\n" + BROKEN)
    connector = world.plugin(lambda: name)
    first, second = (attempt_of("twice", {}, id=world.next_id()) for _ in range(2))
    connector.start(first, world.loop.post)
    connector.start(second, world.loop.post)
    connector.cancel(first.id)
    assert world.loop.outcome_of(first.id) == Cancelled()
    os.write(write, b".")
    assert world.loop.outcome_of(second.id) == Done(1)
    assert world.loop.outcomes_of(first.id) == [Cancelled()]
    connector.close()
    os.close(read)
    os.close(write)


class ThreadedWorld(World):
    def open(self) -> Connector:
        operations = {
            "add": Operation(lambda work: work.value + 1),
            "never": Operation(lambda work: Later(0.01), is_repeatable=True),
            "fail": Operation(_fail),
        }
        return ThreadedConnector(plugin.World(str, self.loop.after), operations)

    def quick(self) -> Attempt:
        return attempt_of("add", {"value": 1}, id=self.next_id())

    def slow(self) -> Attempt:
        return attempt_of("never", {}, id=self.next_id())

    def bad(self) -> list[Attempt]:
        return [
            attempt_of(operation, {"value": None}, id=self.next_id()) for operation in ("add", "fail", "no-operation")
        ]

    def is_unknowable(self) -> bool:
        return True


def _fail(work: object) -> object:
    raise raised("odd", "not now", retryable=True)


class TestThreaded(ConnectorSuite):
    @pytest.fixture
    def world(self) -> Iterator[ThreadedWorld]:
        world = ThreadedWorld()
        yield world
        world.close()

    def test_what_may_go_away_is_tried_three_times(self, world: ThreadedWorld) -> None:
        connector = world.open()
        attempt = attempt_of("fail", {}, id=world.next_id())
        connector.start(attempt, world.loop.post)
        failed = world.loop.outcome_of(attempt.id)
        assert failed.should_retry and failed.attempts_max == 3 and failed.error.message == "not now"
        connector.close()

    def test_more_wait_than_there_are_threads(self, world: ThreadedWorld) -> None:
        connector = world.open()
        waiting = [world.slow() for _ in range(50)]
        for attempt in waiting:
            connector.start(attempt, world.loop.post)
        quick = world.quick()
        connector.start(quick, world.loop.post)
        assert world.loop.outcome_of(quick.id) == Done(2)
        for attempt in waiting:
            connector.cancel(attempt.id)
            assert world.loop.outcome_of(attempt.id) == Cancelled()
        connector.close()
