"""What the disk has taken, as seen from outside: a second account of each job, kept commit by commit.

It knows who holds which lease, so that it can tell an effect that nobody was entitled to. At the end a job's history
must be exactly what stands here: nothing that was acknowledged is lost, and nothing is there that nobody committed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from fmsh import wire
from fmsh.errors import StoreError
from fmsh.store.base import ENDED_STATES, RENEWAL_TTL_S, Append, Job, Lease, NewEvent

if TYPE_CHECKING:
    from tests.simulation.owners import Owner


class Story:
    """One job. `releases` are the epochs at whose end the job was given back, and whether that was hurried."""

    def __init__(self, job_id: int) -> None:
        self.job_id = job_id
        self.events: list[tuple[str, int | None, str, int]] = []  # type, step, data, epoch
        self.requests: dict[int, dict[str, object]] = {}
        self.failures: dict[int, int] = {}
        self.completed: set[int] = set()
        self.positions: dict[int, object] = {}  # of streams, by step
        self.taken: set[int] = set()
        self.releases: dict[int, bool] = {}
        self.holder: Owner | None = None
        self.epoch = 1
        self.state = "running"

    @property
    def has_ended(self) -> bool:
        return self.state in ENDED_STATES

    def add(self, event: NewEvent, epoch: int) -> None:
        self.events.append((event.type, event.step, event.data_json, epoch))
        if event.step is None:
            return
        if event.type == "RequestMade":
            self.requests[event.step] = wire.decode(event.data_json)
        elif event.type == "AttemptFailed":
            self.failures[event.step] = self.failures.get(event.step, 0) + 1
        elif event.type == "RequestCompleted":
            self.completed.add(event.step)
        elif event.type == "ItemsRead":
            self.positions[event.step] = wire.decode(event.data_json)["position"]


class Journal:
    def __init__(self, violate: Callable[[str], None], now_s: Callable[[], float]) -> None:
        self.stories: dict[int, Story] = {}
        self._violate = violate
        self._now_s = now_s

    def created(self, owner: Owner, job: Job, lease: Lease | None, events: Sequence[NewEvent]) -> None:
        story = self.stories[job.id] = Story(job.id)
        story.state = job.state
        story.holder = owner if lease is not None and not story.has_ended else None
        for event in events:
            story.add(event, 1)

    def committed(self, owner: Owner, append: Append, head: int, answer: StoreError | None) -> None:
        """Notes what became of one append; `head` is where it was to begin."""
        story = self.stories[append.lease.job_id]
        if answer is not None:
            return
        if story.holder is not owner or append.lease.epoch != story.epoch or head != len(story.events):
            self._violate(f"{owner.name} appends to job {story.job_id}, which is not its own")
        if story.has_ended:
            self._violate(f"{owner.name} appends to job {story.job_id} after its end")
        for event in append.events:
            story.add(event, append.lease.epoch)
        for row_id in append.taken:
            if row_id in story.taken:
                self._violate(f"job {story.job_id} takes row {row_id} of its inbox again")
            story.taken.add(row_id)
        story.state = append.summary.state
        if append.release or story.has_ended:
            story.holder = None
            story.releases[story.epoch] = story.job_id in owner.hurried

    def acquired(self, owner: Owner, lease: Lease) -> None:
        story = self.stories[lease.job_id]
        if story.holder is owner:
            self._violate(f"{owner.name} gets the lease of job {lease.job_id}, which it has")
        if lease.epoch <= story.epoch and story.events:
            self._violate(f"the epoch of job {lease.job_id} goes from {story.epoch} to {lease.epoch}")
        self._taken_from(story)
        story.holder, story.epoch = owner, lease.epoch

    def freed(self, job_id: int, *, by: Owner) -> None:
        story = self.stories[job_id]
        if story.holder is not by:
            self._taken_from(story)
        story.holder = None

    def _taken_from(self, story: Story) -> None:
        """A job is taken from whoever has it: that has to be dead, or not to have renewed for a whole TTL."""
        holder = story.holder
        if holder is not None and not holder.is_dead:
            for_s = self._now_s() - holder.renewed_s
            if for_s < RENEWAL_TTL_S:
                self._violate(
                    f"job {story.job_id} is taken from {holder.name}, which lives and has renewed {for_s:.1f} s ago"
                )
