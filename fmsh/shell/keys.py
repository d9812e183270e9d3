"""The keys of the line editor that are not those of prompt-toolkit. It is imported with that only."""

from __future__ import annotations

import re

from prompt_toolkit.application import get_app
from prompt_toolkit.filters import Condition, completion_is_selected, emacs_mode, has_completions, vi_navigation_mode
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.key_binding.vi_state import InputMode

from fmsh.lang.parser import is_complete
from fmsh.shell.menu import Completions, Offered, is_at_end

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from prompt_toolkit.buffer import Buffer
    from prompt_toolkit.key_binding import KeyPressEvent

    from fmsh.shell.look import Look

INDENT = "  "
HEREDOC = re.compile(r"(?<!<)<<'?(\w+)'?")


# And not the first half of Alt and another key.
is_escape_alone = Condition(lambda: not get_app().key_processor.input_queue)

is_on_blank = Condition(lambda: get_app().current_buffer.document.current_char.strip() == "")


def bound(look: Look) -> KeyBindings:
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


def own_keys(look: Callable[[], Look], completions: Completions) -> KeyBindings:
    keys = KeyBindings()

    @keys.add("tab", filter=~has_completions & ~vi_navigation_mode)
    def _complete(event: KeyPressEvent) -> None:
        completions.complete(event.current_buffer)

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
        else:
            _begin_line(buffer)

    @keys.add("escape", "enter", filter=emacs_mode)
    def _break(event: KeyPressEvent) -> None:
        _begin_line(event.current_buffer)

    @keys.add("}")
    @keys.add(")")
    @keys.add("]")
    def _close(event: KeyPressEvent) -> None:
        """A bracket that begins a line stands where the line of its opening begins."""
        buffer = event.current_buffer
        line = buffer.document.current_line_before_cursor
        if line and not line.strip():
            buffer.delete_before_cursor(min(len(INDENT), len(line)))
        buffer.insert_text(event.data)

    @keys.add("enter", filter=has_completions & completion_is_selected)
    def _take(event: KeyPressEvent) -> None:
        buffer, state = event.current_buffer, event.current_buffer.complete_state
        chosen = state.current_completion if state is not None else None
        buffer.complete_state = None
        if isinstance(chosen, Offered) and is_at_end(buffer.document):
            buffer.insert_text(chosen.end)

    @keys.add("escape", filter=has_completions & is_escape_alone, eager=True)
    def _close_menu(event: KeyPressEvent) -> None:
        event.current_buffer.cancel_completion()

    @keys.add("end", filter=Condition(lambda: _suggested() != ""))
    def _take_suggestion(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text(_suggested())

    @keys.add("c-_", filter=emacs_mode, save_before=lambda event: False)
    def _undo(event: KeyPressEvent) -> None:
        _take_back(event.current_buffer)

    @keys.add("c", "w", filter=vi_navigation_mode & ~is_on_blank)
    def _change_word(event: KeyPressEvent) -> None:
        """As in vi, and unlike `dw`, the blank behind the word stays."""
        buffer = event.current_buffer
        end = buffer.document.find_next_word_ending(include_current_position=True, count=event.arg)
        event.app.clipboard.set_text(buffer.delete(end or 0))
        event.app.vi_state.input_mode = InputMode.INSERT

    return keys


def _suggested() -> str:
    """The text that is suggested behind the cursor."""
    buffer = get_app().current_buffer
    suggestion = buffer.suggestion
    return suggestion.text if suggestion is not None and buffer.document.is_cursor_at_the_end else ""


def _take_back(buffer: Buffer) -> None:
    """Takes back a word that was typed, or one other change; prompt-toolkit remembers each key."""
    is_word = False
    while True:
        before = buffer.text
        buffer.undo()
        at = buffer.cursor_position
        is_typed = before[:at] + before[at + 1 :] == buffer.text != before
        if not is_typed and is_word and buffer.text != before:
            buffer.redo()
        if not is_typed or before[at].isspace():
            return
        is_word = True


def _begin_line(buffer: Buffer) -> None:
    """Begins a line, indented like this one, or more behind what opens something; in a heredoc as it is typed."""
    line = buffer.document.current_line_before_cursor
    indent = line[: len(line) - len(line.lstrip())]
    opens = line.rstrip().endswith(("{", "(", "[", "|")) and not _is_in_heredoc(buffer.document.text_before_cursor)
    buffer.insert_text("\n" + indent + (INDENT if opens else ""))


def _is_in_heredoc(text: str) -> bool:
    tags = list(HEREDOC.finditer(text))
    return bool(tags) and not re.search(rf"\n[ \t]*{tags[-1][1]}[ \t]*$", text[tags[-1].end() :], re.MULTILINE)
