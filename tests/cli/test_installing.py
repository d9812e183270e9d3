"""The daemon as a service: a program in the place of systemctl notes what it is told, and starts what the unit says."""

from __future__ import annotations

import plistlib
import shlex
import sys
from pathlib import Path

import pytest

from fmsh.daemon.installing import service_of
from fmsh.settings import read_settings
from tests.cli.shell import Shell

MANAGER = '#!/bin/sh\necho "$@" >> "$HOME/asked"\ncase "$*" in *enable*) exit ${FAILS:-0};; esac\n'


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="systemd is of Linux")
def test_it_is_installed_and_removed_again(shell: Shell) -> None:
    programs = shell.directory / "bin"
    programs.mkdir()
    (programs / "systemctl").write_text(MANAGER)
    (programs / "systemctl").chmod(0o755)
    shell.environment |= {"PATH": f"{programs}:{shell.environment['PATH']}", "FMSH_LISTEN": "127.0.0.1:0"}
    shell.environment.pop("XDG_CONFIG_HOME", None)
    unit = shell.directory / ".config/systemd/user/fmsh.service"
    shell.ok("daemon", "start")
    assert shell.json("daemon", "install") == {"path": str(unit)}
    assert shell.run("daemon", "status").status == 1, "the one that ran gives way"
    lines = unit.read_text().splitlines()
    command = shlex.split(next(line for line in lines if line.startswith("ExecStart="))[len("ExecStart=") :])
    assert command == [sys.executable, "-m", "fmsh", "daemon", "run"]
    assert f'Environment="FMSH_STATE_DIR={shell.state}"' in lines
    assert 'Environment="FMSH_LISTEN=127.0.0.1:0"' in lines
    assert "KillMode=process" in lines and "Restart=on-failure" in lines
    assert "removed" in shell.ok("daemon", "uninstall") and not unit.exists()
    assert shell.ok("daemon", "uninstall") == "there was nothing to remove\n"
    asked = shell.file("asked")
    assert asked is not None and asked.splitlines() == [
        "--user daemon-reload",
        "--user enable fmsh.service",
        "--user restart fmsh.service",
        "--user disable --now fmsh.service",
    ]
    failed = shell.run("daemon", "install", FAILS="1")
    assert failed.status == 1 and "systemctl --user enable fmsh.service` failed" in failed.err and unit.exists()


def test_for_launchd_it_is_a_property_list(tmp_path: Path) -> None:
    home = f"{tmp_path}/<a & b>"
    environment = {"HOME": home, "FMSH_STATE_DIR": f"{home}/state", "FMSH_RUNTIME_DIR": f"{home}/run"}
    service = service_of(read_settings(environment), environment, "darwin")
    found = plistlib.loads(service.text.encode())
    assert service.path == f"{home}/Library/LaunchAgents/org.fmsh.daemon.plist"
    assert found["ProgramArguments"] == [sys.executable, "-m", "fmsh", "daemon", "run"]
    assert found["EnvironmentVariables"]["FMSH_STATE_DIR"] == f"{home}/state"
    assert found["KeepAlive"] == {"SuccessfulExit": False} and found["AbandonProcessGroup"] is True
