"""Verifying a SQLite store finds damage of every kind; `tests/torture` shows that nothing which is loaded is missed."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

from fmsh.store.sqlite import SqliteStore
from tests.torture.damage import damaged_store


@pytest.fixture
def state(tmp_path: Path) -> str:
    return str(tmp_path / "state")


def raw(state: str) -> apsw.Connection:
    return apsw.Connection(state + "/store.db")


DAMAGE = {
    "DELETE FROM job WHERE id = 1": "31 events belong to jobs that do not exist, such as job 1",
    "DELETE FROM program": "the program of job 1 is missing",
    "UPDATE program SET text = 'false'": "the program p1 is not what was written",
    "UPDATE job SET due_at_ms = 5 WHERE id = 6": "the row of job 6 contradicts itself",
    "UPDATE job SET ended_as = 'failed' WHERE id = 4": "the row of job 4 contradicts itself",
    "UPDATE job SET value_json = '2' WHERE id = 4": "the outcome of job 4 is not what was written",
    "UPDATE job SET name = 'x' WHERE id = 6": "event 1 of job 6 is not what was written",
    "UPDATE job SET head = 30 WHERE id = 6": "the history of job 6 ends at event 31, and its row says 30",
    "UPDATE inbox SET kind = 'cancel' WHERE job_id = 5": "inbox row 2 of job 5 is not what was written",
    "UPDATE inbox SET job_id = 77 WHERE job_id = 5": "1 inbox rows belong to jobs that do not exist, such as job 77",
    "UPDATE callback SET job_id = 6": "a callback address of job 6 is not what was written",
    "ALTER TABLE inbox RENAME COLUMN at_ms TO at_xs": "the table inbox of the database was changed",
    "CREATE TABLE extra (x)": "the table extra of the database is not one of ours",
    "DELETE FROM blob": "1 of the large values of job 6 are missing",
    "UPDATE event SET seq = 99 WHERE job_id = 6 AND seq = 31": "the history of job 6 ends at event 99",
}


@pytest.mark.parametrize("sql", DAMAGE)
def test_verifying_finds_each_kind_of_damage(state: str, sql: str) -> None:
    damaged_store(state)
    connection = raw(state)
    for (trigger,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
        connection.execute(f"DROP TRIGGER {trigger}")
    connection.execute(sql)
    connection.close()
    store = SqliteStore.open(state, kind="shell")
    found = [damage.text for damage in store.verify()]
    assert any(DAMAGE[sql] in text for text in found), found
    store.close()


def test_a_damaged_index_is_told_from_damage_to_what_it_is_made_from(state: str) -> None:
    damaged_store(state)
    connection = raw(state)
    sql = "DROP INDEX job_due; CREATE INDEX job_due ON job (id); DROP TRIGGER event_never_changes"
    connection.execute(sql).fetchall()
    connection.execute("PRAGMA writable_schema = ON").fetchall()
    text = "CREATE INDEX job_active ON job (id) WHERE ended_as IS NOT NULL"
    connection.execute("UPDATE sqlite_schema SET sql = ? WHERE name = 'job_active'", (text,)).fetchall()
    connection.close()
    store = SqliteStore.open(state, kind="shell")
    found = list(store.verify())
    assert all(damage.is_derived for damage in found), found
    texts = [damage.text for damage in found if not damage.text.startswith("SQLite")]
    assert texts == [
        "the index job_active of the database was changed",
        "the index job_due of the database was changed",
        "the trigger event_never_changes of the database is missing",
    ]
    assert len(texts) < len(found), "SQLite finds entries of jobs in an index that should have none"
    store.close()
