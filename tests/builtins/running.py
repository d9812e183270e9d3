"""Runs a builtin by name, as the machine does: the pipe's value is fitted, then the function is called."""

from __future__ import annotations

from typing import Any

import pytest

from fmsh.builtins.fitting import fit
from fmsh.builtins.table import find
from fmsh.values import ErrorValue, Raised


def run(name: str, value: Any, *arguments: Any, **flags: Any) -> Any:
    """Runs a builtin with the pipe's value (left out where it takes none) and its arguments."""
    builtin = find(name)
    assert builtin is not None, name
    fed = () if builtin.signature.input == "none" else (fit(value, builtin.signature),)
    return builtin.function(*fed, *arguments, **flags)


def error_of(function: Any, *arguments: Any, **flags: Any) -> ErrorValue:
    """Gives the error value that a call raises."""
    with pytest.raises(Raised) as caught:
        function(*arguments, **flags)
    return caught.value.error
