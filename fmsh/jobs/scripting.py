"""`fmsh jobs script N…`: the programs of jobs, one after the other, as one script."""

from __future__ import annotations

from fmsh.assembly import make_program
from fmsh.errors import FmshError, SourceError
from fmsh.jobs.finding import find_job
from fmsh.spans import Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from fmsh.jobs.desk import Desk

FIRST_LINE = "#!/usr/bin/env fmsh\n"
NAME = "script"


def script(desk: Desk, arguments: argparse.Namespace) -> int:
    """`fmsh jobs script N…`: in the order in which they are named; what would be wrong with the script is said."""
    jobs = [find_job(desk.store, name) for name in arguments.jobs]
    text = FIRST_LINE
    for job in jobs:
        lines = desk.store.program(job.program_hash).text
        if lines.startswith("#!"):
            lines = lines.partition("\n")[2]
        text += lines.rstrip("\n") + "\n"
    problems = _problems(text)
    if desk.is_json:
        desk.write_document({"jobs": [job.id for job in jobs], "script": text, "problems": problems})
        return 0
    desk.pass_on("out", text)
    for problem in problems:
        desk.note(f"the script has a problem: {problem}")
    return 0


def _problems(text: str) -> list[str]:
    try:
        make_program(Source(NAME, text))
    except SourceError as error:
        return [problem.message for problem in error.diagnostics]
    except FmshError as error:  # a module that is not there any more
        return [error.message]
    return []
