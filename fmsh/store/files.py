"""The files of a store on a local disk: private, ours, where we left them.

    store.db, store.db-wal, store.db-shm    the database
    store.gate                              the queue of its writers (`fmsh.store.gate`)
    run/<id>.lock, run/<id>.sock            one of each per process (`fmsh.store.presence`)

An existing database file is never opened here: closing any descriptor of it would drop the locks that SQLite holds on
it for the whole process.
"""

from __future__ import annotations

import os
import stat

from fmsh.errors import StoreError, StoreFull
from fmsh.store import faults

# Their locks do not reach, or are not kept, across machines; SQLite's shared memory never is.
NETWORK_FILE_SYSTEMS = frozenset(
    ("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "virtiofs", "ceph", "lustre", "afs", "glusterfs", "beegfs",
     "fuse.sshfs", "fuse.glusterfs", "fuse.ceph", "fuse.s3fs", "fuse.rclone", "fuse.davfs")
)  # fmt: skip

FREE_BYTES_MIN = 1 << 20  # for the outcome of what has begun, and for what a process writes before it is heard


def prepare_directory(directory: str) -> str:
    """Makes the state directory and `run/` in it, for nobody but us; gives its real path.

    Raises: StoreError: it is not a directory, not ours, not writable, or on a network file system.
    """
    path = os.path.realpath(directory)
    try:
        os.makedirs(path, 0o700, exist_ok=True)
        _make_private(path)
        run = path + "/run"
        if not os.path.isdir(run):
            os.makedirs(run, 0o700, exist_ok=True)
        _make_private(run)
    except OSError as fault:
        raise faults.from_system(fault, path) from fault
    kind = file_system_of(path)
    if kind in NETWORK_FILE_SYSTEMS:
        raise StoreError(
            f"the store must be on a local disk, and {path} is on a network file system ({kind})",
            hint="Set FMSH_STATE_DIR to a directory on a local disk.",
        )
    return path


def _make_private(path: str) -> None:
    found = os.stat(path)
    if found.st_uid != os.geteuid():
        raise StoreError(
            f"the directory {path} must belong to the user {os.geteuid()} who runs fmsh, and belongs to {found.st_uid}",
            hint="Set FMSH_STATE_DIR to a directory of your own.",
        )
    if found.st_mode & 0o077:
        os.chmod(path, 0o700)


def prepare_database(path: str) -> bool:
    """Makes the database file before SQLite does, readable by nobody else; says whether it is new."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return _create_database(path)
    except OSError as fault:
        raise faults.from_system(fault, path) from fault
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
        raise StoreError(f"{path} must be a file of our own", hint="Somebody put it there: look at it, then remove it.")
    if found.st_mode & 0o077:
        os.chmod(path, 0o600)
    if not os.access(path, os.W_OK):
        raise StoreError(f"{path} cannot be written", hint="Check its permissions, or set FMSH_STATE_DIR.")
    return found.st_size == 0


def _create_database(path: str) -> bool:
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
    except FileExistsError:  # another process was as early as we are; the schema is made under the gate
        pass
    except OSError as fault:
        raise faults.from_system(fault, path) from fault
    return True


def require_room(directory: str) -> None:
    """Raises: StoreFull: so little is free on a disk that nothing new should begin there."""
    try:
        found = os.statvfs(directory)
    except OSError as fault:
        raise faults.from_system(fault, directory) from fault
    if found.f_bavail * found.f_frsize < FREE_BYTES_MIN:
        raise StoreFull(
            f"less than {FREE_BYTES_MIN >> 20} MiB is free on the disk of {directory}",
            hint="Free some space on its disk; work then goes on.",
        )


def file_system_of(path: str) -> str:
    """Names the type of the file system that holds `path`; empty where the system does not tell."""
    device = os.stat(path).st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    try:
        with open("/proc/self/mountinfo") as lines:
            for line in lines:
                if line.split(" ", 3)[2] == number:
                    return line.partition(" - ")[2].partition(" ")[0]
    except OSError:
        pass
    return ""


class Identity:
    """Which files the open database has. SQLite would go on writing to files that nobody can find any more."""

    __slots__ = ("_database", "_found", "_log")

    def __init__(self, path: str) -> None:
        self._database = path
        self._log = path + "-wal"
        self._found = self._look()[:-1]
        self.check()

    def check(self) -> int:
        """Gives the length of the log in bytes.

        Raises: StoreError: the database or its log was removed, replaced or linked elsewhere.
        """
        *found, log_bytes = self._look()
        if not found or found != self._found:
            raise StoreError(
                f"{self._database} or its log was removed or replaced while it was open; nothing was written",
                hint="Restore the files, or start fmsh again to work with those that are there now.",
            )
        return log_bytes

    def _look(self) -> list[int]:
        try:
            base, log = os.stat(self._database), os.stat(self._log)
        except OSError:
            return [0]
        return [base.st_ino, base.st_nlink, base.st_dev, log.st_ino, log.st_nlink, log.st_dev, log.st_size]
