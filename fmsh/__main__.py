"""`python -m fmsh`, and the command `fmsh`.

The process ends at once, without the interpreter's own end: taking apart every module and object costs 5 ms, for
nothing. What must be closed is closed by then: stores and connectors by those that opened them; and `fmsh.cli` has
flushed the standard streams.
"""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from typing import NoReturn
else:
    import _signal  # importing signal itself would cost its enums

GC_THRESHOLD = 50_000  # young objects between two collections, some 5 MB; a start makes 20,000, and they are kept


def main() -> "NoReturn":
    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
        # A Ctrl-C during an import may be raised in a callback of the interpreter, which prints it and goes on. So it
        # ends us at once, until what we are to do watches for it.
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    try:
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
