"""The parser's matrices, unpacked: one flat sequence of numbers each, a row a state."""

from __future__ import annotations

from sys import byteorder
from zlib import decompress

from fmsh.lang import grammar_table


def _unpack(packed: bytes) -> memoryview[int]:
    """Reads 16-bit numbers. Not into an `array` or a list: making either takes longer than all the rest of this."""
    data = bytearray(decompress(packed))
    if byteorder == "big":
        data[0::2], data[1::2] = data[1::2], data[0::2]
    return memoryview(data).cast("h")


ACTIONS = _unpack(grammar_table.ACTIONS)
GOTOS = _unpack(grammar_table.GOTOS)
