"""The processes of fmsh: who holds jobs, what the dead have left, the control socket, and the daemon behind it."""

from __future__ import annotations

import os
import stat
import time

from fmsh.daemon import client, sockets
from fmsh.doctor import finding as f
from fmsh.errors import DaemonError, StoreError
from fmsh.store.base import JobFilter
from fmsh.store.presence import Presence, boot_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from fmsh.doctor.finding import Finding
    from fmsh.doctor.patient import Patient
    from fmsh.store.base import Job, Owner

ANSWER_S = 5.0
SLOW_S = 1.0  # a healthy daemon answers in a few milliseconds
JOBS_LOOKED_AT_MAX = 1000


def locks(patient: Patient) -> Iterator[Finding]:
    run = patient.state + "/run"
    if not os.path.isdir(run):
        return
    if not boot_id():
        yield f.note("the system does not say which boot this is: the dead are known by their locks alone")
    presence = Presence(patient.state, "shell")
    held = [owner_id for owner_id in presence.ids() if presence.is_locked(owner_id)]
    free = sorted(set(presence.ids(with_sockets=True)) - set(held))
    named = {owner.id: owner for owner in _owners(patient)}
    holders = ", ".join(_name(named[owner_id]) for owner_id in held if owner_id in named)
    yield f.ok(f"{f.count(len(held), 'process', 'processes')} of fmsh" + (f": {holders}" if holders else ""))
    if free:
        text = f"{f.count(len(free), 'process', 'processes')} that died left files in {run}"

        def bury() -> str:
            for owner_id in free:
                presence.bury(owner_id)
            return "they were removed"

        yield patient.repaired(f.note(text, "The next fmsh removes them, and so does `fmsh doctor --repair`."), bury)


def _name(owner: Owner) -> str:
    return f"{owner.kind} {owner.pid}"


def _owners(patient: Patient) -> list[Owner]:
    try:
        return [] if patient.readable_store is None else patient.readable_store.owners()
    except StoreError:  # the integrity says so
        return []


def socket(patient: Patient) -> Iterator[Finding]:
    path = patient.settings.socket_path
    try:
        found = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        yield f.ok(f"nobody listens on {path}")
        return
    if not stat.S_ISSOCK(found.st_mode):
        yield f.error(f"{path} must be a socket and is something else", f"Look at it, then `rm {path}`.")
    elif found.st_uid != os.geteuid():
        text = f"{path} belongs to the user {found.st_uid}, and you are {os.geteuid()}"
        yield f.error(text, "Set FMSH_RUNTIME_DIR to a directory of your own.")
    elif not sockets.is_held(path):

        def remove() -> str:
            sockets.remove_stale(path)
            return "it was removed"

        yield patient.repaired(f.note(f"{path} was left by a daemon that died", "The next daemon replaces it."), remove)
    elif found.st_mode & 0o077:

        def narrow() -> str:
            os.chmod(path, 0o600)
            return "its mode is 0600 now"

        text = f"others can connect to {path} (mode {stat.S_IMODE(found.st_mode):04o})"
        yield patient.repaired(f.error(text, f"`chmod 600 {path}`, or `fmsh doctor --repair`."), narrow)
    else:
        yield f.ok(f"a daemon listens on {path}")


def daemon(patient: Patient) -> Iterator[Finding]:
    begun_s = time.monotonic()
    try:
        status = client.status(patient.settings.socket_path, timeout_s=ANSWER_S)
    except DaemonError as error:
        yield f.error(error.message, f"See {patient.settings.log_path}; end the process that holds the socket.")
        return
    if status is None:
        yield _without(patient)
        return
    from fmsh import __version__

    took_s = time.monotonic() - begun_s
    again = "`fmsh daemon stop`, then `fmsh daemon start`: no job is lost by that."
    if status.get("version") != __version__:
        text = f"the daemon (process {status.get('pid')}) is fmsh {status.get('version')}, and this is {__version__}"
        yield f.warning(text, again)
    if took_s > SLOW_S:
        yield f.warning(f"the daemon (process {status.get('pid')}) took {took_s:.1f} s to answer", again)
    if status.get("reason"):
        yield f.warning(f"callbacks cannot arrive: {status['reason']}", "Free that address, or set FMSH_LISTEN.")
    yield f.ok(f"the daemon runs as process {status.get('pid')}, and answered in {took_s * 1000:.0f} ms")


def _without(patient: Patient) -> Finding:
    waiting = [job for job in _going_on(patient) if not _is_held(patient, job)]
    if not waiting:
        return f.ok("no daemon runs, and no job needs one")
    if not patient.settings.may_start_daemon:
        advice = "Unset FMSH_NO_DAEMON, then `fmsh daemon start`."
    else:
        advice = "`fmsh daemon start` goes on with them."
    jobs = ", ".join(str(job.id) for job in waiting[:10])
    return f.warning(f"no daemon runs, and nobody runs {f.count(len(waiting), 'job')} ({jobs})", advice)


def _going_on(patient: Patient) -> list[Job]:
    try:
        store = patient.readable_store
        return [] if store is None else store.jobs(JobFilter(("running", "waiting"), (), JOBS_LOOKED_AT_MAX))
    except StoreError:  # the integrity says so
        return []


def _is_held(patient: Patient, job: Job) -> bool:
    if job.owner_id is None or job.damage is not None:
        return False
    owners = {owner.id: owner for owner in _owners(patient)}
    return job.owner_id in owners and Presence(patient.state, "shell").is_alive(owners[job.owner_id])
