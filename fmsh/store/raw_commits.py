"""How fast a disk is: plain durable commits of one row each, by which the store's own are judged."""

from __future__ import annotations

import os

import apsw


class RawCommits:
    """A database of one table with the store's durability and nothing else: no gate, no checks, no history."""

    def __init__(self, directory: str) -> None:
        self._path = directory + "/raw-commits.db"
        self._connection = apsw.Connection(self._path)
        self._connection.execute(
            """PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
            CREATE TABLE row (id INTEGER PRIMARY KEY, data TEXT) STRICT"""
        ).fetchall()

    def commit(self, data: str) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.execute("INSERT INTO row (data) VALUES (?)", (data,))
        self._connection.execute("COMMIT")

    def close(self) -> None:
        """Closes the database and removes its files."""
        self._connection.close()
        for ending in ("", "-wal", "-shm"):
            if os.path.exists(self._path + ending):
                os.unlink(self._path + ending)
