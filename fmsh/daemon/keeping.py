"""Retention in the daemon: a sweep when it has settled down, then one an hour, in a thread with a store of its own.

A sweep works in short transactions, so jobs go on meanwhile. The settings are read anew for each; while they cannot be
read nothing is removed, and the log says so.
"""

from __future__ import annotations

import os
import threading

from fmsh import retention
from fmsh.errors import FmshError
from fmsh.settings import read_settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from fmsh.store.base import EventStore

FIRST_AFTER_S = 10.0  # jobs that wait for the daemon go first
INTERVAL_S = 3600.0


class Keeper:
    """Sweeps until it is stopped. `log(event, **fields)` takes what happened; `open_store` is called in the thread."""

    def __init__(
        self,
        open_store: Callable[[], EventStore],
        fx_directory: str,
        log: Callable[..., None],
        *,
        first_after_s: float = FIRST_AFTER_S,
        interval_s: float = INTERVAL_S,
    ) -> None:
        self._open_store = open_store
        self._fx_directory = fx_directory
        self._log = log
        self._first_after_s = first_after_s
        self._interval_s = interval_s
        self._is_stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="retention", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def expect_stop(self) -> None:
        """Begins nothing more. To be called from anywhere."""
        self._is_stopping.set()

    def stop(self, within_s: float) -> None:
        """Ends after the transaction that is under way."""
        self._is_stopping.set()
        if self._thread.is_alive():
            self._thread.join(within_s)

    def _run(self) -> None:
        wait_s = self._first_after_s
        while not self._is_stopping.wait(wait_s):
            self._sweep_guarded()
            wait_s = self._interval_s

    def _sweep_guarded(self) -> None:
        try:
            swept = self._sweep()
        except (FmshError, OSError) as error:
            self._log("retention failed", message=str(error))
            return
        if swept.jobs or swept.outputs or swept.trimmed or swept.strays or swept.damaged:
            self._log(
                "retention",
                jobs=len(swept.jobs),
                outputs=len(swept.outputs),
                trimmed=len(swept.trimmed),
                strays=swept.strays,
                damaged=len(swept.damaged),
                bytes=swept.bytes,
            )

    def _sweep(self) -> retention.Swept:
        limits = retention.limits_of(read_settings(os.environ))
        store = self._open_store()
        try:
            return retention.Sweep(store, self._fx_directory, limits, may_go_on=self._may_go_on).run()
        finally:
            store.close()

    def _may_go_on(self) -> bool:
        return not self._is_stopping.is_set()
