"""Brings a database to the schema of this version of fmsh: makes a new one, or migrates an older one after a backup.

A database names its schema by a number, `user_version`. A newer fmsh migrates, in one transaction; an older one
refuses, because it would not keep promises that it does not know. Processes that open an old store together wait for
the first of them. Those that had it open are refused by their next transaction, and by their next look at whether it
changed.
"""

from __future__ import annotations

import os

import apsw

from fmsh.errors import StoreError, StoreTooNew
from fmsh.record import Record
from fmsh.store import chain, faults

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from fmsh.store.database import Cursor
    from fmsh.store.gate import Gate

BACKUP = ".backup-v"  # the name of a backup: that of the database, this, and the schema that it has
INCREMENTAL = 2  # of SQLite's ways to vacuum: room that is free is given back when we say so

# From 1: who uses which blob is found in the events that name them. What only a damaged event names stays for ever.
COUNT_BLOB_USES = """
ALTER TABLE job ADD COLUMN trimmed_at_ms INTEGER;
ALTER TABLE job ADD COLUMN output_removed_at_ms INTEGER;
ALTER TABLE blob RENAME TO uncounted_blob;
CREATE TABLE blob (id INTEGER PRIMARY KEY, hash TEXT NOT NULL UNIQUE, data BLOB NOT NULL, sum BLOB NOT NULL) STRICT;
INSERT INTO blob (hash, data, sum) SELECT hash, data, sum FROM uncounted_blob;
DROP TABLE uncounted_blob;
CREATE TABLE blob_use (
    job_id INTEGER NOT NULL, blob_id INTEGER NOT NULL, until_seq INTEGER, PRIMARY KEY (job_id, blob_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX blob_use_by_blob ON blob_use (blob_id);
CREATE TEMP TABLE kept AS SELECT job_id, seq, type,
    CASE WHEN json_valid(data_json) THEN json_extract(data_json, '$."$blob"') END AS hash, data_json FROM event
    WHERE data_json LIKE '{"$blob":"%' OR type = 'JobStarted';
INSERT OR IGNORE INTO blob_use
    SELECT kept.job_id, environment.id, NULL FROM kept LEFT JOIN blob AS own ON own.hash = kept.hash
    JOIN blob AS environment ON environment.hash = CASE WHEN json_valid(coalesce(CAST(own.data AS TEXT), data_json))
        THEN json_extract(coalesce(CAST(own.data AS TEXT), data_json), '$.environment') END
    WHERE type = 'JobStarted';
INSERT OR IGNORE INTO blob_use
    SELECT job_id, blob.id, max(seq) FROM kept JOIN blob ON blob.hash = kept.hash GROUP BY job_id, blob.id;
DROP TABLE kept;
"""
# From 2: sessions.
ADD_SESSIONS = """
CREATE TABLE session (
    id TEXT PRIMARY KEY, started_at_ms INTEGER NOT NULL, used_at_ms INTEGER NOT NULL, directory TEXT NOT NULL,
    time_zone TEXT NOT NULL, environment_json TEXT NOT NULL, definitions_json TEXT NOT NULL
) STRICT;
CREATE TABLE session_variable (
    session_id TEXT NOT NULL, name TEXT NOT NULL, value_json TEXT NOT NULL, PRIMARY KEY (session_id, name)
) STRICT, WITHOUT ROWID;
"""
# From 3: when something was delivered. What was delivered before that counts as delivered now.
DATE_DELIVERIES = """
ALTER TABLE delivered ADD COLUMN at_ms INTEGER NOT NULL DEFAULT 0;
UPDATE delivered SET at_ms = unixepoch() * 1000;
ALTER TABLE callback ADD COLUMN used_at_ms INTEGER;
UPDATE callback SET used_at_ms = unixepoch() * 1000 WHERE used_by IS NOT NULL;
"""
# From 4: how an address serves those who call it, and what they are answered.
ADD_REPLIES = """
ALTER TABLE callback ADD COLUMN options_json TEXT NOT NULL DEFAULT '{}';
CREATE TABLE reply (
    request_id TEXT PRIMARY KEY, job_id INTEGER NOT NULL, at_ms INTEGER NOT NULL, data_json TEXT NOT NULL,
    sum BLOB NOT NULL
) STRICT;
CREATE INDEX reply_by_job ON reply (job_id);
"""
# From 5: topics, and calls of functions that are implemented elsewhere.
ADD_TOPICS = """CREATE TABLE topic_event (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    topic TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    dedupe_id TEXT,
    data_json TEXT NOT NULL,
    sum BLOB
) STRICT;

CREATE INDEX topic_event_by_topic ON topic_event (topic, seq);
CREATE UNIQUE INDEX topic_event_once ON topic_event (dedupe_id) WHERE dedupe_id IS NOT NULL;

CREATE TABLE topic_group (
    topic TEXT NOT NULL,
    name TEXT NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (topic, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE subscription (
    job_id INTEGER NOT NULL,
    handle_id TEXT NOT NULL,
    topic TEXT NOT NULL,
    group_name TEXT,
    position INTEGER NOT NULL,
    PRIMARY KEY (job_id, handle_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX subscription_by_topic ON subscription (topic);

CREATE TRIGGER job_is_new_to_others AFTER INSERT ON job
WHEN new.tags_json NOT LIKE '%"fmsh.on":"jobs"%' BEGIN
    INSERT INTO topic_event (topic, at_ms, data_json) VALUES ('jobs', new.created_at_ms, json_object(
        'id', new.id, 'uid', new.uid, 'key', new.key, 'name', new.name, 'command', new.command, 'state', new.state));
END;

CREATE TRIGGER job_state_is_told AFTER UPDATE OF state ON job
WHEN new.state != old.state AND new.tags_json NOT LIKE '%"fmsh.on":"jobs"%'
AND NOT EXISTS (SELECT 1 FROM subscription WHERE job_id = new.id AND topic = 'jobs') BEGIN
    INSERT INTO topic_event (topic, at_ms, data_json) VALUES (
        'jobs', CAST(unixepoch('subsec') * 1000 AS INTEGER), json_object(
        'id', new.id, 'uid', new.uid, 'key', new.key, 'name', new.name, 'command', new.command, 'state', new.state));
END;

CREATE TABLE call (
    id TEXT PRIMARY KEY,
    job_id INTEGER NOT NULL,
    handle_id TEXT NOT NULL,
    name TEXT NOT NULL,
    value_json TEXT NOT NULL,
    attempts_max INTEGER NOT NULL,
    expires_at_ms INTEGER,
    attempt INTEGER NOT NULL,
    free_at_ms INTEGER NOT NULL,
    is_open INTEGER NOT NULL,
    sum BLOB NOT NULL
) STRICT;

CREATE INDEX call_open ON call (name, free_at_ms) WHERE is_open;
CREATE INDEX call_by_job ON call (job_id);
"""
# From 6: nothing but what an older fmsh would not understand, an event that names the blob of one of its texts.
NAME_TEXTS = ""
# From 7: locks and limits.
ADD_CLAIMS = """
CREATE TABLE claim (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id INTEGER NOT NULL,
    step INTEGER NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    size INTEGER NOT NULL,
    inside TEXT NOT NULL,
    is_granted INTEGER NOT NULL,
    since_ms INTEGER NOT NULL,
    sum BLOB NOT NULL,
    UNIQUE (job_id, step)
) STRICT;

CREATE INDEX claim_by_name ON claim (kind, name, id);

CREATE TABLE pace (
    name TEXT PRIMARY KEY,
    next_at_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
"""


class Schema(Record):
    """A version of the schema, and how older ones become it. `steps`: from each version to the next one, as SQL."""

    version: int
    steps: Mapping[int, str]


STEPS = {
    1: COUNT_BLOB_USES,
    2: ADD_SESSIONS,
    3: DATE_DELIVERIES,
    4: ADD_REPLIES,
    5: ADD_TOPICS,
    6: NAME_TEXTS,
    7: ADD_CLAIMS,
}
CURRENT = Schema(8, STEPS)


def bring_up_to_date(
    connection: apsw.Connection, path: str, gate: Gate, *, is_new: bool, schema: Schema = CURRENT
) -> None:
    """Raises: StoreTooNew: a newer fmsh wrote this database."""
    version = _version(connection)
    if version == schema.version and not is_new and connection.pragma("journal_mode") == "wal":
        return
    require_not_newer(version, path, schema)
    with gate:  # whoever waited here finds it done
        version = _version(connection)
        if version == 0:
            _create(connection, schema)
        elif version < schema.version:
            _migrate(connection, path, version, schema)
        else:
            connection.execute("PRAGMA journal_mode = WAL").fetchall()  # a restored backup has no log


def require_current(cursor: Cursor, path: str, schema: Schema = CURRENT) -> None:
    """Refuses a store that a newer fmsh has migrated while it was open here. To be asked in every transaction."""
    version = cursor.execute("PRAGMA user_version").fetchall()[0][0]
    if version != schema.version:
        require_not_newer(version, path, schema)


def require_not_newer(version: int, path: str, schema: Schema) -> None:
    if version > schema.version:
        raise StoreTooNew(
            f"the store {path} has schema {version}; this fmsh knows schemas up to {schema.version}",
            hint="Use the newer fmsh, or set FMSH_STATE_DIR to another directory.",
        )


def _version(connection: apsw.Connection) -> int:
    return int(connection.pragma("user_version"))


def _create(connection: apsw.Connection, schema: Schema) -> None:
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL").fetchall()
    key = chain.new_key_text()
    steps = [schema.steps[step] for step in range(CURRENT.version, schema.version)]
    first = f"{_schema_text()};INSERT INTO setting VALUES ('chain_key', '{key}')"
    _transact(connection, [first, *steps], schema.version)


def _migrate(connection: apsw.Connection, path: str, version: int, schema: Schema) -> None:
    missing = [step for step in range(version, schema.version) if step not in schema.steps]
    if missing:
        raise StoreError(
            f"the store {path} has schema {version}, which this fmsh, with schema {schema.version}, cannot migrate",
            hint=f"Open it once with an fmsh that migrates schema {missing[0]}.",
        )
    target = f"{path}{BACKUP}{version}"
    try:
        back_up(connection, target)
    except OSError as fault:
        raise faults.from_system(fault, target) from fault
    connection.execute("PRAGMA journal_mode = WAL").fetchall()
    _transact(connection, [schema.steps[step] for step in range(version, schema.version)], schema.version)
    if connection.pragma("auto_vacuum") != INCREMENTAL:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL; VACUUM").fetchall()


def back_up(connection: apsw.Connection, target: str) -> None:
    """Copies the whole database to `target`, in one move once the copy is whole and on the disk."""
    aside = target + ".new"
    if os.path.lexists(aside):  # one that was cut short
        os.unlink(aside)
    os.close(os.open(aside, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    connection.execute("VACUUM INTO ?", (aside,)).fetchall()
    _sync(aside)
    os.rename(aside, target)
    _sync(os.path.dirname(target))


def _sync(path: str) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _transact(connection: apsw.Connection, steps: list[str], version: int) -> None:
    """Runs all steps in one transaction, so that a database has the one schema or the other, whatever happens."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        for sql in steps:
            connection.execute(sql).fetchall()
        connection.execute(f"PRAGMA user_version = {version};COMMIT").fetchall()
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _schema_text() -> str:
    with open(os.path.dirname(__file__) + "/schema.sql") as file:
        return file.read()


def schema_of_a_new_store() -> dict[str, object]:
    """Gives what `schema_of` gives for a store that was made just now."""
    connection = apsw.Connection(":memory:")
    try:
        connection.execute(_schema_text()).fetchall()
        return schema_of(lambda sql: connection.execute(sql).fetchall())
    finally:
        connection.close()


def schema_of(read: Callable[[str], list[tuple[Any, ...]]]) -> dict[str, object]:
    """Gives the schema of a database: the columns of each table, and the text of each index and trigger.

    The text of a table is not told: a migration that adds a column leaves another one than a new store has.
    """
    found: dict[str, object] = {
        f"{kind} {name}": sql
        for kind, name, sql in read("SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL")
    }
    tables = [name.removeprefix("table ") for name in found if name.startswith("table ")]
    for table in tables:
        found[f"table {table}"] = read(f"SELECT name, type, [notnull], pk FROM pragma_table_xinfo('{table}')")
    return found
