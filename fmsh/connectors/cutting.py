"""Keeps what processes write within bounds, while they write it.

A captured output becomes a value, so one that is too long is an error, and its process is ended. Of any other the start
and the end are kept, and what lies between is cut out: a hole takes its place, so that neither the process nor who
follows the file has to know of it. `NAME.cut` says where it lies, and is written before the hole is made: who finds
zeros finds that too.

Somebody must look: between two looks a file may grow, and while no fmsh lives nobody does.
"""

from __future__ import annotations

import os

from fmsh.connectors.spool import read_whole_words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from fmsh.values import Value

OUTPUT_BYTES_MAX = 256 * 1024 * 1024  # the default of the setting `limits.output`
HEAD_SHARE, TAIL_SHARE = 2, 4  # a half and a quarter stay, so that there is room until the next cut
BLOCK_BYTES = 4096
CHUNK_BYTES = 64 * 1024
LOOK_S = (0.25, 2.0)  # a disk writes some hundred MiB meanwhile; what stands still is looked at less often
SUFFIX = ".cut"
KEEP_SIZE_AND_PUNCH_HOLE = 1 | 2


class Bounds:
    """Watches over the outputs of one attempt. `captured`: the paths of those that become values."""

    __slots__ = ("_bytes_max", "_captured", "_others", "_size", "pause_s")

    def __init__(self, captured: Iterable[str], others: Iterable[str], bytes_max: int) -> None:
        self._captured = tuple(captured)
        self._others = tuple(others)
        self._bytes_max = bytes_max
        self._size = 0
        self.pause_s = LOOK_S[0]

    def look(self) -> bool:
        """Cuts what is too long; False if it is captured and must not be cut."""
        for path in self._others:
            cut(path, self._bytes_max)
        size = sum(_size_and_space(path)[0] for path in (*self._captured, *self._others))
        self.pause_s = LOOK_S[0] if size != self._size else min(self.pause_s * 2, LOOK_S[1])
        self._size = size
        return all(_size_and_space(path)[0] <= self._bytes_max for path in self._captured)


def bounds_of(arguments: Mapping[str, Value], directory: str, bytes_max: int, *, is_streamed: bool) -> Bounds:
    """What watches over an attempt with these arguments. `is_streamed`: who reads its output keeps it small."""
    captured, others = list[str](), list[str]()
    for stream, name in (("output", "out"), ("errors", "err")):
        if name == "err" or not is_streamed:
            (captured if arguments.get(stream) == "capture" else others).append(f"{directory}/{name}")
    return Bounds(captured, others, bytes_max)


def cut(path: str, bytes_max: int) -> None:
    """Cuts the middle out of a file that takes more than `bytes_max`, where the system can do that."""
    size, space = _size_and_space(path)
    start = -(-bytes_max // HEAD_SHARE // BLOCK_BYTES) * BLOCK_BYTES
    end = (size - bytes_max // TAIL_SHARE) // BLOCK_BYTES * BLOCK_BYTES
    if space <= bytes_max or end <= start:
        return
    _write_mark(path, start, end)
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        punch_hole(fd, start, end - start)
    finally:
        os.close(fd)


def read_cut(path: str) -> tuple[int, int] | None:
    """Says which part of a file is cut out: its first byte, and the first after it."""
    words = read_whole_words(path + SUFFIX)
    return None if words is None else (int(words[0]), int(words[1]))


def pieces(path: str, position: int = 0) -> Iterator[tuple[bytes, int]]:
    """Reads a file from a position on; gives each piece, and the position after it. A cut is a line that says so.

    Raises: FileNotFoundError.
    """
    with open(path, "rb", buffering=0) as file:
        while True:
            file.seek(position)
            data = file.read(CHUNK_BYTES)
            if not data:
                return
            found = read_cut(path)  # looked up after the reading: what was cut meanwhile is not shown as zeros
            if found is not None and found[0] <= position < found[1]:
                data, position = _mark(found[1] - position), found[1]
            else:
                if found is not None and position < found[0]:
                    data = data[: found[0] - position]
                position += len(data)
            yield data, position


def _mark(cut_bytes: int) -> bytes:
    return f"\n[fmsh: {cut_bytes:,} bytes are cut out here, see the setting limits.output]\n".encode()


def _write_mark(path: str, start: int, end: int) -> None:
    aside = path + SUFFIX + ".new"
    fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, f"{start} {end}\n".encode())
    finally:
        os.close(fd)
    os.rename(aside, path + SUFFIX)


def _size_and_space(path: str) -> tuple[int, int]:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return 0, 0
    return found.st_size, found.st_blocks * 512


def punch_hole(fd: int, start: int, size: int) -> None:
    """Makes a hole in a file; does nothing where the system cannot."""
    import ctypes  # rarely needed, and slow to import

    try:
        fallocate = ctypes.CDLL(None).fallocate
    except AttributeError:  # not Linux: the file is only shown cut
        return
    fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    fallocate(fd, KEEP_SIZE_AND_PUNCH_HOLE, start, size)
