"""Commands of bash and of other languages that are neither programs nor commands of fmsh, and what to write here.

What can be known from the text alone is in `lexing.hints`; these may be the names of programs or functions.
"""

from __future__ import annotations

ELSEWHERE = {
    "set": "leave it out: what fails ends the script, also in a pipe, and a name that is not declared is an error",
    "local": "write `let NAME = …`: a variable belongs to the block that declares it",
    "declare": "write `let NAME = …`",
    "typeset": "write `let NAME = …`",
    "readonly": "write `let NAME = …`",
    "trap": "write `defer { … }` for what runs at the end, `undo { … }` for what runs after a failure",
    "shift": "write `let [first, ...rest] = $args`, or declare what the script takes: `param NAME`",
    "getopts": "write `param --flag` and `param NAME`: arguments are read and checked, with --help",
    "exec": "write the command alone; to send all that follows elsewhere: `{ … } > FILE`",
    "type": "write `which NAME`",
    "command": "write `^NAME` for the program of that name, `which NAME` to find it",
    "builtin": "write the command alone",
    "read": 'write `ask "TEXT"` for a person\'s answer, `$in` for what comes from the pipe',
    "mapfile": "write `let LINES = COMMAND | lines`",
    "readarray": "write `let LINES = COMMAND | lines`",
    "pushd": "write `cd DIR { … }`: it comes back by itself",
    "popd": "write `cd DIR { … }`: it comes back by itself",
    "disown": "write `COMMAND &`: that is a job of its own already",
    "umask": "write `sh -c 'umask 077; …'`",
    "ulimit": "write `sh -c 'ulimit -n 1024; …'`",
    "shopt": "leave it out: `**` is always there, and a pattern without a match is an error",
    "map": "write `each { … }`",
    "filter": "write `where { … }`",
    "foreach": "write `for x in LIST { … }` or `LIST | each { … }`",
    "len": "write `count` for a list, `str length` for text",
    "length": "write `count` for a list, `str length` for text",
    "raise": "write `fail TEXT`",
    "throw": "write `fail TEXT`",
    "import": "write `use ./FILE.fmsh`",
}
