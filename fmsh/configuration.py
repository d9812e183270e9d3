"""The settings that people choose: one table, which the environment and `config.toml` fill, in that order.

To add a setting write one line in `TABLE`; `Settings.value` gives it. A new kind of value is a reader in `KINDS`. What
people name themselves is a line in `FAMILIES`: `connectors.rows` is of the family `connectors`.
Everything in the file is checked when it is read: a misspelt setting must not be taken for one that is not set.

`tomllib` is imported where there is a file to read, and costs most of what reading it costs.
"""

from __future__ import annotations

import os

from fmsh.errors import UsageError
from fmsh.record import Record
from fmsh.values import duration_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

FOREVER = "forever"
PORT_MAX = 65535
SIZES = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


class Setting(Record):
    """`default` is what a person would write; None: not set. `variable` goes before the file."""

    kind: str
    default: str | None
    help: str
    variable: str = ""


TABLE: Mapping[str, Setting] = {
    "listen": Setting(
        "address", None, "HOST:PORT where callbacks arrive; the daemon takes it when it starts", "FMSH_LISTEN"
    ),
    "public_url": Setting(
        "url", None, "how the world reaches that; the daemon takes it when it starts", "FMSH_PUBLIC_URL"
    ),
    "limits.output": Setting(
        "size", "256MiB", "how much each output of a program may take; the middle of a longer one is cut out"
    ),
    "retention.output": Setting("duration", "7d", "how long after its end a job keeps its output and large values"),
    "retention.history": Setting("duration", "30d", "how long after its end a job is kept at all"),
    "retention.events": Setting("duration", "30d", "how long an active job keeps events that stand before a snapshot"),
    "retention.deliveries": Setting("duration", "30d", "how long a delivery is remembered, so that a repeat is known"),
}


FAMILIES: Mapping[str, Setting] = {
    "connectors": Setting("package", None, "the Python package that has a connector, for `perform NAME …`"),
}


def setting_of(name: str) -> Setting | None:
    """Gives what is known of a setting; None if there is none of that name."""
    family, _, own = name.partition(".")
    if own and family in FAMILIES:
        return FAMILIES[family] if own.replace("-", "_").isidentifier() and own.isascii() else None
    return TABLE.get(name)


class Choice(Record):
    """What holds for a setting. `written`: as a person would write it. `origin`: a variable, a file, or `default`."""

    name: str
    written: str | None
    origin: str


def choices(path: str, environment: Mapping[str, str]) -> list[Choice]:
    """Gives what holds for each setting, and since when. Raises: UsageError."""
    chosen = read(path)
    found = []
    for name, setting in TABLE.items():
        written, origin = setting.default, "default"
        if setting.variable and environment.get(setting.variable):
            written, origin = environment[setting.variable], setting.variable
        elif name in chosen:
            written, origin = chosen[name], path
        found.append(Choice(name, written, origin))
    return found + [Choice(name, written, path) for name, written in chosen.items() if name not in TABLE]


def value(chosen: Mapping[str, str], name: str) -> Any:
    """Gives the value of a setting that no variable sets: milliseconds of a duration, None for what is forever."""
    setting = TABLE[name]
    written = chosen.get(name, setting.default)
    return None if written is None else KINDS[setting.kind](written)


def read(path: str) -> dict[str, str]:
    """Gives the settings of a file, as written, by their full names. Raises: UsageError: what is wrong with it."""
    return flattened(load(path), path)


def load(path: str) -> dict[str, Any]:
    """Reads a file of settings; nothing if there is none. Raises: UsageError."""
    import tomllib

    try:
        with open(path, "rb") as file:
            return tomllib.load(file)
    except FileNotFoundError:
        return {}
    except OSError as fault:
        reason = (fault.strerror or str(fault)).lower()
        raise UsageError(f"the settings in {path} cannot be read: {reason}") from fault
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as fault:
        raise UsageError(f"{path} is not TOML: {fault}", hint="correct it, or move it away") from fault


def flattened(tables: Mapping[str, Any], path: str, prefix: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for key, entry in tables.items():
        name = prefix + key
        if isinstance(entry, dict) and (name in FAMILIES or any(known.startswith(name + ".") for known in TABLE)):
            found |= flattened(entry, path, name + ".")
        else:
            check(name, entry, where=path)
            found[name] = entry
    return found


def check(name: str, written: object, *, where: str = "") -> None:
    """Sees that a setting exists and can be this. Raises: UsageError."""
    place = f"{where}: " if where else ""
    setting = setting_of(name)
    if setting is None:
        raise UsageError(f"{place}there is no setting {name}", hint=_advice(name))
    try:
        KINDS[setting.kind](written)
    except ValueError as wanted:
        raise UsageError(f"{place}{name} must be {wanted}, this is {_shown(written)}") from None


def _advice(name: str) -> str:
    import difflib

    if name.partition(".")[0] in FAMILIES:
        return "the name after the point is a word of letters, digits, _ and -"
    near = difflib.get_close_matches(name, TABLE, 1)
    return f"did you mean {near[0]}?" if near else "`fmsh config --help` lists the settings"


def _shown(written: object) -> str:
    return repr(written) if isinstance(written, str) else f"{type(written).__name__} {written}"


def _duration_ms(written: object) -> int | None:
    if written == FOREVER:
        return None
    found = duration_of(written) if isinstance(written, str) else None
    if found is None or found.nanoseconds < 0:
        raise ValueError(f'a duration such as "7d" or "12h", or "{FOREVER}"')
    return found.milliseconds


def address(written: object) -> tuple[str, int]:
    """Reads `HOST:PORT`, `[V6]:PORT` or `HOST`, whose port is 0. Raises: ValueError: what it must be."""
    text = written if isinstance(written, str) else ""
    host, _, port = text.rpartition(":") if text.count(":") == 1 or "]:" in text else (text, "", "0")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isascii() or not port.isdigit() or int(port) > PORT_MAX:
        raise ValueError("HOST:PORT, such as 127.0.0.1:8099")
    return host, int(port)


def web_address(written: object) -> str:
    """Reads the address of a place in the web. Raises: ValueError: what it must be."""
    from urllib.parse import urlsplit

    text = written if isinstance(written, str) else ""
    try:
        parts = urlsplit(text)
        is_right = parts.scheme in ("http", "https") and bool(parts.hostname) and not (parts.query or parts.fragment)
    except ValueError:
        is_right = False
    if not is_right or any(character.isspace() for character in text):
        raise ValueError("an address of http or https, such as https://ci.example.org")
    return text


def _size_bytes(written: object) -> int:
    text = written if isinstance(written, str) else ""
    number = text.rstrip("KMGTiB")
    unit = text[len(number) :]
    if not (number.isascii() and number.isdigit()) or unit not in SIZES or int(number) == 0:
        raise ValueError('a size such as "64MiB" or "1GB"')
    return int(number) * SIZES[unit]


def _package(written: object) -> str:
    if not isinstance(written, str) or not all(part.isidentifier() for part in written.split(".")):
        raise ValueError("the name of a Python package, such as fmsh_rows")
    return written


KINDS: Mapping[str, Callable[[Any], Any]] = {
    "duration": _duration_ms,
    "size": _size_bytes,
    "address": address,
    "url": web_address,
    "package": _package,
}


# ---- Changing the file -----------------------------------------------------------------------------------------------


def change(path: str, name: str, written: str) -> None:
    """Sets a setting in the file, and leaves all else in it as it is. Raises: UsageError: then nothing has changed."""
    import tomllib

    check(name, written)
    before = read(path)
    text = ""
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            text = file.read()
    edited = _edited(text, name, written)
    try:
        is_right = flattened(tomllib.loads(edited), path) == before | {name: written}
    except (tomllib.TOMLDecodeError, UsageError):
        is_right = False
    if not is_right:  # it is written in a way that we do not know how to change
        table, _, key = name.rpartition(".")
        where = f" in the table [{table}]" if table else ""
        raise UsageError(f"{path} is not written so that fmsh can change it", hint=f'write {key} = "…"{where} yourself')
    _write(path, edited)


def _edited(text: str, name: str, written: str) -> str:
    table, _, key = name.rpartition(".")
    line = f"{key} = {_quoted(written)}"
    lines = text.splitlines()
    current, end_of_table = "", 0 if not table else None
    for index, found in enumerate(lines):
        content = found.strip()
        if content.startswith("["):
            current = content.partition("]")[0].strip("[ ")
        if current == table and content and not content.startswith("#"):
            end_of_table = index + 1
        own = content.partition("=")[0].strip()
        if "=" in content and ((current == table and own == key) or (not current and own == name)):
            lines[index] = f"{own} = {_quoted(written)}{_comment_of(content)}"
            return "\n".join(lines) + "\n"
    if end_of_table is None:
        lines += [""] * bool(lines) + [f"[{table}]", line]
    else:
        lines.insert(end_of_table, line)
    return "\n".join(lines) + "\n"


def _comment_of(line: str) -> str:
    """Gives what stands behind a text in quotes."""
    rest = line.partition("=")[2].strip()
    end = rest.find(rest[:1], 1) if rest[:1] in ("'", '"') else -1
    comment = rest[end + 1 :].strip() if end > 0 else ""
    return f"  {comment}" if comment.startswith("#") else ""


def _quoted(text: str) -> str:
    from json import dumps  # a JSON string is a TOML string

    return dumps(text, ensure_ascii=False)


def _write(path: str, text: str) -> None:
    """Puts a text in place of a file, whole or not at all; the file may be a link to where it is kept."""
    path = os.path.realpath(path)
    aside = f"{path}.{os.urandom(4).hex()}"
    try:
        os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
        mode = os.stat(path).st_mode & 0o777 if os.path.exists(path) else 0o600
        fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            with open(fd, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.rename(aside, path)
        except BaseException:
            os.unlink(aside)
            raise
    except OSError as fault:
        reason = (fault.strerror or str(fault)).lower()
        raise UsageError(f"{path} cannot be written: {reason}") from fault
