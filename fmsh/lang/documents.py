"""Pipelines that read a JSON document and make one value of it: a large list is read and worked through part by part.

Where the document is no large list, or anything is wrong with it or with an item, the pipeline does what it says: it
reads the document, and each stage takes the whole.
"""

from __future__ import annotations

from fmsh.lang import generated as g
from fmsh.lang.loading import is_json
from fmsh.lang.piped import Piped
from fmsh.lang.pipelines import stage_piped
from fmsh.lang.streams import chain_of, is_fold, streamable
from fmsh.values import Raised

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _ast
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from fmsh.lang import syntax as s
    from fmsh.lang.bodies import Body
    from fmsh.lang.context import Compiler
    from fmsh.values import Value

    Parts = Callable[[str], Iterator[list[Value]] | None]


def folded(
    c: Compiler, b: Body, stage: s.Command, rest: Sequence[s.Stage], piped: Piped | None
) -> tuple[Piped, int] | None:
    """Compiles `from json` or `load` with the stages up to the one that makes one value; None where it is not so."""
    import _ast

    chain = streamable(c, b, rest, gives_lines=False)
    if not chain or not is_fold(c, chain[-1]) or not _reads_json(c, stage):
        return None
    read = stage_piped(c, b, stage, piped, "capture")
    if not isinstance(read.value, _ast.Call) or not read.value.args:  # `load --raw`, or a mistake
        return read, 0
    line, (text, *others) = stage.id, read.value.args
    parts = g.name(c.generator.bind("b", c.library.streaming().parts), line)
    if others:
        parts = g.call(c.generator.bind("b", _parts_of_file), [others[0], parts], line)
    read.value.args[0] = g.name("text", line)
    whole = read
    for each in chain:
        whole = stage_piped(c, b, each, whole, "capture")
    made: list[_ast.expr] = [
        g.function_of([], chain_of(c, b, chain, stage), line),
        g.function_of(["text"], whole.value, line),
    ]
    value = g.call(c.generator.bind("b", worked_through), [text, parts, *made], line)
    return Piped(value, whole.node), len(chain)


def _reads_json(c: Compiler, stage: s.Command) -> bool:
    found = c.find_builtin(stage)
    return c.literal_name(stage) == "load" if found is None else found[0].signature.name == "from json"


def _parts_of_file(path: str, parts: Parts) -> Parts:
    return parts if is_json(path) else lambda text: None


def worked_through(text: Value, parts: Parts, make_chain: Callable[[], Any], whole: Callable[[Value], Value]) -> Value:
    """What the stages come to. Whatever is wrong is found again, and told, where they take the whole."""
    found = parts(text) if type(text) is str else None
    if found is None:
        return whole(text)
    try:
        chain = make_chain()
        for items in found:
            chain.feed(items)
            if chain.is_done:
                break
        chain.finish()
        return chain.value()
    except (Raised, ValueError):
        return whole(text)
