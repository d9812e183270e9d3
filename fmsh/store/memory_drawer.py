"""What a store in memory keeps beside its jobs: settings, secrets, sessions."""

from __future__ import annotations

from fmsh.errors import StoreError
from fmsh.store.base import KEPT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from fmsh.store.base import Session
    from fmsh.store.memory_disk import MemoryDisk


class Drawer:
    """The part of a process that holds what belongs to no job. `is_over`: the process is gone."""

    disk: MemoryDisk
    is_over: bool
    own_writes: int

    # -- settings and secrets

    def setting(self, name: str) -> str | None:
        return self.disk.settings.get(name)

    def set_setting(self, name: str, value: str) -> None:
        with Writing(self) as disk:
            disk.settings[name] = value

    def secret(self, name: str) -> bytes | None:
        return self.disk.secrets.get(name)

    def set_secret(self, name: str, ciphertext: bytes) -> None:
        with Writing(self) as disk:
            disk.secrets[name] = ciphertext

    def secret_names(self) -> list[str]:
        return sorted(self.disk.secrets)

    def remove_secret(self, name: str) -> bool:
        with Writing(self) as disk:
            return disk.secrets.pop(name, None) is not None

    # -- sessions

    def create_session(self, session: Session) -> None:
        with Writing(self) as disk:
            disk.sessions[session.id] = session
            disk.used_at_ms[session.id] = session.started_at_ms
            disk.session_variables[session.id] = {}

    def session(self, session_id: str | None = None) -> Session | None:
        if session_id is not None:
            return self.disk.sessions.get(session_id)
        return next(reversed(self.disk.sessions.values()), None)

    def session_variables(self, session_id: str, names: Sequence[str] | None = None) -> dict[str, str]:
        kept = self.disk.session_variables.get(session_id, {})
        return {name: value for name, value in kept.items() if names is None or name in names}

    def session_names(self, session_id: str) -> list[str]:
        return sorted(name for name in self.disk.session_variables.get(session_id, {}) if not name.startswith(KEPT))

    def lines(self, source: str, limit: int, *, before: int | None = None, after: int = 0) -> list[tuple[int, str]]:
        jobs = [kept.job for _, kept in sorted(self.disk.jobs.items(), reverse=True)]
        between = (job for job in jobs if job.id > after and (before is None or job.id < before))
        return [(job.id, job.command) for job in between if job.source == source][:limit]


class Writing:
    """A transaction: one at a time, refused by a failing disk, seen by the others when it ends."""

    __slots__ = ("_store",)

    def __init__(self, store: Drawer) -> None:
        self._store = store

    def __enter__(self) -> MemoryDisk:
        disk = self._store.disk
        disk.mutex.acquire()
        fault = StoreError("this process is gone") if self._store.is_over else disk.fault
        if fault is not None:
            disk.mutex.release()
            raise fault
        return disk

    def __exit__(self, *_: object) -> None:
        self._store.disk.version += 1
        self._store.own_writes += 1
        self._store.disk.mutex.release()
