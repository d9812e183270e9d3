"""Calls of addresses on their way into the store: those that arrive together go into one transaction.

While the store makes one commit durable, more calls arrive; the next commit takes them all. So a call alone waits for
nobody, and many at once cost one write of the disk.

All of it but `_deliver` runs in the thread of the event loop.
"""

from __future__ import annotations

import asyncio

from fmsh import wire
from fmsh.daemon.problems import Problem
from fmsh.errors import StoreCorrupt, StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from fmsh.daemon.store_thread import StoreThread
    from fmsh.store.base import Delivery, EventStore
    from fmsh.store.outside import Call

    # What the address says of its callers → the call, or a Problem for one that it does not take.
    Make = Callable[[EventStore, dict[str, Any]], Call]
    Answer = tuple[Delivery | None, dict[str, Any]] | Exception

BATCH_MAX = 500  # so many make a commit some 20 ms long; others who write wait for it


class Deliveries:
    def __init__(self, store: StoreThread) -> None:
        self._store = store
        self._waiting: list[tuple[bytes, Make, asyncio.Future[tuple[Delivery | None, dict[str, Any]]]]] = []
        self._task: asyncio.Task[None] | None = None

    async def deliver(self, token_hash: bytes, make: Make) -> tuple[Delivery | None, dict[str, Any]]:
        """Delivers a call; gives what became of it, and the options of the address.

        Raises: Problem, StoreError.
        """
        future: asyncio.Future[tuple[Delivery | None, dict[str, Any]]] = asyncio.get_running_loop().create_future()
        self._waiting.append((token_hash, make, future))
        if self._task is None:
            self._task = asyncio.create_task(self._drain())
        return await future

    async def _drain(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:BATCH_MAX], self._waiting[BATCH_MAX:]
                asked = [(token_hash, make) for token_hash, make, _ in batch]
                answers = await self._store.call(lambda store, asked=asked: _deliver(store, asked))  # type: ignore[misc]
                for (_, _, future), answer in zip(batch, answers, strict=True):
                    if future.done():  # its caller has gone
                        continue
                    if isinstance(answer, Exception):
                        future.set_exception(answer)
                    else:
                        future.set_result(answer)
        finally:
            self._task = None


def _deliver(store: EventStore, asked: list[tuple[bytes, Make]]) -> list[Answer]:
    """Runs in the store's thread. One that is damaged, or not to be taken, does not touch the others."""
    answers: list[Answer] = []
    calls: list[Call] = []
    of_calls: list[tuple[int, dict[str, Any]]] = []
    for token_hash, make in asked:
        answers.append((None, {}))
        try:
            options_json = store.callback_options(token_hash)
            options = {} if options_json in (None, "{}") else wire.decode(str(options_json))
            calls.append(make(store, options))
            of_calls.append((len(answers) - 1, options))
        except (Problem, StoreError) as problem:
            answers[-1] = problem
    for (index, options), found in zip(of_calls, _deliver_calls(store, calls), strict=True):
        answers[index] = found if isinstance(found, Exception) else (found, options)
    return answers


def _deliver_calls(store: EventStore, calls: list[Call]) -> list[Delivery | StoreError | None]:
    if not calls:
        return []
    try:
        return list(store.deliver_calls(calls))
    except StoreCorrupt as error:
        if len(calls) == 1:
            return [error]
        return [_deliver_calls(store, [call])[0] for call in calls]
    except StoreError as error:
        return [error] * len(calls)
