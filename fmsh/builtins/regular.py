"""Regular expressions of users, in linear time.

re2 works on UTF-8. A string with lone surrogates (bytes that were not UTF-8) is searched with each of them replaced by
U+FFFD, one character for one, so that places stay right; what was found is always cut from the original text.
It is imported where it is first needed: re2 and functools cost 9 ms.
"""

from __future__ import annotations

from functools import lru_cache

from fmsh.builtins.complaints import unreadable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


@lru_cache(maxsize=128)
def compiled(pattern: str) -> Any:
    """Compiles a pattern, or finds it among the recent ones. Raises: Raised with kind `parse`."""
    return _compile(pattern, _searchable(pattern))


@lru_cache(maxsize=128)
def _compiled_for_bytes(pattern: str) -> Any:
    return _compile(pattern, _searchable(pattern).encode())


def is_found(pattern: str, text: str) -> bool:
    """Whether a pattern is found; where it is, is not asked, which halves the time."""
    try:
        data = text.encode()
    except UnicodeEncodeError:
        data = _searchable(text).encode()
    return _compiled_for_bytes(pattern).search(data) is not None


def search(pattern: str, text: str) -> Any | None:
    """Finds the first match, or None."""
    return compiled(pattern).search(_searchable(text))


def find_all(pattern: str, text: str) -> Iterator[Any]:
    """Finds all matches that do not overlap."""
    return iter(compiled(pattern).finditer(_searchable(text)))


def group(match: Any, text: str, number: int = 0) -> str | None:
    """Cuts a group of a match from the original text; None if the group took no part."""
    start, end = match.span(number)
    return None if start < 0 else text[start:end]


def _compile(pattern: str, searchable: str | bytes) -> Any:
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(searchable, options)
    except re2.error as error:
        reason = error.args[0] if error.args else error
        text = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        hint = "look-around and back references do not exist here" if "(?" in pattern or "\\" in text else ""
        raise unreadable(f"the regular expression is not well formed: {text}", hint=hint) from None


def _searchable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        return "".join("\ufffd" if "\ud800" <= character <= "\udfff" else character for character in text)
    return text
