"""The part of the store in SQLite that serves those outside of its jobs (`fmsh.store.outside`)."""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from fmsh.store.base import Delivery, NewCallback
    from fmsh.store.database import Cursor, Database
    from fmsh.store.inbox import Knock
    from fmsh.store.outside import Call


class Callers:
    """What SqliteStore has for callers. What it tells a job it tells the job's holder, too."""

    _database: Database

    def _poke_holder(self, knock: Knock) -> None:
        raise NotImplementedError

    # -- callbacks

    def open_callback(self, new: NewCallback) -> None:
        from fmsh.store import inbox

        key, now_ms = self._database.key, time.time_ns() // 10**6
        self._database.write(lambda cursor: inbox.open_callback(cursor, key, new, now_ms))

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
        holders: dict[str | None, Knock] = {each[1].holder_id: each[1] for each in found if each and each[1].is_new}
        for knock in holders.values():
            self._poke_holder(knock)
        return [None if each is None else each[0] for each in found]

    def reply(self, job_id: int, request_id: str, data_json: str) -> bool:
        from fmsh.store import inbox

        key = self._database.key
        return self._database.write(lambda cursor: inbox.reply(cursor, key, job_id, request_id, data_json))

    def reply_to(self, request_id: str) -> str | None:
        from fmsh.store import inbox

        return inbox.reply_to(self._database, request_id)
