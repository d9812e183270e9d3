"""`python -m fmsh`, and the command `fmsh`.

The process ends at once, without the interpreter's own end: taking apart every module and object costs 5 ms, for
nothing. What must be closed is closed by then: stores and connectors by those that opened them; and `fmsh.cli` has
flushed the standard streams.
"""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

GC_THRESHOLD = 50_000  # young objects between two collections, some 5 MB; a start makes 20,000, and they are kept


def main() -> "NoReturn":
    try:  # also around these imports: each is a moment at which a Ctrl-C can arrive
        import gc
        import sys

        gc.set_threshold(GC_THRESHOLD)
        from fmsh.cli import run

        status = run(sys.argv[1:])
    except KeyboardInterrupt:  # before fmsh.cli watches for it
        status = 130
    os._exit(status)


if __name__ == "__main__":
    main()
