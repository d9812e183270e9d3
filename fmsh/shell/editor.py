"""The line editor: colours while typing, suggestions from history, completion, several lines, a toolbar.

All that is of prompt-toolkit is here, in `keys` and in `menu`, which are imported with the first prompt only (0.2 s).
"""

from __future__ import annotations

import os
import re
from functools import partial

from prompt_toolkit import PromptSession
from prompt_toolkit.application import run_in_terminal
from prompt_toolkit.auto_suggest import AutoSuggest, Suggestion
from prompt_toolkit.completion import Completion
from prompt_toolkit.cursor_shapes import DynamicCursorShapeConfig, ModalCursorShapeConfig
from prompt_toolkit.enums import EditingMode
from prompt_toolkit.filters import Condition, has_completions
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.history import History
from prompt_toolkit.key_binding import DynamicKeyBindings, KeyBindings, merge_key_bindings
from prompt_toolkit.keys import Keys
from prompt_toolkit.lexers import Lexer
from prompt_toolkit.shortcuts import CompleteStyle
from prompt_toolkit.styles import DynamicStyle, Style, merge_styles

from fmsh.errors import FmshError
from fmsh.shell import highlighter
from fmsh.shell.candidates import World
from fmsh.shell.cursor import unescaped
from fmsh.shell.keys import bound, is_escape_alone, own_keys
from fmsh.shell.look import Look
from fmsh.shell.menu import Completions
from fmsh.shell.outputs import Outputs
from fmsh.shell.past import Past
from fmsh.shell.terminal import short_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable

    from prompt_toolkit.buffer import Buffer
    from prompt_toolkit.document import Document
    from prompt_toolkit.formatted_text import StyleAndTextTuples
    from prompt_toolkit.key_binding import KeyPressEvent

    from fmsh.shell.aside import Aside

MODAL = ModalCursorShapeConfig()  # of vi: a bar where text is inserted, a block where keys are commands
ASIDE_S = 0.1  # how often jobs that are aside are looked after
PAST_S = 0.01  # between two slices of the lines before
ESCAPE_S = 0.05  # what comes later is no more of the key that an escape began
COLUMNS_FROM = 9  # candidates that have nothing said of them
SEARCHING = "search: words in any order; Ctrl-R or arrows choose, Enter takes, Escape leaves"
NOT_FOUND = "search: no line has all of these words; Escape leaves"
GOES_TO = re.compile(r"cd +((?:[\w./~-]|\\.)+) *")  # with nothing that has to be computed
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
        self._problem: BaseException | None = None  # that ends the reading
        self._past = past
        self._search: str | None = None  # the text before a search in the history began
        completions = Completions(lambda: self.world, past, written, lambda: self._search is not None, self._lay_out)
        self._session: PromptSession[str] = PromptSession(
            history=_History(past),
            lexer=_Colors(lambda: self.world, is_command) if color else None,
            completer=completions,
            complete_style=CompleteStyle.COLUMN,
            complete_while_typing=Condition(lambda: self._search is not None),
            enable_history_search=Condition(lambda: self._search is None),
            auto_suggest=_Suggestions(past, lambda: self.world.directory),
            multiline=True,
            prompt_continuation=lambda width, number, is_soft: ("" if is_soft else "… ").rjust(width)[-width:],
            key_bindings=merge_key_bindings(
                [
                    own_keys(lambda: self._look, completions),
                    self._search_keys(),
                    DynamicKeyBindings(lambda: self._bound),
                ]
            ),
            bottom_toolbar=lambda: _toolbar(self._of_search() or toolbar()),
            refresh_interval=REFRESH_S,
            style=DynamicStyle(lambda: self._style) if color else None,
            enable_open_in_editor=True,
            cursor=DynamicCursorShapeConfig(lambda: MODAL if self._look.keys == "vi" else None),
            search_ignore_case=True,
        )
        self._session.app.ttimeoutlen = ESCAPE_S

    def _choose(self, look: Look) -> None:
        self._look = look
        self._bound = bound(look)
        self._style = merge_styles([COLORS, Style.from_dict(dict(look.colors))])

    def _lay_out(self, found: list[Completion]) -> None:
        """Shows many candidates in several columns, if there is nothing said of them."""
        is_plain = len(found) >= COLUMNS_FROM and not any(each.display_meta_text for each in found)
        self._session.complete_style = CompleteStyle.MULTI_COLUMN if is_plain else CompleteStyle.COLUMN

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
            if state is None or state.current_completion is None:
                buffer.text = next((entry.text for entry in self._past.find(buffer.text)), buffer.text)
                buffer.cursor_position = len(buffer.text)
            buffer.complete_state = None

        @keys.add("escape", filter=is_searching & is_escape_alone, eager=True)
        @keys.add("c-g", filter=is_searching, eager=True)
        def _give_up(event: KeyPressEvent) -> None:
            buffer = event.current_buffer
            buffer.complete_state = None
            buffer.text, self._search = self._search or "", None
            buffer.cursor_position = len(buffer.text)

        return keys

    def _of_search(self) -> str:
        """What the toolbar says while lines are searched."""
        if self._search is None:
            return ""
        has_nothing = self._session.default_buffer.complete_state is None and self._session.default_buffer.text
        return NOT_FOUND if has_nothing else SEARCHING

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

    def leave(self, problem: BaseException) -> None:
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
    """What the arrow keys go through, and where Alt-. looks. Nothing is stored here: the lines are jobs."""

    def __init__(self, past: Past) -> None:
        super().__init__()
        self._past = past

    async def load(self) -> AsyncGenerator[str, None]:
        for text in self._past.recent():
            yield text

    def get_strings(self) -> list[str]:
        return self._past.recent()[::-1]

    def append_string(self, string: str) -> None:
        """The store has it before the next prompt."""

    def load_history_strings(self) -> Iterable[str]:
        return self._past.recent()

    def store_string(self, string: str) -> None:
        """The store has it already."""


class _Suggestions(AutoSuggest):
    def __init__(self, past: Past, directory: Callable[[], str]) -> None:
        self._past = past
        self._directory = directory

    def get_suggestion(self, buffer: Buffer, document: Document) -> Suggestion | None:
        text = document.text
        found = self._past.suggest(text, self._is_possible) if text.strip() else None
        return None if found is None else Suggestion(found[len(text) :].partition("\n")[0])

    def _is_possible(self, text: str) -> bool:
        """Whether a line that goes to a directory finds it from here."""
        found = GOES_TO.fullmatch(text)
        path = os.path.expanduser(unescaped(found[1])) if found is not None else "."
        return os.path.isdir(os.path.join(self._directory(), path))
