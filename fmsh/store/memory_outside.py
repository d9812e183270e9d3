"""The part of a store in memory that serves those outside of its jobs."""

from __future__ import annotations

import time

from fmsh.errors import StoreTaken
from fmsh.store.base import MOVED, Delivery
from fmsh.store.inbox import callback_json
from fmsh.store.memory_disk import CallbackOnDisk
from fmsh.store.memory_drawer import Drawer, Writing
from fmsh.store.outside import Call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from fmsh.store.base import NewCallback
    from fmsh.store.memory_disk import KeptJob, MemoryDisk


class MemoryCallers(Drawer):
    def _kept(self, job_id: int) -> KeptJob:
        raise NotImplementedError

    def deliver(self, job_id: int, kind: str, data_json: str, *, dedupe_id: str) -> bool:
        raise NotImplementedError

    # -- callbacks

    def open_callback(self, new: NewCallback) -> None:
        with Writing(self) as disk:
            self._take_over(disk, new)
            before = disk.callbacks.get((new.job_id, new.handle_id))
            disk.callbacks[new.job_id, new.handle_id] = CallbackOnDisk(new, before)

    def _take_over(self, disk: MemoryDisk, new: NewCallback) -> None:
        found = self._address(new.token_hash)
        if found is None or (found.new.job_id, found.new.handle_id) == (new.job_id, new.handle_id):
            return
        old = found.new
        if not self._is_closed(found, time.time_ns() // 10**6):
            raise StoreTaken(f"job {old.job_id} has this address, and is open there")
        del disk.callbacks[old.job_id, old.handle_id]
        before, taker = f"callback {old.handle_id} ", self._kept(new.job_id).delivered
        for dedupe_id, at_ms in list(self._kept(old.job_id).delivered.items()):
            if dedupe_id.startswith(before):
                taker.setdefault(f"callback {new.handle_id} {dedupe_id.removeprefix(before)}", at_ms)

    def _address(self, token_hash: bytes) -> CallbackOnDisk | None:
        return next((kept for kept in self.disk.callbacks.values() if kept.new.token_hash == token_hash), None)

    def _is_closed(self, found: CallbackOnDisk, now_ms: int) -> bool:
        new, kept = found.new, self._kept(found.new.job_id)
        is_past = new.expires_at_ms is not None and new.expires_at_ms <= now_ms
        has_ended = kept.has_ended and kept.job.state != MOVED
        return has_ended or is_past or (found.used_by is not None and not new.is_many)

    def callback_options(self, token_hash: bytes) -> str | None:
        found = self._address(token_hash)
        return None if found is None else found.new.options_json

    def deliver_callback(
        self, token_hash: bytes, data_json: str, *, dedupe_id: str, method: str, now_ms: int
    ) -> Delivery | None:
        return self.deliver_calls([Call(token_hash, data_json, dedupe_id, method, now_ms)])[0]

    def deliver_calls(self, calls: Sequence[Call]) -> list[Delivery | None]:
        with Writing(self):
            return [self._deliver_call(call) for call in calls]

    def _deliver_call(self, call: Call) -> Delivery | None:
        found = self._address(call.token_hash)
        if found is None or call.method not in found.new.methods:
            return None
        new, kept = found.new, self._kept(found.new.job_id)
        dedupe_id = f"callback {new.handle_id} {call.dedupe_id}"
        if dedupe_id in kept.delivered:
            return Delivery(new.job_id, True)
        if self._is_closed(found, call.now_ms):
            return None
        if kept.job.state == MOVED:
            return Delivery(new.job_id, False, is_moved=True)
        found.used_by, found.used_at_ms = dedupe_id, call.now_ms
        self.deliver(new.job_id, "callback", callback_json(new.handle_id, call.data_json), dedupe_id=dedupe_id)
        return Delivery(new.job_id, False)

    def reply(self, job_id: int, request_id: str, data_json: str) -> bool:
        with Writing(self) as disk:
            if request_id in disk.replies:
                return False
            disk.replies[request_id] = (job_id, time.time_ns() // 10**6, data_json)
            return True

    def reply_to(self, request_id: str) -> str | None:
        found = self.disk.replies.get(request_id)
        return None if found is None else found[2]
