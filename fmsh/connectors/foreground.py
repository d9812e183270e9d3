"""Who owns the terminal: handing it to a process group and taking it back, with its modes.

The rule for modes is that of the shells: what a program that ended by itself left behind stays (`stty -echo` is such a
program); one that was stopped or died of a signal had no chance to clean up, so the modes from before are put back.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from typing import Any
else:
    import _signal  # importing signal itself would cost its enums


class Foreground:
    """The terminal on descriptor `fd`, lent to one process group at a time. Never fails: a terminal may be gone."""

    __slots__ = ("_is_lent", "_modes_before", "_modes_of_program", "fd")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._is_lent = False
        self._modes_before: list[Any] | None = None
        self._modes_of_program: list[Any] | None = None

    def lend(self, group: int) -> None:
        """Makes a process group the foreground one. One that comes back gets the modes that it had when it stopped."""
        self._is_lent = True
        self._modes_before = self._read_modes()
        if self._modes_of_program is not None:
            self._write_modes(self._modes_of_program)
        self._set_group(group)

    def take_back(self, *, is_restored: bool) -> None:
        """Makes us the foreground again; `is_restored`: also puts back the modes from before the lending."""
        if not self._is_lent:
            return
        self._is_lent = False
        self._set_group(os.getpgrp())
        if is_restored and self._modes_before is not None:
            self._modes_of_program = self._read_modes()
            self._write_modes(self._modes_before)

    def _set_group(self, group: int) -> None:
        with _Unstopped():
            try:
                os.tcsetpgrp(self.fd, group)
            except OSError:
                pass

    def _read_modes(self) -> list[Any] | None:
        import termios

        try:
            return termios.tcgetattr(self.fd)
        except termios.error:
            return None

    def _write_modes(self, modes: list[Any]) -> None:
        import termios

        with _Unstopped():
            try:
                termios.tcsetattr(self.fd, termios.TCSADRAIN, modes)
            except termios.error:
                pass


class _Unstopped:
    """While we are not the foreground, touching the terminal sends SIGTTOU, which would stop us: it is blocked here."""

    __slots__ = ("_mask",)

    def __enter__(self) -> None:
        self._mask = _signal.pthread_sigmask(_signal.SIG_BLOCK, {_signal.SIGTTOU})

    def __exit__(self, *_exception: object) -> None:
        _signal.pthread_sigmask(_signal.SIG_SETMASK, self._mask)
