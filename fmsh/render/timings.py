"""Where the time of an attempt went, in a few words."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fmsh.values import Value


def timings_text(timings: Value) -> str:
    """Says in milliseconds what took how long; "" where nobody has told."""
    if not timings:
        return ""
    return ", ".join(f"{name.replace('_', ' ')} {_milliseconds(value)} ms" for name, value in timings.items())


def _milliseconds(value: float) -> str:
    return f"{value:.1f}" if value < 10 else f"{value:.0f}"
