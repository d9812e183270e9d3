"""Jobs made by hand: a store that runs them, a store that looks on, and `fmsh jobs` on top."""

from __future__ import annotations

import errno
import io
import json
import os
from typing import Any

from fmsh import wire
from fmsh.engine.recording import Recording
from fmsh.jobs import main
from fmsh.machine import events
from fmsh.retention import Limits
from fmsh.store.base import Append, EventStore, Job, Lease, NewEvent, NewJob, NewProgram, Summary

AT_MS = 1_795_500_000_000
TEXT = "make all\nlet x = $nothing\n"
PROGRAM = NewProgram(hash="p1", name="release.fmsh", text=TEXT, tree_json="{}")
PERSON = {"kind": "person", "label": "Deploy?", "since": "2026-11-24T10:00:00.000Z", "until": None}
PERSON["where"] = {"file": "release.fmsh", "line": 1, "column": 1}


class Story:
    """One job in the making. `add` commits an event at once, with the summary that the job has then."""

    def __init__(
        self,
        store: EventStore,
        *,
        key: str | None = None,
        name: str | None = None,
        parent_id: int | None = None,
        program: NewProgram = PROGRAM,
        **tags: str,
    ) -> None:
        self.store = store
        self.uid = os.urandom(8).hex()
        new = NewJob(
            self.uid, "release.fmsh", "release.fmsh api", AT_MS, program, key=key, name=name,
            tags_json=json.dumps(tags), parent_id=parent_id,
        )  # fmt: skip
        started = events.JobStarted(program.hash, ["api"], "", "/", "UTC", {})
        first = NewEvent("JobStarted", AT_MS, events.encode(started))
        self.summary = Summary("running", 0)
        job, lease, _ = store.create_job(new, [first], self.summary, lease=True)
        assert lease is not None
        self.id = job.id
        self.lease: Lease = lease
        self.at_ms = AT_MS

    def add(self, event: events.Event, *, step: int | None = None, **summary: Any) -> None:
        self.at_ms += 1000
        self.summary = self.summary.replace(**summary)
        stored = NewEvent(type(event).__name__, self.at_ms, events.encode(event), step)
        assert self.store.commit([Append(self.lease, [stored], self.summary)]) == [None]

    def add_large(self, event: events.Event) -> None:
        """Commits an event whose data are kept as a blob."""
        recorded = Recording()
        recorded.add(event, at_ms=self.at_ms)
        assert recorded.blobs
        assert self.store.commit([Append(self.lease, recorded.events, self.summary, blobs=recorded.blobs)]) == [None]

    def display(self, text: str, stream: str = "out") -> None:
        self.add(events.Displayed(text, stream))

    def request(self, step: int, connector: str = "process", operation: str = "run", **arguments: Any) -> None:
        made = events.RequestMade(step, "0", connector, operation, arguments, node=step)
        self.add(made, step=step, steps=step)

    def run_process(self, step: int, *argv: str, output: str = "display") -> None:
        self.request(step, stages=[{"argv": list(argv), "environment": {}}], output=output)

    def complete(self, step: int, value: Any = None, **outcome: Any) -> None:
        self.add(events.RequestCompleted(step, value, **outcome), step=step)

    def complete_with(self, value: Any) -> None:
        """A step that is done at once."""
        self.request(1, "timer", "sleep")
        self.complete(1, value)

    def wait_for(self, *waits: Any) -> None:
        self.add(events.Observed(1, 0), state="waiting", wake_at_ms=None, waiting_for_json=wire.encode(list(waits)))

    def park(self, error: Any, step: int | None = None) -> None:
        self.add(events.Parked(step, error), step=step, state="parked", error_json=wire.encode(error), wake_at_ms=None)

    def end(self, value: Any = None, error: Any = None, status: int = 0) -> None:
        state = "succeeded" if error is None else "cancelled" if error.kind == "cancelled" else "failed"
        self.add(
            events.JobEnded(value, error, status),
            state=state,
            value_json=wire.encode(value) if error is None else None,
            error_json=None if error is None else wire.encode(error),
            exit_status=status,
            ended_at_ms=self.at_ms + 1000,
            waiting_for_json="[]",
        )

    @property
    def job(self) -> Job:
        job = self.store.job(self.id)
        assert job is not None
        return job


class Screen:
    """Runs `fmsh jobs` and keeps what it wrote."""

    def __init__(self, looking: EventStore, fx_directory: str) -> None:
        self.looking = Unclosed(looking)
        self.fx_directory = fx_directory
        self.limits = Limits(None, None, None)
        self.out = ""
        self.raw = b""
        self.err = ""

    def run_with_room(self, room: int, *arguments: str, **options: Any) -> int:
        """Runs it with a standard output that takes so many bytes, as a full disk does."""
        return self.run(*arguments, out=Bounded(room), **options)

    def run(self, *arguments: str, out: io.BytesIO | None = None, **options: Any) -> int:
        out, err = out or io.BytesIO(), io.BytesIO()
        stdout, stderr = io.TextIOWrapper(out, "utf-8"), io.TextIOWrapper(err, "utf-8")
        try:
            return main(
                list(arguments),
                lambda: self.looking,  # type: ignore[arg-type,return-value]
                fx_directory=self.fx_directory,
                stdout=stdout,
                stderr=stderr,
                limits=lambda: self.limits,
                **options,
            )
        finally:
            stdout.flush()
            stderr.flush()
            self.raw = out.getvalue()
            self.out = self.raw.decode("utf-8", "replace")
            self.err = err.getvalue().decode("utf-8", "replace")

    def json(self, *arguments: str) -> Any:
        self.run(*arguments, "--json")
        assert self.out.count("\n") == 1, (self.out, self.err)
        return json.loads(self.out)


class Bounded(io.BytesIO):
    """Takes so many bytes, and then has no room."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self._room = room

    def write(self, data: Any, /) -> int:
        taken = bytes(data)[: self._room]
        if not taken and data:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._room -= len(taken)
        return super().write(taken)


class Unclosed:
    """The looking store, for several runs: each closes what it opened, and here that does nothing."""

    def __init__(self, store: EventStore) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def close(self) -> None:
        pass
