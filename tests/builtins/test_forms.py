"""Forms: what is written is read back, what is wrong is named with its place."""

from __future__ import annotations

from datetime import UTC, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmsh.values import Duration
from tests.builtins.running import error_of, run

text = st.text(st.characters(exclude_categories=["Cs"]))
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text
documents = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3))
names = st.text("abcxyz_", min_size=1, max_size=4)


@given(documents)
def test_json_is_read_back(value: Any) -> None:
    assert run("from json", run("to json", value)) == value
    assert run("from json", run("to json", value, indent=2)) == value


@given(st.lists(documents))
def test_json_lines_are_read_back(values: list[Any]) -> None:
    assert run("from jsonl", run("to jsonl", values)) == values


@given(documents, st.booleans())
def test_small_and_large_documents_are_read_alike(value: Any, is_fast: bool) -> None:
    padding = b" " * (70_000 if is_fast else 0)
    assert run("from json", run("to json", value).encode() + padding) == value


@pytest.mark.parametrize("padding", ["", " " * 70_000])
def test_json_that_codecs_refuse_is_still_read(padding: str) -> None:
    assert run("from json", "1" + "0" * 5000 + padding) == 10**5000
    assert run("from json", '"\\udcff"' + padding) == "\udcff"
    assert run("from json", b'\xef\xbb\xbf"\xff"' + padding.encode()) == "\udcff"


def test_what_is_not_json_says_where() -> None:
    failure = error_of(run, "from json", '{"a": 1,\n "b" 2}')
    assert failure.kind == "parse" and "line 2, column 6" in failure.message
    assert "from jsonl" in error_of(run, "from json", "{}\n{}").fields["hint"]
    assert "double quotes" in error_of(run, "from json", "{'a': 1}").fields["hint"]
    assert "no text" in error_of(run, "from json", " ").fields["hint"]
    assert "line 2" in error_of(run, "from jsonl", "1\n[").message
    assert error_of(run, "from json", "NaN").kind == "parse" and error_of(run, "from json", "1e999").kind == "limit"
    assert error_of(run, "from json", "[" * 100_000).kind == "limit"
    assert error_of(run, "from json", 5).kind == "type"


@given(st.binary(), st.booleans())
def test_base64_is_read_back(data: bytes, is_url: bool) -> None:
    assert run("from base64", run("to base64", data, url=is_url)) == data


def test_what_is_not_base64() -> None:
    assert error_of(run, "from base64", "a").kind == error_of(run, "from base64", "a!b=").kind == "parse"


cells = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1)


tables = st.lists(text, min_size=1, max_size=4, unique=True).flatmap(
    lambda titles: st.lists(st.fixed_dictionaries({title: text for title in titles}), min_size=1)
)


@given(tables, st.sampled_from(",;|\t é"))
def test_csv_is_read_back(rows: list[dict[str, str]], separator: str) -> None:
    assert run("from csv", run("to csv", rows, separator=separator), separator=separator) == rows


numbers = st.fixed_dictionaries(
    {
        "i": st.none() | st.integers(),
        "f": st.none() | st.floats(allow_nan=False, allow_infinity=False),
        "b": st.none() | st.booleans(),
        "d": st.none() | st.builds(Duration, st.integers()),
        "t": st.none() | st.datetimes(timezones=st.just(UTC)),
    }
)


@given(st.lists(numbers, min_size=1), st.sampled_from(["csv", "tsv"]))
def test_a_table_of_other_kinds_is_read_back_by_its_types(rows: list[dict[str, Any]], form: str) -> None:
    types = {"i": "int", "f": "float", "b": "bool", "d": "duration", "t": "datetime"}
    assert run(f"from {form}", run(f"to {form}", rows), types=types) == rows


words = st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"]), min_size=1)
last_cells = st.lists(words).map(" ".join)


@given(st.lists(st.builds(dict, A=words, B=words, REST=last_cells), min_size=1))
def test_columns_are_read_back(rows: list[dict[str, str]]) -> None:
    assert run("from columns", run("to columns", rows)) == rows


@given(st.lists(st.fixed_dictionaries({"a": cells, "b": cells})))
def test_tsv_is_read_back(rows: list[dict[str, str]]) -> None:
    assert run("from tsv", run("to tsv", rows)) == rows


def test_tables_give_strings_unless_types_are_named() -> None:
    table = "n,d,s\n1,90s,\n,,x\n"
    assert run("from csv", table)[0] == {"n": "1", "d": "90s", "s": ""}
    assert run("from csv", table, types={"n": "int", "d": "duration"}) == [
        {"n": 1, "d": Duration(90 * 10**9), "s": ""},
        {"n": None, "d": None, "s": "x"},
    ]
    assert error_of(run, "from csv", "n\nx\n", types={"n": "int"}).message.startswith("line 2, column `n`:")
    assert error_of(run, "from csv", "n\n", types={"m": "int"}).kind == "name"
    assert error_of(run, "from csv", "n\n", types={"n": "number"}).kind == "value"


def test_tables_that_are_broken_say_where() -> None:
    assert error_of(run, "from csv", "a,b\n1\n").message == "line 2 has 1 fields, the first line 2"
    assert error_of(run, "from csv", "a,a\n").kind == "parse" and error_of(run, "from csv", 'a\n"x').kind == "parse"
    assert run("from csv", "") == run("from tsv", "") == run("from columns", "") == []
    assert error_of(run, "to tsv", [{"a": "x\ty"}]).kind == "value" and error_of(run, "to csv", [5]).kind == "type"


def test_csv_writes_every_field_of_every_record() -> None:
    assert run("to csv", [{"a": 1}, {"b": [1], "a": None}]) == "a,b\n1,\n,[1]\n"
    assert run("to csv", []) == ""


def test_columns() -> None:
    listing = "  PID TTY  CMD\n    1 ?    /sbin/init splash\n   20 pts  sh\n"
    assert run("from columns", listing)[0] == {"PID": "1", "TTY": "?", "CMD": "/sbin/init splash"}
    assert run("from columns", listing.splitlines()[1:], "pid", "rest", types={"pid": "int"})[1] == {
        "pid": 20,
        "rest": "pts  sh",
    }
    assert run("from columns", "a b\n1\n") == [{"a": "1", "b": ""}]
    assert run("to columns", [{"name": "a", "n": 10}, {"name": "longer"}]) == "name    n\na       10\nlonger\n"


@given(documents)
def test_yaml_is_read_back(value: Any) -> None:
    assert run("from yaml", run("to yaml", value)) == value


def test_yaml_is_that_of_version_1_2() -> None:
    value = run("from yaml", "a: no\nb: 2026-01-01\nc: 1:30\nd: 0o17\ne: 1e3\nf: ~\ng: true\n1: x\n")
    assert value == {"a": "no", "b": "2026-01-01", "c": "1:30", "d": 15, "e": 1000.0, "f": None, "g": True, "1": "x"}
    assert run("from yaml", "a: 1\n---\n2\n", all=True) == [{"a": 1}, 2] and run("from yaml", "") is None
    assert "--all" in error_of(run, "from yaml", "1\n---\n2\n").fields["hint"]
    assert run("from yaml", "a: &x {b: 1}\nc: {<<: *x, d: 2}\n")["c"] == {"b": 1, "d": 2}


def test_yaml_that_is_hostile_or_broken() -> None:
    bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
    )
    assert "aliases" in error_of(run, "from yaml", bomb).message
    assert error_of(run, "from yaml", "&a [*a]").kind == "limit"
    assert (
        "line 1" in error_of(run, "from yaml", "a: [").message or "line 2" in error_of(run, "from yaml", "a: [").message
    )
    assert error_of(run, "from yaml", "!!python/object/apply:os.system [ls]").kind == "parse"
    assert error_of(run, "from yaml", "? [a]\n: 1").kind == "parse"


def test_toml() -> None:
    assert run("from toml", "d = 2026-01-01\nt = 2026-01-01T00:00:00Z\n[a]\nb = [1, 2.5]\n") == {
        "d": "2026-01-01",
        "t": run("datetime", "2026-01-01T00:00:00Z"),
        "a": {"b": [1, 2.5]},
    }
    assert error_of(run, "from toml", "a = ").kind == "parse"


toml_scalars = (
    st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | text
    | st.datetimes(timezones=st.just(UTC) | st.just(timezone(timedelta(hours=-5, minutes=30))))
)
toml_values = st.recursive(
    toml_scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3)
)


@given(st.dictionaries(text, toml_values, max_size=4))
def test_toml_is_read_back(record: dict[str, Any]) -> None:
    assert run("from toml", run("to toml", record)) == record


def test_toml_has_no_null() -> None:
    assert "`b.c[0]`" in error_of(run, "to toml", {"b": {"c": [None]}}).message


@given(st.dictionaries(names, text.filter(lambda cell: "\0" not in cell)))
def test_dotenv_is_read_back(record: dict[str, str]) -> None:
    assert run("from dotenv", run("to dotenv", record)) == record


def test_dotenv_as_people_write_it() -> None:
    lines = "# why\nexport A=1 # one\nB='x # $y' # two\nC=\"a\\nb\"\nD=\nE=a=b#c\n"
    assert run("from dotenv", lines) == {"A": "1", "B": "x # $y", "C": "a\nb", "D": "", "E": "a=b#c"}
    assert error_of(run, "from dotenv", "A=1\nB\n").message == "line 2 is not `NAME=value`"
    assert error_of(run, "from dotenv", "A='x").kind == error_of(run, "from dotenv", "A='x' y").kind == "parse"


@given(st.dictionaries(text.filter(bool), text | st.lists(text, min_size=2)))
def test_fields_of_a_url_are_read_back(record: dict[str, Any]) -> None:
    assert run("from url", run("to url", record)) == record
