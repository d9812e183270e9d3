"""Export and import of jobs made by hand, over both stores: what a file holds, and what is refused."""

from __future__ import annotations

import hashlib
import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fmsh.assembly import load_program, make_program
from fmsh.errors import StoreFull
from fmsh.jobs import export_file
from fmsh.machine.events import Displayed, Paused
from fmsh.spans import Source
from fmsh.store.base import EventStore, NewCallback
from fmsh.store.memory import MemoryStore
from fmsh.store.memory_disk import MemoryDisk
from fmsh.store.sqlite import SqliteStore
from fmsh.values import Secret, SecretReference, error_value
from tests.jobs.stories import PERSON, Screen, Story

PROGRAM, _ = make_program(Source("release.fmsh", "echo one\nsleep 1h\necho two\n"))
TOKEN = b"t" * 32


@pytest.fixture(params=["memory", "sqlite"])
def new_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], EventStore]]:
    """Makes stores on disks of their own."""
    made: list[EventStore] = []

    def make() -> EventStore:
        directory = str(tmp_path / f"state-{len(made)}")
        made.append(
            MemoryStore(MemoryDisk()) if request.param == "memory" else SqliteStore.open(directory, kind="shell")
        )
        return made[-1]

    yield make
    for store in made:
        store.close()


class Place:
    """A store with the directory of its processes, and `fmsh jobs` on it."""

    def __init__(self, store: EventStore, directory: Path) -> None:
        self.store = store
        self.directory = directory
        self.screen = Screen(store, str(directory / "fx"))
        self.secrets: dict[str, str] = {}

    def run(self, *arguments: str) -> int:
        def keep(store: EventStore, name: str, text: str) -> None:
            store.set_secret(name, text.encode())

        return self.screen.run(*arguments, load_program=load_program, keep_secret=keep)

    def export(self, number: int, name: str = "job") -> str:
        path = self.directory / name
        assert self.run("export", str(number)) == 0, self.screen.err
        path.write_bytes(self.screen.raw)
        return str(path)

    def take_in(self, path: str, *options: str) -> int:
        assert self.run("import", path, *options) == 0, self.screen.err
        return int(self.screen.out)

    def refuse(self, path: str) -> str:
        before = len(self.store.jobs(export_filter()))
        assert self.run("import", path) == 1, self.screen.out
        assert self.screen.out == "" and len(self.store.jobs(export_filter())) == before
        assert not os.path.exists(self.directory / "incoming") or not os.listdir(self.directory / "incoming")
        return self.screen.err

    def fx_names(self) -> list[str]:
        fx = self.directory / "fx"
        return os.listdir(fx) if fx.exists() else []


def export_filter() -> Any:
    from fmsh.store.base import JobFilter

    return JobFilter()


@pytest.fixture
def here(new_store: Callable[[], EventStore], tmp_path: Path) -> Place:
    (tmp_path / "here").mkdir()
    return Place(new_store(), tmp_path / "here")


@pytest.fixture
def there(new_store: Callable[[], EventStore], tmp_path: Path) -> Place:
    (tmp_path / "there").mkdir()
    return Place(new_store(), tmp_path / "there")


def story(place: Place, **options: Any) -> Story:
    """A job that waits for a person, and that nobody holds."""
    made = Story(place.store, program=PROGRAM, **options)
    made.display("one\n")
    made.wait_for(PERSON)
    return made


def given_up(made: Story) -> Story:
    made.store.release(made.lease, wake_at_ms=None)
    return made


def documents(path: str) -> list[Any]:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def without(document: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name not in names}


# ---- what arrives


def test_a_job_arrives_whole(here: Place, there: Place) -> None:
    Story(there.store)  # so that numbers differ
    made = story(here, key="k", name="n", env="prod")
    large = "x" * 100_000 + '{"$secret":[{"secret":"of nobody"}]}'
    here.store.open_callback(NewCallback(made.id, "7", TOKEN, None, ("PUT",), True, '{"reply":true}'))
    made.add_large(Displayed(large))
    made.add_large(Displayed(large))  # whose value is kept once
    made.wait_for(PERSON)
    given_up(made)
    assert here.store.deliver_callback(TOKEN, '{"body":1}', dedupe_id="d", method="PUT", now_ms=1) is not None
    directory = here.directory / "fx" / made.uid / "1-1"
    directory.mkdir(parents=True)
    (directory / "out").write_bytes(b"\xff" + os.urandom(100_000))
    (directory / "err").write_bytes(b"")
    (directory / "wrapper.lock").write_bytes(b"")
    before = here.screen.json("show", str(made.id))
    path = here.export(made.id)
    number = there.take_in(path)
    assert number == 2
    after = there.screen.json("show", "2")
    assert without(after, "id", "owner", "detached") == without(before, "id", "owner", "detached")
    assert after["detached"] is True and after["waiting_for"] == [PERSON]
    assert there.screen.run("output", "2") == 0 and there.screen.out == "one\n" + large + large
    taken = there.store.belongings(2)
    assert [found.dedupe_id for found in taken.delivered] == ["callback 7 d"] and taken.inbox[
        0
    ].data_json == '{"handle":"7","delivery":{"body":1}}'
    assert taken.callbacks[0].new == NewCallback(2, "7", TOKEN, None, ("PUT",), True, '{"reply":true}')
    arrived = there.directory / "fx" / made.uid / "1-1"
    assert sorted(os.listdir(arrived)) == ["err", "out"]
    assert (arrived / "out").read_bytes() == (directory / "out").read_bytes()
    assert there.store.program(PROGRAM.hash) == PROGRAM
    lease = there.store.acquire(2)
    assert lease is not None and lease.epoch == made.lease.epoch + 1  # whoever loads it is the next holder


def test_a_job_keeps_the_number_by_which_it_knows_itself(here: Place, there: Place) -> None:
    Story(there.store)
    made = given_up(story(here))
    path = here.export(made.id)
    number = there.take_in(path)
    assert number != made.id
    (started, *_) = there.screen.json("log", str(number))
    assert started["data"]["number"] == made.id
    third = there.export(number, "third")
    here.take_in(third)
    assert here.screen.json("log", str(made.id))[0]["data"]["number"] == made.id


@pytest.mark.parametrize("state", ["paused", "parked", "ended"])
def test_a_job_arrives_in_its_state(here: Place, there: Place, state: str) -> None:
    made = story(here)
    if state == "paused":
        made.add(Paused(), state="paused", waiting_for_json="[]")
    elif state == "parked":
        made.park(error_value("lost", "nobody knows"))
    else:
        made.end({"a": 1})
    given_up(made)
    before = here.screen.json("show", str(made.id))
    number = there.take_in(here.export(made.id))
    assert without(there.screen.json("show", str(number)), "id", "detached") == without(before, "id", "detached")
    assert here.screen.json("show", str(made.id))["state"] == ("succeeded" if state == "ended" else "moved")


def test_an_import_may_be_paused(here: Place, there: Place) -> None:
    number = there.take_in(here.export(given_up(story(here)).id), "--paused")
    job = there.screen.json("show", str(number))
    assert job["state"] == "paused" and job["waiting_for"] == []
    assert [event["type"] for event in there.screen.json("log", str(number))][-1] == "Paused"


def test_the_document_of_an_import(here: Place, there: Place) -> None:
    path = here.export(given_up(story(here)).id)
    assert there.run("import", path, "--json") == 0
    assert json.loads(there.screen.out) == there.screen.json("show", "last")


# ---- what stays behind


def test_a_moved_job_says_so_everywhere(here: Place) -> None:
    made = given_up(story(here))
    here.export(made.id)
    job = here.screen.json("show", str(made.id))
    assert (job["state"], job["waiting_for"], job["exit_status"]) == ("moved", [], None) and job["ended_at"]
    assert [found["id"] for found in here.screen.json("list", "--state", "moved")] == [made.id]
    for verb in ("list", "show"):
        assert here.screen.run(verb, *([] if verb == "list" else ["1"])) == 0 and "moved" in here.screen.out
    told = f"job 1 was moved to another store at {job['ended_at']}"
    assert here.screen.run("log", "1") == 0 and told in here.screen.err and "JobStarted" in here.screen.out
    for verb in ("wait", "attach", "cancel", "pause", "resume", "retry", "answer"):
        assert here.screen.run(verb, "1") == 1 and told in here.screen.err, verb


def test_a_moved_job_is_written_once_more_the_same(here: Place, there: Place) -> None:
    made = given_up(story(here))
    first = documents(here.export(made.id))
    path = here.export(made.id, "again")
    assert "must not be imported in two places" in here.screen.err
    again = documents(path)
    assert again[0]["job"] == first[0]["job"] and again[1:-1] == first[1:-1]
    assert there.take_in(path) == 1


def test_a_job_comes_back_under_its_number_with_what_it_has_done(here: Place, there: Place) -> None:
    made = given_up(story(here))
    number = there.take_in(here.export(made.id))
    lease = there.store.acquire(number)
    assert lease is not None
    made.store, made.lease, made.id = there.store, lease, number
    made.display("more\n")
    given_up(made)
    path = there.export(number, "back")
    assert here.take_in(path) == 1
    assert here.screen.run("output", "1") == 0 and here.screen.out == "one\nmore\n"
    assert here.screen.json("show", "1")["state"] == "waiting"
    assert there.screen.json("show", str(number))["state"] == "moved"
    assert "here already: it is job 1, and waiting" in here.refuse(path)


def test_a_job_does_not_come_back_as_it_was_long_ago(here: Place) -> None:
    made = given_up(story(here))
    old = here.export(made.id, "old")
    here.take_in(old)
    lease = here.store.acquire(made.id)
    assert lease is not None
    made.lease = lease
    made.display("more\n")
    given_up(made)
    here.export(made.id)
    assert here.run("import", old) == 75
    assert "had 4 events when it was moved" in here.screen.err


# ---- what is not exported


def test_a_job_that_a_shell_runs_stays(here: Place) -> None:
    made = story(here)
    assert here.run("export", str(made.id)) == 1 and here.screen.raw == b""
    assert f"runs in the foreground of process {os.getpid()}" in here.screen.err and "Ctrl-Z" in here.screen.err


def test_parents_and_children_do_not_part(here: Place) -> None:
    parent = story(here)
    child = given_up(story(here, parent_id=parent.id))
    assert here.run("export", str(child.id)) == 1
    assert f"was started by job {parent.id}, which is waiting here" in here.screen.err
    given_up(parent)
    assert here.run("export", str(parent.id)) == 1
    assert f"has started {child.id}, still active here" in here.screen.err and here.screen.raw == b""


def test_what_cannot_be_written_is_not_moved(here: Place, there: Place) -> None:
    made = given_up(story(here))
    whole = len(Path(here.export(made.id)).read_bytes())
    here.take_in(str(here.directory / "job"))
    before = here.store.job(made.id)
    for room in (0, whole // 2, whole - 1):  # the last byte is of the last line, after the job was marked as moved
        assert here.screen.run_with_room(room, "export", str(made.id), load_program=load_program) == 1
        assert "the file could not be written: No space left" in here.screen.err
        assert here.store.job(made.id) == before
        (here.directory / "cut").write_bytes(here.screen.raw)
        assert "cut short" in there.refuse(str(here.directory / "cut")) or room == 0


def test_what_cannot_be_kept_is_not_imported(here: Place, there: Place) -> None:
    path = here.export(given_up(story(here)).id)
    if not isinstance(there.store, MemoryStore):
        pytest.skip("a full disk is what the store's own suite knows")
    there.store.disk.fault = StoreFull("no room")
    assert there.run("import", path) == 75 and "no room" in there.screen.err
    there.store.disk.fault = None
    assert there.store.last_job() is None and there.fx_names() == []


# ---- files that are not what was written


@pytest.fixture
def file(here: Place) -> bytes:
    made = story(here)
    directory = here.directory / "fx" / made.uid / "1-1"
    directory.mkdir(parents=True)
    (directory / "out").write_bytes(b"written\n")
    return Path(here.export(given_up(made).id)).read_bytes()


def test_a_cut_file_is_refused(file: bytes, there: Place) -> None:
    path = there.directory / "cut"
    for part in range(20):
        path.write_bytes(file[: len(file) * part // 20])
        message = there.refuse(str(path))
        assert "cut short" in message or part == 0, message
    for end in [place + 1 for place in range(len(file) - 1) if file[place] == 10]:  # between two lines
        path.write_bytes(file[:end])
        assert "cut short" in there.refuse(str(path))
    path.write_bytes(file[:-1])
    assert "cut short" in there.refuse(str(path))
    path.write_bytes(file)
    assert there.take_in(str(path)) == 1


def test_a_changed_file_is_refused(file: bytes, there: Place) -> None:
    seed = random.randrange(10**6)
    dice = random.Random(seed)
    path = there.directory / "changed"
    for _ in range(150):
        place, bit = dice.randrange(len(file)), 1 << dice.randrange(8)
        path.write_bytes(file[:place] + bytes([file[place] ^ bit]) + file[place + 1 :])
        there.refuse(str(path)), (seed, place, bit)
    lines = file.splitlines(keepends=True)
    for changed in (
        [*lines, lines[-1]],
        [*lines[:3], *lines[4:]],
        [lines[0], *lines[2:1:-1], *lines[3:]],
        [*lines, b"x"],
    ):
        path.write_bytes(b"".join(changed))
        there.refuse(str(path))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no file of `fmsh jobs export`"),
        (b"hello\n", "no file of `fmsh jobs export`"),
        (b"\0" * 5000, "no file of `fmsh jobs export`"),
        (b'{"fmsh_export":2,"fmsh":"9.0"}\n', "format 2 (fmsh 9.0); this fmsh reads 1"),
        (b'{"fmsh_export":1}\n', "damaged at line 1"),
    ],
)
def test_what_is_no_export_is_said_to_be_none(there: Place, data: bytes, message: str) -> None:
    (there.directory / "file").write_bytes(data)
    assert message in there.refuse(str(there.directory / "file"))
    assert there.run("import", str(there.directory / "missing")) == 1
    assert "missing cannot be read: no such file or directory" in there.screen.err
    assert there.run("import", str(there.directory)) == 1 and "is a directory" in there.screen.err


def rewritten(path: str, change: Callable[[list[Any]], None]) -> str:
    """Changes the lines of a file, and makes it whole again: what another program, or a newer fmsh, may have made."""
    documents_ = documents(path)
    change(documents_)
    lines = [json.dumps(document, separators=(",", ":")).encode() for document in documents_[:-1]]
    link = export_file.identity(msgspec.json.decode(lines[0], type=export_file.Header).job)
    for place, document in enumerate(documents_[:-1]):
        if document.get("line") == "event":
            link = export_file.link(link, msgspec.json.decode(lines[place], type=export_file.EventLine))
            lines[place] = json.dumps(document | {"hash": link.hex()}, separators=(",", ":")).encode()
    whole = b"".join(line + b"\n" for line in lines)
    digest = hashlib.blake2b(whole, digest_size=export_file.DIGEST_BYTES).hexdigest()
    Path(path).write_bytes(whole + json.dumps({"line": "end", "lines": len(lines), "digest": digest}).encode() + b"\n")
    return path


def of_kind(lines: list[Any], kind: str) -> Any:
    return next(line for line in lines if line.get("line") == kind)


CHANGES: list[tuple[str, Callable[[list[Any]], None]]] = [
    ("does not understand", lambda lines: of_kind(lines, "event").update(data={"program": 3})),
    ("does not understand", lambda lines: of_kind(lines, "event").update(data={"$blob": "x"})),
    ("an event 'Teleported'", lambda lines: of_kind(lines, "event").update(type="Teleported")),
    ("a line of another kind", lambda lines: lines.insert(1, {"line": "spell"})),
    ("the program of the file is not what its name says", lambda lines: of_kind(lines, "program").update(text="rm")),
    ("lacks the program", lambda lines: lines.remove(of_kind(lines, "program"))),
    ("../../x", lambda lines: lines[0]["job"].update(uid="../../x")),
    ("the state 'happy'", lambda lines: lines[0]["job"].update(state="happy")),
    ("which cannot be", lambda lines: of_kind(lines, "output").update(name="../../x")),
    ("which cannot be", lambda lines: of_kind(lines, "output").update(step=-1)),
    ("of 9", lambda lines: lines[0]["job"].update(head=9)),
]


@pytest.mark.parametrize(("message", "change"), CHANGES)
def test_what_no_export_writes_is_refused(
    file: bytes, there: Place, message: str, change: Callable[[list[Any]], None]
) -> None:
    path = there.directory / "file"
    path.write_bytes(file)
    shown = there.refuse(rewritten(str(path), change))
    assert message in shown or message == "a line of another kind", shown


def test_a_newer_tree_or_snapshot_is_refused(file: bytes, there: Place) -> None:
    from fmsh.assembly import hash_of_program

    def newer(lines: list[Any]) -> None:
        program = of_kind(lines, "program")
        program["tree"][0] = 99
        tree_json = json.dumps(program["tree"], separators=(",", ":"))
        program["hash"] = lines[0]["job"]["program"] = hash_of_program(program["name"], program["text"], tree_json)

    path = there.directory / "file"
    path.write_bytes(file)
    shown = there.refuse(rewritten(str(path), newer))
    assert "a syntax tree of version 99" in shown and "newer fmsh" in shown
    path.write_bytes(file)
    snapshot = {"line": "snapshot", "seq": 1, "state": {"version": 9}}
    shown = there.refuse(rewritten(str(path), lambda lines: lines.insert(2, snapshot)))
    assert "snapshot" in shown and "newer fmsh" in shown


def test_a_key_that_is_taken_is_an_error(here: Place, there: Place) -> None:
    Story(there.store, key="k")
    path = here.export(given_up(story(here, key="k")).id)
    assert there.run("import", path) == 75 and "the key 'k' already" in there.screen.err


# ---- secrets


def test_missing_secrets_pause_a_job_and_are_named(here: Place, there: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    made = story(here)
    names = ("env DEPLOY_TOKEN 0f0f", "env OTHER_TOKEN 0e0e", "vault", "sealed c2VhbGVk")
    made.complete_with(Secret(tuple(SecretReference(name) for name in names)))
    made.wait_for(PERSON)
    path = here.export(given_up(made).id)
    monkeypatch.setenv("DEPLOY_TOKEN", "the text")
    number = there.take_in(path)
    assert there.store.secret(names[0]) == b"the text" and there.store.secret(names[1]) is None
    told = there.screen.err
    assert "the secret variable DEPLOY_TOKEN of the job is the one of this environment" in told
    assert f"`OTHER_TOKEN=… fmsh jobs resume {number}` goes on with yours" in told
    assert "`fmsh secret set vault`" in told and "only the store where they were sealed can open" in told
    assert "c2VhbGVk" not in told
    assert there.screen.json("show", str(number))["state"] == "paused"
    here.take_in(there.export(number, "back"))
    assert here.screen.json("show", "1")["state"] == "paused"


def test_an_ended_job_needs_no_secrets(here: Place, there: Place) -> None:
    made = story(here)
    made.end({"token": Secret((SecretReference("vault"),))})
    number = there.take_in(here.export(made.id))
    assert there.screen.err == "" and there.screen.json("show", str(number))["value"] == {"token": {"secret": "vault"}}


def test_a_file_on_standard_input(here: Place, there: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    path = here.export(given_up(story(here)).id)
    read, write = os.pipe()
    os.write(write, Path(path).read_bytes())
    os.close(write)
    with open(read) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        assert there.take_in("-") == 1
