"""Where rows about jobs happen: a store, a zygote, a witness, and a daemon when it is asked for."""

from __future__ import annotations

from fmsh.store.base import Job, StoredEvent
from fmsh.store.sqlite import SqliteStore
from tests.cli.shell import Shell, until
from tests.torture.processes import Process, Zygote
from tests.torture.rows import Trial
from tests.torture.witness import Witness


class Stage:
    """`ttl_s` is how long a stopped owner keeps its leases; 0 as in earnest."""

    def __init__(self, trial: Trial, *, ttl_s: float = 0.0) -> None:
        self.shell = Shell(trial.directory)
        self.zygote = Zygote(trial.directory, self.shell.environment, ttl_s=ttl_s)
        self.store = SqliteStore.open(str(self.shell.state), kind="shell")
        self.witness = Witness(str(self.shell.state))

    def start_daemon(self, **environment: str) -> Process:
        daemon = self.zygote.start("daemon", "run", **environment)
        until(lambda: daemon.is_over or daemon.pid in {owner.pid for owner in self.store.owners()}, "the daemon")
        assert not daemon.is_over, f"the daemon ended with {daemon.status}: {daemon.said()}"
        return daemon

    def job_named(self, name: str) -> Job:
        found: list[Job] = until(lambda: self.store.jobs_by_name(name), f"job {name}")
        return found[0]

    def history(self, name: str) -> list[StoredEvent]:
        return list(self.store.events(self.job_named(name).id))

    def close(self) -> None:
        self.zygote.close()
        self.witness.close()
        self.store.close()
        self.shell.end()
