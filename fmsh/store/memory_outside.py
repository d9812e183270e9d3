"""The part of a store in memory that serves those outside of its jobs."""

from __future__ import annotations

import time

from fmsh import wire
from fmsh.errors import StoreFenced, StoreMissing, StoreTaken
from fmsh.store.addresses import gone, opener_of
from fmsh.store.base import KEPT, MANY, MOVED, NOTHING_CAME, Delivery, kept_handle
from fmsh.store.calls import given_up
from fmsh.store.claims import GRANTED, circle_of, delivery_id, grantable
from fmsh.store.inbox import callback_json
from fmsh.store.leases import topic_of_end
from fmsh.store.memory_disk import CallbackOnDisk, CallOnDisk
from fmsh.store.memory_drawer import Drawer, Writing
from fmsh.store.outside import JOBS, Call, Claim, LeasedCall, Place, Subscription, TopicEvent
from fmsh.store.topics import STANDING_STILL, WAITING_MAX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from fmsh.store.base import KeptCalls, NewCallback, Owner
    from fmsh.store.memory_disk import KeptJob, MemoryDisk
    from fmsh.store.outside import CallOutcome, NewCall, NewClaim


class MemoryCallers(Drawer):
    owner: Owner

    def _kept(self, job_id: int) -> KeptJob:
        raise NotImplementedError

    def deliver(self, job_id: int, kind: str, data_json: str, *, dedupe_id: str) -> bool:
        raise NotImplementedError

    def put(self, job_id: int, kind: str, data_json: str) -> None:
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
        self.close_addresses(old.job_id, old.handle_id)
        del disk.callbacks[old.job_id, old.handle_id]
        before, taker = f"callback {old.handle_id} ", self._kept(new.job_id).delivered
        for dedupe_id, at_ms in list(self._kept(old.job_id).delivered.items()):
            if dedupe_id.startswith(before):
                taker.setdefault(f"callback {new.handle_id} {dedupe_id.removeprefix(before)}", at_ms)

    def _address(self, token_hash: bytes) -> CallbackOnDisk | None:
        return next((kept for kept in self.disk.callbacks.values() if kept.new.token_hash == token_hash), None)

    def _is_closed(self, found: CallbackOnDisk, now_ms: int, *, is_kept: bool = False) -> bool:
        new, kept = found.new, self._kept(found.new.job_id)
        is_past = new.expires_at_ms is not None and new.expires_at_ms <= now_ms
        has_ended = kept.has_ended and kept.job.state != MOVED and not is_kept
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
        variables = self._variables_with(KEPT + kept_handle(new.job_id, new.handle_id)) if kept.has_ended else None
        if self._is_closed(found, call.now_ms, is_kept=variables is not None):
            return None
        if kept.job.state == MOVED:
            return Delivery(new.job_id, False, is_moved=True)
        found.used_by, found.used_at_ms = dedupe_id, call.now_ms
        if variables is not None:
            kept.delivered.setdefault(dedupe_id, call.now_ms)
            self._keep_call(variables, kept_handle(new.job_id, new.handle_id), call.data_json)
            return Delivery(new.job_id, False)
        self.deliver(new.job_id, "callback", callback_json(new.handle_id, call.data_json), dedupe_id=dedupe_id)
        return Delivery(new.job_id, False)

    def _variables_with(self, name: str) -> dict[str, str] | None:
        """The variables of the session that has one of a name."""
        return next((each for each in self.disk.session_variables.values() if name in each), None)

    def _keep_call(self, variables: dict[str, str], handle_id: str, data_json: str) -> None:
        if variables[KEPT + handle_id] == MANY:
            self.disk.session_calls.setdefault(handle_id, []).append(data_json)
            self._serve(handle_id)
        else:
            variables[KEPT + handle_id] = data_json
            self._tell_waiting(handle_id, data_json)

    def _tell_waiting(self, handle_id: str, data_json: str) -> None:
        for job_id in self._waiting(handle_id):
            self.deliver(job_id, "callback", callback_json(handle_id, data_json), dedupe_id=KEPT + handle_id)

    def _waiting(self, handle_id: str) -> list[int]:
        """The jobs that wait for what comes to an address of a session, in the order in which they get it."""
        topic = topic_of_end(KEPT + handle_id)
        hearing = [job_id for (job_id, _), (new, _) in self.disk.subscriptions.items() if new.topic == topic]
        active = [job_id for job_id in hearing if job_id in self.disk.jobs and not self.disk.jobs[job_id].has_ended]
        return sorted(active, key=lambda job_id: (self._kept(job_id).job.state in STANDING_STILL, job_id))

    def _serve(self, handle_id: str) -> None:
        calls = self.disk.session_calls.get(handle_id, [])
        while calls and (waiting := self._waiting(handle_id)):
            del self.disk.subscriptions[waiting[0], KEPT + handle_id]
            self.put(waiting[0], "callback", callback_json(handle_id, calls.pop(0)))

    def hear_of_call(self, job_id: int, handle_id: str) -> None:
        name = KEPT + handle_id
        if (job_id, name) in self.disk.subscriptions:
            return
        with Writing(self) as disk:
            came = (self._variables_with(name) or {}).get(name, NOTHING_CAME)
            is_there = (opener_of(handle_id), handle_id.partition(".")[2]) in disk.callbacks
            if came in (NOTHING_CAME, MANY) and not is_there and not disk.session_calls.get(handle_id):
                came = gone(handle_id)
            if came not in (NOTHING_CAME, MANY):
                self.deliver(job_id, "callback", callback_json(handle_id, came), dedupe_id=name)
            elif came == NOTHING_CAME or not disk.waiting_rows(job_id, handle_id):
                disk.subscriptions[job_id, name] = (Subscription(job_id, name, topic_of_end(name), after=0), 0)
                self._serve(handle_id)

    def give_back(self, job_id: int, kept: KeptCalls) -> None:
        """Takes back what a job that has ended was told of an address and has not taken; others are told of it."""
        handle_id, name = kept.handle_id, KEPT + kept.handle_id
        self.disk.subscriptions.pop((job_id, name), None)
        if self._variables_with(name) is None:
            return
        rows = self.disk.waiting_rows(job_id, handle_id.removeprefix(f"{job_id}."))
        for row_id in rows:
            del self.disk.jobs[job_id].inbox[row_id]
        calls = self.disk.session_calls.setdefault(handle_id, [])
        calls[:0] = [*kept.calls, *rows.values()]
        self._serve(handle_id)

    def close_addresses(self, job_id: int, handle_id: str | None = None) -> None:
        """Tells those who wait for an address, or for any of a job, that it is not kept any more."""
        for opener, own_id in self.disk.callbacks:
            if opener == job_id and handle_id in (None, own_id):
                self._tell_waiting(kept_handle(job_id, own_id), gone(kept_handle(job_id, own_id)))

    def lines_in_use(self, *, since_ms: int) -> set[int]:
        used = [id for id in self.disk.sessions if self.disk.used_at_ms[id] > since_ms]
        variables = [pair for id in used for pair in self.disk.session_variables[id].items()]
        waiting = [name for name, value in variables if name.startswith(KEPT) and value in (NOTHING_CAME, MANY)]
        return {opener_of(name.removeprefix(KEPT)) for name in waiting}

    def reply(self, job_id: int, request_id: str, data_json: str) -> bool:
        with Writing(self) as disk:
            if request_id in disk.replies:
                return False
            disk.replies[request_id] = (job_id, time.time_ns() // 10**6, data_json)
            return True

    def reply_to(self, request_id: str) -> str | None:
        found = self.disk.replies.get(request_id)
        return None if found is None else found[2]

    # -- topics

    def publish(self, topic: str, data_json: str, *, dedupe_id: str | None, at_ms: int) -> int:
        with Writing(self) as disk:
            if dedupe_id is not None and dedupe_id in disk.event_numbers:
                return disk.event_numbers[dedupe_id]
            event = TopicEvent(disk.next_id("event"), topic, at_ms, data_json)
            disk.events[event.seq] = event
            if dedupe_id is not None:
                disk.event_numbers[dedupe_id] = event.seq
            self._hand_on(topic)
            return event.seq

    def _hand_on(self, topic: str) -> None:
        groups: dict[str, list[tuple[int, str]]] = {}
        for (job_id, handle_id), (new, position) in sorted(self.disk.subscriptions.items()):
            kept = self.disk.jobs.get(job_id)
            if new.topic != topic or kept is None or kept.has_ended:
                continue
            if new.group is not None:
                groups.setdefault(new.group, []).append((job_id, handle_id))
                continue
            for event in self.topic_events(topic, after=position, limit=self._room(job_id, handle_id)):
                self._tell(job_id, handle_id, event)
                self.disk.subscriptions[job_id, handle_id] = (new, event.seq)
        for group, members in groups.items():
            going = [member for member in members if self._kept(member[0]).job.state not in STANDING_STILL] or members
            for event in self.topic_events(topic, after=self.disk.topic_groups[topic, group], limit=None):
                free = [member for member in going if self._room(*member) > 0]
                if not free:
                    break
                self._tell(*free[event.seq % len(free)], event)
                self.disk.topic_groups[topic, group] = event.seq

    def _room(self, job_id: int, handle_id: str) -> int:
        beginning = callback_json(handle_id, "")[:-1]
        rows = [row for row in self._kept(job_id).inbox.values() if row.kind == "topic"]
        return max(0, WAITING_MAX - sum(row.data_json.startswith(beginning) for row in rows))

    def hand_on_to(self, job_id: int) -> None:
        """Tells a job that has just taken rows from its inbox what there was no room for before."""
        for topic in {new.topic for (hearer, _), (new, _) in self.disk.subscriptions.items() if hearer == job_id}:
            self._hand_on(topic)

    def _tell(self, job_id: int, handle_id: str, event: TopicEvent) -> None:
        delivery = f'{{"seq":{event.seq},"at_ms":{event.at_ms},"body":{event.data_json}}}'
        dedupe_id = f"topic {handle_id} {event.seq}"
        self.deliver(job_id, "topic", callback_json(handle_id, delivery), dedupe_id=dedupe_id)

    def tell_of_states(self) -> None:
        """Notes what became of the states of jobs, as the triggers of the schema do."""
        disk = self.disk
        for job_id, kept in disk.jobs.items():
            job, before = kept.job, disk.told_states.get(job_id)
            disk.told_states[job_id] = job.state
            if job.state == before or self.hears_of(job_id, JOBS) or '"fmsh.on":"jobs"' in job.tags_json:
                continue
            told: dict[str, object] = {
                name: getattr(job, name) for name in ("id", "uid", "key", "name", "command", "state")
            }
            event = TopicEvent(disk.next_id("event"), JOBS, time.time_ns() // 10**6, wire.encode_plain(told))
            disk.events[event.seq] = event
        self._hand_on(JOBS)

    def subscribe(self, new: Subscription) -> None:
        with Writing(self) as disk:
            if new.job_id not in disk.jobs:
                raise StoreMissing(f"there is no job {new.job_id}")
            created_ms = disk.jobs[new.job_id].job.created_at_ms
            seen = [event.seq for event in disk.events.values() if new.is_from_now or event.at_ms < created_ms]
            position = max(seen, default=0) if new.after is None else new.after
            if new.group is not None:
                disk.topic_groups.setdefault((new.topic, new.group), position)
            disk.subscriptions.setdefault((new.job_id, new.handle_id), (new, position))
            self._hand_on(new.topic)

    def hears_of(self, job_id: int, topic: str) -> bool:
        return any(at[0] == job_id and new.topic == topic for at, (new, _) in self.disk.subscriptions.items())

    def hear_of_end(self, job_id: int, of: int) -> bool:
        with Writing(self) as disk:
            kept = disk.jobs.get(of)
            if kept is None or kept.has_ended:
                return False
            new = Subscription(job_id, f"job {of}", topic_of_end(f"job {of}"), after=0)
            disk.subscriptions.setdefault((job_id, new.handle_id), (new, 0))
            return True

    def topic_events(self, topic: str | None, *, after: int, limit: int | None) -> list[TopicEvent]:
        found = [event for event in self.disk.events.values() if event.seq > after and topic in (None, event.topic)]
        return found[:limit]

    # -- calls

    def open_call(self, new: NewCall) -> None:
        with Writing(self) as disk:
            disk.calls.setdefault(new.id, CallOnDisk(new))

    def lease_call(self, name: str, *, now_ms: int, lease_ms: int) -> LeasedCall | None:
        with Writing(self) as disk:
            for call in disk.calls.values():
                new = call.new
                if new.name != name or not call.is_open or call.free_at_ms > now_ms or self._kept(new.job_id).has_ended:
                    continue
                if new.expires_at_ms is not None and new.expires_at_ms <= now_ms:
                    call.is_open = False
                elif call.attempt >= new.attempts_max:
                    self._close(call, given_up(name, call.attempt))
                else:
                    call.attempt += 1
                    call.free_at_ms = now_ms + lease_ms
                    return LeasedCall(new.id, name, new.value_json, call.attempt, call.free_at_ms)
        return None

    def _close(self, call: CallOnDisk, outcome_json: str) -> None:
        call.is_open = False
        new = call.new
        if not self._kept(new.job_id).has_ended:
            data_json = callback_json(new.handle_id, outcome_json)
            self.deliver(new.job_id, "call", data_json, dedupe_id=f"call {new.id}")

    def beat_call(self, id: str, *, attempt: int, until_ms: int) -> bool:
        with Writing(self) as disk:
            call = disk.calls.get(id)
            if call is None or not call.is_open or call.attempt != attempt:
                return False
            call.free_at_ms = until_ms
            return True

    def finish_call(self, outcome: CallOutcome, *, now_ms: int) -> bool:
        with Writing(self) as disk:
            call = disk.calls.get(outcome.id)
            if call is None or not call.is_open or call.attempt != outcome.attempt:
                return False
            if outcome.is_retryable and call.attempt < call.new.attempts_max:
                call.free_at_ms = now_ms + outcome.retry_after_ms
            else:
                self._close(call, outcome.data_json)
            return True

    # -- locks and limits

    def claim(self, new: NewClaim, *, now_ms: int) -> Place:
        with Writing(self) as disk:
            for found in disk.claims:
                if (found.job_id, found.step) == (new.job_id, new.step):
                    return Place(found.is_granted)
            if self._kept(new.job_id).job.owner_id != self.owner.id:
                raise StoreFenced(f"the lease of job {new.job_id} was taken over")
            claim = Claim(**{field: getattr(new, field) for field in new.fields}, is_granted=False, since_ms=now_ms)
            circle = circle_of(claim, self._queue, lambda of: [each for each in disk.claims if each.job_id == of])
            if circle:
                return Place(False, circle)
            disk.claims.append(claim)
            return Place(claim in self._grant(new.kind, new.name, now_ms))

    def _queue(self, kind: str, name: str) -> list[Claim]:
        return [claim for claim in self.disk.claims if (claim.kind, claim.name) == (kind, name)]

    def _grant(self, kind: str, name: str, now_ms: int) -> list[Claim]:
        granted = grantable(self._queue(kind, name))
        for claim in granted:
            at = self.disk.claims.index(claim)
            self.disk.claims[at] = claim.replace(is_granted=True, since_ms=now_ms)
        return granted

    def _unclaim(self, job_id: int, steps: Sequence[int] | None) -> None:
        """Takes claims out of their queues (None: all of a job), and tells those who are next; in a transaction."""
        disk = self.disk
        gone = [each for each in disk.claims if each.job_id == job_id and (steps is None or each.step in steps)]
        disk.claims = [each for each in disk.claims if each not in gone]
        for kind, name in dict.fromkeys((each.kind, each.name) for each in gone):
            for granted in self._grant(kind, name, time.time_ns() // 10**6):
                data_json = callback_json(str(granted.step), GRANTED)
                self.deliver(granted.job_id, granted.kind, data_json, dedupe_id=delivery_id(granted))

    def claims(self, kind: str, name: str) -> list[Claim]:
        return sorted(self._queue(kind, name), key=lambda claim: not claim.is_granted)

    def reserve(self, name: str, *, interval_us: int, now_us: int) -> int:
        with Writing(self) as disk:
            at_us = max(disk.paces.get(name, 0), now_us)
            disk.paces[name] = at_us + interval_us
            return at_us
