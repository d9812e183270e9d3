"""An answer that goes into a file while it comes: `--save PATH`. The file is replaced in one move when it is whole."""

from __future__ import annotations

import os
import stat
import zlib

from fmsh.connectors.http_answer import encodings, falsely_encoded, inflater
from fmsh.connectors.replacing import Replacement, write_all
from fmsh.observing import why_not_writable
from fmsh.values import Raised, raised

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from fmsh.connectors.base import Attempt

PIECE_BYTES_MAX = 1024 * 1024


class Download:
    """The file of one attempt. It is opened with the first answer that is to be saved. All methods raise Raised."""

    is_live = False  # for the transport: large pieces are best

    def __init__(self, attempt: Attempt) -> None:
        self._shown = str(attempt.arguments["save"])
        self._path = os.path.realpath(os.path.join(attempt.directory, os.path.expanduser(self._shown)))
        self._key = attempt.idempotency_key
        self._is_resumed = attempt.is_resumed
        self._umask = attempt.umask
        self._file: Replacement | int | None = None  # an int is the descriptor of what is no regular file
        self._encodings: list[str] = []
        self._inflaters: list[zlib._Decompress | None] = []
        reason = why_not_writable(self._path)
        if reason:
            raise self._problem(reason)

    def begin(self, headers: Mapping[str, str]) -> None:
        self.abandon()
        self._encodings = encodings(headers)
        self._inflaters = [None] * len(self._encodings)
        try:
            if os.path.exists(self._path) and not stat.S_ISREG(os.stat(self._path).st_mode):
                self._file = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC)
            else:
                self._file = Replacement(self._path, self._key, is_resumed=self._is_resumed)
        except OSError as problem:
            raise self._problem(_said(problem)) from None

    def write(self, data: bytes) -> None:
        """Takes the next piece as it was transferred."""
        self._pass_on(data, 0)

    def commit(self) -> None:
        """Puts the whole file in its place."""
        for index, member in enumerate(self._inflaters):
            if member is None or not member.eof:
                raise falsely_encoded(self._encodings[index])
        file, self._file = self._file, None
        try:
            if isinstance(file, Replacement):
                file.commit(self._umask)
            elif file is not None:
                os.close(file)
        except OSError as problem:
            raise self._problem(_said(problem)) from None

    def abandon(self) -> None:
        """Leaves the old file as it is. Does nothing after `commit`."""
        file, self._file = self._file, None
        if isinstance(file, Replacement):
            file.abandon()
        elif file is not None:
            os.close(file)

    def _pass_on(self, data: bytes, index: int) -> None:
        """Uncompresses a piece, in pieces that stay small, and writes it."""
        if index == len(self._encodings):
            self._write_plain(data)
            return
        while data:
            member = self._inflaters[index]
            if member is None or (member.eof and data.lstrip(b"\0")):
                member = self._inflaters[index] = inflater(data)
            elif member.eof:
                return
            try:
                piece = member.decompress(data, PIECE_BYTES_MAX)
            except zlib.error:
                raise falsely_encoded(self._encodings[index]) from None
            self._pass_on(piece, index + 1)
            data = member.unused_data if member.eof else member.unconsumed_tail

    def _write_plain(self, data: bytes) -> None:
        try:
            if isinstance(self._file, Replacement):
                self._file.write(data)
            elif self._file is not None:
                write_all(self._file, data)
        except OSError as problem:
            raise self._problem(_said(problem)) from None

    def _problem(self, reason: str) -> Raised:
        return raised("path", f"cannot write to {self._shown}: {reason}", path=self._shown)


def _said(problem: OSError) -> str:
    return os.strerror(problem.errno or 0).lower()
