"""`python -m fmsh`, and the console script."""

from __future__ import annotations

import sys


def main() -> int:
    try:
        from fmsh.cli import run

        return run(sys.argv[1:])
    except KeyboardInterrupt:  # while the first modules are imported
        return 130


if __name__ == "__main__":
    sys.exit(main())
