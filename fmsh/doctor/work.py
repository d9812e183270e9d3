"""The jobs themselves: those that need a person, and files of jobs that are not there any more."""

from __future__ import annotations

import os

from fmsh import retention, wire
from fmsh.connectors import spool
from fmsh.doctor import finding as f
from fmsh.errors import StoreError
from fmsh.store.base import ACTIVE_STATES, ENDED_STATES, JobFilter
from fmsh.values import ErrorValue

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from fmsh.doctor.finding import Finding
    from fmsh.doctor.patient import Patient
    from fmsh.store.base import Job

JOBS_SHOWN_MAX = 20
JOBS_LOOKED_AT_MAX = 1000
NAMES_AT_ONCE = 500


def jobs(patient: Patient) -> Iterator[Finding]:
    store = patient.readable_store
    if store is None:
        return
    try:
        parked = store.jobs(JobFilter(("parked",), (), JOBS_LOOKED_AT_MAX))
        listed = store.jobs(JobFilter(ACTIVE_STATES + ENDED_STATES, (), JOBS_LOOKED_AT_MAX))
    except StoreError as error:
        yield f.error(f"the jobs cannot be listed: {error.message}", error.hint)
        return
    for job in parked[:JOBS_SHOWN_MAX]:
        yield _parked(job)
    if len(parked) > JOBS_SHOWN_MAX:
        yield f.warning(f"{len(parked)} jobs are parked", "`fmsh jobs list --state parked` shows all.")
    active = sum(1 for job in listed if job.state in ACTIVE_STATES)
    if not parked:
        yield f.ok(f"{f.count(active, 'job')} active, none of them parked")


def _parked(job: Job) -> Finding:
    error = wire.decode(job.error_json) if job.error_json else None
    reason = f": {error.message}" if isinstance(error, ErrorValue) else ""
    if isinstance(error, ErrorValue) and error.kind == "corrupt":
        advice = f"Restore a backup, or give it up: `fmsh jobs cancel {job.id}` ends it without its `defer` and `undo`."
        return f.warning(f"job {job.id} is damaged{reason}", advice)
    return f.warning(f"job {job.id} is parked{reason}", f"`fmsh jobs show {job.id}` says what to do about it.")


def leftovers(patient: Patient) -> Iterator[Finding]:
    """Looks for files of processes whose job is gone, and was gone for as long as retention leaves them."""
    store, directory = patient.readable_store, patient.settings.fx_directory
    if store is None or not os.path.isdir(directory):
        return
    since_s = patient.now_ms() / 1000 - retention.GRACE_S
    names = [entry.name for entry in os.scandir(directory) if entry.is_dir(follow_symlinks=False)]
    old = [name for name in names if os.lstat(f"{directory}/{name}").st_mtime < since_s]
    known: set[str] = set()
    for start in range(0, len(old), NAMES_AT_ONCE):
        known |= store.known_uids(old[start : start + NAMES_AT_ONCE])
    strays = [name for name in old if name not in known]
    if not strays:
        yield f.ok(f"the files of processes in {directory} are those of jobs that are there")
        return

    def remove() -> str:
        freed = sum(spool.remove_job(directory, name) for name in strays)
        return f"they were removed, and {f.size(freed)} are free"

    text = f"{directory} has files of {f.count(len(strays), 'job')} that the store does not have"
    yield patient.repaired(f.note(text, "The daemon removes them, and so does `fmsh doctor --repair`."), remove)
