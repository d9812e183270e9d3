"""`fmsh help [NAME]`: what each command does and takes, in lines that fit a terminal of 80 columns."""

from __future__ import annotations

import re
import shutil
from textwrap import fill, wrap

from fmsh.assembly import LIBRARY
from fmsh.builtins.text import plain_json
from fmsh.errors import UsageError
from fmsh.lang import pages
from fmsh.lang.lines import called_as

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fmsh.shell.session import Session

CELLS = 80
# What is no command of the language, but a line of the prompt.
VERBS = {
    "jobs": "the jobs of this store; `jobs VERB …` as `fmsh jobs VERB …`",
    "fg": "brings back a stopped program, or follows a job: its number",
    "attach": "follows a job: its number",
    "bg": "lets a stopped program, or paused jobs, go on: their numbers",
    "wait": "waits for jobs to end: their numbers",
    "cancel": "cancels jobs: their numbers",
    "help": "what a command does",
}
HELP = """usage: fmsh help [NAME] [--json]

Says what a command of the language does and takes, or names all of them by what
they are about.

Examples: fmsh help where
          fmsh help lists
          fmsh help str replace
"""


def page(arguments: list[str]) -> str:
    """Gives what `fmsh help` writes. Raises: UsageError."""
    names = [argument for argument in arguments if argument != "--json"]
    if names in (["--help"], ["-h"]):
        return HELP
    if len(names) == len(arguments):
        return text(names)
    known = pages.names(LIBRARY)
    document = {"name": " ".join(names), "text": text(names)} if names else list(map(_summary, known))
    return plain_json(document) + "\n"


def _summary(name: str) -> dict[str, str]:
    return {"name": name, "summary": first_line(name)}


def text(names: list[str]) -> str:
    """Gives the help of one command, which may have two words, or of a subject, or names all. Raises: UsageError."""
    name = " ".join(names)
    try:
        return fitted(pages.help_of(name, LIBRARY) if name else pages.overview({"prompt": " ".join(VERBS)}))
    except UsageError:
        if name in VERBS:
            return f"usage: {name} [NUMBER…]\n\nAt the prompt: {VERBS[name]}.\n"
        if shutil.which(name) is None:
            raise
        hint = f"`{name} --help` or `man {name}` may say what it does"
        raise UsageError(f"{name} is a program of the system, and no command of fmsh", hint=hint) from None


def of_session(names: list[str], session: Session) -> str | None:
    """Gives the help of what a session defines; None: it defines nothing so named. Raises: as `Session.evaluate`."""
    definitions = [text for name, text in session.definitions.items() if names[:1] == [called_as(name)]]
    if not definitions:
        return None
    if definitions[-1].startswith(("alias ", "use ")) and len(names) == 1:
        return f"{definitions[-1]}\n"
    return fitted(str(session.evaluate(f"{definitions[-1]}\nhelp {' '.join(names)}", {})))


def fitted(page: str) -> str:
    """A page in lines that fit."""
    return "\n\n".join(_fitted(block) for block in page.split("\n\n"))


def first_line(name: str) -> str:
    """What a command of fmsh does, in one line."""
    return pages.first_line(name, LIBRARY)


def _fitted(block: str) -> str:
    """Fits what stands between two blank lines: an example as it is, prose as one paragraph, else line by line."""
    if block.startswith("> "):
        return block
    lines = block.split("\n")
    is_prose = not any(line.startswith("usage") or "  " in line for line in lines)
    if is_prose and any(len(line) > CELLS for line in lines):
        return fill(block.strip("\n"), CELLS) + "\n" * block.endswith("\n")
    return "\n".join(part for line in lines for part in (_wrapped(line) if len(line) > CELLS else [line]))


def _wrapped(line: str) -> list[str]:
    """Breaks a line: below the second column where it has two, and never within the brackets of a flag."""
    columns = re.match(r"usage: \S* ?| *\S+(?: \S+)*  +", line)
    indent = " " * (columns.end() if columns else 0)
    kept = re.sub(r"\[[^]]*\]", lambda flag: flag[0].replace(" ", "\0"), line) if line.startswith("usage") else line
    broken = wrap(kept, CELLS, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    return [part.replace("\0", " ") for part in broken]
