"""A store in a thread of its own, for callers that must not block: an event loop answers while the disk is slow.

A store object belongs to one thread; this is that thread. Calls run one after the other, in the order in which they
came.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from fmsh.store.base import EventStore

    T = TypeVar("T")


class StoreThread:
    def __init__(self, open_store: Callable[[], EventStore]) -> None:
        """Opens the store. Raises: StoreError."""
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="http-store")
        try:
            self._store = self._executor.submit(open_store).result()
        except BaseException:
            self._executor.shutdown()
            raise

    async def call(self, ask: Callable[[EventStore], T]) -> T:
        """Runs `ask` with the store. Raises: what it raises."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, ask, self._store)

    def call_and_wait(self, ask: Callable[[EventStore], T]) -> T:
        """The same for a caller that may block."""
        return self._executor.submit(ask, self._store).result()

    def close(self) -> None:
        self._executor.submit(self._store.close)
        self._executor.shutdown()
