"""The prompt: reads texts from the terminal and runs each in the session, until Ctrl-D or `exit`.

Where the terminal can do nothing but write (`TERM=dumb`) the texts are read by the plain line editor of Python.
"""

from __future__ import annotations

import os
import string
import sys
import time

from fmsh.lang.parser import is_complete
from fmsh.shell import notices
from fmsh.shell.help import VERBS
from fmsh.shell.terminal import short_directory, unended_line_mark

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable
    from types import FrameType
    from typing import TypeVar

    from fmsh.shell.session import Session

    Done = TypeVar("Done")
    Guarded = Callable[[Callable[[], int]], int]
else:
    import _signal as signal

INTERRUPTED = 130
GREETING = (  # before the first line of all
    "Each line is a job that outlives this terminal. `help` names the commands.\n"
)
NAME_CHARS = frozenset(string.ascii_letters + string.digits + "-%._:@+")  # of numbers, keys, names and flags of a verb


class Left(BaseException):
    """A signal ends the prompt: no failure, which others would handle."""

    def __init__(self, number: int) -> None:
        self.number = number


def run(session: Session, guarded: Guarded, run_verb: Callable[[list[str]], int]) -> int:
    """Runs the lines of a session; `guarded` turns what one raises into a message and a status.

    `run_verb` runs a line that is one of `knowledge.VERBS`. Gives the status of the last line.
    """
    is_plain = os.environ.get("TERM", "dumb") in ("dumb", "")
    read, leave = (_plain(session), _raise) if is_plain else _edited(session)
    if not is_plain and session.store.last_job() is None:
        sys.stdout.write(GREETING)
    if not session.is_resumed:
        _run_start_file(session, guarded)
    watch = notices.Watch(session.store)
    foreground = session.foreground
    while not foreground.ended_by and not (session.has_ended and _may_end(session)):
        if not is_plain:
            sys.stdout.write(unended_line_mark())
        try:
            guarded(lambda: _tell_news(session, watch))
            text = _next_text(session, read, leave)
            if text is not None and text.strip():
                _enter(session, text, guarded, lambda words: _watched(watch, run_verb, words))
                session.has_warned = session.has_warned and session.has_ended
        except Left as left:
            return 128 + left.number
        except KeyboardInterrupt:  # between the job of a line and us, or while a line is read into code
            sys.stdout.write("\n")
            session.status = INTERRUPTED
    return 128 + foreground.ended_by if foreground.ended_by else session.status


def _watched(watch: notices.Watch, run_verb: Callable[[list[str]], int], words: list[str]) -> int:
    status = run_verb(words)
    if words[0] in ("fg", "attach"):
        watch.saw(words[-1])
    return status


def _tell_news(session: Session, watch: notices.Watch) -> int:
    """Lets jobs that are aside do what is due, and says what became of them and of others."""
    aside = session.foreground.aside
    for notice in [*(aside.look() if aside is not None else ()), *watch.news()]:
        sys.stdout.write(notice + "\n")
    return 0


def _next_text(session: Session, read: Callable[[], str], leave: Callable[[BaseException], None]) -> str | None:
    """Reads the next text; None: it was given up. With the end of the input the session ends. Raises: Left."""
    try:
        return _guard_terminal(read, leave)
    except EOFError as end:
        sys.stdout.write("\n")
        session.has_ended = True
        return str(end.args[0]) if end.args else None
    except KeyboardInterrupt:
        session.status = INTERRUPTED
        return None


def _may_end(session: Session) -> bool:
    """Whether the shell may end. With stopped programs it says so first, as in bash, and ends the next time."""
    aside = session.foreground.aside
    if session.has_warned or aside is None or not aside.stopped:
        return True
    for job_id in aside.stopped:
        sys.stderr.write(aside.about(job_id) + "\n")
    sys.stderr.write("fmsh: there are stopped programs: `fg` brings one back; leave once more to end them\n")
    session.has_ended, session.has_warned = False, True
    return False


def _run_start_file(session: Session, guarded: Guarded) -> None:
    """Runs `init.fmsh`, if there is one, in a session that begins. The shell starts whatever comes of it."""
    path = f"{session.foreground.settings.config_directory}/init.fmsh"
    if not os.path.exists(path):
        return
    try:
        status = guarded(lambda: session.run_file(path))
    except KeyboardInterrupt:
        status = INTERRUPTED
    if status and not session.has_ended:
        sys.stderr.write(f"fmsh: this shell starts without the rest of {path}\n")
    if not session.has_ended:
        session.status = 0


def _enter(session: Session, text: str, guarded: Guarded, run_verb: Callable[[list[str]], int]) -> None:
    sys.stdout.flush()
    begun = time.monotonic()
    words = text.split()
    if words[0] in VERBS and all(NAME_CHARS.issuperset(word) for word in words):
        session.status = guarded(lambda: _run_verb(session, words, run_verb))
    else:
        session.status = guarded(lambda: session.run(text.rstrip("\n")))
    session.last_s = time.monotonic() - begun


def _run_verb(session: Session, words: list[str], run_verb: Callable[[list[str]], int]) -> int:
    from fmsh.shell import help, job_control

    own_page = help.of_session(words[1:], session) if words[0] == "help" else None
    if own_page is not None:
        sys.stdout.write(own_page)
        return 0
    status = job_control.run(session, words)
    if status is None:
        status = _guard_terminal(lambda: _let_go_of(run_verb, words), _raise)
    if words == ["jobs"] and session.foreground.aside is not None:
        for job_id in session.foreground.aside.stopped:  # to all others they run
            sys.stdout.write(session.foreground.aside.about(job_id) + "\n")
    return status


def _let_go_of(run_verb: Callable[[list[str]], int], words: list[str]) -> int:
    """Runs a verb. Unless that has a better use for it Ctrl-Z ends it as Ctrl-C does: what it waits for goes on."""
    before = signal.signal(signal.SIGTSTP, signal.default_int_handler)
    try:
        return run_verb(words)
    finally:
        signal.signal(signal.SIGTSTP, before)


def _guard_terminal(do: Callable[[], Done], leave: Callable[[BaseException], None]) -> Done:
    """Reads a text, say. A signal that ends us comes as an exception, so that the editor puts the terminal back."""

    def on_signal(number: int, frame: FrameType | None) -> None:
        leave(Left(number))

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    for number, handler in before.items():
        if handler != signal.SIG_IGN:
            signal.signal(number, on_signal)
    try:
        return do()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _raise(problem: BaseException) -> None:
    raise problem


def _edited(session: Session) -> tuple[Callable[[], str], Callable[[BaseException], None]]:
    """The line editor: what reads a text, and what ends that with an exception."""
    from fmsh.shell.chosen import Chosen
    from fmsh.shell.editor import Editor
    from fmsh.shell.knowledge import Knowledge
    from fmsh.shell.past import Past
    from fmsh.shell.session import SOURCE

    knowledge, past = Knowledge(session), Past(session.store, SOURCE)
    editor = Editor(
        knowledge.world(),
        past,
        is_command=knowledge.is_command,
        toolbar=notices.Toolbar(session.store, session.foreground.aside).text,
        color=not os.environ.get("NO_COLOR"),
        written=knowledge.outputs,
        aside=session.foreground.aside,
    )
    chosen = Chosen(session)

    def read() -> str:
        past.refresh()
        knowledge.outputs.forget()
        editor.world = knowledge.world()
        return editor.read(chosen.prompt(), chosen.look())

    return read, editor.leave


def _plain(session: Session) -> Callable[[], str]:
    import readline  # noqa: F401 - gives input() a line editor and its history

    def read() -> str:
        """Raises: EOFError, with the text that was begun; KeyboardInterrupt."""
        text = ""
        while True:
            try:
                text += input("...  " if text else _plain_prompt(session)) + "\n"
            except EOFError:
                raise EOFError(text) if text.strip() else EOFError from None
            except KeyboardInterrupt:
                sys.stdout.write("\n")
                raise
            if not text.strip() or is_complete(text):
                return text

    return read


def _plain_prompt(session: Session) -> str:
    mark = "" if session.status == 0 else f" [{session.status}]"
    return f"{short_directory(session.directory)}{mark} > "
