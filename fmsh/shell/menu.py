"""What Tab and Ctrl-R offer, as the line editor shows it. It is imported with that only."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

from prompt_toolkit.application import run_in_terminal
from prompt_toolkit.buffer import CompletionState
from prompt_toolkit.completion import CompleteEvent, Completer, Completion, get_common_complete_suffix

from fmsh.errors import FmshError
from fmsh.render.cells import cut, visible
from fmsh.shell import outputs, terminal
from fmsh.shell.completer import complete
from fmsh.shell.outputs import NotYet, Outputs, Run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable
    from typing import Any

    from prompt_toolkit.buffer import Buffer
    from prompt_toolkit.document import Document
    from prompt_toolkit.formatted_text import AnyFormattedText

    from fmsh.shell.candidates import World
    from fmsh.shell.past import Past

FOUND_CELLS_MIN, FOUND_CELLS_MAX = 20, 100  # of a line in the menu of a search
ABOUT_CELLS = 42  # beside it: where, how, how long, when
ABOUT_CHARACTERS = 60  # beside another candidate
PROGRAMS_MAX = 8  # that one completion asks for
SOON_S = 0.25  # hardly felt, and most programs have answered


class Offered(Completion):
    """One that knows what follows its text when it is taken."""

    def __init__(self, text: str, start_position: int, end: str = "", display: AnyFormattedText = None, **about: Any):
        super().__init__(text, start_position, display, **about)
        self.end = end

    def new_completion_from_position(self, position: int) -> Offered:
        rest = self.text[position - self.start_position :]
        return Offered(rest, 0, self.end, self.display, display_meta=self.display_meta)


class Completions(Completer):
    """Of the lines before while they are searched, else of what may stand at the cursor.

    What a program has to be asked for is asked in a thread, so that keys are heard meanwhile.
    """

    def __init__(
        self,
        world: Callable[[], World],
        past: Past,
        written: Outputs,
        is_searching: Callable[[], bool],
        lay_out: Callable[[list[Completion]], None],
    ) -> None:
        self._world = world
        self._past = past
        self._written = written
        self._is_searching = is_searching
        self._lay_out = lay_out
        self._threads = ThreadPoolExecutor(1, "completion")
        self._asked: dict[Run, Future[tuple[int, str]]] = {}
        self._said: set[str] = set()

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        if self._is_searching():
            yield from self._found(document.text)
            return
        text = document.text_before_cursor
        found = complete(text, self._world())
        is_one = len(found) == 1 and is_at_end(document)
        for candidate in found:
            yield Offered(
                candidate.text + (candidate.end if is_one else ""),
                candidate.start - len(text),
                candidate.end,
                visible(candidate.shown or candidate.text),
                display_meta=visible(candidate.about)[:ABOUT_CHARACTERS],
            )

    def _found(self, words: str) -> Iterable[Completion]:
        cells = max(FOUND_CELLS_MIN, min(FOUND_CELLS_MAX, terminal.width() - ABOUT_CELLS))
        for entry in self._past.find(words):
            shown = visible(entry.text.replace("\n", " ⏎ "))
            about = partial(self._past.about, entry)
            yield Completion(entry.text, -len(words), cut(shown, cells), display_meta=about)

    async def get_completions_async(
        self, document: Document, complete_event: CompleteEvent
    ) -> AsyncGenerator[Completion, None]:
        import asyncio

        found: list[Completion] = []
        for _ in range(PROGRAMS_MAX):
            try:
                found = list(self.get_completions(document, complete_event))
                break
            except NotYet as asks:
                self._written.know(asks.wanted, *await asyncio.wrap_future(self._ask(asks.wanted)))
            except FmshError as problem:
                await self._say(problem)
                break
        self._lay_out(found)
        for completion in found:
            yield completion

    def complete(self, buffer: Buffer) -> None:
        """Completes what is typed, or shows what it may be: at once, so that it comes before the key that follows, but
        for a program that takes its time."""
        document = buffer.document
        found = self._found_soon(document)
        if found is None:
            buffer.start_completion(insert_common_part=True)
        elif len(found) == 1:
            buffer.apply_completion(found[0])
        elif found:
            common = get_common_complete_suffix(document, found)
            buffer.insert_text(common)
            self._lay_out(found)
            rest = [each.new_completion_from_position(len(common)) for each in found] if common else found
            buffer.complete_state = CompletionState(buffer.document, rest)

    def _found_soon(self, document: Document) -> list[Completion] | None:
        give_up_at_s = time.monotonic() + SOON_S
        for _ in range(PROGRAMS_MAX):
            try:
                return list(self.get_completions(document, CompleteEvent(completion_requested=True)))
            except NotYet as asks:
                future = self._ask(asks.wanted)
                try:
                    self._written.know(asks.wanted, *future.result(max(0.0, give_up_at_s - time.monotonic())))
                except TimeoutError:
                    return None
            except FmshError:
                return None  # it is said where there is a loop to say it in
        return None

    def _ask(self, wanted: Run) -> Future[tuple[int, str]]:
        """Runs a program in the thread, if that does not do so already."""
        if wanted not in self._asked:
            self._asked = {run: future for run, future in self._asked.items() if not future.done()}
            self._asked[wanted] = self._threads.submit(outputs.run, wanted)
        return self._asked[wanted]

    async def _say(self, problem: FmshError) -> None:
        """Says once what is wrong with a completion."""
        text = f"fmsh: {visible(problem.message)}" + (f"\n  {visible(problem.hint)}" if problem.hint else "")
        if text not in self._said:
            self._said.add(text)
            await run_in_terminal(partial(print, text))


def is_at_end(document: Document) -> bool:
    """Whether nothing follows the cursor in its line."""
    return document.current_char in ("", "\n")
