"""`fmsh doctor [--json] [--repair]`."""

from __future__ import annotations

import os
import sys
import time

from fmsh.doctor import checks
from fmsh.doctor.finding import ERROR, LEVELS, NOTE, OK, WARNING, Finding
from fmsh.doctor.patient import Patient
from fmsh.errors import UsageError
from fmsh.render.cells import visible
from fmsh.render.style import paint
from fmsh.settings import read_settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

USAGE = "usage: fmsh doctor [--repair] [--json]"
HELP = f"""{USAGE}

Looks at the store and every hash in it, locks, sockets, permissions, the clock,
the disk, the daemon, versions and settings, at jobs that need you and at files
that nobody needs. Each finding is ok, a note, a warning or an error, with what
to do about it. The exit status is 1 if there is an error, else 0.

  --repair   do what cannot lose anything: remove what dead processes left,
             close what others can read, make indexes anew, shorten a long log
  --json     one JSON document: {{"findings": [{{"check", "level", "text",
             "advice", "repaired"}}], "ok"}}

Example: fmsh doctor --repair
"""
COLORS = {OK: "green", NOTE: "cyan", WARNING: "yellow", ERROR: "red"}
LEVEL_CELLS = max(map(len, LEVELS))
CHECK_CELLS = max(map(len, checks.CHECKS))
TEXT_AT = LEVEL_CELLS + CHECK_CELLS + 4
TEXT_CELLS_MIN = 20


def main(arguments: list[str]) -> int:
    """Runs `fmsh doctor`; gives the exit status. Raises: UsageError."""
    if arguments in (["--help"], ["-h"], ["help"]):
        sys.stdout.write(HELP)
        return 0
    unknown = set(arguments) - {"--json", "--repair"}
    if unknown:
        raise UsageError(f"fmsh doctor does not take {' '.join(sorted(unknown))}", hint=USAGE)
    settings = read_settings(os.environ, with_file=False)  # a file that cannot be read is a finding
    patient = Patient(settings, is_repairing="--repair" in arguments, now_ms=lambda: time.time_ns() // 10**6)
    found: list[tuple[str, Finding]] = []
    try:
        for name, finding in checks.run(patient):
            found.append((name, finding))
            if "--json" not in arguments:
                _show(name, finding)
    finally:
        patient.close()
    is_ok = all(finding.level != ERROR for _, finding in found)
    if "--json" in arguments:
        _write_document({"findings": [_document(name, finding) for name, finding in found], "ok": is_ok})
    return 0 if is_ok else 1


def _document(name: str, finding: Finding) -> dict[str, Any]:
    document: dict[str, Any] = {"check": name, "level": finding.level, "text": finding.text}
    document["advice"] = finding.advice or None
    return document | ({"repaired": finding.repaired} if finding.repaired else {})


def _write_document(document: Any) -> None:
    from json import dumps

    sys.stdout.write(dumps(document, ensure_ascii=False) + "\n")


def _show(name: str, finding: Finding) -> None:
    color = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    level = paint(f"{finding.level:<{LEVEL_CELLS}}", COLORS[finding.level], color=color)
    first, *rest = _lines(finding.text)
    sys.stdout.write(f"{level}  {name:<{CHECK_CELLS}}  {first}\n")
    for text in (finding.advice, f"repaired: {finding.repaired}" if finding.repaired else ""):
        rest += _lines(text) if text else []
    sys.stdout.write("".join(f"{'':<{TEXT_AT}}{line}\n" for line in rest))
    sys.stdout.flush()


def _lines(text: str) -> list[str]:
    """Breaks a text to fit below its column; a pipe takes lines of any length."""
    from shutil import get_terminal_size
    from textwrap import wrap

    cells = get_terminal_size((0, 0)).columns - TEXT_AT
    return wrap(visible(text), cells, break_on_hyphens=False) if cells >= TEXT_CELLS_MIN else [visible(text)]
