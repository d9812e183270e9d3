"""fmsh: a shell in which every pipeline is a durable job.

The architecture, from the ground up; imports go down only:

    record spans errors limits clock settings values wire      plain data and where things lie
    machine        runs code, deterministically, without input or output
    lang           text → syntax tree → code            ┐
    builtins       pure functions on values             │ four siblings that never import one another
    store          the events, on disk or in memory     │
    connectors     requests → effects in the world      ┘
    engine         leases, commits, and the order: append, then act
    assembly       settings become a store, connectors, builtins and an engine
    daemon shell render jobs cli                        what people and programs see

Glossary. *Job*: one run of a program, with a number, a history and a result. *Event*: a recorded fact. *Effect*: what a
job asks of the world; a *request* is one with an outcome, an *observation* one that is answered at once. *Step*: a
request, numbered within its job; its *attempts* are the tries. *Connector*: what performs requests of a kind. *Lease*:
the right to append to a job. *Snapshot*: the state of a job's machine after an event. *Replay*: feeding the recorded
events again. *Task*: one thread of a job; *group*: tasks that belong together; *frame*: a body being run; *scope*: its
variables. *Code*: what a body is compiled to, a list of *instructions*. *Stage*: a part of a pipeline between `|`.
*Builtin*: a pure command; *special form*: a command that is more than a function of its arguments; *function*: a `def`;
*external*: a program of the system.
"""

__version__ = "0.1.0"
