"""Cookies go back to whom they came from, within a job, and to nobody else."""

from __future__ import annotations

from typing import Any

import pytest

from fmsh.connectors.http_cookies import COOKIES_MAX, Cookies
from fmsh.connectors.http_message import Outgoing, parse_url
from fmsh.values import Raised, Secret, SecretReference, error_value
from tests.connectors.http_client import Client, Serve, seal
from tests.connectors.http_server import answer, json_answer

NOW_S = 1_800_000_000.0


def unseal(secret: Secret) -> str:
    return str(secret.parts[0].name.removeprefix("sealed ")[::-1])  # type: ignore[union-attr]


def sent(jar: Cookies, url: str, now_s: float = NOW_S) -> str:
    return str(jar.sent_with(Outgoing("GET", parse_url(url), {}, {}, None), now_s).own.get("Cookie", ""))


def jar_of(url: str, *headers: str) -> Cookies:
    jar = Cookies({}, unseal)
    jar.take(parse_url(url), headers, NOW_S)
    return jar


@pytest.mark.parametrize(
    ("header", "goes_to", "not_to"),
    [
        ("a=b", ["http://x.example.org/", "https://X.example.org:8080/p/q"], ["http://example.org/"]),
        ("a=b", [], ["http://y.x.example.org/", "http://xx.example.org/"]),
        ("a=b; Domain=.Example.org", ["http://example.org/", "http://y.example.org/"], ["http://notexample.org/"]),
        ("a=b; domain=org", [], ["http://x.example.org/", "http://org/"]),
        ("a=b; domain=other.example.org", [], ["http://other.example.org/", "http://x.example.org/"]),
        ("a=b; path=/p", ["http://x.example.org/p", "http://x.example.org/p/q?r"], ["http://x.example.org/pq"]),
        ("a=b; path=/p/", ["http://x.example.org/p/q"], ["http://x.example.org/p"]),
        ("a=b; Secure", [], ["http://x.example.org/", "https://x.example.org/"]),  # it came over http
        ("a=b; Max-Age=0", [], ["http://x.example.org/"]),
        ("a=b; Max-Age=-5", [], ["http://x.example.org/"]),
        ("a=b; Max-Age=5; Expires=Thu, 01 Jan 1970 00:00:00 GMT", ["http://x.example.org/"], []),
        ("a=b; Expires=Thu, 01 Jan 1970 00:00:00 GMT", [], ["http://x.example.org/"]),
        ("a=b; Expires=nonsense; Max-Age=²", ["http://x.example.org/"], []),
        ("a=b\x01", [], ["http://x.example.org/"]),
        ("; Path=/", [], ["http://x.example.org/"]),
        ("a=" + "b" * 5000, [], ["http://x.example.org/"]),
    ],
)
def test_where_a_cookie_goes(header: str, goes_to: list[str], not_to: list[str]) -> None:
    jar = jar_of("http://x.example.org/", header)
    assert [sent(jar, url) for url in goes_to] == ["a=b"] * len(goes_to)
    assert [sent(jar, url) for url in not_to] == [""] * len(not_to)


def test_what_is_set_again_or_over_is_not_sent_twice_or_late() -> None:
    jar = jar_of(
        "https://h.example/a/b", "x=1; Max-Age=10", "y=2; path=/; Secure", 'z="q r"; path=/a/b', "=bare; path=/"
    )
    assert sent(jar, "https://h.example/a/b") == 'z="q r"; x=1; y=2; bare'
    assert sent(jar, "http://h.example/a/b", NOW_S + 11) == 'z="q r"; bare'
    jar.take(parse_url("https://h.example/a/b"), ["x=3", "y=; path=/; Max-Age=0"], NOW_S)
    assert sent(jar, "https://h.example/a/c") == "x=3; bare"


def test_a_jar_goes_on_from_what_was_kept_and_has_a_bound() -> None:
    jar = jar_of("http://h.example/", "a=1", "b=2")
    kept = jar.changes(lambda: seal)
    assert kept is not None and all(isinstance(cookie["value"], Secret) for cookie in kept.values())  # type: ignore[index]
    again = Cookies(kept, unseal)
    assert sent(again, "http://h.example/") == "a=1; b=2" and again.changes(lambda: seal) is None
    again.take(parse_url("http://h.example/"), ["b=x; Max-Age=0"], NOW_S)
    assert again.changes(lambda: seal) == {"h.example\t/\tb": None}
    for number in range(COOKIES_MAX):
        again.take(parse_url("http://h.example/"), [f"c{number}=1"], NOW_S)
    assert sent(again, "http://h.example/").count("=") == COOKIES_MAX and "a=1" not in sent(again, "http://h.example/")

    def refuse(_: Secret) -> str:
        raise Raised(error_value("secret", "of another store"))

    assert sent(Cookies(kept, refuse), "http://h.example/") == ""


def test_cookies_come_along_on_the_way_and_in_later_requests(client: Client, serve: Serve) -> None:
    login = answer(302, "", Location="/home")[:-2] + b"Set-Cookie: id=s1; Path=/\r\nSet-Cookie: lang=de\r\n\r\n"
    server, other = serve(login, json_answer("1")), serve(json_answer("2"))
    assert client.value("POST", server.url + "/login") == 1
    assert server.seen[1].headers["cookie"] == "id=s1; lang=de"
    assert all(isinstance(cookie["value"], Secret) for cookie in client.kept.values())  # type: ignore[index]
    token = Secret((SecretReference("TOKEN"),))
    changes: dict[str, Any] = {"kept": {key: cookie | {"value": token} for key, cookie in client.kept.items()}}  # type: ignore[operator]
    client.ask("GET", server.url + "/x", changes=changes)
    assert server.seen[2].headers["cookie"] == "id=hunter2secret; lang=hunter2secret"
    client.ask("GET", server.url, changes=changes, headers={"cookie": "mine=1"})
    assert server.seen[3].headers["cookie"] == "mine=1"
    moved = serve(answer(302, "", Location=other.url.replace("127.0.0.1", "localhost")))
    client.ask("GET", moved.url, changes=changes)
    assert moved.seen[0].headers["cookie"] == "id=hunter2secret; lang=hunter2secret"  # a port is no border to cookies
    assert "cookie" not in other.seen[0].headers
