"""The control socket: private, one daemon at a time, and found again after a crash."""

from __future__ import annotations

import os
import socket
import stat
import threading
import time
from pathlib import Path

import pytest

from fmsh.daemon import client
from fmsh.daemon.http_api import LISTEN_SETTING, HttpServer
from fmsh.daemon.sockets import FREE_PORTS, ControlSocket, parse_address
from fmsh.errors import DaemonError

from .conftest import World, ask


@pytest.fixture
def path(world: World) -> str:
    return str(world.directory / "run" / "control.sock")


def test_the_status_says_who_and_where(world: World, server: HttpServer, path: str) -> None:
    world.open_callback("T")
    status = client.status(path)
    assert status is not None
    assert status.pop("jobs")["waiting"] == 1
    assert status == {
        "pid": os.getpid(),
        "version": "1.2.3",
        "listen": str(server.address),
        "public_url": f"http://{server.address}",
        "socket": path,
        "reason": None,
    }
    assert ask(path, "GET", "/healthz").json == {"status": "ok"}


def test_socket_and_directory_are_for_nobody_else(server: HttpServer, path: str) -> None:
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o700


def test_pages_in_a_browser_are_refused(world: World, server: HttpServer, path: str) -> None:
    for origin in ("null", "http://localhost", "https://evil.example.org"):
        answer = ask(path, "POST", "/v1/stop", Origin=origin)
        assert (answer.status, answer.headers["content-type"]) == (403, "application/problem+json")
    assert not world.stop_asked.is_set()


def test_control_is_not_on_the_public_port_nor_callbacks_on_the_socket(server: HttpServer, path: str) -> None:
    for target in ("/healthz", "/v1/status", "/v1/stop"):
        assert ask(server, "POST", target).status == 404
    assert ask(path, "POST", "/cb/T").status == 404


def test_asked_to_stop_it_answers_and_then_ends(world: World, server: HttpServer, path: str) -> None:
    def stop_when_asked() -> None:
        assert world.stop_asked.wait(5)
        server.stop(1)

    thread = threading.Thread(target=stop_when_asked)
    thread.start()
    assert client.stop(path, timeout_s=5)
    assert client.status(path) is None
    assert not os.path.exists(path)
    thread.join()


def test_without_a_daemon_there_is_no_status_and_nothing_to_stop(path: str) -> None:
    assert client.status(path) is None
    assert client.stop(path) is False


def test_a_daemon_that_does_not_answer_is_a_fault_and_not_absence(tmp_path: Path) -> None:
    silent = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(silent)
        listener.listen()
        with pytest.raises(DaemonError, match="does not answer"):
            client.status(silent, timeout_s=0.1)


@pytest.mark.parametrize("is_dead", [True, False])
def test_a_daemon_that_dies_while_it_is_asked_is_absent(tmp_path: Path, is_dead: bool) -> None:
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()

        def break_off() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:  # the test is over
                    return
                if is_dead:
                    listener.close()
                connection.recv(1000)
                connection.close()
                if is_dead:
                    return

        threading.Thread(target=break_off, daemon=True).start()
        if is_dead:
            assert client.status(path) is None
        else:
            with pytest.raises(DaemonError, match="breaks its connections off"):
                client.status(path)


def test_a_second_daemon_is_refused(world: World, server: HttpServer, path: str) -> None:
    with pytest.raises(DaemonError, match="already listening"):
        world.start()
    assert client.status(path) is not None


def test_what_a_dead_daemon_left_is_taken_over(world: World, path: str) -> None:
    os.makedirs(os.path.dirname(path))
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    world.start()
    assert client.status(path) is not None


def test_a_file_that_is_no_socket_is_left_alone(world: World, path: str) -> None:
    os.makedirs(os.path.dirname(path))
    Path(path).write_text("mine")
    with pytest.raises(DaemonError, match="something else"):
        world.start()
    assert Path(path).read_text() == "mine"


def test_a_directory_open_to_others_is_closed(world: World, path: str) -> None:
    os.makedirs(os.path.dirname(path))
    os.chmod(os.path.dirname(path), 0o777)
    world.start()
    assert stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o700


def test_a_path_longer_than_an_address_works(world: World, tmp_path: Path) -> None:
    long = str(tmp_path / ("d" * 100) / ("e" * 100) / "control.sock")
    world.start(socket_path=long)
    status = client.status(long)
    assert status is not None and status["socket"] == long
    assert stat.S_IMODE(os.stat(long).st_mode) == 0o600


def test_binding_leaves_the_umask_as_it_was(tmp_path: Path) -> None:
    mask = os.umask(0o027)
    try:
        ControlSocket(str(tmp_path / "s")).close()
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(mask)


def test_the_port_is_kept(world: World) -> None:
    first = world.start()
    assert first.address.port in FREE_PORTS
    assert world.store.setting(LISTEN_SETTING) == str(first.address)
    first.stop(1)
    assert world.start().address == first.address


def test_a_taken_port_is_said_and_taken_when_it_is_free_again(world: World, path: str) -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        world.store.set_setting(LISTEN_SETTING, taken)
        server = world.start()
        status = client.status(path)
        assert status is not None
        assert (status["listen"], status["public_url"]) == (None, None)
        assert f"cannot listen on {taken}: Address already in use" in status["reason"]
        with pytest.raises(DaemonError, match="callbacks cannot arrive: cannot listen"):
            _ = server.public_url
    until = time.monotonic() + 10
    while server.address is None:
        assert time.monotonic() < until
        time.sleep(0.02)
    status = client.status(path)
    assert status is not None
    assert (status["listen"], status["reason"]) == (taken, None)
    assert ask(server, "GET", "/cb/T").status == 200
    assert world.store.setting(LISTEN_SETTING) == taken


def test_a_server_without_its_port_stops_at_once(world: World) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        world.store.set_setting(LISTEN_SETTING, f"127.0.0.1:{other.getsockname()[1]}")
        server = world.start()
        server.stop(30)


def test_an_address_that_was_set_is_not_kept(world: World) -> None:
    server = world.start(listen="localhost:0")
    assert world.store.setting(LISTEN_SETTING) is None
    assert ask(server, "GET", "/cb/T").status == 200


@pytest.mark.parametrize("text", ["", ":80", "host:port", "host:99999", "host:-1", "[::1]:x"])
def test_an_address_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(DaemonError, match="HOST:PORT"):
        parse_address(text)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("127.0.0.1:80", "127.0.0.1", 80), ("[::1]:80", "::1", 80), ("::1", "::1", 0), ("localhost", "localhost", 0)],
)
def test_an_address_is_read(text: str, host: str, port: int) -> None:
    address = parse_address(text)
    assert (address.host, address.port) == (host, port)
