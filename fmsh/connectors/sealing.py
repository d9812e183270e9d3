"""What of an answer becomes a secret: what the caller names, and what an answer echoes of the secrets sent with it.

`seal` turns a text into a secret that holds it encrypted.
"""

from __future__ import annotations

from fmsh.values import ErrorValue, Secret, raised, text_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fmsh.values import Value

    Seal = Callable[[str], Secret]

ECHO_CHARACTERS_MIN = 6  # a shorter secret would be found in texts that have nothing to do with it


def seal_all(value: Value, seal: Seal) -> Value:
    """Puts a secret in the place of every text and number of a value."""
    if isinstance(value, dict):
        return {key: seal_all(item, seal) for key, item in value.items()}
    if isinstance(value, list):
        return [seal_all(item, seal) for item in value]
    if isinstance(value, bytes):
        return seal(value.decode("utf-8", "surrogateescape"))
    return seal(str(value)) if isinstance(value, str | int | float) and not isinstance(value, bool) else value


def seal_paths(value: Value, paths: Sequence[str], seal: Seal) -> Value:
    """Puts secrets in the place of the fields that `paths` name, such as `access_token` or `data.token`.

    Raises: Raised for a path that is not there: a field of another name would stay readable.
    """
    for path in paths:
        value = _seal_path(value, path.split("."), path, seal)
    return value


def _seal_path(value: Value, keys: list[str], path: str, seal: Seal) -> Value:
    if not keys:
        return seal_all(value, seal)
    key, *rest = keys
    if isinstance(value, dict) and key in value:
        return value | {key: _seal_path(value[key], rest, path, seal)}
    if isinstance(value, list) and key.isdecimal() and int(key) < len(value):
        index = int(key)
        return [*value[:index], _seal_path(value[index], rest, path, seal), *value[index + 1 :]]
    raise raised("type", f"the answer has no field {path}, which --secret names")


def hide_echoes(value: Value, texts: Sequence[str], seal: Seal) -> Value:
    """Puts a secret in the place of every text that holds one of `texts`."""
    looked_for = [text for text in texts if len(text) >= ECHO_CHARACTERS_MIN]
    return _hide(value, sorted(looked_for, key=len, reverse=True), seal) if looked_for else value


def _hide(value: Value, texts: list[str], seal: Seal) -> Value:
    if isinstance(value, str):
        parts = _apart(value, texts, seal)
        return value if not parts or parts == [value] else Secret(tuple(parts))
    if isinstance(value, bytes) and any(text_bytes(text) in value for text in texts):
        return Secret(tuple(_apart(value.decode("utf-8", "surrogateescape"), texts, seal)))
    if isinstance(value, dict):
        return {key: _hide(item, texts, seal) for key, item in value.items()}
    if isinstance(value, list):
        return [_hide(item, texts, seal) for item in value]
    if isinstance(value, ErrorValue):
        return ErrorValue(_hide(value.fields, texts, seal))
    return value


def _apart(text: str, texts: list[str], seal: Seal) -> list[Value]:
    """The text in parts: what is not secret as it is, what is as references."""
    for secret in texts:
        before, found, after = text.partition(secret)
        if found:
            return [*_apart(before, texts, seal), *seal(secret).parts, *_apart(after, texts, seal)]
    return [text] if text else []
