"""What the commands of fmsh are about: the parts of the page that names them all."""

from __future__ import annotations

_FORMS = "json jsonl csv tsv yaml toml columns dotenv url base64"


def _words(text: str) -> list[str]:
    return text.split()


def _family(first: str, seconds: str) -> list[str]:
    return [f"{first} {second}" for second in seconds.split()]


SUBJECTS = {
    "records": _words("get select reject insert update merge rename-keys keys values entries"),
    "lists": _words(
        "where each reduce sort-by group-by count-by unique first last skip take-while chunk flatten pair enumerate"
        " reverse tap count sum avg min max median any all range"
    ),
    "text": [
        *_words("lines words"),
        *_family("str", "upper lower trim split join replace match starts-with ends-with contains length pad slice"),
        *_family("digest", "sha256 md5 hmac-sha256"),
    ],
    "forms": [*_words("load save"), *_family("from", _FORMS), *_family("to", _FORMS)],
    "kinds": _words("int float str bool duration datetime bytes kind"),
    "times": [*_words("now sleep every cron time"), *_family("datetime", "parse format in-zone parts")],
    "places": [
        *_words("cd which"),
        *_family("path", "join base dir ext stem abs exists"),
        *_family("url", "parse build encode decode raw"),
    ],
    "requests": _words("GET POST PUT PATCH DELETE HEAD OPTIONS http api secret reveal perform"),
    "waiting": _words("await callback reply inbox ask confirm follow poll retry within"),
    "concurrency": _words("spawn parallel race channel send close lock limit once"),
    "messages": _words("publish subscribe signal invoke"),
    "others": _words("start run-script jobs capture call echo print emit fail exit result random uuid help"),
}


def shown(names: list[str]) -> str:
    """Names on one line; those that begin with the same word are put together: `str (lower upper)`."""
    families: dict[str, list[str]] = {}
    for name in names:
        first, _, second = name.partition(" ")
        families.setdefault(f"{first} " if second else first, []).append(second)
    return " ".join(
        first if seconds == [""] else f"{first}({' '.join(seconds)})" for first, seconds in families.items()
    )
