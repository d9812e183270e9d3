"""`from` and `to` forms that are tables of text: csv, tsv, columns.

Fields are strings unless `--types` says otherwise.
"""

from __future__ import annotations

from fmsh.builtins.complaints import did_you_mean, need_record, need_text, repeated, unknown, unreadable, wrong_value
from fmsh.builtins.datetimes import datetime_
from fmsh.builtins.declare import builtin, flag, rest
from fmsh.builtins.fitting import document, split_lines
from fmsh.builtins.kinds import bool_, duration, float_, int_
from fmsh.builtins.text import json_text, to_text
from fmsh.values import Raised

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from fmsh.builtins.builtin import Builtin
    from fmsh.values import Value

    Row = dict[str, Value]
    Reader = Callable[[Value], Value]

READERS: dict[str, Reader] = {
    "int": int_,
    "float": float_,
    "bool": bool_,
    "duration": duration,
    "datetime": datetime_,
    "string": lambda text: text,
}


def from_csv(value: Value, *, types: Value = None, separator: Value = ",") -> Value:
    """Reads CSV with a line of names first: a list of records. With `--types` the fields named there become that kind,
    and where they are empty null.

    > "name,n\\na,1\\n" | from csv
    {"name":"a","n":"1"}

    > "name;n\\na;1\\n" | from csv --separator ";" --types {n: int}
    {"name":"a","n":1}
    """
    from csv import Error, field_size_limit, reader
    from io import StringIO

    field_size_limit(2**31 - 1)  # the usual 128 KiB are less than a cell with a document in it
    text = document(value, "the input of `from csv`").removeprefix("\ufeff")
    lines = reader(StringIO(text, newline=""), delimiter=_one_character(separator), strict=True)
    try:
        rows = [(lines.line_num, row) for row in lines if row]
    except Error as error:
        raise unreadable(f"not CSV: {error} at line {lines.line_num}") from None
    return _records(rows, _readers(types))


def to_csv(items: list[Value], *, separator: Value = ",") -> Value:
    """Writes a list of records as CSV with a line of names. Null and missing fields are empty, lists and records JSON.

    > [{name: "a, b", n: 1}] | to csv
    name,n
    "a, b",1
    """
    from csv import QUOTE_ALL, QUOTE_MINIMAL

    names, rows = _cells(items, "to csv")
    if not names:
        return ""
    text = _written_csv([names, *rows], _one_character(separator), QUOTE_MINIMAL)
    if "\r" in text:  # the library does not quote it, and would take it for a line end
        text = _written_csv([names, *rows], _one_character(separator), QUOTE_ALL)
    return text


def from_tsv(value: Value, *, types: Value = None) -> Value:
    """Reads tab-separated text with a line of names first: a list of records. Nothing is quoted or escaped in it.

    > "name\\tn\\na\\t1\\n" | from tsv --types {n: int}
    {"name":"a","n":1}
    """
    lines = split_lines(document(value, "the input of `from tsv`").removeprefix("\ufeff"))
    rows = [(number, line.split("\t")) for number, line in enumerate(lines, 1) if line]
    return _records(rows, _readers(types))


def to_tsv(items: list[Value]) -> Value:
    """Writes a list of records as tab-separated text with a line of names. A tab or newline in a field is an error.

    > [{name: a, n: 1}] | to tsv
    name\tn
    a\t1
    """
    names, rows = _cells(items, "to tsv")
    for row in [names, *rows]:
        if any("\t" in cell or "\n" in cell for cell in row):
            raise wrong_value("a field with a tab or a newline has no place in tsv", hint="`to csv` can quote it")
    return "".join("\t".join(row) + "\n" for row in [names, *rows]) if names else ""


def from_columns(value: Value, *names: Value, types: Value = None) -> Value:
    """Reads columns that white space separates, as `ps` or `df` write them. The first line has the names, unless they
    are given; the last column takes the rest of the line.

    > "PID CMD\\n 1  sleep 5\\n" | from columns
    {"PID":"1","CMD":"sleep 5"}

    > "1 a\\n2 b\\n" | from columns n s --types {n: int}
    {"n":1,"s":"a"}
    {"n":2,"s":"b"}
    """
    lines = split_lines(document(value, "the input of `from columns`"))
    rows = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if names:
        titles = [need_text(name, "the name of a column") for name in names]
    elif rows:
        titles = rows.pop(0)[1].split()
    else:
        return []
    cut = [(number, line.split(None, len(titles) - 1)) for number, line in rows]
    filled = [(number, [*map(str.rstrip, row), *[""] * (len(titles) - len(row))]) for number, row in cut]
    return _records([(0, titles), *filled], _readers(types), hint="`from columns A B C` names them, if no line does")


def to_columns(items: list[Value]) -> Value:
    """Writes a list of records as columns for a person, with a line of names.

    > [{name: a, n: 10}, {name: longer, n: 2}] | to columns
    name    n
    a       10
    longer  2
    """
    names, rows = _cells(items, "to columns")
    widths = [max(len(row[place]) for row in [names, *rows]) for place in range(len(names))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in [names, *rows]
    ]
    return "".join(line + "\n" for line in lines) if names else ""


def _written_csv(rows: list[list[str]], separator: str, quoting: int) -> str:
    from csv import writer
    from io import StringIO

    text = StringIO()
    writer(text, delimiter=separator, lineterminator="\n", quoting=quoting).writerows(rows)  # type: ignore[arg-type]
    return text.getvalue()


def _records(rows: Sequence[tuple[int, list[str]]], readers: dict[str, Reader], *, hint: str = "") -> list[Value]:
    if not rows:
        return []
    names = rows[0][1]
    twice = repeated(names)
    if twice is not None:
        raise unreadable(f"two columns are called `{twice}`", hint=hint)
    for name in readers:
        if name not in names:
            raise unknown(f"`--types` names a column `{name}` that is not there", hint=did_you_mean(name, names))
    records: list[Value] = []
    for number, row in rows[1:]:
        if len(row) != len(names):
            raise unreadable(f"line {number} has {len(row)} fields, the first line {len(names)}")
        records.append(_typed(dict(zip(names, row, strict=True)), readers, number))
    return records


def _typed(row: Row, readers: dict[str, Reader], number: int) -> Row:
    for name, read in readers.items():
        try:
            row[name] = None if row[name] == "" else read(row[name])
        except Raised as failure:
            raise unreadable(f"line {number}, column `{name}`: {failure.error.message}") from None
    return row


def _readers(types: Value) -> dict[str, Reader]:
    readers = {}
    for name, kind in need_record({} if types is None else types, "`--types`").items():
        if kind not in READERS:
            raise wrong_value(f"`--types` knows no kind {kind!r}", hint="it takes " + ", ".join(READERS))
        readers[name] = READERS[kind]
    return readers


def _cells(items: Iterable[Value], command: str) -> tuple[list[str], list[list[str]]]:
    """Gives all names in order of first appearance, and the fields of every record as text."""
    records = [need_record(item, f"every item for `{command}`") for item in items]
    names = list(dict.fromkeys(name for record in records for name in record))
    return names, [[_cell(record.get(name)) for name in names] for record in records]


def _cell(value: Value) -> str:
    if type(value) in (list, dict, range):
        return json_text(value)
    return need_text(to_text(value), "a field of a table")


def _one_character(separator: Value) -> str:
    if len(need_text(separator, "the separator")) != 1 or separator in '"\r\n':
        raise wrong_value("the separator must be one character, and not a quote or a line end")
    return str(separator)


_TYPES = flag("types", "record", help="which fields are not text: {n: int}")
_SEPARATOR = flag("separator", "string", ",")

BUILTINS: tuple[Builtin, ...] = (
    builtin("from csv", from_csv, _TYPES, _SEPARATOR),
    builtin("to csv", to_csv, _SEPARATOR, input="list"),
    builtin("from tsv", from_tsv, _TYPES),
    builtin("to tsv", to_tsv, input="list"),
    builtin("from columns", from_columns, rest("names", "string"), _TYPES),
    builtin("to columns", to_columns, input="list"),
)
