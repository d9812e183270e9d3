"""The exceptions of fmsh: the world or the input failed, or we did.

An error of the user's program is not an exception but a value (`fmsh.values.ErrorValue`).

    FmshError
    ├── SourceError        a program that cannot be run; `.diagnostics`, `.incomplete`
    ├── UsageError         wrong arguments on the command line (exit status 2)
    ├── StoreError         the store cannot be used (exit status 75)
    │   ├── StoreBusy      another process held the gate for too long
    │   ├── StoreFenced    this owner lost its lease: drop all memory of the job, never retry
    │   ├── StoreCorrupt   a hash, a link or a page is not what was written
    │   ├── StoreTooNew    written by a newer fmsh
    │   ├── StoreFull      no room on the disk
    │   └── StoreMissing   a job, program or blob that does not exist
    ├── ConnectorError     a connector cannot be started
    └── DaemonError        the daemon cannot be reached or started
    InternalError          a fault of fmsh itself: the job is parked, never retried blindly
"""

from __future__ import annotations

from fmsh.record import Record
from fmsh.spans import Source, Span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class Diagnostic(Record):
    """One problem in a source: what was found, what was expected, and what to do about it."""

    source: Source
    span: Span
    message: str
    hint: str = ""
    severity: str = "error"  # "error" stops the program before its first effect; "warning" does not
    code: str = ""  # a stable name of the kind of problem, for --json and for tests


class FmshError(Exception):
    """Something outside of fmsh's own code went wrong. `message` says what; `hint` what to do."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class SourceError(FmshError):
    """A program that cannot be run. `incomplete`: more text could still make it whole (the prompt then waits)."""

    def __init__(self, diagnostics: Sequence[Diagnostic], *, incomplete: bool = False) -> None:
        super().__init__(diagnostics[0].message, hint=diagnostics[0].hint)
        self.diagnostics = tuple(diagnostics)
        self.incomplete = incomplete


class UsageError(FmshError):
    pass


class StoreError(FmshError):
    pass


class StoreBusy(StoreError):
    pass


class StoreFenced(StoreError):
    pass


class StoreCorrupt(StoreError):
    """`is_local`: one job or value is not what was written, while the store itself works and serves the others."""

    def __init__(self, message: str, *, hint: str = "", is_local: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.is_local = is_local


class StoreTooNew(StoreError):
    pass


class StoreFull(StoreError):
    pass


class StoreMissing(StoreError):
    pass


class StoreTaken(StoreError):
    """What only one may have is another's now."""


class ConnectorError(FmshError):
    pass


class DaemonError(FmshError):
    """`is_of_store`: the daemon could not start because the store cannot be used (exit status 75)."""

    def __init__(self, message: str, *, hint: str = "", is_of_store: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.is_of_store = is_of_store


class InternalError(Exception):
    """A broken invariant of fmsh. It is a bug; the job is parked with this as its report."""
