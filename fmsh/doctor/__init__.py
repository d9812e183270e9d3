"""`fmsh doctor`: looks at everything that fmsh stands on, says what is wrong, how bad that is, and what to do about it.

Looking changes nothing: no directory is made, no store is migrated, nothing is registered; it works while the store is
damaged, missing, full, or of another version. With `--repair` it does what cannot lose anything, and says what it did.

    command     the command line, and what is shown
    checks      the table: a check is one function and one line in it
    finding     what a check gives          patient     what is looked at, opened when a check first asks for it
    places      directories, files, disks and settings       database    the store, its log, backups and hashes
    processes   locks, the control socket, the daemon        work        jobs that need a person, files of nobody
"""
