"""The checks, in the order in which they are made. A new one is a function and a line here."""

from __future__ import annotations

from fmsh.doctor import database, places, processes, work
from fmsh.doctor import finding as f
from fmsh.errors import FmshError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fmsh.doctor.finding import Finding
    from fmsh.doctor.patient import Patient

    Check = Callable[[Patient], Iterator[Finding]]

CHECKS: dict[str, Check] = {
    "versions": places.versions,
    "config": places.config,
    "state": places.state,
    "disk": places.disk,
    "permissions": places.permissions,
    "store": database.store,
    "integrity": database.integrity,
    "log": database.log,
    "backups": database.backups,
    "clock": database.clock,
    "locks": processes.locks,
    "socket": processes.socket,
    "daemon": processes.daemon,
    "jobs": work.jobs,
    "leftovers": work.leftovers,
}


def run(patient: Patient) -> Iterator[tuple[str, Finding]]:
    """Makes all checks. One that cannot be made is a finding, and keeps no other from being made."""
    for name, check in CHECKS.items():
        try:
            for finding in check(patient):
                yield name, finding
        except FmshError as fault:
            yield name, f.error(f"this cannot be looked at: {fault.message}", fault.hint)
        except OSError as fault:
            yield name, f.error(f"this cannot be looked at: {fault}", "Check the permissions and the disk.")
