"""What is taken from the inbox of a job, and when: never more than the job has room for.

What is only data - events of topics, deliveries to addresses, signals - stays in the inbox, on the disk, while `FULL`
items of its mailbox wait in the machine, or while the job stands still with as many; it is taken when half of them are
gone. Everything else, such as a cancel, is taken at once, past what has to stay. A look takes a bounded part: what is
left is looked at in the next turn, and other jobs have theirs in between.
"""

from __future__ import annotations

from fmsh import wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fmsh.engine.worker import Worker
    from fmsh.store.base import EventStore, InboxRow

DATA = ("topic", "callback", "signal")
FULL = 500
PAGE_ROWS = 50  # a delivery has up to 1 MiB
LOOK_ROWS_MAX = 2000
LOOK_BYTES_MAX = 4 << 20
BEGINNING = '{"handle":"'


class Backlog:
    """What was left in an inbox: `passed` is the last row that had to stay, `full` are the mailboxes of such rows."""

    __slots__ = ("full", "is_cut", "passed")

    def __init__(self) -> None:
        self.passed = 0
        self.full: set[str] = set()
        self.is_cut = False  # there may be rows that were not looked at

    def has_room_again(self, worker: Worker) -> bool:
        """Whether it is time for another look; it begins with the first row, if there is room for that now."""
        if worker.pending is not None or worker.is_leaving or worker.is_dropped:
            return False
        waiting = len(worker.held)
        if any(waiting + _items(worker, mailbox) <= FULL // 2 for mailbox in self.full):
            self.full.clear()
            self.passed = 0
            return True
        return self.is_cut


def look(store: EventStore, worker: Worker) -> None:
    """Takes what has come for a job and has room. Raises: StoreError."""
    backlog = worker.backlog or Backlog()
    backlog.is_cut = False
    found: list[InboxRow] = []
    counts: dict[str, int] = {}
    after, looked_at, size = backlog.passed, 0, 0
    while not backlog.is_cut:
        rows = store.inbox(worker.job_id, after=after, limit=PAGE_ROWS)
        for row in rows:
            if _has_to_stay(worker, row, counts, backlog):
                backlog.passed = row.id
            else:
                found.append(row)
                size += len(row.data_json)
        looked_at += len(rows)
        if len(rows) < PAGE_ROWS:
            break
        after = rows[-1].id
        backlog.is_cut = looked_at >= LOOK_ROWS_MAX or size >= LOOK_BYTES_MAX
    worker.backlog = backlog if backlog.is_cut or backlog.full else None
    if found:
        worker.take(found)


def _has_to_stay(worker: Worker, row: InboxRow, counts: dict[str, int], backlog: Backlog) -> bool:
    """Whether there is no room for a row; if there is, it is counted among what its mailbox holds."""
    mailbox = mailbox_of(row) if row.kind in DATA and row.id not in worker.inbox_seen else None
    if mailbox is None:
        return False
    if mailbox not in counts:
        counts[mailbox] = len(worker.held) + _items(worker, mailbox)
    if counts[mailbox] >= FULL:
        backlog.full.add(mailbox)
        return True
    counts[mailbox] += 1
    return False


def _items(worker: Worker, mailbox: str) -> int:
    return len(worker.machine.mailboxes.get(mailbox, ()))


def mailbox_of(row: InboxRow) -> str | None:
    """The mailbox of the machine into which a row of data goes; None: it has no form, and will be dropped."""
    if row.data_json.startswith(BEGINNING):  # as the store writes it; a body may be long, and is decoded later
        id = row.data_json[len(BEGINNING) : row.data_json.index('"', len(BEGINNING))]
        if "\\" not in id:
            return f"{row.kind}:{id}"
    data = wire.decode(row.data_json)
    name, kind = ("name", "inbox") if row.kind == "signal" else ("handle", row.kind)
    return f"{kind}:{data[name]}" if isinstance(data, dict) and name in data else None
