"""The parser's matrices, unpacked: one flat list of numbers each, a row a state."""

from __future__ import annotations

from binascii import a2b_base64
from sys import byteorder
from zlib import decompress

from fmsh.lang import grammar_table


def _unpack(packed: str) -> list[int]:
    """Reads 16-bit numbers. Not through `array`: importing it takes longer than all the rest of this."""
    data = bytearray(decompress(a2b_base64(packed)))
    if byteorder == "big":
        data[0::2], data[1::2] = data[1::2], data[0::2]
    return memoryview(data).cast("h").tolist()


ACTIONS = _unpack(grammar_table.ACTIONS)
GOTOS = _unpack(grammar_table.GOTOS)
