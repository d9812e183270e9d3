"""Text in cells of a terminal."""

from __future__ import annotations

import pytest

from fmsh.render.cells import harmless


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\n\ttext é\u00a0𝛼\n", "plain\n\ttext é\u00a0𝛼\n"),
        ("\x1b[1;31mred\x1b[m and\n", "\x1b[1;31mred\x1b[m and\x1b[m\n"),
        ("\x1b[38:5:1mred", "\x1b[38:5:1mred\x1b[m"),
        ("\x1b[2Jgone", "\\u{1b}[2Jgone"),
        ("\x1b]0;title\x07", "\\u{1b}]0;title\\u{7}"),
        ("\x9b2J\x90", "\\u{9b}2J\\u{90}"),
        ("\udc9b2J \udce9", "\\x9b2J \udce9"),
        ("over\rwritten\r\n", "over\\rwritten\n"),
        ("\x1b[", "\\u{1b}["),
        ("\x1b[1;\x1b[31", "\\u{1b}[1;\\u{1b}[31"),
        ("a\x08b\x00", "a\\u{8}b\\u{0}"),
    ],
)
def test_a_terminal_obeys_nothing_but_colours(text: str, shown: str) -> None:
    assert harmless(text) == shown
