"""The connector keeps the rules of all connectors: `pytest test_rows.py`, where fmsh and pytest are installed."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from fmsh_rows import connector

import fmsh.connectors.plugin as plugin
from fmsh.conformance import ConnectorSuite, World, attempt_of
from fmsh.connectors.base import Attempt, Connector, Done, Outcome


class RowsWorld(World):
    """`orders` holds one row, and nobody adds to it: `next` after that row does not end by itself."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self.file = os.path.join(directory, "shop.db")
        self.run("CREATE TABLE orders (item TEXT)")
        self.run("INSERT INTO orders VALUES ('tea')")

    def run(self, query: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.file)) as database, database:
            return database.execute(query).fetchall()

    def ask(self, operation: str, **fields: Any) -> Attempt:
        value = {"file": self.file, "table": "orders"} | fields
        return attempt_of(operation, {"value": value}, id=self.next_id())

    def open(self) -> Connector:
        return connector(plugin.World(str, self.loop.after))

    def quick(self) -> Attempt:
        return self.ask("next", after=0)

    def slow(self) -> Attempt:
        return self.ask("next", after=1)

    def bad(self) -> list[Attempt]:
        wrong = ({"file": "no/such.db"}, {"table": "none"}, {"table": 5}, {"after": "x"}, {"after": 2**70})
        rows = [None, {}, {"none": 1}, {"item": [1]}]
        return [
            *(self.ask("next", **fields) for fields in wrong),
            *(self.ask("insert", row=row) for row in rows),
            self.ask("no-operation"),
            attempt_of("next", {"value": "shop.db"}, id=self.next_id()),
        ]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[RowsWorld]:
    world = RowsWorld(tmp_path)
    yield world
    world.close()


class TestRows(ConnectorSuite):
    """The fixture above is its world."""


def outcome_of(world: RowsWorld, rows: Connector, attempt: Attempt) -> Outcome:
    rows.start(attempt, world.loop.post)
    found: Outcome = world.loop.outcome_of(attempt.id)
    return found


def test_a_row_is_added_once_however_often_its_step_is_done(world: RowsWorld) -> None:
    rows, attempt = world.open(), world.ask("insert", row={"item": "rum"})
    assert outcome_of(world, rows, attempt) == Done(2)
    again = attempt.replace(id=world.next_id(), is_resumed=True)
    assert outcome_of(world, rows, again) == Done(2)
    assert world.run("SELECT item FROM orders") == [("tea",), ("rum",)]
    rows.close()


def test_who_waits_is_told_of_a_row_that_comes(world: RowsWorld) -> None:
    rows, waiting = world.open(), world.slow()
    rows.start(waiting, world.loop.post)
    world.loop.turn(0.1)
    world.run("INSERT INTO orders VALUES ('rum')")
    assert world.loop.outcome_of(waiting.id) == Done([{"rowid": 2, "item": "rum"}])
    rows.close()
