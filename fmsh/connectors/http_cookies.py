"""Cookies: what servers have a job send again. They belong to the job, and no other sees them.

A jar is a record of cookies by their domain, path and name; each is a record of `value` (a secret, in a history),
`expires` (seconds since 1970, or null: as long as the job) and `is_secure` and `is_exact`, which say where it may go.
Source: RFC 6265, 5.2 to 5.4. There is no list of public suffixes: a server may set cookies for a domain above its own
if that has a dot in it.
"""

from __future__ import annotations

from fmsh.values import Raised, Secret

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from fmsh.connectors.http_message import Outgoing, Url
    from fmsh.connectors.sealing import Seal
    from fmsh.values import Value

COOKIE_CHARACTERS_MAX = 4096  # as much as RFC 6265 has every client keep, as is the next
COOKIES_MAX = 300  # the oldest ones go


class Cookies:
    """The jar of a job, as one attempt sees it, and what that attempt changes in it."""

    def __init__(self, kept: Mapping[str, Value], reveal: Callable[[Secret], str]) -> None:
        self._jar: dict[str, Any] = {}
        self._changes: dict[str, Any] = {}
        for key, cookie in kept.items():
            try:
                self._jar[key] = cookie | {"value": reveal(cookie["value"])}
            except Raised:
                pass  # of another store, from which the job was moved here

    def sent_with(self, outgoing: Outgoing, now_s: float) -> Outgoing:
        """The request with the cookies that belong to its address, and no others."""
        found = [
            (-len(path), f"{name}={cookie['value']}" if name else str(cookie["value"]))
            for key, cookie in self._jar.items()
            for domain, path, name in [key.split("\t")]
            if _belongs(domain, path, cookie, outgoing.url) and not _is_over(cookie, now_s)
        ]
        own = {name: value for name, value in outgoing.own.items() if name != "Cookie"}
        if found:
            own["Cookie"] = "; ".join(text for _, text in sorted(found, key=lambda pair: pair[0]))
        elif len(own) == len(outgoing.own):
            return outgoing
        return outgoing.replace(own=own)  # type: ignore[no-any-return]

    def take(self, url: Url, headers: Sequence[str], now_s: float) -> None:
        """Takes what an answer sets. What makes no sense, or is not its to set, is passed over."""
        for header in headers:
            made = _read(header, url, now_s) if len(header) <= COOKIE_CHARACTERS_MAX else None
            if made is None:
                continue
            key, cookie = made
            self._jar.pop(key, None)  # what is set anew is the newest
            self._changes[key] = None
            if not _is_over(cookie, now_s):
                self._jar[key] = self._changes[key] = cookie
        while len(self._jar) > COOKIES_MAX:
            oldest = next(iter(self._jar))
            del self._jar[oldest]
            self._changes[oldest] = None

    def changes(self, make_seal: Callable[[], Seal]) -> dict[str, Value] | None:
        """What the job is to keep: by key, null for what is no more. None: nothing has changed."""
        if not self._changes:
            return None
        seal = make_seal() if any(self._changes.values()) else None
        return {
            key: None if cookie is None or seal is None else cookie | {"value": seal(cookie["value"])}
            for key, cookie in list(self._changes.items())
        }


def _read(header: str, url: Url, now_s: float) -> tuple[str, dict[str, Any]] | None:
    pair, *attributes = header.split(";")
    name, equals, value = pair.partition("=")
    if not equals:
        name, value = "", name
    name, value = name.strip(), value.strip()
    given = {}
    for attribute in attributes:
        word, _, text = attribute.partition("=")
        given[word.strip().lower()] = text.strip()
    host = url.host.lower()
    domain = given.get("domain", "").removeprefix(".").lower()
    if (not name and not value) or not _may_set(domain, host, name + value):
        return None
    path = given.get("path", "")
    path = path if path.startswith("/") and "\t" not in path else _default_path(url)
    is_secure = "secure" in given
    if is_secure and url.scheme != "https":
        return None
    cookie = {"value": value, "expires": _expiry(given, now_s), "is_secure": is_secure, "is_exact": not domain}
    return "\t".join((domain or host, path, name)), cookie


def _may_set(domain: str, host: str, text: str) -> bool:
    if any(ord(character) < 32 or ord(character) == 127 for character in text):
        return False
    return not domain or domain == host or ("." in domain and host.endswith(f".{domain}") and not _is_number(host))


def _is_number(host: str) -> bool:
    return ":" in host or host.replace(".", "").isdigit()


def _default_path(url: Url) -> str:
    return url.target.partition("?")[0].rpartition("/")[0] or "/"


def _expiry(given: Mapping[str, str], now_s: float) -> float | None:
    age = given.get("max-age", "")
    if age.removeprefix("-").isdigit() and age.isascii():
        return now_s + min(int(age[:12]), 10**10) if not age.startswith("-") else 0.0
    if "expires" not in given:
        return None
    from email.utils import parsedate_to_datetime

    try:
        return parsedate_to_datetime(given["expires"]).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


def _is_over(cookie: Mapping[str, Any], now_s: float) -> bool:
    return cookie["expires"] is not None and cookie["expires"] <= now_s


def _belongs(domain: str, path: str, cookie: Mapping[str, Any], url: Url) -> bool:
    host, target = url.host.lower(), url.target.partition("?")[0]
    if host != domain and (cookie["is_exact"] or not host.endswith(f".{domain}")):
        return False
    if cookie["is_secure"] and url.scheme != "https":
        return False
    return target == path or (target.startswith(path) and (path.endswith("/") or target[len(path)] == "/"))
