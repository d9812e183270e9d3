"""What the checks look at: the settings, the store as far as it can be read, and whether something may be repaired."""

from __future__ import annotations

import os

from fmsh.doctor import finding as f
from fmsh.errors import FmshError, StoreError, StoreMissing
from fmsh.store.examination import Examination

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from fmsh.settings import Settings


class Patient:
    """`store` is None where there is none, or where it cannot be read: `store_error` then says why."""

    def __init__(self, settings: Settings, *, is_repairing: bool, now_ms: Callable[[], int]) -> None:
        self.settings = settings
        self.is_repairing = is_repairing
        self.now_ms = now_ms
        self.store: Examination | None = None
        self.store_error: StoreError | None = None
        self.state = os.path.realpath(settings.state_directory)
        try:
            self.store = Examination(self.state)
        except StoreMissing:
            return
        except StoreError as error:
            self.store_error = error

    @property
    def readable_store(self) -> Examination | None:
        """The store, if it has the schema that we know; otherwise nothing in it may be understood."""
        return self.store if self.store is not None and self.store.is_current else None

    def repaired(self, finding: f.Finding, act: Callable[[], str]) -> f.Finding:
        """Gives a finding, repaired by `act`, which says what it did, if that is asked for and possible."""
        if not self.is_repairing:
            return finding
        try:
            return f.Finding(f.NOTE, finding.text, repaired=act())
        except (OSError, FmshError) as fault:
            return f.Finding(finding.level, f"{finding.text}, and that could not be repaired: {fault}", finding.advice)

    def close(self) -> None:
        if self.store is not None:
            self.store.close()
