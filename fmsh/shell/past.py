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
    from collections.abc import Callable

    from fmsh.store.base import EventStore

FIRST_LINES = 1000
SLICE_LINES = 500  # about 1 ms
RECENT_LINES = 5000  # that the arrow keys go through
LINES_MAX = 200_000
NEW_LINES_MAX = 10_000  # of other shells, between two prompts
FOUND_MAX = 40


class Entry(Record):
    """A line, and the job that it was."""

    job_id: int
    text: str


class Slice:
    """Some lines, newest first. What is in none of them is found out without looking at each."""

    __slots__ = ("_joined", "_lowered", "job_ids", "texts")

    def __init__(self, found: list[tuple[int, str]]) -> None:
        self.job_ids = tuple(job_id for job_id, _ in found)  # tuples of plain things, which the collector leaves alone
        self.texts = tuple(text for _, text in found)
        self._joined = "\n" + "\n".join(map(_in_one_line, self.texts))
        self._lowered = ""

    def has_beginning(self, beginning: str) -> bool:
        return f"\n{_in_one_line(beginning)}" in self._joined

    def may_have(self, words: list[str]) -> bool:
        """Whether all of some words, in small letters, are in these lines, if perhaps not in one."""
        if not self._lowered:
            self._lowered = self._joined.lower()
        return all(word in self._lowered for word in words)

    def entry(self, index: int) -> Entry:
        return Entry(self.job_ids[index], self.texts[index])


def _in_one_line(text: str) -> str:
    return text.replace("\n", "\0")


class Past:
    """Of a store. `source` is that of the lines."""

    def __init__(self, store: EventStore, source: str) -> None:
        self._store = store
        self._source = source
        self._slices: list[Slice] = []  # newest first
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
        found = self._store.lines(self._source, NEW_LINES_MAX, after=self._newest)
        if found:
            self._newest = found[0][0]
            self._seen.update(text for _, text in found)
            self._slices.insert(0, Slice(found))
            if len(self._slices) > 1 and len(self._slices[1].texts) < SLICE_LINES // 2:
                self._join_newest()
        self._narrowed = ("", 0)

    def _join_newest(self) -> None:
        """Makes one slice of the first two: else there would be one for each line of this session."""
        first, second = self._slices[:2]
        pairs = zip((*first.job_ids, *second.job_ids), (*first.texts, *second.texts), strict=True)
        self._slices[:2] = [Slice(list(pairs))]

    def read_more(self) -> bool:
        """Reads a slice of older lines. False: there are no more."""
        if not self._is_whole:
            self._add_older(self._store.lines(self._source, SLICE_LINES, before=self._oldest), SLICE_LINES)
        return not self._is_whole

    def _add_older(self, found: list[tuple[int, str]], asked: int) -> None:
        new = []
        for job_id, text in found:
            self._oldest = job_id
            if text not in self._seen:
                self._seen.add(text)
                new.append((job_id, text))
        if new:
            self._slices.append(Slice(new))
        self._is_whole = len(found) < asked or len(self._seen) >= LINES_MAX

    def recent(self) -> list[str]:
        """What the arrow keys go through, the newest first; none stands twice in a row."""
        texts: list[str] = []
        for slice in self._slices:
            for text in slice.texts:
                if not texts or texts[-1] != text:
                    texts.append(text)
            if len(texts) >= RECENT_LINES:
                break
        return texts[:RECENT_LINES]

    def suggest(self, beginning: str, is_of_use: Callable[[str], bool] = lambda text: True) -> str | None:
        """The newest line of use with a beginning. A longer one is looked for only behind what a shorter one found."""
        before, start = self._narrowed
        start = start if before and beginning.startswith(before) else 0
        for index in range(start, len(self._slices)):
            if self._slices[index].has_beginning(beginning):
                for text in self._slices[index].texts:
                    if text.startswith(beginning) and text != beginning and is_of_use(text):
                        self._narrowed = (beginning, index)
                        return text
        self._narrowed = (beginning, len(self._slices))
        return None

    def find(self, words: str) -> list[Entry]:
        """The newest lines that hold all of some words; capitals count only where there are any."""
        is_exact = words != words.lower()
        wanted = words.split()
        lowered = words.lower().split()
        found: dict[str, Entry] = {}
        for slice in self._slices:
            if not slice.may_have(lowered):
                continue
            for index, text in enumerate(slice.texts):
                looked_at = text if is_exact else text.lower()
                if all(word in looked_at for word in wanted) and text not in found:
                    found[text] = slice.entry(index)
                    if len(found) == FOUND_MAX:
                        return list(found.values())
        return list(found.values())

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
