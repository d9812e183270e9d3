"""Topics in SQLite: events under a name, and the jobs that hear of them. What is heard is a row in a job's inbox.

A subscription knows how far it has come, and so does a group, of which each event goes to one member. Whoever writes
an event hands it on in the same transaction, so that nothing is heard twice or passed over. A job that does not take
what it is told is told no more after `WAITING_MAX` events; the rest comes in the transactions in which it takes some.
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

WAITING_MAX = 1000  # rows of one subscription that wait in an inbox; when some were taken more come

MEMBERS = """
SELECT job_id, handle_id, topic, group_name, position, state FROM subscription JOIN job ON job.id = job_id
WHERE ended_as IS NULL AND {} ORDER BY job_id, handle_id
"""
OF_TOPIC = MEMBERS.format("(?1 IS NULL OR topic = ?1)")
OF_JOB = MEMBERS.format("job_id = ?1")
OF_GROUP = MEMBERS.format("topic = ?1 AND group_name = ?2")
WAITING = """
SELECT substr(data_json, 1, instr(data_json, ',"delivery":')), count(*) FROM inbox
WHERE job_id = ? AND kind = 'topic' GROUP BY 1
"""
STANDING_STILL = ("paused", "parked")
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


class Member:
    """A subscription of a job that is not over."""

    __slots__ = ("handle_id", "job_id", "position", "room", "stands_still")

    def __init__(self, rooms: Rooms, job_id: int, handle_id: str, position: int, state: str) -> None:
        self.job_id = job_id
        self.handle_id = handle_id
        self.position = position
        self.stands_still = state in STANDING_STILL
        self.room = rooms.of(job_id, handle_id)


class Rooms:
    """How many rows there is room for. An inbox is looked through once for all subscriptions of its job."""

    __slots__ = ("_cursor", "_waiting")

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor
        self._waiting: dict[int, dict[str, int]] = {}

    def of(self, job_id: int, handle_id: str) -> int:
        if job_id not in self._waiting:
            self._waiting[job_id] = dict(self._cursor.execute(WAITING, (job_id,)).fetchall())
        beginning = inbox.callback_json(handle_id, "").partition('"delivery":')[0]
        return max(0, WAITING_MAX - self._waiting[job_id].get(beginning, 0))  # an older fmsh had no limit


def hand_on(cursor: Cursor, key: bytes, topic: str | None) -> list[Knock]:
    """Tells every subscription of a topic (None: of all) what it has not heard yet, as far as there is room for it."""
    return _hand_on(cursor, key, cursor.execute(OF_TOPIC, (topic,)).fetchall())


def hand_on_to(cursor: Cursor, key: bytes, job_id: int) -> list[Knock]:
    """Tells a job that has just taken rows from its inbox what there was no room for before."""
    rows = cursor.execute(OF_JOB, (job_id,)).fetchall()
    groups = {(topic, group) for _, _, topic, group, _, _ in rows if group is not None}
    rows = [row for row in rows if row[3] is None]
    return _hand_on(cursor, key, rows + [row for each in sorted(groups) for row in cursor.execute(OF_GROUP, each)])


def _hand_on(cursor: Cursor, key: bytes, rows: list[tuple[Any, ...]]) -> list[Knock]:
    knocks: list[Knock] = []
    rooms = Rooms(cursor)
    groups: dict[tuple[str, str], list[tuple[Any, ...]]] = {}
    for row in rows:
        job_id, handle_id, topic, group, position, state = row
        if group is not None:
            groups.setdefault((topic, group), []).append(row)
        elif _next(cursor, key, topic, position, 1):
            member = Member(rooms, job_id, handle_id, position, state)
            found = _next(cursor, key, topic, position, member.room)
            knocks += [_tell(cursor, key, member, event) for event in found]
            sql = "UPDATE subscription SET position = ? WHERE job_id = ? AND handle_id = ?"
            cursor.execute(sql, (found[-1].seq if found else position, job_id, handle_id))
    for (topic, group), members in groups.items():
        knocks += _share(cursor, key, (topic, group), members, rooms)
    return knocks


def _share(cursor: Cursor, key: bytes, name: tuple[str, str], rows: list[tuple[Any, ...]], rooms: Rooms) -> list[Knock]:
    """Hands on to the members of a group: to those that go on, if there are any, and have room."""
    topic, group = name
    sql = "SELECT position FROM topic_group WHERE topic = ? AND name = ?"
    position = cursor.execute(sql, (topic, group)).fetchall()[0][0]
    if not _next(cursor, key, topic, position, 1):
        return []
    members = [Member(rooms, job_id, handle_id, at, state) for job_id, handle_id, _, _, at, state in rows]
    members = [member for member in members if not member.stands_still] or members
    knocks: list[Knock] = []
    for event in _next(cursor, key, topic, position, sum(member.room for member in members)):
        free = [member for member in members if member.room > 0]
        if not free:
            break
        knocks.append(_tell(cursor, key, free[event.seq % len(free)], event))
        position = event.seq
    cursor.execute("UPDATE topic_group SET position = ? WHERE topic = ? AND name = ?", (position, topic, group))
    return knocks


def _next(cursor: Cursor, key: bytes, topic: str, position: int, limit: int) -> list[TopicEvent]:
    return [_event(key, row) for row in cursor.execute(NEXT, (topic, position, limit)).fetchall()]


def _event(key: bytes, row: tuple[Any, ...]) -> TopicEvent:
    *values, sum = row
    event = TopicEvent(*values)
    if event.topic != JOBS and chain.row_sum(key, event.topic, event.at_ms, event.data_json) != sum:
        raise faults.changed(f"event {event.seq} of the topic {event.topic}")
    return event


def _tell(cursor: Cursor, key: bytes, member: Member, event: TopicEvent) -> Knock:
    member.room -= 1
    delivery = f'{{"seq":{event.seq},"at_ms":{event.at_ms},"body":{event.data_json}}}'
    data_json = inbox.callback_json(member.handle_id, delivery)
    return inbox.deliver(cursor, key, member.job_id, "topic", data_json, f"topic {member.handle_id} {event.seq}")


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
