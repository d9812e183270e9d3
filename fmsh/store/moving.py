"""What a store guarantees when a job leaves it for another store, comes into it, or comes back; a part of `EventStore`.

A job that was moved is over here, and kept as it was: nobody takes it up, its addresses serve nobody, and it can be
written once more, until it is removed.
"""

from __future__ import annotations

from fmsh.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Protocol, TypeAlias

    from fmsh.store.base import InboxRow, Job, NewCallback, NewJob, Snapshot, StoredEvent, Summary
else:
    Protocol = object


class KeptCallback(Record):
    """An address as it is kept. `used_by`: the delivery that used it up, if it serves once, or the last one."""

    new: NewCallback
    used_by: str | None
    used_at_ms: int | None


class Belongings(Record):
    """What a job has beside its row, its history and its values. `state`: of a moved job the one in which it left.

    `topics`: those that it has subscribed to; `functions`: those of its calls that are open; `claims`: the locks and
    limits that it has or waits for, such as `lock deploy`. None of them can be moved.
    """

    state: str
    inbox: tuple[InboxRow, ...]
    delivered: tuple[Delivered, ...]
    callbacks: tuple[KeptCallback, ...]
    children: tuple[int, ...]
    topics: tuple[str, ...] = ()
    functions: tuple[str, ...] = ()
    claims: tuple[str, ...] = ()


class Arrival(Record):
    """A job that comes from another store, with the epoch and the trimming that it had there."""

    new: NewJob
    summary: Summary
    head: int
    epoch: int
    trimmed_seq: int


class KeptBlob(Record):
    """A value that a job uses until its event `until_seq` is trimmed; None: for as long as the job is kept."""

    hash: str
    data: bytes
    until_seq: int | None


class BlobUse(Record):
    """That a job uses a value, which came before, longer than was said then."""

    hash: str
    until_seq: int


class Delivered(Record):
    """That something was delivered, so that a repeat of it is known."""

    dedupe_id: str
    at_ms: int


class Moving(Protocol):
    def job_by_uid(self, uid: str) -> Job | None: ...

    def hold(self, job_id: int) -> bool:
        """Keeps an active job from being taken up, without the right to append; False: somebody who may holds it.

        It is taken as a lease is (guarantee 6 of `base`), but the epoch stays: whoever acquires the job next finds it
        as its last holder left it. `release` with the job's epoch gives it back, and so does the death of this process.
        """
        ...

    def belongings(self, job_id: int) -> Belongings: ...

    def move_out(self, job: Job, *, inbox_id: int, at_ms: int) -> None:
        """Makes a held job `moved`, with `ended_at_ms`: over in this store, but kept as it was.

        Raises: StoreFenced, and nothing is changed: it is not held, has gone on since `job` was read, or its inbox has
        rows after `inbox_id` (0: any).
        """
        ...

    def move_back(self, job_id: int) -> None:
        """Undoes `move_out`: the job is as it was, and held by nobody."""
        ...

    def move_in(self, arrival: Arrival, pieces: Iterator[Piece]) -> Job:
        """Takes in a job in one transaction; after anything that `pieces` raises nothing of it is here.

        It gets a new number, or its old one if it was moved from here. `job_id` of the pieces is ignored; events come
        in order, and of a trimmed job also the snapshot at its first one. The iterator is exhausted before the commit.

        Raises: StoreError: the job is here and was not moved, has gone on here since it was moved out as it arrives, or
        another job has its key.
        """
        ...


if TYPE_CHECKING:
    Piece: TypeAlias = StoredEvent | Snapshot | KeptBlob | BlobUse | InboxRow | Delivered | KeptCallback
