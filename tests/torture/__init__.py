"""The rows of the reliability table that need real processes and real files: few of each in the suite, all on demand.

    rows                     what a row is, and how its verdict is told
    table                    all rows, in order
    __main__                 `python -m tests.torture [ROW…] [--full | --short] [--seed N]`: one table, and status 1
    test_rows                the same rows in the suite, a few of each
    zygote, processes        real processes of fmsh, forked after the imports: hundreds a minute on two cores

Each of the other modules holds a row or a group of them. What broke is a *violation*: it fails everywhere. What only
took too long is *late*: it fails the runner, which is meant for a quiet machine, and not the suite.
"""
