"""Which attempts may have begun, and in which boot of the machine: of those whose outcome may stay unknown.

A claim is not synced, so after a crash of the machine it may be missing though the command ran. Where that matters the
recorded intent says by whom and in which boot it was to begin (`Attempt.begun_by`). Only an intent that does not, of
the first run of a detached job or of an older fmsh, has this record beside it, durable before the start.

One file holds it for all jobs, `fx.terms`: slots that were allocated and synced once, so that a record costs one write
in place (0.6 ms beside 14 ms for a file of its own and the entries of its directories, measured on ext4). Where no slot
can be had the attempt has a file of its own, `terms`.

A slot begins with a zero byte when it is free. A record that was cut short has no line end, and says nothing: the
program was not started.
"""

from __future__ import annotations

import fcntl
import os

from fmsh.connectors.spool import read_whole_words
from fmsh.record import Record

SLOT_BYTES = 128
SLOTS = 512  # for attempts in flight at once that are displayed at a terminal or in `once`
FREE = b"\0"


class Terms(Record):
    """`mode` is that in which the attempt was to be run."""

    boot_id: str
    mode: str


def write(directory: str, boot_id: str, mode: str) -> None:
    """Records durably that the attempt of a directory may begin. Raises: OSError."""
    record = f"{_key(directory)} {boot_id} {mode}".encode().ljust(SLOT_BYTES - 1) + b"\n"
    if len(record) != SLOT_BYTES or not _write_slot(directory, record):
        _write_file(directory, f"{boot_id} {mode}\n".encode())


def read(directory: str) -> Terms | None:
    """Says how an attempt may have begun; None if it did not, or it does not matter."""
    words = read_whole_words(f"{directory}/terms")
    if words is None:
        table, slot = _find(directory)
        record = table[slot : slot + SLOT_BYTES].decode("ascii", "replace")
        words = record.split()[1:] if slot >= 0 and record.endswith("\n") else None
    return None if words is None or len(words) != 2 else Terms(words[0], words[1])


def forget(directory: str) -> None:
    """Frees the slot of an attempt, if it has one. Nobody else touches it before it is free."""
    _, slot = _find(directory)
    if slot >= 0:
        fd = os.open(_path(directory), os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            os.pwrite(fd, FREE, slot)
        finally:
            os.close(fd)


def _key(directory: str) -> str:
    job, _, attempt = directory.rpartition("/")
    return f"{os.path.basename(job)}/{attempt}"


def _path(directory: str) -> str:
    return os.path.dirname(os.path.dirname(directory)) + ".terms"


def _find(directory: str) -> tuple[bytes, int]:
    """Gives the whole table, and where the record of an attempt begins in it, -1 if it has none."""
    try:
        with open(_path(directory), "rb", buffering=0) as file:
            table = file.read()
    except FileNotFoundError:
        return b"", -1
    slot = table.find(f"{_key(directory)} ".encode())
    return table, slot if slot % SLOT_BYTES == 0 else -1


def _write_slot(directory: str, record: bytes) -> bool:
    fd = _open(directory)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        table = os.pread(fd, SLOTS * SLOT_BYTES, 0)
        slot = _free_slot(table)
        if slot < 0:
            _free_what_is_over(fd, table, os.path.dirname(os.path.dirname(directory)))
            slot = _free_slot(os.pread(fd, SLOTS * SLOT_BYTES, 0))
        if slot >= 0:
            os.pwrite(fd, record, slot)
            fcntl.flock(fd, fcntl.LOCK_UN)
            getattr(os, "fdatasync", os.fsync)(fd)
        return slot >= 0
    except BlockingIOError:  # somebody else writes, and may have been stopped in that
        return False
    finally:
        os.close(fd)


def _free_slot(table: bytes) -> int:
    return next((slot for slot in range(0, len(table), SLOT_BYTES) if table[slot : slot + 1] == FREE), -1)


def _free_what_is_over(fd: int, table: bytes, fx_directory: str) -> None:
    """Frees the slots of attempts that are gone, and of records that were cut short."""
    for slot in range(0, len(table), SLOT_BYTES):
        key, _, rest = table[slot : slot + SLOT_BYTES].decode("ascii", "replace").partition(" ")
        if not rest.endswith("\n") or not os.path.isdir(f"{fx_directory}/{key}"):
            os.pwrite(fd, FREE, slot)


def _open(directory: str) -> int:
    """Opens the table; makes it if it is not there, durably and all at once."""
    path = _path(directory)
    while True:
        try:
            return os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            aside = f"{path}.{os.urandom(4).hex()}"
            _write_durably(aside, FREE * SLOTS * SLOT_BYTES)
            try:
                os.link(aside, path)
            except FileExistsError:
                pass
            finally:
                os.unlink(aside)
            _sync(os.path.dirname(path))


def _write_file(directory: str, line: bytes) -> None:
    _write_durably(f"{directory}/terms", line)
    for path in (directory, os.path.dirname(directory)):
        _sync(path)


def _write_durably(path: str, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        os.write(fd, data)
        os.fsync(fd)
    finally:
        os.close(fd)


def _sync(directory: str) -> None:
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
