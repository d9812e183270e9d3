"""`fmsh daemon start|stop|status|run|install|uninstall`."""

from __future__ import annotations

import sys

from fmsh.daemon import activate, client
from fmsh.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from fmsh.settings import Settings

USAGE = "usage: fmsh daemon start|stop|status|run|install|uninstall [--json]"
HELP = f"""{USAGE}

The daemon runs detached jobs, wakes those that wait, and takes callbacks. It is
started when a job needs it, unless FMSH_NO_DAEMON is 1.

  start       start it, unless it runs
  stop        end it; its jobs go on when it or another fmsh runs again
  status      where it runs and how many jobs there are; the exit status is 1
              if it does not run
  run         be the daemon, in the foreground: for a service manager
  install     let it begin with your session
  uninstall   take that back
  --json      one JSON document

Example: fmsh daemon status --json
"""
VERBS = ("start", "stop", "status", "run", "install", "uninstall")


def main(arguments: list[str], settings: Settings) -> int:
    """Runs the verb; gives the exit status. Raises: UsageError, DaemonError, StoreError."""
    is_json = "--json" in arguments
    words = [argument for argument in arguments if argument != "--json"]
    if words == ["run", "--replace"]:
        _end_outdated(settings)
        words = ["run"]
    if words in (["--help"], ["-h"], ["help"]):
        sys.stdout.write(HELP)
        return 0
    if len(words) != 1 or words[0] not in VERBS:
        said = f"does not take {' '.join(words)}" if words else "needs to be told what to do"
        raise UsageError(f"fmsh daemon {said}", hint=USAGE)
    if words[0] == "run":
        from fmsh.daemon.server import run

        return run(settings)
    if words[0] in ("install", "uninstall"):
        return _install(settings, is_removal=words[0] == "uninstall", is_json=is_json)
    if words[0] == "start":
        _show(activate.ensure_running(settings) | {"running": True}, is_json=is_json)
        return 0
    if words[0] == "stop":
        stopped = client.stop(settings.socket_path)
        _show_stopped(stopped, is_json=is_json)
        return 0
    status = client.status(settings.socket_path)
    _show({"running": status is not None, **_defaults(settings), **(status or {})}, is_json=is_json)
    return 0 if status is not None else 1


def _end_outdated(settings: Settings) -> None:
    """Has a daemon hand back its jobs, and end, if it is of an older fmsh or its store is gone; others stay."""
    if client.status(settings.socket_path) is not None and activate.is_outdated(settings):
        client.stop(settings.socket_path)


def _install(settings: Settings, *, is_removal: bool, is_json: bool) -> int:
    import json
    import os

    from fmsh.daemon import installing

    if is_removal:
        path = installing.uninstall(settings, os.environ)
        said = "there was nothing to remove" if path is None else f"{path} is removed: the daemon starts when needed"
    else:
        client.stop(settings.socket_path)  # ours gives way to that of the service manager
        path = installing.install(settings, os.environ)
        said = f"the daemon begins with your session, as {path} says"
    sys.stdout.write(json.dumps({"path": path}) + "\n" if is_json else said + "\n")
    return 0


def _defaults(settings: Settings) -> dict[str, Any]:
    from fmsh import __version__

    return {
        "pid": None,
        "version": __version__,
        "listen": settings.listen,
        "public_url": settings.public_url,
        "socket": settings.socket_path,
        "reason": None,
        "jobs": {},
    }


def _show(status: dict[str, Any], *, is_json: bool) -> None:
    if is_json:
        import json

        sys.stdout.write(json.dumps(status) + "\n")
    elif not status["running"]:
        sys.stdout.write("the daemon is not running\n")
    else:
        jobs = ", ".join(f"{count} {state}" for state, count in status["jobs"].items() if count) or "no jobs"
        sys.stdout.write(f"the daemon runs as process {status['pid']} (fmsh {status['version']}): {jobs}\n")
        url = status["public_url"]
        sys.stdout.write(f"callbacks arrive at {url}\n" if url else f"callbacks cannot arrive: {status['reason']}\n")


def _show_stopped(stopped: bool, *, is_json: bool) -> None:
    if is_json:
        sys.stdout.write('{"running": false}\n')
    else:
        sys.stdout.write("the daemon has ended\n" if stopped else "the daemon was not running\n")
