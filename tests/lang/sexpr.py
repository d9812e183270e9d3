"""A compact way to write a syntax tree, for tests: what a person checks with one look.

Words stand in `< >` (`"` before the text of quoted ones, `@` before addresses), strings of expressions in quotes,
variables with `$`, commands and other nodes in ( ).
"""

from __future__ import annotations

from fmsh.lang import syntax as s


def write(node: object) -> str:
    """Writes a node, a tuple of nodes, or a plain value."""
    writer = WRITERS.get(type(node))
    if writer is not None:
        return str(writer(node))
    if isinstance(node, s.Node):
        return generic(node)
    return str(node)


def generic(node: s.Node) -> str:
    fields = [getattr(node, field) for field in node.fields[1:]]
    parts = [
        several(field) if isinstance(field, tuple) else write(field)
        for field in fields
        if field not in (None, "", (), False)
    ]
    return f"({' '.join([type(node).__name__.lower(), *parts])})"


def several(nodes: tuple[object, ...]) -> str:
    return "[" + " ".join(map(write, nodes)) + "]"


def body(node: s.Body) -> str:
    return "{" + "; ".join(map(write, node.statements)) + "}"


def chain(node: s.Chain) -> str:
    written = " ".join([write(node.first), *(f"{link.operator} {write(link.pipeline)}" for link in node.links)])
    return f"(& {written})" if node.is_background else written


def pipeline(node: s.Pipeline) -> str:
    written = " | ".join(map(write, node.stages))
    return f"(! {written})" if node.is_negated else written


def command(node: s.Command) -> str:
    head = [f"{item.name}={write(item.value)}" for item in node.environment]
    name = ("^" if node.is_external else "") + write(node.name)[1:-1]
    return "(" + " ".join([*head, name, *map(write, node.arguments), *map(write, node.redirections)]) + ")"


def word(node: s.Word) -> str:
    parts = "".join(str(part.value) if is_text(part) else write(part) for part in node.parts)
    quote = '"' if node.is_text and len(node.parts) <= 1 else ""
    return ("@" if node.is_url else "") + f"<{quote}{parts}>"


def is_text(part: object) -> bool:
    return isinstance(part, s.Literal) and isinstance(part.value, str)


def path(node: s.Path) -> str:
    return write(node.base) + "".join(map(step, node.steps))


def step(node: s.Step) -> str:
    optional = "?" if node.is_optional else ""
    return (
        f"{optional}[{write(node.key)}]"
        if node.is_index
        else f"{optional}.{node.key.value}"
        if is_text(node.key)
        else f".({write(node.key)})"
    )


def parameter(node: s.Parameter) -> str:
    name = {"rest": "..." + node.name, "flag": "--" + node.name}.get(node.kind, write(node.pattern))
    extra = [f"({node.short})"] * bool(node.short) + [f": {node.type_name}"] * bool(node.type_name)
    extra += [f"= {write(node.default)}"] * (node.default is not None) + [f"# {node.help}"] * bool(node.help)
    return f"({' '.join([name, *extra])})"


def branches(node: s.If) -> str:
    written = [f"(if {write(branch.condition)} {write(branch.body)})" for branch in node.branches]
    return "(" + " ".join(written + ([f"else {write(node.otherwise)}"] if node.otherwise else [])) + ")"


WRITERS = {
    s.Program: lambda node: "\n".join(map(write, node.body.statements)),
    s.Body: body,
    s.Chain: chain,
    s.Pipeline: pipeline,
    s.Command: command,
    s.ExpressionStage: lambda node: write(node.value),
    s.Word: word,
    s.Literal: lambda node: repr(node.value) if node.value is not None else "null",
    s.Template: lambda node: "`" + "".join(str(p.value) if is_text(p) else f"({write(p)})" for p in node.parts) + "`",
    s.Variable: lambda node: "$" + node.name,
    s.Path: path,
    s.Step: step,
    s.Binary: lambda node: f"({node.operator} {write(node.left)} {write(node.right)})",
    s.Unary: lambda node: f"({node.operator} {write(node.operand)})",
    s.Range: lambda node: f"({write(node.start or '')}{'..<' if node.is_exclusive else '..'}{write(node.end or '')})",
    s.Spread: lambda node: "..." + write(node.value),
    s.ListLiteral: lambda node: several(node.items),
    s.RecordLiteral: lambda node: "{" + ", ".join(map(write, node.entries)) + "}",
    s.Entry: lambda node: f"{write(node.key)}: {write(node.value)}",
    s.BlockLiteral: lambda node: (
        f"(block {several(node.parameters)} {body(node.body)})"
        if node.parameters is not None
        else f"(block {body(node.body)})"
    ),
    s.Subpipeline: lambda node: f"({'; '.join(map(write, node.body.statements))})",
    s.Glob: lambda node: f"*{node.pattern}*",
    s.Tilde: lambda node: f"~{node.user}",
    s.Braces: lambda node: "{" + ",".join(write(word)[1:-1] for word in node.alternatives) + "}",
    s.Flag: lambda node: node.name + ("=" + write(node.value) if node.value is not None else ""),
    s.Redirection: lambda node: (
        f"({node.operator} {write(node.target)})" if node.target is not None else f"({node.operator})"
    ),
    s.EnvironmentItem: lambda node: f"{node.name}={write(node.value)}",
    s.PathListStage: lambda node: f"(paths {' '.join(map(write, node.words))})",
    s.If: branches,
    s.NamePattern: lambda node: "$" + node.name,
    s.RestPattern: lambda node: "..." + node.name,
    s.LiteralPattern: lambda node: write(node.value),
    s.ListPattern: lambda node: several(node.items),
    s.FieldPattern: lambda node: f"{node.key}: {write(node.pattern)}",
    s.RecordPattern: lambda node: "{" + ", ".join(map(write, node.fields_)) + "}",
    s.AlternativePattern: lambda node: "(" + " | ".join(map(write, node.alternatives)) + ")",
    s.Parameter: parameter,
}
