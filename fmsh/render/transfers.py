"""How far files have come that go up or down, on one line: a bar if the size is known, bytes, rate and time left."""

from __future__ import annotations

from fmsh.render.cells import cut, visible, width
from fmsh.render.times import span_text

BAR_CELLS_MAX = 30
BAR_CELLS_MIN = 5
UNITS = ("B", "KB", "MB", "GB", "TB")


def transfer_text(name: str, done: int, total: int | None, rate: float, *, columns: int) -> str:
    """Writes a line of at most `columns` cells. `rate` in bytes a second; 0: not known yet. `total` in bytes."""
    parts = [bytes_text(done) if total is None else f"{bytes_text(done)} of {bytes_text(total)}"]
    if rate > 0:
        parts.append(f"{bytes_text(rate)}/s")
    if total is not None and rate > 0 and done < total:
        parts.append(f"{span_text(_whole_seconds((total - done) / rate))} left")
    figures = "  ".join(parts)
    if total is None:
        name_cells = columns - width(figures) - 2
        return cut(f"{cut(visible(name), name_cells)}  {figures}" if name_cells > 0 else figures, columns)
    share = min(done / total, 1.0) if total else 1.0
    figures = f"{int(share * 100):>3}%  {figures}"
    name = cut(visible(name), max(columns // 3, columns - width(figures) - BAR_CELLS_MAX - 6))
    bar_cells = min(BAR_CELLS_MAX, columns - width(name) - width(figures) - 6)
    if bar_cells < BAR_CELLS_MIN:
        return cut(f"{name}  {figures}", columns)
    filled = int(share * bar_cells)
    return f"{name}  [{'#' * filled}{'-' * (bar_cells - filled)}]  {figures}"


def bytes_text(count: float) -> str:
    """Writes a number of bytes in three digits and a unit: `980 B`, `1.25 MB`, `34.0 GB`."""
    for unit in UNITS:
        if count < 999.5 or unit == UNITS[-1]:
            break
        count /= 1000
    digits = 0 if unit == "B" or count >= 99.95 else 1 if count >= 9.995 else 2
    return f"{count:.{digits}f} {unit}"


def _whole_seconds(seconds: float) -> int:
    """In milliseconds: tenths would only flicker."""
    return int(seconds + 0.999) * 1000
