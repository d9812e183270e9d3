"""Where things lie, and what was chosen: read from the environment, and from `config.toml` if there is one.

`FMSH_*` wins, then the file or the XDG variables, then the platform's own places (platformdirs is asked only where
those differ). What can be chosen in the file is the table in `configuration`, which is imported when it is needed.
"""

from __future__ import annotations

import os
import sys

from fmsh.errors import UsageError
from fmsh.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


STORE_SCHEME = "sqlite://"
STORE_NAME = "/store.db"


class Settings(Record):
    """`public_url` and `listen` are None unless set; `may_start_daemon` is false under `FMSH_NO_DAEMON=1`.

    `chosen` is what the file says, as written.
    """

    state_directory: str
    runtime_directory: str
    config_directory: str
    listen: str | None
    public_url: str | None
    may_start_daemon: bool
    chosen: Mapping[str, str] = {}

    def value(self, name: str) -> Any:
        """Gives the value of a setting of the file: milliseconds of a duration, None for what is forever."""
        from fmsh import configuration

        return configuration.value(self.chosen, name)

    @property
    def fx_directory(self) -> str:
        return self.state_directory + "/fx"

    @property
    def socket_path(self) -> str:
        return self.runtime_directory + "/control.sock"

    @property
    def key_path(self) -> str:
        return self.state_directory + "/secret.key"

    @property
    def log_path(self) -> str:
        return self.state_directory + "/daemon.log"


def read_settings(environment: Mapping[str, str], *, with_file: bool = True) -> Settings:
    """Finds the directories and settings that hold for a process. Creates nothing. Raises: UsageError.

    Without the file what cannot be wrong in it is still right: the directories.
    """
    chosen = _chosen_state(environment)
    state = chosen or _directory(environment, "XDG_STATE_HOME", ".local/state", "user_state_path")
    runtime = environment.get("FMSH_RUNTIME_DIR")
    if not runtime:
        # Two stores must not share a socket, so a store that was chosen keeps it with its locks.
        xdg = None if chosen else environment.get("XDG_RUNTIME_DIR")
        runtime = f"{xdg}/fmsh" if xdg else f"{os.path.abspath(state)}/run"
    path = config_path(environment)
    file: Mapping[str, str] = {}
    if with_file and os.path.lexists(path):
        from fmsh import configuration

        file = configuration.read(path)
    return Settings(
        os.path.abspath(state),
        os.path.abspath(runtime),
        os.path.dirname(path),
        environment.get("FMSH_LISTEN") or file.get("listen"),
        environment.get("FMSH_PUBLIC_URL") or file.get("public_url"),
        environment.get("FMSH_NO_DAEMON") != "1",
        file,
    )


def config_path(environment: Mapping[str, str]) -> str:
    """Names the file of the settings. It need not exist."""
    directory = environment.get("FMSH_CONFIG_DIR")
    directory = directory or _directory(environment, "XDG_CONFIG_HOME", ".config", "user_config_path")
    return os.path.abspath(directory) + "/config.toml"


def _chosen_state(environment: Mapping[str, str]) -> str | None:
    """The state directory that was chosen, by itself or as the place of its store."""
    state, store = environment.get("FMSH_STATE_DIR"), environment.get("FMSH_STORE")
    if not store:
        return state
    path = store.removeprefix(STORE_SCHEME)
    if path == store or not path.endswith(STORE_NAME) or not path.startswith("/"):
        raise UsageError(f"FMSH_STORE must be {STORE_SCHEME}/DIRECTORY{STORE_NAME}, this is {store!r}")
    directory = path.removesuffix(STORE_NAME)
    if state and os.path.abspath(state) != os.path.abspath(directory):
        raise UsageError("FMSH_STORE must lie in FMSH_STATE_DIR", hint="one of the two is enough")
    return directory


def _directory(environment: Mapping[str, str], variable: str, below_home: str, platform_name: str) -> str:
    chosen = environment.get(variable)
    if chosen:
        return f"{chosen}/fmsh"
    if sys.platform == "linux":
        home = environment.get("HOME") or os.path.expanduser("~")
        return f"{home}/{below_home}/fmsh"
    import platformdirs

    return str(getattr(platformdirs, platform_name)("fmsh"))
