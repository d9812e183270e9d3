"""The verbs `fmsh jobs …`: listing, showing, following and steering jobs through the store.

Every verb is a function of a `Desk` (the store, where process output lies, and the two streams) and its arguments;
it gives an exit status. What steers a job is a row in its inbox: status 0 means that the row is committed, not that the
job has acted on it. Nothing here runs a job.

    arguments   the command line          finding     N as a number, `%N`, a key, a name, `last`
    documents   jobs and events in JSON   outputs     what a job displayed, with the files of its processes
    showing     list, show, log, output   following   wait, attach, and `--follow`
    inspecting  inspect                   moments    a job as of an event      looking   the prompt there
    explaining  why                       histories  steps, attempts, who ran it when
    tracing     trace                     forking    fork               scripting  script
    testing     `fmsh test`
    acting      cancel, pause, resume, retry, answer, signal
    removing    gc, rm
    exporting   export                    importing   import
    export_file the file between them     needed_secrets              what a job from elsewhere lacks here
"""

from __future__ import annotations

from fmsh.jobs.command import main
from fmsh.jobs.documents import event_json, job_json

__all__ = ["event_json", "job_json", "main"]
