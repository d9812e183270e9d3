"""Commands on URLs and on file paths as text; nothing here looks at the network or at the file system."""

from __future__ import annotations

import posixpath

from fmsh.builtins.complaints import need_text, unreadable, wrong_kind, wrong_value
from fmsh.builtins.declare import builtin, required, rest
from fmsh.builtins.text import to_text
from fmsh.values import text_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fmsh.builtins.builtin import Builtin
    from fmsh.values import Value


def url_parse(text: str) -> Value:
    """Takes a URL apart. In `query` a name that occurs several times has a list.

    > "https://host:8080/a/b?x=1&y=2#z" | url parse | get host
    host

    > "https://host/?x=1&x=2" | url parse | get query | to json
    {"x":["1","2"]}
    """
    from urllib.parse import urlsplit

    try:
        split = urlsplit(text.strip())
        port = split.port
    except ValueError as error:
        raise unreadable(f"not a URL: {error}") from None
    return {
        "scheme": split.scheme or None,
        "user": None if split.username is None else url_decode(split.username),
        "password": None if split.password is None else url_decode(split.password),
        "host": split.hostname,
        "port": port,
        "path": split.path,
        "query": read_query(split.query),
        "fragment": split.fragment or None,
    }


def url_build(parts: dict[str, Value]) -> Value:
    """Makes a URL of the parts that `url parse` gives; those that are null or missing are left out.

    > {scheme: https, host: h, path: /a, query: {x: "1 2"}} | url build
    https://h/a?x=1+2
    """
    from urllib.parse import urlunsplit

    known = ("scheme", "user", "password", "host", "port", "path", "query", "fragment")
    for name in parts:
        if name not in known:
            raise wrong_value(f"`url build` knows no part `{name}`", hint="it takes " + ", ".join(known))
    text = {name: _part_text(name, parts.get(name)) for name in known if name != "query"}
    query = parts.get("query") or {}
    written = query if type(query) is str else write_query(query)
    path = text["path"] if not text["path"] or text["path"].startswith("/") or not text["host"] else "/" + text["path"]
    return urlunsplit((text["scheme"], _authority(text), path, written, text["fragment"]))


def url_encode(text: str) -> Value:
    """Percent-encodes text, so that it can stand anywhere in a URL.

    > "a b/c" | url encode
    a%20b%2Fc
    """
    from urllib.parse import quote

    return quote(text_bytes(text), safe="")


def url_decode(text: str) -> Value:
    """Reads percent-encoded text.

    > "a%20b" | url decode
    a b
    """
    from urllib.parse import unquote_to_bytes

    return unquote_to_bytes(text_bytes(text)).decode("utf-8", "surrogateescape")


def url_raw(text: Value) -> Value:
    """Marks text that is to stand in a URL as it is, without being percent-encoded: `GET https://h/$(url raw $path)`.

    > url raw a/b
    a/b
    """
    return to_text(text)


def path_join(start: str, *parts: Value) -> Value:
    """Joins parts of a path. A part that begins with `/` starts anew.

    > "a" | path join b c.txt
    a/b/c.txt
    """
    return posixpath.join(start, *[need_text(part, "a part of `path join`") for part in parts])


def path_base(path: str) -> Value:
    """Gives the last part of a path.

    > "/a/b.tar.gz" | path base
    b.tar.gz
    """
    return posixpath.basename(_trimmed(path))


def path_dir(path: str) -> Value:
    """Gives a path without its last part; `.` if it has only one.

    > "/a/b.txt" | path dir
    /a
    """
    return posixpath.dirname(_trimmed(path)) or ("/" if path.startswith("/") else ".")


def path_ext(path: str) -> Value:
    """Gives the extension with its dot, or nothing. `path stem` and `path ext` together are `path base`.

    > "b.tar.gz" | path ext
    .gz
    """
    return posixpath.splitext(path_base(path))[1]


def path_stem(path: str) -> Value:
    """Gives the last part of a path without its extension.

    > "/a/b.txt" | path stem
    b
    """
    return posixpath.splitext(path_base(path))[0]


def read_query(text: str) -> dict[str, Value]:
    """Reads `a=1&b=2`; a name that occurs several times gets a list."""
    from urllib.parse import parse_qsl

    fields: dict[str, list[str]] = {}
    for name, value in parse_qsl(text, keep_blank_values=True, errors="surrogateescape"):
        fields.setdefault(name, []).append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in fields.items()}


def write_query(fields: Value) -> str:
    """Writes `a=1&b=2`; a list gives its name several times, null leaves it out."""
    from urllib.parse import urlencode

    if type(fields) is not dict:
        raise wrong_kind(fields, "record", what="a query")
    pairs = []
    for name, value in fields.items():
        for item in value if type(value) is list else [value]:
            if item is not None:
                pairs.append((text_bytes(name), text_bytes(need_text(to_text(item), f"`{name}` of a query"))))
    return urlencode(pairs)


def _trimmed(path: str) -> str:
    return path.rstrip("/") or path[:1]


def _part_text(name: str, value: Value) -> str:
    return "" if value is None else need_text(to_text(value), f"the part `{name}` of a URL")


def _authority(text: dict[str, str]) -> str:
    host = f"[{text['host']}]" if ":" in text["host"] else text["host"]
    user = url_encode(text["user"]) + (":" + url_encode(text["password"]) if text["password"] else "")
    return (user + "@" if user else "") + host + (":" + text["port"] if text["port"] else "")


BUILTINS: tuple[Builtin, ...] = (
    builtin("url parse", url_parse, input="text"),
    builtin("url build", url_build, input="record"),
    builtin("url encode", url_encode, input="text"),
    builtin("url decode", url_decode, input="text"),
    builtin("url raw", url_raw, required("text"), input="none"),
    builtin("path join", path_join, rest("parts", "string"), input="text"),
    builtin("path base", path_base, input="text"),
    builtin("path dir", path_dir, input="text"),
    builtin("path ext", path_ext, input="text"),
    builtin("path stem", path_stem, input="text"),
)
