"""What the command line says about one job."""

from __future__ import annotations

from fmsh.record import Record


class Options(Record):
    """What stands before FILE or after `-c`."""

    file: str | None = None
    text: str | None = None
    arguments: list[str] = []  # noqa: RUF012 - defaults that are never changed
    is_detached: bool = False
    key: str | None = None
    name: str | None = None
    tags: dict[str, str] = {}  # noqa: RUF012
    is_json: bool = False
    is_check: bool = False
    is_plan: bool = False
    is_verbose: bool = False
    is_held: bool = False
