"""What the command line says about one job."""

from __future__ import annotations

from fmsh.record import Record


class Options(Record):
    """What stands before FILE or after `-c`."""

    file: str | None
    text: str | None
    arguments: list[str]
    is_detached: bool
    key: str | None
    name: str | None
    tags: dict[str, str]
    is_json: bool
    is_check: bool
    is_plan: bool
    is_verbose: bool
