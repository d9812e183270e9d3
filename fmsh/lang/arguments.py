"""The arguments of a script, as texts from a command line, checked against its `param`s."""

from __future__ import annotations

from fmsh.errors import UsageError
from fmsh.machine.signature import Parameter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fmsh.machine.signature import Signature
    from fmsh.values import Value


def bind_texts(signature: Signature, texts: Sequence[str]) -> tuple[dict[str, Value], list[str]]:
    """Gives the values of the parameters that were given, and what is left of the arguments.

    Raises: UsageError for an unknown flag, a missing argument, or a text that does not fit a type.
    """
    bound: dict[str, Value] = {}
    positionals: list[str] = []
    waiting = list(texts)
    has_flags = any(parameter.kind == "flag" for parameter in signature.parameters)
    while waiting:
        text = waiting.pop(0)
        if text == "--":
            positionals += waiting
            break
        if has_flags and text.startswith("-") and len(text) > 1 and not text[1].isdigit():
            _bind_flag(signature, text, waiting, bound)
        else:
            positionals.append(text)
    for parameter in signature.positionals:
        if positionals:
            bound[parameter.name] = _converted(signature, parameter, positionals.pop(0))
        elif parameter.is_required:
            raise UsageError(f"{signature.name} needs {parameter.name.upper()}", hint=_usage(signature))
    if signature.rest is not None:
        rest = signature.rest
        bound[rest.name] = [_converted(signature, rest, text) for text in positionals]
        positionals = []
    if positionals and signature.parameters:
        raise UsageError(f"{signature.name} does not take {positionals[0]!r}", hint=_usage(signature))
    _note_missing_flags(signature, bound)
    return bound, positionals


def _bind_flag(signature: Signature, text: str, waiting: list[str], bound: dict[str, Value]) -> None:
    name, has_value, value = text.partition("=")
    parameter = signature.flag_named(name)
    if parameter is None:
        raise UsageError(f"{signature.name} has no flag {name}", hint=_usage(signature))
    if parameter.type_name == "bool" and not has_value:
        bound[parameter.name] = True
        return
    if not has_value:
        if not waiting:
            raise UsageError(f"{name} needs a value", hint=_usage(signature))
        value = waiting.pop(0)
    bound[parameter.name] = _converted(signature, parameter, value)


def _note_missing_flags(signature: Signature, bound: dict[str, Value]) -> None:
    for parameter in signature.parameters:
        if parameter.kind == "flag" and parameter.is_required and parameter.name not in bound:
            raise UsageError(f"{signature.name} needs {parameter.flag}", hint=_usage(signature))


def _usage(signature: Signature) -> str:
    return f"usage: {signature.usage()}"


def _converted(signature: Signature, parameter: Parameter, text: str) -> Value:
    read = _READERS.get(parameter.type_name)
    if read is None:
        return text
    try:
        return read(text)
    except ValueError:
        label = parameter.flag if parameter.kind == "flag" else parameter.name
        message = f"{label} must be of type {parameter.type_name}, this is {text!r}"
        raise UsageError(message, hint=_usage(signature)) from None


def _bool(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(text)
    return text == "true"


def _literal(kind: str) -> Callable[[str], Value]:
    def read(text: str) -> Value:
        from fmsh.lang.generated import literal_kind
        from fmsh.lang.lexing.numbers import read_run

        found = read_run(text) if text[:1].isdigit() else None
        if found is None or literal_kind(found) != kind:
            raise ValueError(text)
        if kind == "datetime" and found.tzinfo is None:
            return found.astimezone()  # where the script is started, the zone is that of the job
        return found

    return read


def _json(kind: type) -> Callable[[str], Value]:
    def read(text: str) -> Value:
        import json

        value = json.loads(text)
        if not isinstance(value, kind):
            raise ValueError(text)
        return value

    return read


_READERS: dict[str, Callable[[str], Value]] = {
    "int": int,
    "float": float,
    "number": lambda text: int(text) if text.lstrip("-").isdigit() else float(text),
    "bool": _bool,
    "duration": _literal("duration"),
    "datetime": _literal("datetime"),
    "list": _json(list),
    "record": _json(dict),
}


def help_text(signature: Signature) -> str:
    """The help of a command, or of a script, made of its comments or its docstring."""
    lines = [f"usage: {'… | ' if signature.is_input_required else ''}{signature.usage()}"]
    if signature.help:
        lines += ["", signature.help]
    if signature.parameters:
        lines.append("")
    for parameter in signature.parameters:
        label = parameter.flag if parameter.kind == "flag" else parameter.name.upper()
        label = f"{label}, {parameter.short}" if parameter.short else label
        lines.append(f"  {label:<20} {parameter.help}{_notes(parameter)}".rstrip())
    return "\n".join(lines) + "\n"


def _notes(parameter: Parameter) -> str:
    """The type and the default, as far as they say something."""
    notes = [] if parameter.type_name in ("any", "bool", "word") else [parameter.type_name]
    if parameter.default not in (None, False, "", " "):
        notes.append(f"default {parameter.default}")
    return f" ({', '.join(notes)})" if notes else ""
