"""When a shell needs the daemon: for jobs that nobody runs, and for those that it gives away."""

from __future__ import annotations

from fmsh.errors import DaemonError
from fmsh.store.base import JobFilter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fmsh.settings import Settings
    from fmsh.store.base import EventStore

LOOKED_AT_MAX = 100  # active jobs, the newest; that all of them are held by shells while older ones wait is unlikely


def start(settings: Settings, store: EventStore) -> None:
    """Starts a daemon if there is none, or an older one, without waiting for it; wakes the one that is there.

    Raises: DaemonError: it cannot be started, or `FMSH_NO_DAEMON=1` forbids it.
    """
    from fmsh.daemon import activate
    from fmsh.daemon.sockets import is_held

    try:
        if is_held(settings.socket_path):
            activate.require_our_store(settings)
            if settings.may_start_daemon and activate.is_outdated(settings):
                activate.spawn(settings, replaces=True)
            else:
                store.wake_daemon()
        elif settings.may_start_daemon:
            activate.spawn(settings)
        else:
            raise DaemonError("FMSH_NO_DAEMON=1 forbids to start the daemon")
    except OSError as error:
        raise DaemonError(f"the daemon could not be started: {error}") from error


def state(settings: Settings) -> str:
    """Whether the daemon `runs`, was `stopped` (or never began), or `died`: then it has left its socket."""
    import os

    from fmsh.daemon.sockets import is_held

    if is_held(settings.socket_path):
        return "runs"
    return "died" if os.path.lexists(settings.socket_path) else "stopped"


def has_daemon(store: EventStore) -> bool:
    return any(owner.kind == "daemon" and store.is_alive(owner.id) for owner in store.owners())


def has_orphans(store: EventStore) -> bool:
    """Whether there are jobs that should go on, and neither a shell that runs them nor a daemon that would."""
    active = store.jobs(JobFilter(("running", "waiting"), (), LOOKED_AT_MAX))
    if all(job.owner_id == store.owner.id for job in active) or has_daemon(store):
        return False
    store.reap()
    return any(job.owner_id is None for job in store.jobs(JobFilter(("running", "waiting"), (), LOOKED_AT_MAX)))
