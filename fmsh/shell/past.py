"""The lines before, of all sessions of this store: to be suggested, gone through and searched.

The newest are there at once; the older ones are read in slices while the prompt waits for keys, so that neither the
first prompt nor any key waits for a hundred thousand of them. Each text stands once, where it was entered last.
"""

from __future__ import annotations

import time

from fmsh.engine import recording
from fmsh.errors import StoreError
from fmsh.machine.events import JobStarted
from fmsh.record import Record
from fmsh.render.times import span_text
from fmsh.shell.terminal import short_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from fmsh.store.base import EventStore

FIRST_LINES = 1000
SLICE_LINES = 500  # about 1 ms
RECENT_LINES = 1000  # that the arrow keys go through
LINES_MAX = 200_000
NEW_LINES_MAX = 10_000  # of other shells, between two prompts
FOUND_MAX = 40


class Entry(Record):
    """A line, and the job that it was."""

    job_id: int
    text: str


class Past:
    """Of a store. `source` is that of the lines."""

    def __init__(self, store: EventStore, source: str) -> None:
        self._store = store
        self._source = source
        self._entries: list[Entry] = []  # the oldest first, but for those still to be read
        self._older: list[Entry] = []  # older than all of these, newest first
        self._seen: set[str] = set()
        self._newest = self._oldest = 0
        self._is_whole = False
        self._narrowed: tuple[str, int] = ("", 0)
        self._told: dict[int, str] = {}  # about jobs that have ended
        first = store.lines(source, FIRST_LINES)
        self._newest = first[0][0] if first else 0
        self._add_older(first, FIRST_LINES)

    def refresh(self) -> None:
        """Takes in what was entered since, in whatever shell."""
        for job_id, text in reversed(self._store.lines(self._source, NEW_LINES_MAX, after=self._newest)):
            self._newest = job_id
            self._seen.add(text)
            self._entries.append(Entry(job_id, text))
        self._narrowed = ("", 0)

    def read_more(self) -> bool:
        """Reads a slice of older lines. False: there are no more."""
        if not self._is_whole:
            self._add_older(self._store.lines(self._source, SLICE_LINES, before=self._oldest), SLICE_LINES)
        return not self._is_whole

    def _add_older(self, found: list[tuple[int, str]], asked: int) -> None:
        for job_id, text in found:
            self._oldest = job_id
            if text not in self._seen:
                self._seen.add(text)
                self._older.append(Entry(job_id, text))
        self._is_whole = len(found) < asked or len(self._seen) >= LINES_MAX

    def newest_first(self) -> Iterator[Entry]:
        yield from reversed(self._entries)
        yield from self._older

    def recent(self) -> list[str]:
        """What the arrow keys go through, the newest first; none stands twice in a row."""
        texts: list[str] = []
        for entry in self.newest_first():
            if not texts or texts[-1] != entry.text:
                texts.append(entry.text)
            if len(texts) == RECENT_LINES:
                break
        return texts

    def suggest(self, beginning: str) -> str | None:
        """The newest line with a beginning. A longer beginning is looked for only behind what the shorter one found."""
        before, start = self._narrowed
        start = start if before and beginning.startswith(before) else 0
        position = start
        for position, text in self._from(start):
            if text.startswith(beginning) and text != beginning:
                self._narrowed = (beginning, position)
                return text
        self._narrowed = (beginning, position)
        return None

    def _from(self, start: int) -> Iterator[tuple[int, str]]:
        entries, older = self._entries, self._older
        count = len(entries)
        for position in range(start, count):
            yield position, entries[count - 1 - position].text
        for position in range(max(start, count), count + len(older)):
            yield position, older[position - count].text

    def find(self, words: str) -> list[Entry]:
        """The newest lines that hold all of some words; capitals count only where there are any."""
        is_exact = words != words.lower()
        wanted = words.split()
        found: list[Entry] = []
        told: set[str] = set()
        for entry in self.newest_first():
            text = entry.text if is_exact else entry.text.lower()
            if all(word in text for word in wanted) and entry.text not in told:
                told.add(entry.text)
                found.append(entry)
                if len(found) == FOUND_MAX:
                    break
        return found

    def about(self, entry: Entry) -> str:
        """Where a line was entered, how it ended, how long it took, and when."""
        if entry.job_id in self._told:
            return self._told[entry.job_id]
        try:
            job = self._store.job(entry.job_id)
        except StoreError:  # it is damaged, which `fmsh doctor` says
            job = None
        if job is None:
            return ""
        words = [self._directory(entry.job_id)]
        if job.exit_status:
            words.append(f"[{job.exit_status}]")
        elif job.ended_at_ms is None:
            words.append(job.state)
        if job.ended_at_ms is not None:
            words.append(span_text(job.ended_at_ms - job.created_at_ms))
        words.append(f"{span_text(max(0, time.time_ns() // 10**6 - job.created_at_ms))} ago")
        text = "  ".join(word for word in words if word)
        if job.ended_at_ms is not None:
            self._told[entry.job_id] = text
        return text

    def _directory(self, job_id: int) -> str:
        try:
            for stored in self._store.events(job_id, limit=1):
                event = recording.read(self._store, stored)
                return short_directory(event.directory) if isinstance(event, JobStarted) else ""
        except StoreError:  # its first events are kept no longer, or damaged
            pass
        return ""
