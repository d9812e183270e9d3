"""Which job is meant: by number, `%N`, key, unique name, or `last`."""

from __future__ import annotations

from fmsh import retention
from fmsh.errors import FmshError, StoreCorrupt
from fmsh.store.base import JobFilter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fmsh.store.base import EventStore, Job

DIGITS_MAX = 18  # more would not fit the number of any job


class NoSuchJob(FmshError):
    """The text names no job, or more than one."""


class NotPossible(FmshError):
    """The job is there, but what was asked cannot be done with it."""


def find_job(store: EventStore, text: str) -> Job:
    """Gives the job that a person means. A key goes before a name. Raises: NoSuchJob."""
    number = text.removeprefix("%")
    if number.isascii() and number.isdigit() and len(number) <= DIGITS_MAX:
        job = store.job(int(number))
        if job is None and not text.startswith("%"):
            job = store.job_by_key(text)
        if job is None and store.existed(int(number)):
            raise NoSuchJob(retention.about_removed(int(number)))
        if job is None:
            raise NoSuchJob(f"there is no job {number}", hint="`fmsh jobs list --all` lists all")
        return job
    if text == "last":
        job = store.last_job()
        if job is None:
            raise NoSuchJob("there are no jobs yet")
        return job
    return store.job_by_key(text) or _by_name(store, text)


def find_even_damaged(store: EventStore, text: str) -> Job:
    """The same, also for a job whose row is not what was written: it is given as a list shows it. Raises: NoSuchJob."""
    try:
        return find_job(store, text)
    except StoreCorrupt:
        number = text.removeprefix("%")
        for job in store.jobs(JobFilter()):
            if str(job.id) == number:
                return job
        raise


def _by_name(store: EventStore, name: str) -> Job:
    named = store.jobs_by_name(name)
    if not named:
        raise NoSuchJob(f"there is no job with the key or name {name!r}", hint="`fmsh jobs list --all` lists all")
    if len(named) > 1:
        numbers = ", ".join(str(job.id) for job in named[:10])
        raise NoSuchJob(f"{len(named)} jobs are called {name!r}", hint=f"give a number: {numbers}")
    return named[0]
