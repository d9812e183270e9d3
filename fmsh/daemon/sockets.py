"""The sockets on which the daemon listens, bound by us: a private one on the file system, and a port for callbacks.

uvicorn's own way leaves a Unix socket open to everybody and stumbles over one that a dead daemon left behind. Here the
right to a control socket is a lock on a file beside it, held until the listener ends. Who holds the lock may remove
what lies there; who cannot get it knows that another daemon lives.

A kept port is chosen outside of the range from which systems take ports for outgoing connections: there it could be
in use by accident whenever the daemon comes back.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import stat
import time
from contextlib import contextmanager

from fmsh import configuration
from fmsh.errors import DaemonError
from fmsh.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

BACKLOG = 1024  # more than the connections that one peer may hold, so that a burst queues instead of failing
SOCKET_PATH_MAX = 100  # sun_path has 104 bytes on some systems, 108 on others
LOCK_SUFFIX = ".lock"
NOTE_BYTES_MAX = 8192
ENDING_S_MAX = 3.0  # a daemon ends within 2 s of being asked
POLL_S = 0.02
FREE_PORTS = range(17_000, 30_000)  # outgoing connections use 32768 and up on Linux, 49152 and up elsewhere
FREE_PORT_TRIES = 40


class Address(Record):
    """Where a TCP listener is, or is to be; port 0 asks for a free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """Reads `HOST:PORT`, `[V6]:PORT` or `HOST`. Raises: DaemonError."""
    try:
        return Address(*configuration.address(text))
    except ValueError as wanted:
        raise DaemonError(
            f"an address to listen on must be {wanted}, and is {text!r}",
            hint="It is that of FMSH_LISTEN, or `listen` in config.toml.",
        ) from None


def listen_tcp(wanted: Address) -> socket.socket:
    """Gives a listening socket at an address. Raises: DaemonError when the port is taken or the host is not ours."""
    if wanted.port == 0:
        return _listen_at_free_port(wanted.host)
    try:
        return _listen(wanted)
    except OSError as fault:
        raise DaemonError(
            f"cannot listen on {wanted}: {fault.strerror or fault}",
            hint="End what uses that port (`ss -ltnp` shows it), or set FMSH_LISTEN to another one."
            if fault.errno == errno.EADDRINUSE
            else "Set FMSH_LISTEN to an address of this machine.",
        ) from fault


def address_of(listener: socket.socket) -> Address:
    host, port = listener.getsockname()[:2]
    return Address(host, port)


def _listen_at_free_port(host: str) -> socket.socket:
    for _ in range(FREE_PORT_TRIES):
        port = FREE_PORTS[int.from_bytes(os.urandom(4), "big") % len(FREE_PORTS)]
        try:
            return _listen(Address(host, port))
        except OSError:
            continue
    try:
        return _listen(Address(host, 0))
    except OSError as fault:
        raise DaemonError(f"cannot listen on {host}: {fault.strerror or fault}", hint="Set FMSH_LISTEN.") from fault


def _listen(address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    # asyncio turns off Nagle's algorithm only where the protocol is named; with it an answer takes 40 ms longer
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address.host, address.port))
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


class ControlSocket:
    """A listening Unix socket that only its user can reach, and the lock that makes it ours."""

    __slots__ = ("_lock_fd", "listener", "path")

    def __init__(self, path: str, *, note: str = "") -> None:
        """Binds it, and leaves a note on who listens (`note_at`).

        Raises: DaemonError when a daemon listens there already, or the place is not private.
        """
        self.path = path
        self._lock_fd = _lock_beside(path, wait_s=ENDING_S_MAX)
        try:
            os.ftruncate(self._lock_fd, 0)
            os.pwrite(self._lock_fd, os.fsencode(note), 0)
            _remove_stale(path)
            self.listener = _bind_privately(path)
        except (OSError, DaemonError) as fault:
            os.close(self._lock_fd)
            if isinstance(fault, DaemonError):
                raise
            raise DaemonError(f"cannot listen on {path}: {fault}", hint="Set FMSH_RUNTIME_DIR.") from fault

    def close(self) -> None:
        """Ends listening, removes the file and gives up the lock; a second call does nothing."""
        if self._lock_fd < 0:
            return
        self.listener.close()
        try:
            os.unlink(self.path)
        except FileNotFoundError:
            pass
        os.close(self._lock_fd)
        self._lock_fd = -1


def is_held(path: str) -> bool:
    """Whether somebody has the right to the control socket at `path`, or is just giving it up."""
    try:
        fd = os.open(path + LOCK_SUFFIX, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def note_at(path: str) -> str:
    """The note of who listens at `path`, or was the last one there; "" if there is none."""
    try:
        with open(path + LOCK_SUFFIX, "rb") as lock:
            return os.fsdecode(lock.read(NOTE_BYTES_MAX))
    except OSError:
        return ""


def remove_stale(path: str) -> None:
    """Removes the socket of a dead daemon. Raises: DaemonError: one lives, or it is no socket."""
    fd = _lock_beside(path)
    try:
        _remove_stale(path)
    finally:
        os.close(fd)


@contextmanager
def short_path(path: str) -> Iterator[str]:
    """Gives a path to the same file that fits into a socket address, for as long as the block lasts.

    Raises: DaemonError where the system has no way to do that.
    """
    if len(os.fsencode(path)) <= SOCKET_PATH_MAX:
        yield path
        return
    directory, name = os.path.split(path)
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        short = f"/proc/self/fd/{fd}"
        if not os.path.isdir(short) or len(os.fsencode(name)) > SOCKET_PATH_MAX - len(short) - 1:
            raise DaemonError(
                f"the path {path} is too long for a socket", hint="Set FMSH_RUNTIME_DIR to a shorter one."
            )
        yield f"{short}/{name}"
    finally:
        os.close(fd)


def _lock_beside(path: str, *, wait_s: float = 0.0) -> int:
    """Takes the lock. Waits for a daemon that takes no connections any more, for it is about to give the lock up."""
    directory = os.path.dirname(path)
    try:
        os.makedirs(directory, 0o700, exist_ok=True)
        found = os.stat(directory)
        if found.st_uid != os.geteuid():
            raise DaemonError(f"the directory {directory} must be our own", hint="Set FMSH_RUNTIME_DIR.")
        if found.st_mode & 0o077:
            os.chmod(directory, 0o700)
        fd = os.open(path + LOCK_SUFFIX, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as fault:
        raise DaemonError(f"cannot listen on {path}: {fault}", hint="Set FMSH_RUNTIME_DIR.") from fault
    give_up_at = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= give_up_at or _is_listened_to(path):
                os.close(fd)
                hint = "`fmsh daemon status` shows it."
                raise DaemonError(f"a daemon is already listening on {path}", hint=hint) from None
            time.sleep(POLL_S)
        else:
            return fd


def _is_listened_to(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(ENDING_S_MAX)
        try:
            with short_path(path) as short:
                probe.connect(short)
        except OSError:
            return False
    return True


def _remove_stale(path: str) -> None:
    """Removes the socket of a dead daemon; only who holds the lock may call this."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise DaemonError(f"{path} must be a socket and is something else", hint="Look at it, then remove it.")
    os.unlink(path)


def _bind_privately(path: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        with short_path(path) as short:
            listener.bind(short)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    finally:
        os.umask(mask)
    return listener
