"""The secrets that a job from another store needs here, and where they come from.

A reference names what is not in the job (`fmsh.secrets`). A secret that a person keeps must be in this store under the
same name. A variable of the environment is taken from ours, as it would be if the job were started here. What was
sealed under the key of the other store stays there.
"""

from __future__ import annotations

import os

from fmsh.engine import snapshots
from fmsh.jobs.documents import read_event
from fmsh.machine.events import JobStarted
from fmsh.values import ENVIRONMENT, SEALED, SecretReference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from fmsh.jobs.desk import Desk
    from fmsh.store.base import EventStore, Job


def names_in(text: str) -> set[str]:
    """Names the secrets to which a text in the wire form refers."""
    import json

    if '"$secret"' not in text:
        return set()
    found: set[str] = set()
    waiting = [json.loads(text)]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            parts = item.get("$secret")
            if len(item) == 1 and isinstance(parts, list):
                found |= {part["secret"] for part in parts if isinstance(part, dict)}
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
    return found


def of_environment(store: EventStore, job: Job) -> set[str]:
    """Names the secrets of the environment that a job started with."""
    snapshot = store.snapshot(job.id)
    if snapshot is not None:
        environment = snapshots.decode(snapshot.state_json, epoch=None).environment_hash
    else:
        started = next((read_event(store, stored) for stored in store.events(job.id, limit=1)), None)
        environment = started.environment if isinstance(started, JobStarted) else ""
    return names_in(store.blob(environment).decode()) if environment else set()


class Missing:
    """Which of the secrets that a job refers to are not here: variables, kept ones, and how many sealed ones."""

    def __init__(self, store: EventStore, names: Iterable[str]) -> None:
        self.variables: dict[str, str] = {}  # name of the reference → of the variable
        self.kept: list[str] = []
        self.is_sealed = False
        for name in sorted(names):
            kind, _, rest = name.partition(" ")
            if kind == SEALED and rest:
                self.is_sealed = True
            elif store.secret(name) is None and kind == ENVIRONMENT and rest:
                self.variables[name] = rest.rpartition(" ")[0]
            elif store.secret(name) is None:
                self.kept.append(name)

    def take_variables(self, desk: Desk, *, or_nothing: bool) -> None:
        """Takes those variables that our environment has; with `or_nothing` the others become empty."""
        for reference, variable in list(self.variables.items()):
            text = os.environ.get(variable)
            if desk.keep_secret is None or (text is None and not or_nothing):
                continue
            desk.keep_secret(desk.store, reference, text or "")
            del self.variables[reference]
            what = "is the one of this environment" if text is not None else "is empty here: it is not set"
            desk.note(f"the secret variable {variable} of the job {what}")

    def __bool__(self) -> bool:
        return bool(self.variables or self.kept)

    def text(self, job: Job) -> str:
        """Says what is missing, and what to do."""
        told = ""
        if self.variables:
            names = " ".join(f"{name}=…" for name in self.variables.values())
            told += (
                f"the secret variables of job {job.id} stay where it comes from: `{names} fmsh jobs resume {job.id}` "
                "goes on with yours\n"
            )
        if self.kept:
            names = ", ".join(f"`fmsh secret set {SecretReference(name).label}`" for name in self.kept)
            told += f"job {job.id} needs secrets that are not kept here: {names}; then `fmsh jobs resume {job.id}`\n"
        if self.is_sealed:
            told += f"job {job.id} holds secrets that only the store where they were sealed can open: using one fails\n"
        return told
