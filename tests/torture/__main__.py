"""Runs rows and prints one table: `python -m tests.torture [ROW…] [--short | --full | --count N] [--seed N]`.

The exit status is 1 if anything that is promised was broken, or took longer than its limit.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback

from tests.torture import rows
from tests.torture.table import BY_NAME, ROWS


def main() -> int:
    options = _options()
    print(f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}", flush=True)
    failed = 0
    lines = [("row", "tries", "result", "worst figure", "limit", "time")]
    for name in options.rows or BY_NAME:
        row = BY_NAME[name]
        count = options.count or getattr(row.counts, options.size)
        try:
            ran = rows.run(row, count, options.seed)
        except Exception:
            traceback.print_exc()
            failed += 1
            lines.append((name, f"{count:,}", "FAILED", "the row itself broke off", row.limit, ""))
            continue
        for text in (*ran.verdict.violations[:20], *ran.verdict.late[:20]):
            print(f"{name}, seed {ran.seed}: {text}", flush=True)
        result = "VIOLATED" if ran.verdict.violations else "LATE" if ran.verdict.late else "kept"
        failed += result != "kept"
        lines.append((name, f"{ran.verdict.count:,}", result, ran.verdict.worst, row.limit, f"{ran.seconds:.0f} s"))
        print(" | ".join(lines[-1]), flush=True)
    _show(lines)
    return 1 if failed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=", ".join(BY_NAME))
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--short", dest="size", action="store_const", const="short", help="some minutes for all")
    size.add_argument("--full", dest="size", action="store_const", const="full", help="as the table demands")
    parser.add_argument("--count", type=int, help="tries of each row")
    parser.add_argument("--seed", type=int, help="repeats a run")
    options = parser.parse_args()
    options.size = options.size or "suite"
    unknown = [name for name in options.rows if name not in BY_NAME]
    if unknown:
        parser.error(f"there is no row {', '.join(unknown)}; there are {', '.join(row.name for row in ROWS)}")
    return options


def _show(lines: list[tuple[str, ...]]) -> None:
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    print()
    for line in lines:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


if __name__ == "__main__":
    sys.exit(main())
