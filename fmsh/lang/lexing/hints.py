"""Forms of other shells that do not exist here, and what to write instead (rule 21 of the language).

Only what can be known from the text alone; what depends on which names exist is the compiler's.
"""

from __future__ import annotations

# The first word of a stage: what it means elsewhere, and what to write.
COMMANDS: dict[str, tuple[str, str]] = {
    "then": ("`then` does not exist: the body of `if` stands in braces", "write `if CONDITION { … }`"),
    "do": ("`do` does not exist: the body of a loop stands in braces", "write `while CONDITION { … }`"),
    "done": ("`done` does not exist: the body of a loop stands in braces", "end it with `}`"),
    "fi": ("`fi` does not exist: the body of `if` stands in braces", "end it with `}`"),
    "elif": ("`elif` does not exist", "write `} else if CONDITION { … }`"),
    "esac": ("`esac` does not exist", "write `match $x { a => { … }  _ => { … } }`"),
    "case": ("`case` does not exist", "write `match $x { a => { … }  _ => { … } }`"),
    "until": ("`until` does not exist", "write `while not CONDITION { … }`, or `poll { … }` to wait for something"),
    "function": ("`function` does not exist", "write `def NAME(PARAMETERS) { … }`"),
    "source": ("`source` does not exist", "write `use ./FILE.fmsh`"),
    "eval": (
        "`eval` does not exist: text is never run as code",
        "keep commands in a block and run it with `call $block`",
    ),
    "else": ("`else` without an `if` before it", "write it after the `}` of an `if`"),
    "catch": ("`catch` without a `try` before it", "write it after the `}` of a `try`"),
    "finally": ("`finally` without a `try` before it", "write it after the `}` of a `try`"),
}

BODY_WORDS = frozenset(("then", "do", "done", "fi"))

# A command and its first argument.
FIRST_ARGUMENTS: dict[tuple[str, str], tuple[str, str]] = {
    ("command", "-v"): ("`command -v` does not exist", "write `which NAME`"),
    ("command", "-V"): ("`command -V` does not exist", "write `which NAME`"),
    ("read", "-p"): ("`read -p` does not exist", 'write `let answer = ask "TEXT"`'),
    ("read", "-r"): ("`read -r` does not exist", "write `… | each { … }` to go over lines, or `ask` to ask a person"),
}

# What follows a `$` directly.
DOLLARS: dict[str, tuple[str, str]] = {
    "?": (
        "`$?` does not exist: a command that fails raises an error",
        "use `if cmd { … }`, or `result { cmd }` for all",
    ),
    "#": ("`$#` does not exist", "write `($args | count)`"),
    "@": ("`$@` does not exist", "write `...$args`"),
    "*": ("`$*` does not exist", "write `...$args`"),
    "$": ("`$$` does not exist", "write `$job.id`"),
    "!": ("`$!` does not exist", "write `let job = (cmd &)` and use `$job`"),
    "'": ("`$'…'` does not exist", 'write `"…"`: it knows `\\n`, `\\t` and `\\u{…}`'),
    "[": ("`$[` does not exist", "write `($x + 1)`"),
    "-": ("`$-` does not exist", "a `$` that is text is written `'$'` or `\\$`"),
}
POSITIONAL = (
    "`${digit}` does not exist: arguments have names",
    "write `param NAME` and use `$NAME`, or `$args[{index}]`",
)

PARAMETER_EXPANSION = ("`${{x{operator}…}}` does not exist: `${{ }}` holds an expression", "{hint}")
EXPANSIONS: dict[str, str] = {
    ":": "for a default write `${x ?? d}` or `($x ?? d)`; for a part `$x[0..3]`",
    "#": "for the length write `($x | str length)`; to cut off a beginning `($x | str replace A B)`",
    "%": "to cut off an extension write `($x | path stem)`, any end `($x | str replace A B)`",
    "/": "write `($x | str replace A B)`",
    "^": "write `($x | str upper)`",
    ",": "write `($x | str lower)`",
    "-": "for a default write `${x ?? d}` or `($x ?? d)`",
    "!": "there is no indirection: keep values in a record and use `$record[$key]`",
    "@": "write the variable alone",
}

ALIAS_OF_PIPELINE = ("an alias stands for one command", "for more write `def NAME() { … }`")
BACKTICK = ("a backtick has no meaning here", "write `$(command)`")
PROCESS_SUBSTITUTION = ("`{form}` does not exist", "pipe into the command, or save to a file first")
PIPE_BOTH = ("`|&` does not exist", "write `2>&1 |`")
SHELL_FUNCTION = ("`{name}()` does not define a function here", "write `def {name}() {{ … }}`")
TEST_OPERATORS = {"-eq": "==", "-ne": "!=", "-lt": "<", "-le": "<=", "-gt": ">", "-ge": ">="}
TEST_OPERATOR = ("`{word}` belongs to `test`", "write `{operator}` here")
TEST_BRACKET = ("`[` begins a list", "write `test -f FILE`, or an expression such as `$x == y`")
DOUBLE_BRACKET = ("`[[ … ]]` does not exist", "write `$x == y`, `$x =~ regex` or `test -f FILE`")
DOT = ("`.` as a command does not exist", "write `use ./FILE.fmsh`")
SUBSHELL_CD = ("there is no subshell", "write `cd DIR { … }`: it comes back by itself")
WHILE_READ = ("`while read` does not exist", "write `… | each { … }`, or `for line in (…) { … }`")
LOWER_CASE_GET = ("network effects are upper case", "write `GET {url}`; `get` takes a path into a record")
FOR_COUNTING = ("`for (( ))` does not exist", "write `for i in 0..<3 { … }`")
FOR_WORDS = ("`for` goes over one value", "write a list: `for x in [{words}] {{ … }}`")
VARIABLE_AS_COMMAND = (
    "a value cannot be followed by an argument",
    "to run the command that it names write `^{variable}`",
)
AT_PAREN = ("`@( )` is not a form of the language", "write `$( )` for a value inside a word")
LEADING_OPERATOR = (
    "an operator cannot begin a statement",
    "write it at the end of the line before, or put the expression in ( )",
)
BARE_ASSIGNMENT = (
    "`{name}=…` alone sets nothing",
    "write `let {name} = …` for a variable, `export {name}=…` for the environment",
)
SPACED_ASSIGNMENT = ("`{name} = …` sets nothing", "write `let {name} = …` to declare, `${name} = …` to change")
