"""`fmsh secret set NAME | list | rm NAME`: the secrets that people keep.

A value is read from the terminal, unseen, or from standard input; never from the command line, which others can read.
"""

from __future__ import annotations

import sys

from fmsh.errors import FmshError, UsageError
from fmsh.secrets import check_name
from fmsh.store.sqlite import SqliteStore
from fmsh.store.vault import Vault
from fmsh.values import Raised

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from fmsh.settings import Settings

VALUE_BYTES_MAX = 1024 * 1024
USAGE = "usage: fmsh secret set NAME | list [--json] | rm NAME"
HELP = f"""{USAGE}

The secrets that people keep, encrypted, in the store; a program takes one by
`secret NAME`. A value is read from the terminal, unseen, or from standard
input; never from the command line, which others can read.

  set NAME   keep a value under this name
  list       the names
  rm NAME    forget it

Example: pass show ci/token | fmsh secret set CI_TOKEN
"""


def main(arguments: list[str], settings: Settings) -> int:
    """Runs `fmsh secret …`; gives its exit status. Raises: UsageError, StoreError."""
    is_json = "--json" in arguments
    verb, *names = [argument for argument in arguments if argument != "--json"] or ["list"]
    if verb in ("--help", "-h"):
        sys.stdout.write(HELP)
        return 0
    if verb not in _VERBS:
        raise UsageError(f"fmsh secret has no verb {verb}", hint=USAGE)
    if any(name.startswith("-") for name in names):
        raise UsageError(f"fmsh secret {verb} has no option {next(n for n in names if n.startswith('-'))}", hint=USAGE)
    if len(names) != (0 if verb == "list" else 1):
        hint = "the value is read from the terminal or from standard input" if verb == "set" and names else USAGE
        raise UsageError(f"fmsh secret {verb} takes {'nothing' if verb == 'list' else 'one NAME'}", hint=hint)
    store = SqliteStore.open(settings.state_directory, kind="shell")
    try:
        return _VERBS[verb](store, settings, names[0] if names else "", is_json)
    finally:
        store.close()


def _set(store: SqliteStore, settings: Settings, name: str, is_json: bool) -> int:
    try:
        check_name(name)
    except Raised as problem:
        raise UsageError(problem.error.message, hint=str(problem.error.fields.get("hint", ""))) from None
    if name == "new":
        raise UsageError("no secret can be called new: `secret new` makes a fresh one", hint="choose another name")
    Vault(store, settings.key_path).keep(name, _read_value(name))
    return 0


def _read_value(name: str) -> str:
    """The value; of standard input without the newline at its end."""
    if sys.stdin.isatty():
        import getpass

        value = getpass.getpass(f"{name}: ")
        if value != getpass.getpass("again: "):
            raise FmshError("the two are not the same: nothing was kept")
    else:
        data = sys.stdin.buffer.read(VALUE_BYTES_MAX + 1)
        if len(data) > VALUE_BYTES_MAX:
            raise FmshError(f"a secret may have {VALUE_BYTES_MAX >> 20} MiB (VALUE_BYTES_MAX), this is longer")
        value = data.decode("utf-8", "surrogateescape").removesuffix("\n")
    if not value:
        raise FmshError("the value is empty: nothing was kept")
    return value


def _list(store: SqliteStore, settings: Settings, name: str, is_json: bool) -> int:
    names = [name for name in store.secret_names() if " " not in name]  # those with a blank nobody chose
    if is_json:
        import json

        sys.stdout.write(json.dumps([{"name": name} for name in names]) + "\n")
    else:
        sys.stdout.write("".join(f"{name}\n" for name in names))
    return 0


def _remove(store: SqliteStore, settings: Settings, name: str, is_json: bool) -> int:
    if " " in name or not store.remove_secret(name):
        raise FmshError(f"there is no secret {name!r}", hint="`fmsh secret list` shows them")
    return 0


_VERBS: dict[str, Callable[[SqliteStore, Settings, str, bool], int]] = {"set": _set, "list": _list, "rm": _remove}
