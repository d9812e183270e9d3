"""The parser's matrices, unpacked: one flat array of 16-bit numbers each, a row a state."""

from __future__ import annotations

from array import array
from binascii import a2b_base64
from sys import byteorder
from zlib import decompress

from fmsh.lang import grammar_table


def _unpack(packed: str) -> array[int]:
    numbers = array("h", decompress(a2b_base64(packed)))
    if byteorder == "big":
        numbers.byteswap()
    return numbers


ACTIONS = _unpack(grammar_table.ACTIONS)
GOTOS = _unpack(grammar_table.GOTOS)
