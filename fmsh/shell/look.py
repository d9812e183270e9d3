"""What `init.fmsh`, or any line, chooses of the prompt: the variable `$shell`, and the function `prompt`.

let shell = {
  keys: vi                                  # or emacs
  colors: {command: blue, unknown: "bold red"}
  abbreviations: {gs: "git status"}         # written out by a space or Enter behind them
  bindings: {ctrl-g: "git status", f5: jobs}  # a key that enters a line
}
def prompt(now) { "$now.directory $now.branch > " }
"""

from __future__ import annotations

from fmsh.errors import UsageError
from fmsh.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from prompt_toolkit.formatted_text import StyleAndTextTuples

    from fmsh.values import Value

VARIABLE, FUNCTION = "shell", "prompt"
KEYS = ("emacs", "vi")
FIELDS = ("keys", "colors", "abbreviations", "bindings")


class Look(Record):
    """`colors`: styles of prompt-toolkit by what the highlighter tells apart; `bindings`: lines by prompt-toolkit's
    names of keys."""

    keys: str = "emacs"
    colors: Mapping[str, str] = {}
    abbreviations: Mapping[str, str] = {}
    bindings: Mapping[str, str] = {}


def look_of(value: Value, styles: Iterable[str]) -> Look:
    """What `$shell` says; `styles` are the names of what has a colour. Raises: UsageError."""
    fields = _record(value, "$shell", FIELDS)
    keys = fields.get("keys", "emacs")
    if keys not in KEYS:
        raise UsageError(f"$shell.keys is {keys!r}: expected emacs or vi")
    colors = _texts(fields.get("colors", {}), "$shell.colors", tuple(styles))
    for name, style in colors.items():
        _check_style(style, f"$shell.colors.{name}")
    bindings = _texts(fields.get("bindings", {}), "$shell.bindings", None)
    return Look(
        keys,
        {name: _named_color(style) for name, style in colors.items()},
        _texts(fields.get("abbreviations", {}), "$shell.abbreviations", None),
        {_key(name): line for name, line in bindings.items()},
    )


def prompt_of(value: Value) -> StyleAndTextTuples:
    """The prompt that a function gave: a text, or a list of `{text, style}`. Raises: UsageError."""
    if isinstance(value, str):
        return [("", value)]
    if not isinstance(value, list):
        raise UsageError("the function `prompt` gave no text: expected a text or a list of {text, style}")
    parts: StyleAndTextTuples = []
    for item in value:
        part = _record(item, "a part of the prompt", ("text", "style"))
        style = str(part.get("style", ""))
        _check_style(style, "the style of a part of the prompt")
        parts.append((_named_color(style), str(part.get("text", ""))))
    return parts


def _record(value: Value, what: str, names: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UsageError(f"{what} is no record", hint=f"expected a record with some of {', '.join(names)}")
    for name in value:
        if name not in names:
            raise UsageError(f"{what} has a field {name!r}", hint=f"there are {', '.join(names)}")
    return value


def _texts(value: Value, what: str, names: tuple[str, ...] | None) -> dict[str, str]:
    record = _record(value, what, names) if names is not None else value
    if not isinstance(record, dict) or not all(isinstance(item, str) for item in record.values()):
        raise UsageError(f"{what} is no record of texts")
    return record


def _named_color(style: str) -> str:
    """A style in which the sixteen colours of terminals have their short names."""
    return " ".join(f"ansi{word}" if word in _COLORS else word for word in style.split())


_HUES = ("black", "red", "green", "yellow", "blue", "magenta", "cyan")
_COLORS = (*_HUES, *(f"bright{hue}" for hue in _HUES), "gray", "white")


def _check_style(style: str, what: str) -> None:
    from prompt_toolkit.styles import Style

    try:
        Style([("", _named_color(style))])
    except ValueError:
        hint = "a style has words such as blue, brightred, #ff8800, bold, italic, underline, bg:black"
        raise UsageError(f"{what} is {style!r}, which is no style", hint=hint) from None


def _key(name: str) -> str:
    from prompt_toolkit.keys import ALL_KEYS

    parsed = name.lower().replace("ctrl-", "c-").replace("shift-", "s-")
    if parsed not in ALL_KEYS:
        raise UsageError(f"$shell.bindings: there is no key {name!r}", hint="such as ctrl-g, f5, ctrl-up")
    return parsed
