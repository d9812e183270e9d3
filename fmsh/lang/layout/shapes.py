"""Shapes: leaves nested into statements, chains, stages and brackets, each with its form on one line if it has one.

    Block       what stands between two brackets, or the whole text: items with the comments around them
    Item        a statement, an element of a list, an arm of a `match`: a Chain
    Chain       links joined by `&&` and `||`; a Link is stages joined by `|`
    Stage       parts: Text, Bracket, Condition (of `if`, `while`, `for`, `match`), Break (a comment inside)

`flat` is a shape on one line, None if it must go over several: because of a comment, of a string or heredoc that does,
or because whoever wrote it began a new line inside the braces of statements, which is theirs to decide. Brackets are
built from the inside out, so nothing here recurses over the depth of a program.
"""

from __future__ import annotations

from fmsh.lang.layout.leaves import Comment, Leaf
from fmsh.lang.layout.spacing import RANKS, Nested, first_of, last_of, spaces

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeAlias

    Part: TypeAlias = "Text | Bracket | Condition | Break"

OPENERS = {
    "LBODY": "statements",
    "LBLOCK": "statements",
    "LGROUP": "statements",
    "LMATCH": "arms",
    "LSQB": "elements",
    "LREC": "elements",
    "LPAR": "paren",
    "DLPAR": "paren",
    "LINDEX": "inline",
    "LSUB": "inline",
}
CLOSERS = frozenset(("RPAR", "RSQB", "RBRACE"))
SEPARATORS = {"statements": "SEP", "paren": "SEP", "elements": "COMMA", "parameters": "COMMA", "inline": "COMMA"}
CONDITIONAL = frozenset(("IF", "WHILE", "MATCH", "IN"))


class Text:
    """Something on one line, with the heredocs that it names; `space`: a blank before it. `rank` is an operator's."""

    __slots__ = ("bodies", "rank", "space", "text", "type")

    def __init__(
        self, text: str, bodies: Sequence[str] = (), *, space: bool = False, type_: str = "", rank: int = 0
    ) -> None:
        self.text = text
        self.bodies = tuple(bodies)
        self.space = space
        self.type = type_
        self.rank = rank


class Break:
    """Comments inside a stage: the line ends after them. `is_outdented`: what follows stands where the stage began."""

    __slots__ = ("comments", "is_outdented")
    space = False

    def __init__(self, comments: list[Comment], *, is_outdented: bool) -> None:
        self.comments = comments
        self.is_outdented = is_outdented


class Condition:
    """What stands between `if`, `while`, `in` or `match` and its `{`."""

    __slots__ = ("chain",)
    space = True

    def __init__(self, chain: Chain) -> None:
        self.chain = chain


class Stage:
    """What stands between two `|`. `comments` stood around the operator before it."""

    __slots__ = ("comments", "flat", "is_command", "parts")

    def __init__(self, parts: list[Part], comments: list[Comment], *, is_command: bool) -> None:
        self.parts = parts
        self.comments = comments
        self.is_command = is_command
        _break_blocks_together(parts)
        self.flat = joined([flat_of(part) for part in parts])


class Link:
    """What stands between two of `&&` and `||`; `operator` is the one before it, "" before the first."""

    __slots__ = ("comments", "flat", "operator", "stages")

    def __init__(self, operator: str, comments: list[Comment], stages: list[Stage]) -> None:
        self.operator = operator
        self.comments = comments
        self.stages = stages
        self.flat = _sequence([stage.flat for stage in stages], " | ")
        if any(stage.comments for stage in stages):
            self.flat = None


class Chain:
    """A whole statement, element, arm or condition."""

    __slots__ = ("flat", "has_comments", "links")

    def __init__(self, links: list[Link]) -> None:
        self.links = links
        self.has_comments = any(link.comments or any(stage.comments for stage in link.stages) for link in links)
        self.flat = links[0].flat
        for link in links[1:]:
            self.flat = None if link.comments else _sequence([self.flat, link.flat], f" {link.operator} ")


class Item:
    """A chain with its own comments: lines before it, and one behind it."""

    __slots__ = ("chain", "comments", "has_blank_before", "trailing")

    def __init__(self, chain: Chain, comments: list[Comment], *, has_blank_before: bool) -> None:
        self.chain = chain
        self.comments = comments
        self.has_blank_before = has_blank_before
        self.trailing = ""


class Block:
    """Items, the comment directly behind the opening bracket, and the lines of comments before the closing one."""

    __slots__ = ("closing", "items", "opening")

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.opening = ""
        self.closing: list[Comment] = []

    @property
    def has_comments(self) -> bool:
        return bool(self.opening or self.closing or any(item.comments or item.trailing for item in self.items))


class Bracket:
    """A pair of brackets; `opener` holds a block's parameters too. `must_break`: each item stands on its own lines."""

    __slots__ = ("block", "closer", "flat", "kind", "must_break", "opener", "space", "type")

    def __init__(self, kind: str, opener: str, block: Block, closer: str, *, type_: str, must_break: bool) -> None:
        self.kind = kind
        self.opener = opener
        self.block = block
        self.closer = closer
        self.type = type_
        self.space = False
        self.must_break = must_break or block.has_comments or self._holds_lines()
        self.flat = None if self.must_break else self._on_one_line()

    def _holds_lines(self) -> bool:
        """Whether an item cannot stand on one line; `( )` and indexes may hold such an item without a break."""
        if self.kind in ("paren", "inline"):
            return False
        flats = [item.chain.flat for item in self.block.items]
        return any(flat is None or "\n" in flat.text or flat.bodies for flat in flats)

    def _on_one_line(self) -> Text | None:
        flats = [item.chain.flat for item in self.block.items]
        if self.kind in ("statements", "paren"):
            inside = _statements(flats)
        else:
            inside = _sequence(flats, {"arms": "  "}.get(self.kind, ", "))
        if inside is None:
            return None
        pad = " " if self.kind in ("statements", "arms") and (flats or self.opener != "{") else ""
        return Text(f"{self.opener}{pad if flats else ''}{inside.text}{pad}{self.closer}", inside.bodies)


# ---- Text of shapes


def flat_of(part: Part) -> Text | None:
    """Gives a part on one line, with the blank before it."""
    if isinstance(part, Text):
        return part
    if isinstance(part, Break):
        return None
    flat = part.chain.flat if isinstance(part, Condition) else part.flat
    return None if flat is None else Text(flat.text, flat.bodies, space=part.space)


def joined(flats: Sequence[Text | None]) -> Text | None:
    """Puts parts on one line; None if one of them must go over several."""
    texts: list[str] = []
    bodies: list[str] = []
    for flat in flats:
        if flat is None:
            return None
        texts.append(f" {flat.text}" if flat.space and texts else flat.text)
        bodies += flat.bodies
    return Text("".join(texts), bodies)


def _sequence(flats: Sequence[Text | None], separator: str) -> Text | None:
    texts = [flat for flat in flats if flat is not None]
    if len(texts) < len(flats):
        return None
    return Text(separator.join(text.text for text in texts), [body for text in texts for body in text.bodies])


def _statements(flats: Sequence[Text | None]) -> Text | None:
    """Puts statements on one line; after one that ends in `&` there is no `;`."""
    if not flats:
        return Text("")
    found = flats[0]
    for flat in flats[1:]:
        found = _sequence([found, flat], " " if found is not None and found.text.endswith(" &") else "; ")
    return found


def _break_blocks_together(parts: list[Part]) -> None:
    """The bodies of one `if`, or the blocks of one command, all stand on one line or none does."""
    blocks = [part for part in parts if isinstance(part, Bracket) and part.kind in ("statements", "arms")]
    if any(block.must_break for block in blocks):
        for block in blocks:
            if block.block.items or block.must_break:
                block.must_break, block.flat = True, None


# ---- Building


def build(leaves: list[Leaf]) -> Block:
    """Gives the shape of a whole text."""
    _gather_comments(leaves)
    stack: list[tuple[Leaf, str, list[Leaf | Nested]]] = [(leaves[-1], "statements", [])]
    for leaf in leaves[:-1]:
        items = stack[-1][2]
        is_bar = leaf.type == "BAR"
        if leaf.type in OPENERS or (is_bar and stack[-1][1] != "bars"):
            stack.append((leaf, "bars" if is_bar else _kind(leaf, items), []))
        elif leaf.type in CLOSERS or is_bar:
            opener, kind, inside = stack.pop()
            stack[-1][2].append(_nested(opener, kind, inside, leaf))
        else:
            items.append(leaf)
    return _block(stack[0][2], "statements", leaves[-1])


def _gather_comments(leaves: list[Leaf]) -> None:
    """Moves comments to where they can stand: those among a block's parameters behind these, and the one behind the
    `)` of a definition, which is the help of its last parameter, to that parameter.
    """
    definitions: list[bool] = []
    for index, leaf in enumerate(leaves):
        if leaf.type == "BAR" and leaves[index - 1].type == "LBLOCK":
            close = next(at for at in range(index + 1, len(leaves)) if leaves[at].type == "BAR")
            inside = [comment for each in leaves[index : close + 1] for comment in each.comments]
            for each in leaves[index : close + 1]:
                each.comments = []
            for comment in inside:
                comment.is_own_line = False
            leaves[close + 1].comments[:0] = inside
        elif leaf.type in ("LPAR", "DLPAR"):
            definitions.append([before.type for before in leaves[max(index - 2, 0) : index]] == ["DEF", "NAME"])
        elif leaf.type == "RPAR" and definitions.pop() and leaves[index - 1].type != "LPAR":
            comments = leaves[index + 1].comments
            if comments and not comments[0].is_own_line and not leaf.has_newline_before:
                leaf.comments.append(comments.pop(0))


def _kind(opener: Leaf, before: list[Leaf | Nested]) -> str:
    is_definition = [first_of(item).type for item in before[-2:]] == ["DEF", "NAME"]
    if opener.type == "LPAR" and is_definition:
        return "parameters"
    return OPENERS[opener.type]


def _nested(opener: Leaf, kind: str, inside: list[Leaf | Nested], closer: Leaf) -> Nested:
    text, is_broken = opener.text, False
    first = inside[0] if inside else None
    if kind == "bars":
        kind = "inline"
    elif isinstance(first, Nested) and first.first.type == "BAR":
        bars = flat_of(first.shape)
        assert bars is not None  # there is no comment in it
        text = f"{text} {bars.text}"
        del inside[0]
    elif isinstance(first, Leaf) and first.type == "FLAG" and kind == "paren":
        kind = "inline"  # the short form of a flag
    if kind == "statements":
        is_broken = _begins_lines(inside, closer) or any(
            isinstance(item, Leaf) and item.type == "SEP" and item.text == "\n" for item in inside
        )
    elif kind == "arms":
        is_broken = _begins_lines(inside, closer)
    shape = Bracket(kind, text, _block(inside, kind, closer), closer.text, type_=opener.type, must_break=is_broken)
    return Nested(opener, closer, shape)


def _begins_lines(inside: list[Leaf | Nested], closer: Leaf) -> bool:
    return bool(inside) and (first_of(inside[0]).has_newline_before or closer.has_newline_before)


def _block(inside: list[Leaf | Nested], kind: str, closer: Leaf) -> Block:
    """Splits what stands between brackets into items, and hands out the comments between them."""
    block = Block()
    current: list[Leaf | Nested] = []
    waiting: list[Comment] = []
    is_new_paragraph = False

    def finish() -> None:
        if current:
            first = first_of(current[0])
            item = Item(_chain(current), list(waiting), has_blank_before=first.has_blank_before or is_new_paragraph)
            block.items.append(item)
            waiting.clear()
            current.clear()

    def take(leaf: Leaf) -> None:
        nonlocal is_new_paragraph
        is_new_paragraph = False
        for comment in leaf.comments:
            if not comment.is_own_line and not waiting and block.items and not block.items[-1].trailing:
                block.items[-1].trailing = comment.text
            elif not comment.is_own_line and not waiting and not block.items and not block.opening:
                block.opening = comment.text
            else:
                is_new_paragraph = not comment.is_own_line  # so that it never becomes the help of a `def`
                waiting.append(comment)
        leaf.comments = []

    for item in inside:
        is_separator = isinstance(item, Leaf) and item.type == SEPARATORS.get(kind)
        if is_separator:
            finish()
        if not current:
            take(first_of(item))
        if not is_separator:
            current.append(item)
            if kind == "arms" and _ends_arm(current):
                finish()
    finish()
    take(closer)
    block.closing = waiting
    return block


def _ends_arm(items: list[Leaf | Nested]) -> bool:
    return len(items) > 1 and first_of(items[-1]).type == "LBODY" and last_of(items[-2]).type == "ARROW"


def _chain(items: list[Leaf | Nested]) -> Chain:
    """Builds a chain. Each `&&`, `||` and `|` takes the comments on both of its sides."""
    links: list[Link] = []
    operator, link_comments, stage_comments = "", list[Comment](), list[Comment]()
    stages: list[Stage] = []
    current: list[Leaf | Nested] = []
    items = _with_conditions(items)
    for index, item in enumerate(items):
        if not isinstance(item, Leaf) or item.type not in ("PIPE", "ANDOR"):
            current.append(item)
            continue
        stages.append(_stage(current, stage_comments))
        current, stage_comments = [], []
        following = first_of(items[index + 1])
        comments = item.comments + following.comments
        following.comments = []
        if item.type == "PIPE":
            stage_comments = comments
        else:
            links.append(Link(operator, link_comments, stages))
            operator, link_comments, stages = item.text, comments, []
    stages.append(_stage(current, stage_comments))
    return Chain([*links, Link(operator, link_comments, stages)])


def _with_conditions(items: list[Leaf | Nested]) -> list[Leaf | Nested]:
    """Gathers what stands between `if`, `while`, `in` or `match` and its `{` into one item."""
    found: list[Leaf | Nested] = []
    condition: list[Leaf | Nested] | None = None
    for item in items:
        if condition is not None and first_of(item).type in ("LBODY", "LMATCH", "ARROW"):
            first, last = first_of(condition[0]), last_of(condition[-1])
            found.append(Nested(first, last, Condition(_chain(condition))))
            condition = None
        if condition is None:
            found.append(item)
            if isinstance(item, Leaf) and item.type in CONDITIONAL:
                condition = []
        else:
            condition.append(item)
    return found


def _stage(items: list[Leaf | Nested], comments: list[Comment]) -> Stage:
    parts: list[Part] = []
    is_command = False
    for item, space in zip(items, spaces(items), strict=True):
        first = first_of(item)
        if first.comments:
            is_outdented = first.type in ("LBODY", "LMATCH", "ELSE", "CATCH", "FINALLY")
            parts.append(Break(first.comments, is_outdented=is_outdented))
            first.comments = []
        if isinstance(item, Leaf):
            is_command = is_command or item.mark == "COMMAND" or item.type == "CARET"
            rank = RANKS.get(item.type, 0)
            parts.append(Text(item.text, item.bodies, space=space, type_=item.type, rank=rank))
        else:
            if isinstance(item.shape, Bracket):
                item.shape.space = space
            parts.append(item.shape)
    return Stage(parts, comments, is_command=is_command)
