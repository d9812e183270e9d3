"""Damage to a store, as a disk or a stranger would do it."""

from __future__ import annotations

import apsw

from tests.cli.shell import Shell

BUSY_MS = 30_000  # a daemon may be writing


def change(shell: Shell, sql: str) -> None:
    """Changes the store as damage would: no trigger is asked."""
    connection = apsw.Connection(str(shell.state / "store.db"))
    connection.set_busy_timeout(BUSY_MS)
    connection.execute("BEGIN IMMEDIATE")
    rows = connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").fetchall()
    for name, _ in rows:
        connection.execute(f"DROP TRIGGER {name}")
    connection.execute(sql)
    for _, text in rows:
        connection.execute(str(text))
    connection.execute("COMMIT")
    connection.close()


def damage(shell: Shell, number: int) -> None:
    """Damages the history of a job where it is read when the job is loaded: a snapshot would stand for it."""
    change(shell, f"UPDATE event SET data_json = data_json || ' ' WHERE job_id = {number} AND seq = 2")
    change(shell, f"DELETE FROM snapshot WHERE job_id = {number}")
