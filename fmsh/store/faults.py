"""Turns what SQLite and the operating system say into the store's errors: what must be, what is, what to do next."""

from __future__ import annotations

import errno

import apsw

from fmsh.errors import StoreBusy, StoreCorrupt, StoreError, StoreFull

FULL_ERRNOS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def changed(what: str) -> StoreCorrupt:
    """Gives the error for a row that was read and is not the one that was written."""
    return damaged(f"{what} is not what was written")


def damaged(message: str) -> StoreCorrupt:
    """Gives the error for damage to one job or value; the others are served."""
    return StoreCorrupt(message, hint="Run `fmsh doctor`.", is_local=True)


def from_sqlite(fault: apsw.Error | UnicodeDecodeError, path: str) -> StoreError:
    """Gives the store's error for an error of SQLite. Nothing of the transaction that met it was kept."""
    if isinstance(fault, apsw.FullError):
        return StoreFull(f"no room to write the store {path}", hint="Free some space on its disk; work then goes on.")
    if isinstance(fault, apsw.BusyError | apsw.LockedError):
        return StoreBusy(f"another process kept the store {path} locked", hint="Try again; `fmsh doctor` shows who.")
    if isinstance(fault, apsw.CorruptError | apsw.NotADBError | UnicodeDecodeError):
        return StoreCorrupt(f"the store {path} is damaged: {fault}", hint="Run `fmsh doctor`; restore a backup.")
    if isinstance(fault, apsw.ReadOnlyError | apsw.PermissionsError | apsw.CantOpenError):
        return StoreError(f"the store {path} cannot be written: {fault}", hint="Check its permissions and its disk.")
    return StoreError(f"the store {path} failed: {fault}", hint="Run `fmsh doctor`.")


def from_system(fault: OSError, path: str) -> StoreError:
    """Gives the store's error for an error of the operating system on one of the store's files."""
    what = (fault.strerror or str(fault)).lower()
    if fault.errno in FULL_ERRNOS:
        return StoreFull(f"no room to write {path}", hint="Free some space on its disk; work then goes on.")
    if fault.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return StoreError(f"{path} cannot be written: {what}", hint="Check its permissions, or set FMSH_STATE_DIR.")
    if fault.errno in (errno.ENOTDIR, errno.EEXIST):
        return StoreError(f"{path} must be a directory: {what}", hint="Move it away, or set FMSH_STATE_DIR.")
    return StoreError(f"{path}: {what}", hint="Check the disk, or set FMSH_STATE_DIR.")
