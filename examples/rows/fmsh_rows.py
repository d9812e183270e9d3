"""A connector for fmsh: the rows of a table in a SQLite database, as a source of events and as a place to write to.

    perform rows next {file: "shop.db", table: orders, after: 12}          the rows after row 12, once there are any
    perform rows insert {file: "shop.db", table: orders, row: {item: tea}} adds a row; gives its number

`config.toml` names it: `[connectors]` with the line `rows = "fmsh_rows"`.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from typing import Any

from fmsh.connectors.plugin import World
from fmsh.connectors.threaded import Later, Operation, ThreadedConnector, Work
from fmsh.values import raised

POLL_S = 0.2  # SQLite tells nobody of a new row, so it has to be asked; a person does not notice this delay
ROWS_MAX = 256  # in one answer, which is recorded in the job's history
BUSY_S = 2.0  # how long another writer may keep us waiting before the step is tried again


def connector(world: World) -> ThreadedConnector:
    """What fmsh calls when a program first needs this connector."""
    # Both may be done again after a crash: a look changes nothing, and a row is known by the key of its step.
    return ThreadedConnector(
        world, {"next": Operation(next_rows, is_repeatable=True), "insert": Operation(insert, is_repeatable=True)}
    )


def next_rows(work: Work) -> Any:
    """Gives the rows whose number is over `after`, in order, each with its number as `rowid`; waits for the first."""
    table = _quoted(_text(work, "table"))
    with closing(_open(work)) as database:
        query = f"SELECT rowid AS rowid, * FROM {table} WHERE rowid > ? ORDER BY rowid LIMIT ?"
        rows = _run(database, query, [_after(work), ROWS_MAX])
    return rows or Later(POLL_S)


def insert(work: Work) -> Any:
    """Adds a row, once: the key of the step stands in a table beside it, written in the same transaction."""
    row, key = _asked(work).get("row"), work.attempt.idempotency_key
    if not isinstance(row, dict) or not row:
        raise raised("type", "`insert` needs a row, such as {row: {item: tea}}")
    columns, marks = ", ".join(map(_quoted, row)), ", ".join("?" * len(row))
    with closing(_open(work)) as database, database:
        _run(database, "CREATE TABLE IF NOT EXISTS fmsh_step (key TEXT PRIMARY KEY, number INTEGER)")
        _run(database, "BEGIN IMMEDIATE")
        done = _run(database, "SELECT number FROM fmsh_step WHERE key = ?", [key])
        if done:
            return done[0]["number"]
        query = f"INSERT INTO {_quoted(_text(work, 'table'))} ({columns}) VALUES ({marks}) RETURNING rowid AS number"
        (added,) = _run(database, query, list(row.values()))
        _run(database, "INSERT INTO fmsh_step VALUES (?, ?)", [key, added["number"]])
        return added["number"]


def _open(work: Work) -> sqlite3.Connection:
    path = work.path(_text(work, "file"))
    if not os.path.exists(path):
        raise raised("path", f"there is no database {path}")
    database = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
    database.row_factory = sqlite3.Row
    return database


def _run(database: sqlite3.Connection, query: str, values: list[Any] | None = None) -> list[dict[str, Any]]:
    """Raises: Raised: what the database says; what may go away by itself is tried again."""
    try:
        return [dict(row) for row in database.execute(query, values or [])]
    except (sqlite3.Error, OverflowError) as problem:
        raise raised("sqlite", str(problem), retryable="locked" in str(problem)) from problem


def _asked(work: Work) -> dict[str, Any]:
    if not isinstance(work.value, dict):
        raise raised("type", "`rows` takes a record, such as {file: shop.db, table: orders}")
    return work.value


def _text(work: Work, name: str) -> str:
    found = _asked(work).get(name)
    if not isinstance(found, str) or not found or "\0" in found:
        raise raised("type", f"`rows` needs {name}, a string")
    return found


def _after(work: Work) -> int:
    found = _asked(work).get("after", 0)
    if not isinstance(found, int):
        raise raised("type", "`after` is the number of a row")
    return found


def _quoted(name: str) -> str:
    """A name of SQL, whatever it holds."""
    return '"' + name.replace('"', '""') + '"'
