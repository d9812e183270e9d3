"""`fmsh config [get|set|path]`: the settings, where each comes from, and changing them in `config.toml`."""

from __future__ import annotations

import os
import sys

from fmsh import configuration
from fmsh.errors import UsageError
from fmsh.settings import config_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from fmsh.configuration import Choice, Setting

USAGE = "usage: fmsh config [get NAME | set NAME VALUE | path | token [--revoke]] [--json]"
HELP_CELLS = 80
HELP = f"""usage: fmsh config [get NAME | set NAME VALUE | path | token [--revoke]]
                   [--json]

Without a verb: all settings, with their values and where these come from.

  get NAME         print the value of one setting
  set NAME VALUE   set it in config.toml, whose other lines stay as they are
  path             print where config.toml lies
  token            print a new token for the HTTP interface on the TCP port;
                   --revoke makes all useless

A variable of the environment goes before the file. Durations are written as in
the language (7d, 12h, 1h30m), or are `{configuration.FOREVER}`. The daemon goes by the limits
of retention once an hour; `fmsh jobs gc` does at once.

Example: fmsh config set retention.output 14d
"""
NAME_CELLS = 20
VALUE_CELLS = 10


def main(arguments: list[str]) -> int:
    """Runs the verb; gives the exit status. Raises: UsageError."""
    is_json = "--json" in arguments
    words = [argument for argument in arguments if argument != "--json"]
    path = config_path(os.environ)
    match words:
        case ["--help" | "-h" | "help"]:
            lines = [_help_line(name, setting) for name, setting in configuration.TABLE.items()]
            lines += [_help_line(f"{family}.NAME", setting) for family, setting in configuration.FAMILIES.items()]
            sys.stdout.write(HELP + "\n" + "".join(lines))
        case ["path"]:
            _print(path, path, is_json=is_json)
        case []:
            _list(configuration.choices(path, os.environ), is_json=is_json)
        case ["get", name]:
            choice = _find(configuration.choices(path, os.environ), name)
            _print(choice.written or "", _document(choice), is_json=is_json)
        case ["set", name, written]:
            configuration.change(path, name, written)
            choice = _find(configuration.choices(path, os.environ), name)
            _tell_of_variable(choice)
            if is_json:
                _print("", _document(choice), is_json=True)
        case ["token"] | ["token", "--revoke"]:
            _token(is_revoked=len(words) == 2, is_json=is_json)
        case _:
            raise UsageError(f"fmsh config does not take {' '.join(words)}", hint=USAGE)
    return 0


def _token(*, is_revoked: bool, is_json: bool) -> None:
    from fmsh.daemon import tokens
    from fmsh.settings import read_settings
    from fmsh.store.sqlite import SqliteStore

    store = SqliteStore.open(read_settings(os.environ).state_directory, kind="shell")
    try:
        if is_revoked:
            count = tokens.revoke_all(store)
            _print(f"{count} tokens are useless now", {"revoked": count}, is_json=is_json)
        else:
            token = tokens.make(store)
            _print(token, {"token": token}, is_json=is_json)
    finally:
        store.close()


def _find(choices: list[Choice], name: str) -> Choice:
    if configuration.setting_of(name) is None:
        configuration.check(name, "")  # says what it may have been meant to be
    return next((choice for choice in choices if choice.name == name), configuration.Choice(name, None, "default"))


def _list(choices: list[Choice], *, is_json: bool) -> None:
    if is_json:
        _print("", [_document(choice) for choice in choices], is_json=True)
        return
    for choice in choices:
        written = choice.written or "-"
        sys.stdout.write(f"{choice.name:<{NAME_CELLS}} {written:<{VALUE_CELLS}} ({choice.origin})\n")


def _document(choice: Choice) -> dict[str, Any]:
    setting = configuration.setting_of(choice.name)
    assert setting is not None, choice
    shown = {"name": choice.name, "value": choice.written, "origin": choice.origin}
    return shown | {"default": setting.default, "help": setting.help}


def _help_line(name: str, setting: Setting) -> str:
    default = f" (default {setting.default})" if setting.default else f" ({setting.variable})" * bool(setting.variable)
    from textwrap import fill

    indent = " " * (NAME_CELLS + 3)
    return fill(f"  {name:<{NAME_CELLS}} {setting.help}{default}", HELP_CELLS, subsequent_indent=indent) + "\n"


def _tell_of_variable(choice: Choice) -> None:
    setting = configuration.setting_of(choice.name)
    if setting is not None and choice.origin == setting.variable:
        sys.stderr.write(f"fmsh: the variable {choice.origin} goes before the file, so that {choice.written} holds\n")


def _print(text: str, document: Any, *, is_json: bool) -> None:
    from json import dumps

    sys.stdout.write((dumps(document, ensure_ascii=False) if is_json else text) + "\n")
