"""Looking at a store from outside, for `fmsh doctor`: nothing is made, migrated, registered or locked by it.

It tells of the store as far as it can be read. Its two repairs go through the gate like every writer.
"""

from __future__ import annotations

import os

import apsw

from fmsh.errors import StoreError, StoreMissing
from fmsh.store import jobs, leases, migrations, verification
from fmsh.store.database import Database, Reader, require_sqlite
from fmsh.store.gate import Gate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from fmsh.store.base import Damage, Job, JobFilter, Owner
    from fmsh.store.database import Cursor

GATE_WAIT_S = 2.0  # a commit takes a millisecond
NEWEST_ROWS = 1000  # events are written nearly in the order of their times


class Examination:
    """A store that is there. `is_current`: it has the schema of this fmsh; only then anything else may be asked."""

    def __init__(self, directory: str) -> None:
        """Opens it. Raises: StoreMissing: there is none; StoreError: it cannot be read."""
        self.path = directory + "/store.db"
        self._directory = directory
        if not os.path.lexists(self.path):
            raise StoreMissing(f"there is no store {self.path}")
        self._reader = Reader(self.path)
        try:
            self.schema_version = int(self._reader.read("PRAGMA user_version")[0][0])
            self.is_current = self.schema_version == migrations.CURRENT.version
            if self.is_current:
                self._reader.read_key()
        except StoreError:
            self.close()
            raise

    def close(self) -> None:
        self._reader.close()

    def verify(self) -> Iterator[Damage]:
        return verification.verify(self._reader)

    def count_events(self) -> int:
        return int(self._reader.read("SELECT count(*) FROM event")[0][0])

    def count_by_state(self) -> Mapping[str, int]:
        return jobs.count_by_state(self._reader)

    def jobs(self, filter: JobFilter) -> list[Job]:
        return jobs.matching(self._reader, filter)

    def known_uids(self, uids: Sequence[str]) -> set[str]:
        return jobs.known_uids(self._reader, uids)

    def owners(self) -> list[Owner]:
        return leases.owners(self._reader)

    def newest_event_ms(self) -> int | None:
        """When the newest events were written, by the clock of that time."""
        sql = f"SELECT max(at_ms) FROM (SELECT at_ms FROM event ORDER BY rowid DESC LIMIT {NEWEST_ROWS})"
        found = self._reader.read(sql)[0][0]
        return found if isinstance(found, int) else None

    def log_bytes(self) -> int:
        try:
            return os.stat(self.path + "-wal").st_size
        except FileNotFoundError:
            return 0

    def require_free_gate(self) -> None:
        """Raises: StoreBusy, with the name of the process that keeps the store locked."""
        path = self._directory + "/store.gate"
        if os.path.exists(path):
            gate = Gate(path, self.path + "-wal", wait_s=GATE_WAIT_S)
            try:
                with gate:
                    pass
            finally:
                gate.close()

    # -- repairs

    def rebuild(self) -> None:
        """Makes all indexes and triggers anew, as a new store has them. Raises: StoreError."""
        wanted = migrations.schema_of_a_new_store()

        def work(cursor: Cursor) -> None:
            for name, sql in wanted.items():
                if not name.startswith("table "):
                    cursor.execute(f"DROP {name.replace(' ', ' IF EXISTS ', 1)}")
                    cursor.execute(str(sql))
            cursor.execute("REINDEX")

        database = Database(self._directory)
        try:
            database.write(work)
        finally:
            database.close()

    def empty_log(self) -> None:
        """Copies the whole log into the database and cuts it. Raises: StoreBusy: somebody reads its old state."""
        database = Database(self._directory)
        try:
            database.empty_log()
        finally:
            database.close()


def versions() -> str:
    return f"apsw {apsw.apsw_version()}, SQLite {apsw.sqlite_lib_version()}"


def problem_of_sqlite() -> StoreError | None:
    """Says what is wrong with the SQLite that we have."""
    try:
        require_sqlite()
    except StoreError as error:
        return error
    return None
