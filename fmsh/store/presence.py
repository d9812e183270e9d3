"""That a process lives, and how to wake it: one lock and one socket in `run/`, named by the owner's id.

The lock is held for life and inherited by nobody, so *dead* means exactly that somebody else can have it, or that its
file is gone. (Process numbers are given again; a lock is not.) A datagram to the socket wakes; a lost one costs time,
never an event, because everybody also looks at `data_version` now and then.
"""

from __future__ import annotations

import _thread
import fcntl
import os

from fmsh.store import faults
from fmsh.store.base import Owner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket

ID_CHARACTERS = 32
SOCKET_PATH_MAX = 100  # sun_path has 104 bytes on some systems, 108 on others


class Presence:
    """This process as an owner of leases. Shared by all its stores on one directory, whatever their thread."""

    __slots__ = ("_lock_fd", "_mutex", "_run", "_run_fd", "_socket", "is_registered", "owner")

    def __init__(self, directory: str, kind: str) -> None:
        self.owner = Owner(os.urandom(ID_CHARACTERS // 2).hex(), kind, os.getpid(), os.uname().nodename, boot_id())
        self._run = directory + "/run"
        self._run_fd = -1
        self._lock_fd = -1
        self._socket: socket | None = None
        self.is_registered = False  # whether the store names this owner
        self._mutex = _thread.allocate_lock()

    def hold_lock(self) -> None:
        """Takes the lock for life, before the owner is written anywhere."""
        with self._mutex:
            while self._lock_fd < 0:
                self._lock_fd = _locked(self._path(self.owner.id, "lock"))

    def is_alive(self, owner: Owner) -> bool:
        """Says whether an owner lives: this boot, and its lock is held."""
        return owner.boot_id == self.owner.boot_id and self.is_locked(owner.id)

    def is_locked(self, owner_id: str) -> bool:
        if owner_id == self.owner.id:
            return self._lock_fd >= 0
        try:
            fd = os.open(self._path(owner_id, "lock"), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        except OSError as fault:
            raise faults.from_system(fault, self._path(owner_id, "lock")) from fault
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: two who ask do not take each other for the owner
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
        return False

    def bury(self, owner_id: str) -> None:
        """Removes what a dead owner left in `run/`; does nothing to a living one."""
        path = self._path(owner_id, "lock")
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(self._path(owner_id, "sock"))
                _remove(path)
            finally:
                os.close(fd)
        except FileNotFoundError:
            _remove(self._path(owner_id, "sock"))
        except BlockingIOError:
            pass

    def ids(self, *, with_sockets: bool = False) -> list[str]:
        """Names the owners that left a lock (or a socket) in `run/`, dead or alive. The daemon has files there too."""
        found = (name.partition(".") for name in os.listdir(self._run))
        endings = ("lock", "sock") if with_sockets else ("lock",)
        return sorted({name for name, _, ending in found if len(name) == ID_CHARACTERS and ending in endings})

    def socket_fileno(self) -> int:
        """Gives the descriptor of the socket on which this process is woken; makes it at the first call."""
        with self._mutex:
            if self._socket is None:
                self._socket = self._bound_socket()
            return self._socket.fileno()

    def drain(self) -> None:
        """Takes all datagrams that have arrived."""
        if self._socket is None:
            return
        try:
            while True:
                self._socket.recv(1)
        except BlockingIOError:
            pass

    def poke(self, owner_ids: list[str]) -> None:
        """Wakes some processes, if they listen. One whose queue is full is being woken already."""
        ours = _datagram_socket()
        try:
            for owner_id in owner_ids:
                path = self._address(owner_id)
                if path is not None:
                    _send(ours, path)
        finally:
            ours.close()

    def end(self) -> None:
        """Gives up the lock and the socket: from here on this owner is dead."""
        for kind in ("sock", "lock"):
            _remove(self._path(self.owner.id, kind))
        if self._socket is not None:
            self._socket.close()
        for fd in (self._lock_fd, self._run_fd):
            if fd >= 0:
                os.close(fd)
        self._lock_fd = self._run_fd = -1
        self._socket = None

    def _bound_socket(self) -> socket:
        ours = _datagram_socket()
        address = self._address(self.owner.id)
        try:
            if address is not None:
                ours.bind(address)
                os.chmod(address, 0o600)
        except OSError as fault:
            ours.close()
            raise faults.from_system(fault, self._path(self.owner.id, "sock")) from fault
        return ours

    def _path(self, owner_id: str, kind: str) -> str:
        return f"{self._run}/{owner_id}.{kind}"

    def _address(self, owner_id: str) -> str | None:
        """Gives a path that a socket address can hold; None where there is none, and polling has to do."""
        path = self._path(owner_id, "sock")
        if len(path.encode()) <= SOCKET_PATH_MAX:
            return path
        if self._run_fd < 0:
            self._run_fd = os.open(self._run, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        path = f"/proc/self/fd/{self._run_fd}"
        return f"{path}/{owner_id}.sock" if os.path.isdir(path) else None


def _locked(path: str) -> int:
    """Makes and locks a file; -1 if somebody who took it for a dead owner's removed it in between."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX)
        if os.path.exists(path) and os.path.samestat(os.stat(path), os.fstat(fd)):
            return fd
    except OSError as fault:
        raise faults.from_system(fault, path) from fault
    os.close(fd)
    return -1


def _remove(path: str) -> None:
    if os.path.lexists(path):
        try:
            os.unlink(path)
        except OSError:  # somebody else was faster, or the disk is read-only now: what is left is swept by another
            return


def _send(ours: socket, address: str) -> None:
    try:
        ours.sendto(b"\0", address)
    except OSError:  # it is gone, or its queue is full and it is being woken already
        return


def _datagram_socket() -> socket:
    import _socket  # the extension module itself: `socket` costs ten times as much, and only at the first wake-up

    ours = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM)
    ours.setblocking(False)
    return ours


def boot_id() -> str:
    """Names this boot of the machine; empty where the system does not, and then only locks tell the living."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except OSError:
        return ""
