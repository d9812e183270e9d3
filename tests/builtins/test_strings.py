"""Commands on text, and the kinds that text can become."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmsh.values import Duration, Secret, SecretReference
from tests.builtins.running import error_of, run

SECRET = Secret((SecretReference("K"),))


def test_echo_joins_its_arguments_and_keeps_secrets() -> None:
    assert run("echo", None, "a", 5, [1], None) == "a 5 [1] "
    assert run("echo", None) == ""
    assert run("echo", None, "token", SECRET) == Secret(("token ", SecretReference("K")))


def test_lines_and_words() -> None:
    assert run("lines", "a\r\nb\n\nc") == ["a", "b", "", "c"]
    assert run("lines", "") == [] and run("lines", "\n") == [""] and run("lines", b"a\xff\n") == ["a\udcff"]
    assert run("words", " a\t b\n") == ["a", "b"]


@given(st.lists(st.text(st.characters(exclude_characters="\r\n"))))
def test_lines_are_what_was_joined(lines: list[str]) -> None:
    assert run("lines", "".join(line + "\n" for line in lines)) == lines


def test_letters_and_white_space() -> None:
    assert (run("str upper", "aß"), run("str lower", "AÄ"), run("str trim", " a \n")) == ("ASS", "aä", "a")
    assert run("str length", "häh") == 3


@given(st.lists(st.text("abc"), min_size=1), st.sampled_from([",", "--", "\n"]))
def test_split_undoes_join(parts: list[str], separator: str) -> None:
    assert run("str split", run("str join", parts, separator), separator) == parts


def test_join_takes_other_kinds_and_keeps_secrets() -> None:
    assert run("str join", [1, None, "a"], "-") == "1--a" and run("str join", range(3)) == "012"
    assert run("str join", ["a", SECRET], ":") == Secret(("a:", SecretReference("K")))
    assert run("str split", "abc", "") == ["a", "b", "c"]


def test_replace_is_literal_unless_asked() -> None:
    assert run("str replace", "a.b.c", ".", "\\1") == "a\\1b\\1c"
    assert run("str replace", "v1.2", r"(\d)\.(\d)", r"\2-\1\\", regex=True) == "v2-1\\"
    assert run("str replace", "aaa", "", "x") == "aaa"
    assert run("str replace", "\udcffa1", r"\d", "n", regex=True) == "\udcffan"
    assert run("str replace", "abc", "x*", "-", regex=True) == "-a-b-c-"
    assert error_of(run, "str replace", "abc", "(b)", r"\2", regex=True).message == "the pattern has no group 2"


def test_match_gives_what_its_groups_say() -> None:
    assert run("str match", "v1.22", r"\d+") == "1" and run("str match", "v", r"\d") is None
    assert run("str match", "v1.22", r"(\d+)\.(\d+)(x)?") == ["1", "22", None]
    assert run("str match", "v1.22", r"(?P<major>\d+)") == {"major": "1"}
    assert run("str match", "a1b2", r"\d", all=True) == ["1", "2"] and run("str match", "ab", r"\d", all=True) == []
    assert run("str match", "\udcff=é7", r"é(\d)") == ["7"]
    assert error_of(run, "str match", "a", "(?=a)").fields["hint"].startswith("look-around")


def test_questions_about_text() -> None:
    assert run("str starts-with", "abc", "ab") and run("str ends-with", "abc", "bc") and run("str contains", "abc", "b")
    assert not run("str starts-with", "abc", "b") and not run("str contains", "abc", "x")


def test_pad_and_slice() -> None:
    assert run("str pad", "7", 3, left=True, fill=0) == "007" and run("str pad", "ab", 5, fill="xy") == "abxyx"
    assert run("str pad", "abc", 2) == "abc"
    assert run("str slice", "abcdef", 1, 3) == "bc" and run("str slice", "abcdef", -2) == "ef"
    assert error_of(run, "str pad", "a", 10**12).kind == "limit"


def test_text_commands_say_what_they_got() -> None:
    assert error_of(run, "str upper", 5).message == "the input of `str upper` must be text, not an int"
    assert "reveal" in error_of(run, "str upper", SECRET).fields["hint"]
    assert "each" in error_of(run, "str upper", ["a"]).fields["hint"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("42", 42),
        (" -7 ", -7),
        ("0xff", 255),
        ("1_000", 1000),
        ("007", 7),
        ("10KB", 10_000),
        ("1.5MiB", 1572864),
        (3.9, 3),
        (-3.9, -3),
        (True, 1),
    ],
)
def test_what_becomes_an_int(value: object, expected: int) -> None:
    assert run("int", value) == expected and type(run("int", value)) is int


@pytest.mark.parametrize("value", ["", "1.5", "a", "٣", "1 2", "--1", "0x", "KB", "nan"])
def test_what_does_not(value: str) -> None:
    assert error_of(run, "int", value).kind == "parse"


def test_other_kinds() -> None:
    assert run("kind", 5) == "int" and run("kind", range(2)) == "list"
    assert run("float", "1e3") == 1000.0 and run("float", 2) == 2.0 and error_of(run, "float", "x").kind == "parse"
    assert run("bool", "true") is True and run("bool", 0) is False and error_of(run, "bool", "yes").kind == "parse"
    assert run("str", 5) == "5" and run("str", b"a\xff") == "a\udcff" and run("str", [1]) == "[1]"
    assert (
        run("bytes", "é") == b"\xc3\xa9" and run("bytes", [1, 255]) == b"\x01\xff" and run("bytes", "\udcff") == b"\xff"
    )
    assert error_of(run, "bytes", [256]).kind == "parse" and error_of(run, "int", [1]).kind == "type"
    assert "1s" in error_of(run, "int", Duration(1)).fields["hint"]


@given(st.integers(-(10**18), 10**18))
def test_a_duration_is_read_as_it_is_written(nanoseconds: int) -> None:
    assert run("duration", str(Duration(nanoseconds))) == Duration(nanoseconds)


def test_durations() -> None:
    assert run("duration", "1.5h") == Duration(5400 * 10**9) and run("duration", 2) == Duration(2 * 10**9)
    for text in ("", "5", "h", "1m1h", "1.s.", "5 s", "1h1h", "-", "ms"):
        assert error_of(run, "duration", text).kind == "parse", text


def test_datetimes_always_have_a_fixed_offset() -> None:
    summer = run("datetime parse", "2026-07-01 12:00", "%Y-%m-%d %H:%M", tz="Europe/Berlin")
    assert run("datetime format", summer) == "2026-07-01T12:00:00+02:00"
    assert run("datetime", "2026-11-24T12:00Z") == datetime(2026, 11, 24, 12, tzinfo=UTC)
    assert run("datetime format", run("datetime in-zone", summer, "UTC"), "%H%z") == "10+0000"
    assert run("datetime", 0) == datetime(1970, 1, 1, tzinfo=UTC)
    assert run("datetime parts", summer)["offset_seconds"] == 7200 and run("datetime parts", summer)["weekday"] == 3


def test_datetimes_that_are_none() -> None:
    assert error_of(run, "datetime", "2026-11-24T12:00").message == "the datetime has no offset"
    assert error_of(run, "datetime", "noon").kind == "parse" and error_of(run, "datetime", 10**30).kind == "limit"
    assert "Europe/Berlin" in error_of(run, "datetime in-zone", run("datetime", 0), "Europe/Berln").fields["hint"]
    for zone in ("../etc/passwd", "Europe", "", "a\0b"):
        assert error_of(run, "datetime in-zone", run("datetime", 0), zone).kind == "value"
    assert error_of(run, "datetime parts", "x").kind == "type"


def test_urls_come_apart_and_together() -> None:
    url = "https://us%40er:p@host:8080/a/b?x=1&x=2&y=#frag"
    parts = run("url parse", url)
    assert parts["user"] == "us@er" and parts["port"] == 8080 and parts["query"] == {"x": ["1", "2"], "y": ""}
    assert run("url build", parts) == url
    assert run("url build", {"scheme": "http", "host": "::1", "path": "a"}) == "http://[::1]/a"
    assert error_of(run, "url parse", "http://h:x/").kind == "parse"
    assert error_of(run, "url build", {"pathh": 1}).kind == "value"


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_decoding_undoes_encoding(text: str) -> None:
    encoded = run("url encode", text)
    assert run("url decode", encoded) == text and not set(encoded) & set("/?#& ")


def test_paths() -> None:
    assert run("path join", "a", "b", "c") == "a/b/c" and run("path join", "a", "/b") == "/b"
    assert [run(f"path {name}", "/x/b.tar.gz") for name in ("base", "dir", "stem", "ext")] == [
        "b.tar.gz",
        "/x",
        "b.tar",
        ".gz",
    ]
    assert run("path base", "a/b/") == "b" and run("path dir", "a") == "." and run("path dir", "/") == "/"
    assert run("path ext", ".bashrc") == ""


def test_digests() -> None:
    assert run("digest sha256", "abc").startswith("ba7816bf") and run("digest md5", b"abc").startswith("90015098")
    assert run("digest hmac-sha256", "abc", "k").startswith("342e519c")
    assert error_of(run, "digest sha256", {"a": 1}).kind == "type"
