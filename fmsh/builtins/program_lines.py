"""The last stage of a stream that a program reads: items become lines."""

from __future__ import annotations

from fmsh.builtins.stages import Mapped
from fmsh.builtins.text import to_text
from fmsh.values import raised

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fmsh.builtins.stages import Items


def line_texts() -> Mapped:
    """Makes a stage that writes items as lines. It raises Raised for a secret, or what has no text."""
    return Mapped(_lines_of, (), {})


def _lines_of(items: Items) -> Items:
    texts = [to_text(item) for item in items]
    for text in texts:
        if type(text) is not str:
            raise raised("type", "a secret in a stream does not go into a program", hint="hand it over by itself")
    return [f"{text}\n" for text in texts]
