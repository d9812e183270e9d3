"""The line editor: colours while typing, suggestions from history, completion, several lines, a toolbar.

All that is of prompt-toolkit is here; it is imported with the first prompt only (0.2 s).
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from prompt_toolkit import PromptSession
from prompt_toolkit.application import run_in_terminal
from prompt_toolkit.auto_suggest import AutoSuggest, Suggestion
from prompt_toolkit.completion import Completer, Completion
from prompt_toolkit.cursor_shapes import DynamicCursorShapeConfig, ModalCursorShapeConfig
from prompt_toolkit.enums import EditingMode
from prompt_toolkit.filters import Condition, completion_is_selected, has_completions
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.history import History
from prompt_toolkit.key_binding import DynamicKeyBindings, KeyBindings, merge_key_bindings
from prompt_toolkit.keys import Keys
from prompt_toolkit.lexers import Lexer
from prompt_toolkit.shortcuts import CompleteStyle
from prompt_toolkit.styles import DynamicStyle, Style, merge_styles

from fmsh.errors import FmshError
from fmsh.lang.parser import is_complete
from fmsh.render.cells import cut, visible
from fmsh.shell import highlighter, outputs, terminal
from fmsh.shell.completer import World, complete
from fmsh.shell.look import Look
from fmsh.shell.outputs import NotYet, Outputs
from fmsh.shell.past import Past
from fmsh.shell.terminal import short_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Mapping

    from prompt_toolkit.buffer import Buffer
    from prompt_toolkit.completion import CompleteEvent
    from prompt_toolkit.document import Document
    from prompt_toolkit.formatted_text import StyleAndTextTuples
    from prompt_toolkit.key_binding import KeyPressEvent

    from fmsh.shell.aside import Aside

INDENT = "  "
MODAL = ModalCursorShapeConfig()  # of vi: a bar where text is inserted, a block where keys are commands
ASIDE_S = 0.1  # how often jobs that are aside are looked after
PAST_S = 0.01  # between two slices of the lines before
FOUND_CELLS_MIN, FOUND_CELLS_MAX = 20, 100  # of a line in the menu of a search
ABOUT_CELLS = 42  # beside it: where, how, how long, when
PROGRAMS_MAX = 4  # that one completion asks for
REFRESH_S = 2.0  # how often the toolbar looks at the jobs
COLORS = Style.from_dict(
    {
        "keyword": "bold ansimagenta",
        "command": "ansigreen",
        "unknown": "ansired",
        "string": "ansiyellow",
        "variable": "ansicyan",
        "number": "ansiblue",
        "flag": "ansiblue",
        "operator": "bold",
        "pattern": "ansimagenta",
        "comment": "italic dim",
        "path": "underline",
        "error": "underline ansired",
        "directory": "bold ansiblue",
        "branch": "ansimagenta",
        "failed": "bold ansired",
        "mark": "bold",
        "bottom-toolbar": "noreverse dim",
        "completion-menu": "noinherit",
        "completion-menu.completion": "noinherit",
        "completion-menu.completion.current": "noinherit reverse",
        "completion-menu.meta.completion": "noinherit dim",
        "completion-menu.meta.completion.current": "noinherit reverse",
        "scrollbar.background": "noinherit",
        "scrollbar.button": "noinherit reverse",
    }
)


class Editor:
    """Reads texts. `past` are the texts before; `toolbar` gives what the last line shows."""

    def __init__(
        self,
        world: World,
        past: Past,
        *,
        is_command: Callable[[str], bool],
        toolbar: Callable[[], str],
        color: bool,
        written: Outputs,
        aside: Aside | None = None,
    ) -> None:
        self.world = world
        self._aside = aside
        self._choose(Look())
        self._problem: Exception | None = None  # that ends the reading
        self._past = past
        self._search: str | None = None  # the text before a search in the history began
        self._session: PromptSession[str] = PromptSession(
            history=_History(past),
            lexer=_Colors(lambda: self.world, is_command) if color else None,
            completer=_Completions(lambda: self.world, past, written, lambda: self._search is not None),
            complete_style=CompleteStyle.COLUMN,
            complete_while_typing=Condition(lambda: self._search is not None),
            auto_suggest=_Suggestions(past),
            multiline=True,
            prompt_continuation=lambda width, number, is_soft: ("" if is_soft else "… ").rjust(width)[-width:],
            key_bindings=merge_key_bindings(
                [_keys(lambda: self._look), self._search_keys(), DynamicKeyBindings(lambda: self._bound)]
            ),
            bottom_toolbar=lambda: _toolbar(toolbar()),
            refresh_interval=REFRESH_S,
            style=DynamicStyle(lambda: self._style) if color else None,
            enable_open_in_editor=True,
            cursor=DynamicCursorShapeConfig(lambda: MODAL if self._look.keys == "vi" else None),
            search_ignore_case=True,
        )

    def _choose(self, look: Look) -> None:
        self._look = look
        self._bound = _bound(look)
        self._style = merge_styles([COLORS, Style.from_dict(dict(look.colors))])

    def read(self, prompt: StyleAndTextTuples, look: Look) -> str:
        """Reads a text. Raises: EOFError (Ctrl-D), KeyboardInterrupt, and what a signal handler raises."""
        if look != self._look:
            self._choose(look)
        self._search = None
        self._session.editing_mode = EditingMode.VI if look.keys == "vi" else EditingMode.EMACS
        return self._session.prompt(FormattedText(prompt), handle_sigint=True, pre_run=self._begin)

    def _begin(self) -> None:
        """In the editor's loop, when it begins."""
        self._leave_if_asked()
        self._session.app.create_background_task(self._read_past())
        if self._aside is not None and (self._aside.stopped or self._aside.running):
            self._session.app.create_background_task(self._look_aside(self._aside))

    async def _read_past(self) -> None:
        import asyncio

        while self._past.read_more():
            await asyncio.sleep(PAST_S)

    def _search_keys(self) -> KeyBindings:
        """Ctrl-R: what is typed is looked for in the lines before; the menu shows where and how each of them ended."""
        keys, is_searching = KeyBindings(), Condition(lambda: self._search is not None)

        @keys.add("c-r", eager=True)
        def _begin(event: KeyPressEvent) -> None:
            buffer = event.current_buffer
            if self._search is None:
                self._search = buffer.text
                buffer.start_completion()
            else:
                buffer.complete_next()

        @keys.add("backspace", filter=is_searching, eager=True)
        @keys.add("c-u", filter=is_searching, eager=True)
        def _shorten(event: KeyPressEvent) -> None:
            buffer = event.current_buffer
            buffer.delete_before_cursor(1 if event.key_sequence[0].key == Keys.Backspace else len(buffer.text))
            buffer.start_completion()

        @keys.add("up", filter=is_searching & has_completions)
        def _newer(event: KeyPressEvent) -> None:
            event.current_buffer.complete_previous()

        @keys.add("down", filter=is_searching & has_completions)
        def _older(event: KeyPressEvent) -> None:
            event.current_buffer.complete_next()

        @keys.add("enter", filter=is_searching, eager=True)
        def _take(event: KeyPressEvent) -> None:
            """The line that is chosen, or else the newest, to be looked at and run by another Enter."""
            buffer, self._search = event.current_buffer, None
            state = buffer.complete_state
            if state is not None and state.completions and state.current_completion is None:
                buffer.apply_completion(state.completions[0])
            buffer.complete_state = None

        @keys.add("escape", filter=is_searching, eager=True)
        @keys.add("c-g", filter=is_searching, eager=True)
        def _give_up(event: KeyPressEvent) -> None:
            buffer = event.current_buffer
            buffer.complete_state = None
            buffer.text, self._search = self._search or "", None
            buffer.cursor_position = len(buffer.text)

        return keys

    async def _look_aside(self, aside: Aside) -> None:
        """Lets the jobs that are aside go on while we wait for keys, and says what became of them."""
        import asyncio

        while aside.stopped or aside.running:
            await asyncio.sleep(ASIDE_S)
            try:
                said = aside.look()
            except FmshError as problem:
                said = [f"fmsh: {problem.message}"]
            if said:
                await run_in_terminal(partial(print, "\n".join(said)))

    def leave(self, problem: Exception) -> None:
        """Ends the reading with an exception, from a signal handler: the terminal is put back first."""
        self._problem = problem
        loop = self._session.app.loop
        if loop is not None and loop.is_running():
            loop.call_soon_threadsafe(self._leave_if_asked)

    def _leave_if_asked(self) -> None:
        """In the editor's loop; also when that begins, for a signal that came before."""
        app = self._session.app
        if self._problem is not None and app.future is not None and not app.future.done():
            app.exit(exception=self._problem)


def prompt_parts(directory: str, status: int, duration_s: float) -> StyleAndTextTuples:
    """The prompt: directory, branch, the status and duration of the line before where they are worth a word."""
    parts: StyleAndTextTuples = [("class:directory", short_directory(directory))]
    branch = git_branch(directory)
    if branch:
        parts.append(("class:branch", f" {branch}"))
    if duration_s >= 2:
        parts.append(("", f" {duration_s:.0f}s"))
    if status:
        parts.append(("class:failed", f" [{status}]"))
    return [*parts, ("class:mark", " > ")]


def git_branch(directory: str) -> str:
    """The branch that is checked out around a directory, "" for none. Reads two small files; starts nothing."""
    while True:
        place = os.path.join(directory, ".git")
        if os.path.exists(place):
            break
        above = os.path.dirname(directory)
        if above == directory:
            return ""
        directory = above
    try:
        if os.path.isfile(place):  # a work tree beside its repository
            with open(place, encoding="utf-8") as file:
                place = os.path.join(directory, file.read().partition("gitdir:")[2].strip())
        with open(os.path.join(place, "HEAD"), encoding="utf-8") as file:
            head = file.read().strip()
    except (OSError, UnicodeDecodeError):
        return ""
    return head.removeprefix("ref: refs/heads/") if head.startswith("ref:") else head[:8]


def _toolbar(text: str) -> FormattedText | None:
    return FormattedText([("class:bottom-toolbar", text)]) if text else None


class _Colors(Lexer):
    def __init__(self, world: Callable[[], World], is_command: Callable[[str], bool]) -> None:
        self._world = world
        self._is_command = is_command

    def lex_document(self, document: Document) -> Callable[[int], StyleAndTextTuples]:
        text = document.text
        pieces = highlighter.styled(text, self._is_command, self._world().directory)
        lines: list[StyleAndTextTuples] = [[]]
        at = 0
        for piece in pieces:
            if piece.start < at:
                continue
            _add(lines, "", text[at : piece.start])
            _add(lines, f"class:{piece.style}", text[piece.start : piece.end])
            at = piece.end
        _add(lines, "", text[at:])
        return lambda number: lines[number] if number < len(lines) else []


def _add(lines: list[StyleAndTextTuples], style: str, text: str) -> None:
    first, *rest = text.split("\n")
    lines[-1].append((style, first))
    lines.extend([(style, line)] for line in rest)


class _History(History):
    """What the arrow keys go through. Nothing is stored here: the lines are jobs."""

    def __init__(self, past: Past) -> None:
        super().__init__()
        self._past = past

    async def load(self) -> AsyncGenerator[str, None]:
        for text in self._past.recent():
            yield text

    def append_string(self, string: str) -> None:
        """The store has it before the next prompt."""

    def load_history_strings(self) -> Iterable[str]:
        return self._past.recent()

    def store_string(self, string: str) -> None:
        """The store has it already."""


class _Suggestions(AutoSuggest):
    def __init__(self, past: Past) -> None:
        self._past = past

    def get_suggestion(self, buffer: Buffer, document: Document) -> Suggestion | None:
        text = document.text
        found = self._past.suggest(text) if text.strip() else None
        return None if found is None else Suggestion(found[len(text) :].partition("\n")[0])


class _Completions(Completer):
    """Of the lines before while they are searched, else of what may stand at the cursor.

    What a program has to be asked for is asked in a thread, so that keys are heard meanwhile.
    """

    def __init__(
        self, world: Callable[[], World], past: Past, written: Outputs, is_searching: Callable[[], bool]
    ) -> None:
        self._world = world
        self._past = past
        self._written = written
        self._is_searching = is_searching
        self._threads = ThreadPoolExecutor(1, "completion")
        self._said: set[str] = set()

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        if self._is_searching():
            yield from self._found(document.text)
            return
        text = document.text_before_cursor
        for candidate in complete(text, self._world()):
            yield Completion(
                candidate.text, start_position=candidate.start - len(text), display_meta=candidate.about[:60]
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
                status, text = await asyncio.wrap_future(self._threads.submit(outputs.run, asks.wanted))
                self._written.know(asks.wanted, status, text)
            except FmshError as problem:
                await self._say(problem)
                break
        for completion in found:
            yield completion

    async def _say(self, problem: FmshError) -> None:
        """Says once what is wrong with a completion."""
        text = f"fmsh: {visible(problem.message)}" + (f"\n  {visible(problem.hint)}" if problem.hint else "")
        if text not in self._said:
            self._said.add(text)
            await run_in_terminal(partial(print, text))


def _bound(look: Look) -> KeyBindings:
    """The keys that enter a line of the user's own."""
    keys = KeyBindings()
    for key, line in look.bindings.items():
        keys.add(key)(_enters(line))
    return keys


def _enters(line: str) -> Callable[[KeyPressEvent], None]:
    def enter(event: KeyPressEvent) -> None:
        event.current_buffer.text = line
        event.current_buffer.validate_and_handle()

    return enter


def _write_out(buffer: Buffer, abbreviations: Mapping[str, str]) -> None:
    """Replaces an abbreviation that stands before the cursor as the name of a command."""
    before = buffer.document.text_before_cursor
    word = before[max(before.rfind(character) for character in " \n|;{(&") + 1 :]
    rest = before[: len(before) - len(word)].rstrip(" ")
    if word in abbreviations and (not rest or rest[-1] in "\n|;{(&"):
        buffer.delete_before_cursor(len(word))
        buffer.insert_text(abbreviations[word])


def _keys(look: Callable[[], Look]) -> KeyBindings:
    keys = KeyBindings()

    @keys.add(" ")
    def _space(event: KeyPressEvent) -> None:
        _write_out(event.current_buffer, look().abbreviations)
        event.current_buffer.insert_text(" ")

    @keys.add("c-z")
    def _stop(event: KeyPressEvent) -> None:
        """Stops programs, and not us; it must not become text either."""

    @keys.add("enter", filter=~completion_is_selected)
    def _enter(event: KeyPressEvent) -> None:
        """Submits a complete text; else goes on in the next line, indented like this one."""
        buffer = event.current_buffer
        _write_out(buffer, look().abbreviations)
        if is_complete(buffer.text) or not buffer.text.strip():
            buffer.validate_and_handle()
            return
        line = buffer.document.current_line_before_cursor
        indent = line[: len(line) - len(line.lstrip())]
        buffer.insert_text("\n" + indent + (INDENT if line.rstrip().endswith(("{", "(", "[", "|")) else ""))

    @keys.add("}")
    def _close(event: KeyPressEvent) -> None:
        """A brace that begins a line stands where the line of its opening begins."""
        buffer = event.current_buffer
        line = buffer.document.current_line_before_cursor
        if line and not line.strip():
            buffer.delete_before_cursor(min(len(INDENT), len(line)))
        buffer.insert_text("}")

    @keys.add("enter", filter=has_completions & completion_is_selected)
    def _take(event: KeyPressEvent) -> None:
        event.current_buffer.complete_state = None

    return keys
