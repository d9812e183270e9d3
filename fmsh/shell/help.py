"""`fmsh help [NAME]`: what each command does and takes, from its signature and its docstring."""

from __future__ import annotations

import inspect

from fmsh.assembly import LIBRARY
from fmsh.errors import UsageError
from fmsh.lang.forms import FORMS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from fmsh.machine.signature import Signature

NAME_CELLS = 18


def text(names: list[str]) -> str:
    """Gives the help of one command, which may have two words, or the list of all. Raises: UsageError."""
    name = " ".join(names)
    if not name:
        return _all()
    if name in FORMS:
        return _one(FORMS[name].signature, None)
    found = LIBRARY.find(name)
    if found is not None:
        return _one(found.signature, found.function)
    family = [known for known in _names() if known.startswith(name + " ")]
    if family:
        return "".join(_line(known) for known in family)
    import difflib

    near = difflib.get_close_matches(name, _names(), 1)
    hint = f"did you mean {near[0]}?" if near else "`fmsh help` lists them; a program of the system has a man page"
    raise UsageError(f"fmsh has no command {name}", hint=hint)


def _names() -> list[str]:
    return sorted({*FORMS, *LIBRARY.names()}, key=str.lower)


def _all() -> str:
    lines = "".join(_line(name) for name in _names())
    return f"{lines}\n`fmsh help NAME` says more of one. Everything else is a program of the system.\n"


def _line(name: str) -> str:
    return f"{name:<{NAME_CELLS}} {first_line(name)}".rstrip() + "\n"


def first_line(name: str) -> str:
    """What a command of fmsh does, in one line."""
    return _documentation(name).partition("\n")[0]


def _documentation(name: str) -> str:
    if name in FORMS:
        return FORMS[name].signature.help
    found = LIBRARY.find(name)
    assert found is not None
    return inspect.getdoc(found.function) or found.signature.help


def _one(signature: Signature, function: Callable[..., Any] | None) -> str:
    lines = [f"usage: {'… | ' if signature.is_input_required else ''}{signature.usage()}", ""]
    lines.append((inspect.getdoc(function) if function is not None else None) or signature.help)
    labelled = [(p.flag if p.kind == "flag" else p.name.upper(), p.help, p.type_name) for p in signature.parameters]
    if any(help for _, help, _ in labelled):
        lines.append("")
    lines += [f"  {label:<{NAME_CELLS}} {help}".rstrip() for label, help, _ in labelled if help]
    return "\n".join(lines).rstrip() + "\n"
