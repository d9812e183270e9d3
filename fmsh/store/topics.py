"""Topics in SQLite: events under a name, and the jobs that hear of them. What is heard is a row in a job's inbox.

A subscription knows how far it has come, and so does a group, of which each event goes to one member. Whoever writes
an event hands it on in the same transaction, so that nothing is heard twice or passed over.
"""

from __future__ import annotations

from fmsh.errors import StoreMissing
from fmsh.store import chain, faults, inbox
from fmsh.store.outside import JOBS, TopicEvent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from fmsh.store.database import Cursor, Reader
    from fmsh.store.inbox import Knock
    from fmsh.store.outside import Subscription

HANDED_ON_MAX = 1000  # to one subscription in one transaction; the next event brings more

MEMBERS = """
SELECT job_id, handle_id, topic, group_name, position FROM subscription JOIN job ON job.id = job_id
WHERE ended_as IS NULL AND (?1 IS NULL OR topic = ?1) ORDER BY job_id, handle_id
"""
NEXT = "SELECT seq, topic, at_ms, data_json, sum FROM topic_event WHERE topic = ? AND seq > ? ORDER BY seq LIMIT ?"


def publish(cursor: Cursor, key: bytes, topic: str, data_json: str, dedupe_id: str | None, at_ms: int) -> int:
    """Adds an event, and gives its number; that of the first one with this `dedupe_id`, if there is one."""
    if dedupe_id is not None:
        found = cursor.execute("SELECT seq FROM topic_event WHERE dedupe_id = ?", (dedupe_id,)).fetchall()
        if found:
            return int(found[0][0])
    sql = "INSERT INTO topic_event (topic, at_ms, dedupe_id, data_json, sum) VALUES (?, ?, ?, ?, ?) RETURNING seq"
    values = (topic, at_ms, dedupe_id, data_json, chain.row_sum(key, topic, at_ms, data_json))
    return int(cursor.execute(sql, values).fetchall()[0][0])


def hand_on(cursor: Cursor, key: bytes, topic: str | None) -> list[Knock]:
    """Tells every subscription of a topic (None: of all) what it has not heard yet."""
    knocks: list[Knock] = []
    groups: dict[tuple[str, str], list[tuple[int, str]]] = {}
    for job_id, handle_id, name, group, position in cursor.execute(MEMBERS, (topic,)).fetchall():
        if group is not None:
            groups.setdefault((name, group), []).append((job_id, handle_id))
            continue
        found = _next(cursor, key, name, position)
        knocks += [_tell(cursor, key, job_id, handle_id, event) for event in found]
        if found:
            sql = "UPDATE subscription SET position = ? WHERE job_id = ? AND handle_id = ?"
            cursor.execute(sql, (found[-1].seq, job_id, handle_id))
    for (name, group), members in groups.items():
        sql = "SELECT position FROM topic_group WHERE topic = ? AND name = ?"
        found = _next(cursor, key, name, cursor.execute(sql, (name, group)).fetchall()[0][0])
        for event in found:
            knocks.append(_tell(cursor, key, *members[event.seq % len(members)], event))
        if found:
            sql = "UPDATE topic_group SET position = ? WHERE topic = ? AND name = ?"
            cursor.execute(sql, (found[-1].seq, name, group))
    return knocks


def _next(cursor: Cursor, key: bytes, topic: str, position: int) -> list[TopicEvent]:
    return [_event(key, row) for row in cursor.execute(NEXT, (topic, position, HANDED_ON_MAX)).fetchall()]


def _event(key: bytes, row: tuple[Any, ...]) -> TopicEvent:
    *values, sum = row
    event = TopicEvent(*values)
    if event.topic != JOBS and chain.row_sum(key, event.topic, event.at_ms, event.data_json) != sum:
        raise faults.changed(f"event {event.seq} of the topic {event.topic}")
    return event


def _tell(cursor: Cursor, key: bytes, job_id: int, handle_id: str, event: TopicEvent) -> Knock:
    delivery = f'{{"seq":{event.seq},"at_ms":{event.at_ms},"body":{event.data_json}}}'
    data_json = inbox.callback_json(handle_id, delivery)
    return inbox.deliver(cursor, key, job_id, "topic", data_json, f"topic {handle_id} {event.seq}")


def subscribe(cursor: Cursor, new: Subscription) -> None:
    """Lets a job hear of a topic; the same (job, handle) again changes nothing."""
    sql = "SELECT created_at_ms FROM job WHERE id = ?"
    rows = cursor.execute(sql, (new.job_id,)).fetchall()
    if not rows:
        raise StoreMissing(f"there is no job {new.job_id}")
    before = "SELECT coalesce(max(seq), 0) FROM topic_event"
    if new.after is not None:
        position = new.after
    elif new.is_from_now:
        position = cursor.execute(before).fetchall()[0][0]
    else:
        position = cursor.execute(f"{before} WHERE at_ms < ?", (rows[0][0],)).fetchall()[0][0]
    if new.group is not None:
        cursor.execute("INSERT OR IGNORE INTO topic_group VALUES (?, ?, ?)", (new.topic, new.group, position))
    sql = "INSERT OR IGNORE INTO subscription VALUES (?, ?, ?, ?, ?)"
    cursor.execute(sql, (new.job_id, new.handle_id, new.topic, new.group, position))


def events(database: Reader, topic: str | None, after: int, limit: int) -> list[TopicEvent]:
    where, values = ("topic = ? AND", (topic,)) if topic is not None else ("", ())
    sql = f"SELECT seq, topic, at_ms, data_json, sum FROM topic_event WHERE {where} seq > ? ORDER BY seq LIMIT ?"
    return [_event(database.key, row) for row in database.read(sql, (*values, after, limit))]
