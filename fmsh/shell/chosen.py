"""What the session chooses of its prompt, looked up anew before each line. What cannot be used is said once."""

from __future__ import annotations

import sys

from fmsh.errors import FmshError
from fmsh.lang.lines import COMMAND
from fmsh.render.cells import visible
from fmsh.shell.editor import git_branch, prompt_parts
from fmsh.shell.highlighter import STYLES
from fmsh.shell.look import FUNCTION, VARIABLE, Look, look_of, prompt_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from prompt_toolkit.formatted_text import StyleAndTextTuples

    from fmsh.shell.session import Session
    from fmsh.values import Value


BUDGET = 100_000  # instructions, 0.2 s: each prompt waits for them


class Chosen:
    """Of one session."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._said: set[str] = set()

    def look(self) -> Look:
        """What `$shell` says, or else the defaults."""
        try:
            return look_of(self._session.value(VARIABLE), STYLES)
        except KeyError:
            return Look()
        except FmshError as problem:
            self._say(problem)
            return Look()

    def prompt(self) -> StyleAndTextTuples:
        """What the function `prompt` gives, or else the default."""
        session = self._session
        if f"{COMMAND}{FUNCTION}" in session.definitions:
            now: dict[str, Value] = {
                "directory": session.directory,
                "branch": git_branch(session.directory),
                "status": session.status,
                "seconds": session.last_s,
            }
            try:
                return prompt_of(session.evaluate(f"{FUNCTION} $now", {"now": now}, budget=BUDGET))
            except FmshError as problem:
                self._say(problem, f"the function `{FUNCTION}` cannot be used: ")
        return prompt_parts(session.directory, session.status, session.last_s)

    def _say(self, problem: FmshError, before: str = "") -> None:
        text = f"fmsh: {before}{visible(problem.message)}\n" + (f"  {problem.hint}\n" if problem.hint else "")
        if text not in self._said:
            self._said.add(text)
            sys.stderr.write(text)
