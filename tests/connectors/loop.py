"""The loop that connectors are tested in, and attempts of processes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from fmsh.conformance import Loop, attempt_of

if TYPE_CHECKING:
    from fmsh.connectors.base import Attempt, Terminal

__all__ = ["Loop", "attempt_of", "process_attempt"]


def process_attempt(
    *commands: list[str],
    output: str = "capture",
    input: object = None,
    environment: dict[str, object] | None = None,
    terminal: Terminal | None = None,
    **changes: object,
) -> Attempt:
    """A pipeline of commands, in one environment; a stage may be given variables of its own."""
    variables = {"PATH": os.environ["PATH"]} if environment is None else environment
    stages: list[dict[str, object]] = [{"argv": argv, "environment": {}} for argv in commands]
    arguments = {"stages": stages, "output": output, "input": input}
    return attempt_of("run", arguments, environment=variables, terminal=terminal, **changes)
