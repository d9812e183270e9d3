"""A world for one run of a program: it decides what happens, when, and keeps the account of it.

How a request ends depends on the seed, the task that asks and what it asks, never on the order of the calls. Which
event comes next is drawn from what is pending.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any
from zlib import crc32

from fmsh.machine.effects import CancelRequest, Display, Effect, End, Observe, Request
from fmsh.machine.events import InboxTaken, ItemsRead, RequestCompleted
from fmsh.machine.machine import Machine
from fmsh.values import Handle, error_value

Key = str
Plain = tuple[Any, ...]
EVENTS_MAX = 600
IDLE_MAX = 12  # deliveries to a job that waits for nothing else, before it is cancelled
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Broken(AssertionError):
    """An invariant does not hold."""


class World:
    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = random.Random(f"world {seed}")
        self.steps: dict[Key, int] = {}  # what is pending
        self.keys: dict[int, Key] = {}
        self.asked: dict[Key, Plain] = {}
        self.unwanted: set[Key] = set()
        self.made = 0
        self.handles: list[tuple[str, bool]] = []
        self.streams: dict[str, int] = {}  # by task: how many it has opened
        self.batches: dict[Key, int] = {}
        self.given: dict[str, int] = {}  # handles by task
        self.cancels = 0
        self.idle = 0
        self.end: End | None = None
        self.cancel_rate = self.random.choice([0, 0, 0, 0.02, 0.08])
        self.failure_rate = self.random.choice([0, 0.05, 0.2])

    # -- what comes out of the machine

    def plain(self, machine: Machine, effect: Effect) -> Plain | None:
        """Writes an effect as the model does, and keeps the account. Raises: Broken."""
        if isinstance(effect, Display):
            text, separator, _message = effect.text.partition("`: ")  # the model knows kinds, and no messages
            return ("show", text + "`\n" if separator else text)
        if isinstance(effect, Request):
            return self._requested(effect, is_timer=isinstance(machine.targets.get(effect.step), int))
        if isinstance(effect, CancelRequest):
            return self._cancelled(effect.step)
        if isinstance(effect, End):
            self._ended(machine, effect)
            return None
        assert isinstance(effect, Observe)
        return None

    def _requested(self, request: Request, *, is_timer: bool) -> Plain:
        self.made += 1
        _require(request.step == self.made, f"step {request.step} follows {self.made - 1}")
        _require(self.end is None, "a request after the end")
        key = f"{request.task} timer" if is_timer else request.task
        if request.arguments.get("output") == "stream":
            self.streams[request.task] = self.streams.get(request.task, 0) + 1
            key = f"{request.task} stream {self.streams[request.task]}"
        _require(key not in self.steps, f"{key} asks again before its request has ended")
        self.steps[key] = request.step
        self.keys[request.step] = key
        self.asked[key] = _what(request)
        return ("request", key, *self.asked[key])

    def _cancelled(self, step: int) -> Plain:
        key = self.keys.get(step)
        _require(key is not None, f"step {step} is cancelled and not pending")
        assert key is not None
        _require(key not in self.unwanted, f"step {step} is cancelled twice")
        self.unwanted.add(key)
        return ("cancel", key)

    def _ended(self, machine: Machine, end: End) -> None:
        _require(self.end is None, "two ends")
        self.end = end
        _require(not self.steps and not machine.pending and not machine.targets, "something is pending at the end")
        _require(not (machine.tasks or machine.groups or machine.results), "tasks or groups are left at the end")

    # -- what happens next

    def next(self, hungry: list[Key]) -> tuple[str, Any]:
        """Draws the next event: ("outcome", (key, outcome)), ("delivery", (handle, value)), ("items", (key, items))
        for one of the streams that somebody waits for, or ("cancel", None)."""
        draw = self.random
        fed = [key for key in hungry if self.batches.get(key, 0) < 3]
        if fed and draw.random() < 0.6:
            key = draw.choice(fed)
            self.batches[key] = self.batches.get(key, 0) + 1
            return "items", (key, [draw.randint(0, 5) for _ in range(draw.choice([1, 1, 2, 4]))])
        if draw.random() < self.cancel_rate and self.cancels < 2:
            self.cancels += 1
            return "cancel", None
        if self.handles and (not self.steps or draw.random() < 0.15):
            self.idle = 0 if self.steps else self.idle + 1
            if self.idle <= IDLE_MAX:
                return "delivery", (draw.choice(self.handles), draw.randint(0, 5))
        if not self.steps:
            if self.cancels < 3:
                self.cancels += 1
                return "cancel", None
            # Only cleanup is left, which no cancel reaches: it waits for one of the handles.
            _require(bool(self.handles) and self.idle < 10 * IDLE_MAX, "the job waits for nothing and does not end")
            return "delivery", (self.handles[self.idle % len(self.handles)], 0)
        hurried = sorted(self.unwanted & set(self.steps))
        keys = hurried if hurried and draw.random() < 0.6 else sorted(self.steps)
        key = draw.choice(keys)
        return "outcome", (key, self._outcome(key))

    def _outcome(self, key: Key) -> Plain:
        """How a request ends: ("value", v), ("error", kind) or ("cancelled", None)."""
        what = self.asked[key]
        decided = random.Random(crc32(f"{self.seed} {key} {what}".encode()))
        if key in self.unwanted and decided.random() < 0.7:
            return ("cancelled", None)
        if what[0] == "http":
            failed = decided.random() < self.failure_rate
            return ("error", "network") if failed else ("value", decided.randint(0, 5))
        if what[0] == "process" and what[1] == "stream" and decided.random() < self.failure_rate:
            return ("error", "network")
        if what[0] == "process":
            statuses = [0, 1] if what[2] == "check" else [0] * 9 + [4] * int(10 * self.failure_rate)
            status = 139 if decided.random() < 0.02 else decided.choice(statuses)
            return ("value", (status, str(decided.randint(0, 9))))
        if what[0] == "callback":
            task = key
            self.given[task] = self.given.get(task, 0) + 1
            handle = (f"{task}:{self.given[task]}", what[1])
            self.handles.append(handle)
            return ("value", handle)
        return ("value", None)

    def read(self, key: Key, items: list[Any]) -> ItemsRead:
        """The event of items."""
        return ItemsRead(self.steps[key], items, {"at": self.batches[key]})

    def completed(self, key: Key, outcome: Plain) -> RequestCompleted:
        """The event of an outcome."""
        step = self.steps.pop(key)
        del self.keys[step]
        self.unwanted.discard(key)
        kind, value = outcome
        if kind == "cancelled":
            return RequestCompleted(step, is_cancelled=True)
        if kind == "error":
            return RequestCompleted(step, error=error_value(value, "it failed"))
        what = self.asked[key][0]
        if what == "process":
            output = f"{value[1]}\n" if self.asked[key][1] == "capture" else None
            return RequestCompleted(step, {"statuses": [value[0]], "output": output, "stderr": ""})
        if what == "callback":
            fields: dict[str, Any] = {"id": value[0]} | ({"many": True} if value[1] else {})
            return RequestCompleted(step, Handle("callback", value[0], fields))
        return RequestCompleted(step, value)


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Broken(otherwise)


def delivered(handle: tuple[str, bool], value: int) -> InboxTaken:
    return InboxTaken("callback", {"handle": handle[0], "delivery": {"body": value}})


def _what(request: Request) -> Plain:
    arguments = request.arguments
    if request.connector == "http":
        return ("http", int(arguments["url"].rpartition("/")[2]), arguments["body"]["x"])
    if request.connector == "process":
        name, number, given = arguments["stages"][0]["argv"]
        return ("process", arguments["output"], name, int(number), int(given) if given else None)
    if request.connector == "timer":
        return ("timer", arguments["duration"].nanoseconds // 10**9)
    return ("callback", bool(arguments.get("many")))
