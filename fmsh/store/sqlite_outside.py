"""The part of the store in SQLite that serves those outside of its jobs (`fmsh.store.outside`)."""

from __future__ import annotations

import time

from fmsh.store.base import KEPT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from fmsh.store.base import Delivery, NewCallback, Owner
    from fmsh.store.database import Cursor, Database
    from fmsh.store.inbox import Knock
    from fmsh.store.outside import (
        Call,
        CallOutcome,
        Claim,
        LeasedCall,
        NewCall,
        NewClaim,
        Place,
        Subscription,
        TopicEvent,
    )


class Callers:
    """What SqliteStore has for callers. What it tells a job it tells the job's holder, too."""

    _database: Database
    owner: Owner

    def _poke_holder(self, knock: Knock) -> None:
        raise NotImplementedError

    # -- callbacks

    def open_callback(self, new: NewCallback) -> None:
        from fmsh.store import inbox

        key, now_ms = self._database.key, time.time_ns() // 10**6
        self._poke_holders(self._database.write(lambda cursor: inbox.open_callback(cursor, key, new, now_ms)))

    def callback_options(self, token_hash: bytes) -> str | None:
        from fmsh.store import inbox

        return inbox.callback_options(self._database, token_hash)

    def deliver_callback(
        self, token_hash: bytes, data_json: str, *, dedupe_id: str, method: str, now_ms: int
    ) -> Delivery | None:
        from fmsh.store.outside import Call

        return self.deliver_calls([Call(token_hash, data_json, dedupe_id, method, now_ms)])[0]

    def deliver_calls(self, calls: Sequence[Call]) -> list[Delivery | None]:
        from fmsh.store import inbox

        key = self._database.key

        def work(cursor: Cursor) -> list[tuple[Delivery, Knock] | None]:
            return [inbox.deliver_callback(cursor, key, call) for call in calls]

        found = self._database.write(work)
        self._poke_holders([each[1] for each in found if each is not None])
        return [None if each is None else each[0] for each in found]

    def reply(self, job_id: int, request_id: str, data_json: str) -> bool:
        from fmsh.store import inbox

        key = self._database.key
        return self._database.write(lambda cursor: inbox.reply(cursor, key, job_id, request_id, data_json))

    def reply_to(self, request_id: str) -> str | None:
        from fmsh.store import inbox

        return inbox.reply_to(self._database, request_id)

    # -- topics

    def publish(self, topic: str, data_json: str, *, dedupe_id: str | None, at_ms: int) -> int:
        from fmsh.store import topics

        key = self._database.key

        def work(cursor: Cursor) -> tuple[int, list[Knock]]:
            return topics.publish(cursor, key, topic, data_json, dedupe_id, at_ms), topics.hand_on(cursor, key, topic)

        seq, knocks = self._database.write(work)
        self._poke_holders(knocks)
        return seq

    def subscribe(self, new: Subscription) -> None:
        from fmsh.store import topics

        def work(cursor: Cursor) -> list[Knock]:
            topics.subscribe(cursor, new)
            return topics.hand_on(cursor, self._database.key, new.topic)

        self._poke_holders(self._database.write(work))

    def hears_of(self, job_id: int, topic: str) -> bool:
        sql = "SELECT 1 FROM subscription WHERE job_id = ? AND topic = ? LIMIT 1"
        return bool(self._database.read(sql, (job_id, topic)))

    def hear_of_end(self, job_id: int, of: int) -> bool:
        from fmsh.store import inbox

        return self._database.write(lambda cursor: inbox.hear_of_end(cursor, job_id, of))

    def hear_of_call(self, job_id: int, handle_id: str) -> None:
        from fmsh.store import addresses

        sql = "SELECT 1 FROM subscription WHERE job_id = ? AND handle_id = ?"
        if not self._database.read(sql, (job_id, KEPT + handle_id)):
            key = self._database.key
            work = addresses.hear_of_call
            self._poke_holders(self._database.write(lambda cursor: work(cursor, key, job_id, handle_id)))

    def lines_in_use(self, *, since_ms: int) -> set[int]:
        from fmsh.store import addresses

        return addresses.lines_in_use(self._database, since_ms)

    def topic_events(self, topic: str | None, *, after: int, limit: int) -> list[TopicEvent]:
        from fmsh.store import topics

        return topics.events(self._database, topic, after, limit)

    def _tell_of_states(self) -> None:
        """Tells who hears of jobs what has just changed; it is one read where nobody does."""
        if self._database.read("SELECT 1 FROM subscription WHERE topic = 'jobs' LIMIT 1"):
            from fmsh.store import topics
            from fmsh.store.outside import JOBS

            key = self._database.key
            self._poke_holders(self._database.write(lambda cursor: topics.hand_on(cursor, key, JOBS)))

    def _poke_holders(self, knocks: Sequence[Knock]) -> None:
        for knock in {knock.holder_id: knock for knock in knocks if knock.is_new}.values():
            self._poke_holder(knock)

    # -- calls

    def open_call(self, new: NewCall) -> None:
        from fmsh.store import calls

        self._database.write(lambda cursor: calls.open_call(cursor, self._database.key, new))

    def lease_call(self, name: str, *, now_ms: int, lease_ms: int) -> LeasedCall | None:
        from fmsh.store import calls

        if not calls.is_one_due(self._database, name, now_ms):
            return None
        key = self._database.key
        leased, knocks = self._database.write(lambda cursor: calls.lease_call(cursor, key, name, now_ms, lease_ms))
        self._poke_holders(knocks)
        return leased

    def beat_call(self, id: str, *, attempt: int, until_ms: int) -> bool:
        from fmsh.store import calls

        return self._database.write(lambda cursor: calls.beat_call(cursor, id, attempt, until_ms))

    def finish_call(self, outcome: CallOutcome, *, now_ms: int) -> bool:
        from fmsh.store import calls

        key = self._database.key
        is_taken, knocks = self._database.write(lambda cursor: calls.finish_call(cursor, key, outcome, now_ms))
        self._poke_holders(knocks)
        return is_taken

    # -- locks and limits

    def claim(self, new: NewClaim, *, now_ms: int) -> Place:
        from fmsh.store import claims

        key, owner_id = self._database.key, self.owner.id
        return self._database.write(lambda cursor: claims.claim(cursor, key, owner_id, new, now_ms))

    def claims(self, kind: str, name: str) -> list[Claim]:
        from fmsh.store import claims

        return claims.claims(self._database, kind, name)

    def reserve(self, name: str, *, interval_us: int, now_us: int) -> int:
        from fmsh.store import claims

        return self._database.write(lambda cursor: claims.reserve(cursor, name, interval_us, now_us))
