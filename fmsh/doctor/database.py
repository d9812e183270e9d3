"""The store: whether it can be used, whether all in it is as it was written, and what lies beside it."""

from __future__ import annotations

import os
import time

from fmsh.doctor import finding as f
from fmsh.errors import StoreBusy, StoreError
from fmsh.store import migrations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fmsh.doctor.finding import Finding
    from fmsh.doctor.patient import Patient
    from fmsh.store.base import Damage
    from fmsh.store.examination import Examination

LOG_BYTES_MAX = 64 << 20  # four times what SQLite keeps of it once it starts again from its beginning
BACKUP_OLD_DAYS = 30
UNFINISHED_S = 3600.0  # a backup that was not touched for so long will not become whole
DAMAGE_SHOWN_MAX = 50
CLOCK_BACK_MS = 60_000
PAST_MS = 1_750_000_000_000  # June 2025: before this program was written
RESTORE = "Restore a backup of the store, or set it aside (with its -wal and -shm) and begin a new one."


def store(patient: Patient) -> Iterator[Finding]:
    found, path = patient.store, f"{patient.state}/store.db"
    if patient.store_error is not None:
        hint = patient.store_error.hint
        yield f.error(patient.store_error.message, hint if hint and "doctor" not in hint else RESTORE)
    elif found is None:
        yield f.note(f"there is no store {path} yet", "The first job makes it.")
    elif found.is_current:
        jobs = f.count(sum(found.count_by_state().values()), "job")
        yield f.ok(f"{path}: schema {found.schema_version}, {jobs}, {f.size(os.path.getsize(path))}")
        yield from _gate(found)
    else:
        yield _other_schema(found)


def _gate(found: Examination) -> Iterator[Finding]:
    try:
        found.require_free_gate()
    except StoreBusy as error:
        yield f.error(error.message, error.hint)


def _other_schema(found: Examination) -> Finding:
    ours = migrations.CURRENT.version
    text = f"{found.path} has schema {found.schema_version}, and this fmsh knows schema {ours}"
    if found.schema_version > ours:
        return f.error(text, "Use the newer fmsh, or set FMSH_STATE_DIR to another directory.")
    if found.schema_version == 0:
        return f.note(f"{found.path} was not made whole", "The next job makes it whole.")
    return f.note(text, "The next job migrates it, and keeps a backup of what it is now.")


def integrity(patient: Patient) -> Iterator[Finding]:
    found = patient.readable_store
    if found is None:
        return
    damage, took_s = _verified(found)
    derived = [each for each in damage if each.is_derived]
    if derived:
        text = f"{f.count(len(derived), 'fault')} in what is made from the jobs, such as: {derived[0].text}"

        def rebuild() -> str:
            found.rebuild()
            return "all indexes and triggers were made anew"

        rebuilt = patient.repaired(f.warning(text, "`fmsh doctor --repair` makes it anew."), rebuild)
        yield rebuilt
        if rebuilt.repaired:
            damage, took_s = _verified(found)
    lasting = [each for each in damage if not each.is_derived]
    for each in lasting[:DAMAGE_SHOWN_MAX]:
        yield f.error(each.text, _advice(each))
    if len(lasting) > DAMAGE_SHOWN_MAX:
        yield f.error(f"there is more damage: {len(lasting)} faults in all", RESTORE)
    if not damage:
        yield f.ok(f"{f.count(found.count_events(), 'event')} and all else are as they were written ({took_s:.1f} s)")


def _verified(found: Examination) -> tuple[list[Damage], float]:
    begun_s = time.monotonic()
    return list(found.verify()), time.monotonic() - begun_s


def _advice(damage: Damage) -> str:
    if damage.job_id is None:
        return "Restore a backup; jobs that do not need what is damaged go on."
    number = damage.job_id
    return f"Restore a backup, or give the job up: `fmsh jobs cancel {number}`, then `fmsh jobs rm {number}`."


def log(patient: Patient) -> Iterator[Finding]:
    found = patient.readable_store
    if found is None:
        return
    length = found.log_bytes()
    if length <= LOG_BYTES_MAX:
        yield f.ok(f"the log of the store has {f.size(length)}")
        return

    def empty() -> str:
        found.empty_log()
        return f"it was copied into the store and has {f.size(found.log_bytes())} now"

    long = f.warning(f"the log of the store has {f.size(length)}", "`fmsh doctor --repair` copies it into the store.")
    yield patient.repaired(long, empty)


def backups(patient: Patient) -> Iterator[Finding]:
    """Looks at what migrations have left beside the store."""
    prefix = "store.db" + migrations.BACKUP
    names = sorted(name for name in _names(patient.state) if name.startswith(prefix))
    for name in names:
        path = f"{patient.state}/{name}"
        age_s = patient.now_ms() / 1000 - os.path.getmtime(path)
        if name.endswith(".new"):
            if age_s > UNFINISHED_S:
                cut_short = f.note(f"{path} is the beginning of a backup that was cut short", f"`rm {path}`.")
                yield patient.repaired(cut_short, _removal(path))
        elif age_s > BACKUP_OLD_DAYS * 86400:
            text = f"{path} is {age_s / 86400:.0f} days old and takes {f.size(os.path.getsize(path))}"
            yield f.note(text, f"If nothing is amiss since the upgrade, remove it: `rm {path}`.")
        else:
            text = f"{path} is the store as it was before an upgrade"
            yield f.ok(f"{text}; to put it back, stop fmsh and move store.db, its -wal and its -shm away first")


def _removal(path: str) -> Callable[[], str]:
    def remove() -> str:
        os.unlink(path)
        return "it was removed"

    return remove


def clock(patient: Patient) -> Iterator[Finding]:
    now_ms, newest_ms = patient.now_ms(), None
    if patient.readable_store is not None:
        try:
            newest_ms = patient.readable_store.newest_event_ms()
        except StoreError:  # the integrity says so
            newest_ms = None
    advice = "Set the clock: timers that people set in wall time go by it."
    if now_ms < PAST_MS:
        yield f.warning(f"the clock says {_moment(now_ms)}, which is past", advice)
    elif newest_ms is not None and newest_ms > now_ms + CLOCK_BACK_MS:
        text = f"the clock says {_moment(now_ms)}, and an event was written at {_moment(newest_ms)}"
        yield f.warning(f"{text}: it was set back, or was wrong then", advice)
    else:
        yield f.ok(f"the clock says {_moment(now_ms)}")


def _moment(at_ms: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at_ms // 1000))


def _names(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return []
