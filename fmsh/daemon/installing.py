"""`fmsh daemon install|uninstall`: the daemon begins with the user's session, under systemd or launchd.

The service's manager must not end the processes of jobs with the daemon (`KillMode=process`, `AbandonProcessGroup`):
they go on, and the next daemon picks up what came of them. A daemon that was asked to end is not started again; one
that failed is.
"""

from __future__ import annotations

import os
import subprocess
import sys
from xml.sax.saxutils import escape

from fmsh.errors import DaemonError, UsageError
from fmsh.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from fmsh.settings import Settings

LABEL = "org.fmsh.daemon"
UNIT = "fmsh.service"
KEPT_VARIABLES = ("FMSH_STORE", "FMSH_LISTEN", "FMSH_PUBLIC_URL", "PYTHONPATH")
MANAGER_TIMEOUT_S = 30.0

SYSTEMD = """[Unit]
Description=fmsh, a shell in which every pipeline is a durable job

[Service]
ExecStart={command}
{environment}Restart=on-failure
RestartSec=1
KillMode=process
TimeoutStopSec=10

[Install]
WantedBy=default.target
"""
LAUNCHD = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
  <key>Label</key><string>{label}</string>
  <key>ProgramArguments</key>
  <array>{arguments}</array>
  <key>EnvironmentVariables</key>
  <dict>{environment}</dict>
  <key>RunAtLoad</key><true/>
  <key>KeepAlive</key><dict><key>SuccessfulExit</key><false/></dict>
  <key>AbandonProcessGroup</key><true/>
</dict>
</plist>
"""


class Service(Record):
    """A file that describes the daemon to the system, and the commands that make the system act on it."""

    path: str
    text: str
    start: tuple[tuple[str, ...], ...]
    stop: tuple[tuple[str, ...], ...]


def install(settings: Settings, environment: Mapping[str, str]) -> str:
    """Writes the description, and lets the system start the daemon; gives the path. Raises: DaemonError, UsageError."""
    service = service_of(settings, environment, sys.platform)
    try:
        os.makedirs(os.path.dirname(service.path), exist_ok=True)
        aside = service.path + ".new"
        with open(aside, "w", encoding="utf-8") as file:
            file.write(service.text)
        os.replace(aside, service.path)
    except OSError as fault:
        raise DaemonError(f"{service.path} cannot be written: {os.strerror(fault.errno or 0).lower()}") from fault
    for command in service.start:
        _run(command, f"{service.path} is written, and takes effect at the next login")
    return service.path


def uninstall(settings: Settings, environment: Mapping[str, str]) -> str | None:
    """Undoes `install`; gives the path of what was there, or None."""
    service = service_of(settings, environment, sys.platform)
    if not os.path.exists(service.path):
        return None
    for command in service.stop:
        _run(command, f"{service.path} is still there: remove it by hand")
    os.unlink(service.path)
    return service.path


def service_of(settings: Settings, environment: Mapping[str, str], platform: str) -> Service:
    """Describes the daemon for the service manager of a platform. Raises: UsageError: it has none that we know."""
    command = (sys.executable, "-m", "fmsh", "daemon", "run")
    variables = {
        "FMSH_STATE_DIR": settings.state_directory,
        "FMSH_RUNTIME_DIR": settings.runtime_directory,
        "FMSH_CONFIG_DIR": settings.config_directory,
    }
    variables |= {name: environment[name] for name in KEPT_VARIABLES if environment.get(name)}
    home = environment.get("HOME") or os.path.expanduser("~")
    if platform == "darwin":
        return _launchd(command, variables, home)
    if platform.startswith("linux"):
        directory = environment.get("XDG_CONFIG_HOME") or home + "/.config"
        return _systemd(command, variables, f"{directory}/systemd/user/{UNIT}")
    raise UsageError(
        f"fmsh knows no service manager of {platform}", hint="Start it at login: `fmsh daemon start`, or let it be."
    )


def _systemd(command: tuple[str, ...], variables: dict[str, str], path: str) -> Service:
    lines = "".join(f"Environment={_quoted(f'{name}={value}')}\n" for name, value in variables.items())
    text = SYSTEMD.format(command=" ".join(map(_quoted, command)), environment=lines)
    control = ("systemctl", "--user")
    start = ((*control, "daemon-reload"), (*control, "enable", UNIT), (*control, "restart", UNIT))
    return Service(path, text, start, ((*control, "disable", "--now", UNIT),))


def _quoted(text: str) -> str:
    """Quotes a word of a unit file. Source: systemd.syntax(7) and systemd.service(5)."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$") + '"'


def _launchd(command: tuple[str, ...], variables: dict[str, str], home: str) -> Service:
    path = f"{home}/Library/LaunchAgents/{LABEL}.plist"
    text = LAUNCHD.format(
        label=LABEL,
        arguments="".join(f"<string>{escape(word)}</string>" for word in command),
        environment="".join(
            f"<key>{escape(name)}</key><string>{escape(value)}</string>" for name, value in variables.items()
        ),
    )
    return Service(path, text, (("launchctl", "load", "-w", path),), (("launchctl", "unload", "-w", path),))


def _run(command: tuple[str, ...], what_stands: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=MANAGER_TIMEOUT_S, check=False)
        said = done.stderr.strip() if done.returncode else None
    except (OSError, subprocess.TimeoutExpired) as fault:
        said = str(fault)
    if said is not None:
        raise DaemonError(f"`{' '.join(command)}` failed: {said}", hint=what_stands)
