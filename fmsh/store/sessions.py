"""Sessions in SQLite: what the lines at a prompt have in common."""

from __future__ import annotations

from fmsh import wire
from fmsh.store.base import KEPT, Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from fmsh.store.base import SessionChange
    from fmsh.store.database import Cursor, Database

COLUMNS = "id, started_at_ms, directory, time_zone, environment_json, definitions_json"


def create(cursor: Cursor, session: Session) -> None:
    definitions = wire.encode_plain(session.definitions)
    values = (
        session.id, session.started_at_ms, session.started_at_ms, session.directory, session.time_zone,
        session.environment_json, definitions,
    )  # fmt: skip
    cursor.execute("INSERT INTO session VALUES (?, ?, ?, ?, ?, ?, ?)", values)


def find(database: Database, session_id: str | None) -> Session | None:
    """Gives a session, or the one that was used last."""
    where, values = ("id = ?", (session_id,)) if session_id is not None else ("TRUE", ())
    sql = f"SELECT {COLUMNS} FROM session WHERE {where} ORDER BY used_at_ms DESC, rowid DESC LIMIT 1"
    rows = database.read(sql, values)
    if not rows:
        return None
    import json

    id, started_at_ms, directory, time_zone, environment_json, definitions_json = rows[0]
    return Session(id, started_at_ms, directory, time_zone, environment_json, json.loads(definitions_json))


def variables(database: Database, session_id: str, names: Sequence[str] | None) -> dict[str, str]:
    sql, values = "SELECT name, value_json FROM session_variable WHERE session_id = ?", [session_id]
    if names is not None:
        sql += f" AND name IN ({', '.join('?' * len(names))})"
        values += names
    return dict(database.read(sql, values))


def names(database: Database, session_id: str) -> list[str]:
    sql = "SELECT name FROM session_variable WHERE session_id = ? AND substr(name, 1, ?) != ? ORDER BY name"
    return [name for (name,) in database.read(sql, (session_id, len(KEPT), KEPT))]


def lines(database: Database, source: str, limit: int, before: int | None, after: int) -> list[tuple[int, str]]:
    sql = "SELECT id, command FROM job WHERE source = ? AND id > ? AND id < ? ORDER BY id DESC LIMIT ?"
    return [*database.read(sql, (source, after, before or 1 << 62, limit))]


def change(cursor: Cursor, change: SessionChange) -> None:
    """Notes what a line leaves behind. A session that is gone takes nothing."""
    import json

    rows = cursor.execute("SELECT definitions_json FROM session WHERE id = ?", (change.id,)).fetchall()
    if not rows:
        return
    definitions = json.loads(rows[0][0])
    for name, text in change.definitions:
        definitions.pop(name, None)  # what is defined anew goes to the end, behind what it may use
        definitions[name] = text
    cursor.execute(
        "UPDATE session SET used_at_ms = ?, directory = ?, environment_json = ?, definitions_json = ? WHERE id = ?",
        (change.at_ms, change.directory, change.environment_json, wire.encode_plain(definitions), change.id),
    )
    cursor.executemany(
        "INSERT OR REPLACE INTO session_variable VALUES (?, ?, ?)",
        [(change.id, name, _settled(cursor, name, value)) for name, value in change.variables],
    )


def _settled(cursor: Cursor, name: str, value: str) -> str:
    if not name.startswith(KEPT):
        return value
    from fmsh.store import addresses  # few lines leave an address

    return addresses.settled(cursor, name, value)
