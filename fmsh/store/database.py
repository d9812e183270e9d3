"""One connection to the SQLite database, and the one way to write through it.

Invariants
- Every transaction is BEGIN IMMEDIATE, inside the gate, short, and made durable by its COMMIT (WAL, synchronous FULL).
- Before each COMMIT the files must still be those that were opened.
- No statement stays open between two calls: an open read would pin an old state of the database.
- Any error leaves the database as it was before the transaction. A COMMIT of unknown outcome is settled by looking.

A connection belongs to one thread at a time.

Why the log is not folded into the database by whoever closes last: a short program would spend a third of its time here
on that, and the next one on making a new log (`fmsh.store.log`).

Why apsw and not the standard library: SQLite 3.7.0 to 3.51.2 can lose a commit when two connections checkpoint while a
third one commits, which is what several shells and a daemon do, and most Pythons are linked with such a version.
"""

from __future__ import annotations

import os

import apsw

from fmsh.errors import StoreCorrupt, StoreError
from fmsh.store import chain, faults, files, migrations
from fmsh.store.gate import Gate
from fmsh.store.log import Log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Protocol, Self, TypeVar

    Result = TypeVar("Result")

    class Cursor(Protocol):
        """What the statements of a transaction run on: apsw's cursor, with rows of any type."""

        def execute(self, sql: str, values: Sequence[Any] = ..., /) -> Self: ...
        def executemany(self, sql: str, rows: Sequence[Sequence[Any]], /) -> Self: ...
        @property
        def connection(self) -> apsw.Connection: ...
        def fetchall(self) -> list[tuple[Any, ...]]: ...
        def __iter__(self) -> Self: ...
        def __next__(self) -> tuple[Any, ...]: ...


SQLITE_MIN = (3, 51, 3)
FAULTS = (apsw.Error, UnicodeDecodeError)  # the second: a damaged text, which apsw turns into a string
BUSY_TIMEOUT_MS = 30_000  # a backstop only: writers queue at the gate

PRAGMAS = """
PRAGMA synchronous = FULL; PRAGMA fullfsync = ON; PRAGMA mmap_size = 0; PRAGMA secure_delete = ON;
PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY;
PRAGMA journal_size_limit = 16777216;
"""


class Reader:
    """A connection that reads. `path` is the database's file, `key` keys its hashes (`fmsh.store.chain`)."""

    __slots__ = ("_connection", "key", "path")

    def __init__(self, path: str) -> None:
        """Opens a database that is there, of whatever version, and writes nothing to it. It has no key yet."""
        require_sqlite()
        self.path = path
        self.key = b""
        self._connect(apsw.SQLITE_OPEN_READONLY)

    def _connect(self, flags: int) -> None:
        try:
            self._connection = apsw.Connection(self.path, flags=flags, statementcachesize=200)
            self._connection.set_busy_timeout(BUSY_TIMEOUT_MS)
            self._connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            self._connection.execute(PRAGMAS).fetchall()
        except FAULTS as fault:
            raise faults.from_sqlite(fault, self.path) from fault

    def read_key(self) -> None:
        """Reads the key from the store. Raises: StoreCorrupt: it is damaged, and nothing can be verified."""
        rows = self.read("SELECT value FROM setting WHERE name = 'chain_key'")
        key = chain.key_of_text(rows[0][0]) if rows else None
        if key is None:
            raise StoreCorrupt(f"the key of the store {self.path} is damaged", hint="Restore a backup.")
        self.key = key

    def read(self, sql: str, values: Sequence[Any] | dict[str, Any] = ()) -> list[tuple[Any, ...]]:
        """Gives all rows of a query."""
        try:
            return self._connection.execute(sql, values).fetchall()
        except FAULTS as fault:
            raise faults.from_sqlite(fault, self.path) from fault

    def close(self) -> None:
        """Closes the connection. The log stays as it is."""
        self._connection.close()


class Database(Reader):
    """An open database, also to be written."""

    __slots__ = ("_identity", "_log", "_schema", "gate")

    def __init__(self, directory: str, schema: migrations.Schema = migrations.CURRENT) -> None:
        require_sqlite()
        self.path = directory + "/store.db"
        self._schema = schema
        is_new = files.prepare_database(self.path)
        self.gate = Gate(directory + "/store.gate", self.path + "-wal")
        try:
            self._open(is_new=is_new)
        except BaseException:
            self.gate.close()
            raise

    def _open(self, *, is_new: bool) -> None:
        self._connect(apsw.SQLITE_OPEN_READWRITE)
        try:
            migrations.bring_up_to_date(self._connection, self.path, self.gate, is_new=is_new, schema=self._schema)
        except FAULTS as fault:
            raise faults.from_sqlite(fault, self.path) from fault
        self.read_key()
        self._identity = files.Identity(self.path)
        self._log = Log(self._connection, self.path + "-wal")

    def write(self, work: Callable[[Cursor], Result], *, is_settled: Callable[[], bool] | None = None) -> Result:
        """Runs `work` in one durable transaction and gives its answer; anything that it raises undoes all of it.

        `is_settled` says after a COMMIT of unknown outcome whether the work is there.
        """
        cursor: Cursor = self._connection.cursor()  # apsw types each value of a row as a union
        try:
            with self.gate:
                try:
                    cursor.execute("BEGIN IMMEDIATE")
                    migrations.require_current(cursor, self.path, self._schema)
                    result = work(cursor)
                    self._log.make_room(self._identity.check())
                    self._commit(cursor, is_settled)
                    self._log.fold_if_long()
                except BaseException:
                    self._undo()
                    raise
        except FAULTS as fault:
            raise faults.from_sqlite(fault, self.path) from fault
        return result

    def _commit(self, cursor: Cursor, is_settled: Callable[[], bool] | None) -> None:
        try:
            cursor.execute("COMMIT")
        except apsw.Error:
            self._undo()
            if is_settled is None or not is_settled():
                raise

    def _undo(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def open_aside(self, schema: str) -> Cursor:
        """Opens a database `aside`, which only this connection sees, in a file that goes with it.

        What takes long to prepare is put there, outside of the transaction that copies it.
        """
        from tempfile import mkstemp

        fd, path = mkstemp(prefix="aside-", dir=os.path.dirname(self.path))
        os.close(fd)
        try:
            self._connection.execute("ATTACH ? AS aside", (path,))
        except FAULTS as fault:
            raise faults.from_sqlite(fault, path) from fault
        finally:
            os.unlink(path)
        self._connection.execute("PRAGMA aside.journal_mode = OFF; PRAGMA aside.synchronous = OFF").fetchall()
        self._connection.execute(schema).fetchall()
        cursor: Cursor = self._connection.cursor()
        cursor.execute("BEGIN")
        return cursor

    def close_aside(self) -> None:
        """Forgets that database."""
        self._undo()
        self._connection.execute("DETACH aside")

    def keep_aside(self) -> None:
        """Ends what `open_aside` began, so that a transaction of the store can begin."""
        self._connection.execute("COMMIT")

    def fold(self) -> None:
        """Copies the log into the database, whose file gets its size by that, as far as no reader needs the old one."""
        try:
            with self.gate:
                self._log.fold()
        except FAULTS as fault:
            raise faults.from_sqlite(fault, self.path) from fault

    def empty_log(self) -> None:
        """Copies the whole log into the database and cuts it. Raises: StoreBusy: somebody reads the old state."""
        try:
            with self.gate:
                self._connection.set_busy_timeout(0)  # the others wait at the gate meanwhile
                self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        except FAULTS as fault:
            raise faults.from_sqlite(fault, self.path) from fault
        finally:
            self._connection.set_busy_timeout(BUSY_TIMEOUT_MS)

    def data_version(self) -> int:
        """See `fmsh.store.base`. Raises: StoreTooNew: a newer fmsh has migrated what we would misread."""
        migrations.require_not_newer(self.read("PRAGMA user_version")[0][0], self.path, self._schema)
        return int(self.read("PRAGMA data_version")[0][0])

    def close(self) -> None:
        super().close()
        self.gate.close()


def require_sqlite() -> None:
    """Raises: StoreError: what there is of SQLite can lose commits."""
    version = apsw.sqlite_lib_version()
    if tuple(int(part) for part in version.split(".")) < SQLITE_MIN:
        wanted = ".".join(str(part) for part in SQLITE_MIN)
        raise StoreError(
            f"SQLite {wanted} or later is needed, and apsw brought {version}, which can lose commits",
            hint="Upgrade the package apsw.",
        )
