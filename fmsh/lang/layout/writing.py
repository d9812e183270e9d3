"""Writing shapes as lines of at most `COLUMNS` columns, where that can be.

What fits on its line stays on it. Else, in this order, until it fits: a chain begins a new line before each `&&` and
`||`, a pipeline before each `|`, a stage puts the bodies of its blocks on lines of their own, then the elements of its
last bracket, then of those before it; then a command goes on after a `\\`, an expression after its loosest operator.
"""

from __future__ import annotations

from fmsh.lang.layout.shapes import Block, Bracket, Break, Chain, Condition, Link, Stage, Text, flat_of, joined

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fmsh.lang.layout.leaves import Comment
    from fmsh.lang.layout.shapes import Part

COLUMNS = 100
INDENTATION = 2
COMMENT_COLUMNS_MAX = 80  # a comment behind a longer line does not push those of its neighbours to the right
BRACKETS_MAX = 20  # of one stage that are tried one by one; more than these break all at once

Broken = set[int]  # ids of brackets, whose items stand on lines of their own


def write(block: Block) -> str:
    """Gives a whole text."""
    writer = _Writer()
    _write_items(writer, block, 0, "statements")
    return writer.finish()


# ---- Lines


class _Line:
    """What stands on a line, and the comment behind it. With a string over several lines it is several lines."""

    __slots__ = ("code", "comment", "indentation")

    def __init__(self, indentation: int, code: str = "") -> None:
        self.code = " " * indentation + code
        self.comment = ""
        self.indentation = indentation


class _Writer:
    def __init__(self) -> None:
        self._lines: list[_Line] = []
        self._line = _Line(0)
        self._bodies: list[str] = []
        self.column = 0
        self.is_line_start = True

    def write(self, text: Text) -> None:
        """Writes text, with a blank before it where it wants one and the line has begun."""
        self._line.code += f" {text.text}" if text.space and not self.is_line_start else text.text
        self.column = len(self._line.code) - self._line.code.rfind("\n") - 1
        self._bodies += text.bodies
        self.is_line_start = False

    def comment(self, text: str) -> None:
        self._line.comment = text

    def newline(self, indentation: int, *, has_blank_before: bool = False) -> None:
        """Begins a line; the heredocs that the one before names come between them."""
        if self._lines or self._line.code or self._line.comment:
            self._end_line()
            if has_blank_before:
                self._lines.append(_Line(0))
        self._begin_line(indentation)

    def continue_line(self, indentation: int) -> None:
        """Begins a line that is one with the line before."""
        self._line.code += " \\"
        self._lines.append(self._line)
        self._begin_line(indentation)

    def comments(self, comments: list[Comment], indentation: int) -> None:
        """Writes comments: the first behind the line, if it stood so, the others on lines of their own."""
        for comment in comments:
            if not comment.is_own_line and not self._line.comment and not self.is_line_start:
                self.comment(comment.text)
            else:
                if not self.is_line_start:
                    self.newline(indentation, has_blank_before=comment.has_blank_before)
                self._line.code += comment.text
                self.is_line_start = False

    def finish(self) -> str:
        self._end_line()
        _line_up_comments(self._lines)
        text = "\n".join(line.code for line in self._lines)
        return f"{text}\n" if text.strip("\n") else ""

    def _begin_line(self, indentation: int) -> None:
        self._line = _Line(indentation)
        self.column = indentation
        self.is_line_start = True

    def _end_line(self) -> None:
        self._lines.append(self._line)
        bodies, self._bodies = self._bodies, []
        self._lines += [_Line(0, body.removesuffix("\n")) for body in bodies]


def _line_up_comments(lines: list[_Line]) -> None:
    """Puts the comments behind neighbouring lines of the same indentation into one column."""
    run: list[_Line] = []
    for line in [*lines, _Line(0)]:
        if run and (not line.comment or line.indentation != run[0].indentation or not _may_push(line)):
            column = max(_width(each) for each in run) + 2
            for each in run:
                each.code += " " * (column - _width(each)) + each.comment
            run = []
        if line.comment and _may_push(line):
            run.append(line)
        elif line.comment:
            line.code += f"  {line.comment}"


def _may_push(line: _Line) -> bool:
    return _width(line) <= COMMENT_COLUMNS_MAX


def _width(line: _Line) -> int:
    return len(line.code) - line.code.rfind("\n") - 1


# ---- Items between brackets


def _write_items(writer: _Writer, block: Block, indentation: int, kind: str) -> None:
    for index, item in enumerate(block.items):
        _write_comments(writer, item.comments, indentation, is_first=index == 0)
        is_first = index == 0 and not item.comments
        writer.newline(indentation, has_blank_before=item.has_blank_before and not is_first)
        is_last = index == len(block.items) - 1
        separator = {"elements": ",", "parameters": ",", "inline": "" if is_last else ","}.get(kind, "")
        if kind == "paren" and not is_last:
            separator = ";"
        _write_chain(writer, item.chain, indentation, separator)
        writer.write(Text(separator))
        writer.comment(item.trailing)
    _write_comments(writer, block.closing, indentation, is_first=not block.items)


def _write_comments(writer: _Writer, comments: list[Comment], indentation: int, *, is_first: bool) -> None:
    for comment in comments:
        writer.newline(indentation, has_blank_before=comment.has_blank_before and not is_first)
        writer.write(Text(comment.text))
        is_first = False


def _write_bracket(writer: _Writer, bracket: Bracket, indentation: int) -> None:
    """Writes a bracket with each item on lines of its own."""
    writer.write(Text(bracket.opener, space=bracket.space))
    writer.comment(bracket.block.opening)
    _write_items(writer, bracket.block, indentation + INDENTATION, bracket.kind)
    writer.newline(indentation)
    writer.write(Text(bracket.closer))


# ---- Chains


def _write_chain(writer: _Writer, chain: Chain, indentation: int, tail: str) -> None:
    """Writes a chain; `tail` is what must still fit on its last line."""
    flat = _parts_of(chain)
    if flat is not None and _fits(writer.column, flat, indentation, tail, set()):
        _write_parts(writer, flat, indentation, tail, set())
        return
    last = len(chain.links) - 1
    for index, link in enumerate(chain.links):
        start = indentation + (INDENTATION if index else 0)
        if index:
            writer.comments(link.comments, start)
            writer.newline(start)
            writer.write(Text(f"{link.operator} "))
        _write_link(writer, link, start, indentation + INDENTATION * (2 if last else 1), tail if index == last else "")


def _write_link(writer: _Writer, link: Link, indentation: int, stage_indentation: int, tail: str) -> None:
    flat = _parts_of(Chain([link]))
    if flat is not None and _fits(writer.column, flat, indentation, tail, set()):
        _write_parts(writer, flat, indentation, tail, set())
        return
    last = len(link.stages) - 1
    for index, stage in enumerate(link.stages):
        if index:
            writer.comments(stage.comments, stage_indentation)
            writer.newline(stage_indentation)
            writer.write(Text("| "))
        start = stage_indentation if index else indentation
        _write_stage(writer, stage, start, tail if index == last else "")


def _parts_of(chain: Chain) -> list[Part] | None:
    """Gives all stages of a chain in one row; None if comments stand between them."""
    if chain.has_comments:
        return None
    found: list[Part] = []
    for link in chain.links:
        if found:
            found.append(Text(f"{link.operator} ", space=True))
        for index, stage in enumerate(link.stages):
            if index:
                found.append(Text("| ", space=True))
            found += stage.parts
    return found


# ---- Stages


def _write_stage(writer: _Writer, stage: Stage, indentation: int, tail: str) -> None:
    broken: Broken = set()
    for more in [[], *_candidates(stage.parts)]:
        broken.update(id(bracket) for bracket in more)
        if _fits(writer.column, stage.parts, indentation, tail, broken):
            _write_parts(writer, stage.parts, indentation, tail, broken)
            return
    if stage.is_command:
        _write_long_command(writer, stage.parts, indentation, tail)
    else:
        _write_long_expression(writer, stage.parts, indentation, tail, broken)


def _candidates(parts: list[Part]) -> list[list[Bracket]]:
    """Gives the brackets that may break, in the order in which that is tried."""
    brackets = [part for part in parts if isinstance(part, Bracket) and part.block.items]
    blocks = [bracket for bracket in brackets if bracket.kind in ("statements", "arms")]
    others = [bracket for bracket in brackets if bracket.kind in ("elements", "parameters", "paren")]
    if len(others) > BRACKETS_MAX:
        return [blocks, others]
    return [blocks, *([bracket] for bracket in reversed(others))]


def _write_parts(writer: _Writer, parts: list[Part], indentation: int, tail: str, broken: Broken) -> None:
    for index, part in enumerate(parts):
        if isinstance(part, Text):
            writer.write(part)
        elif isinstance(part, Break):
            start = indentation + (0 if part.is_outdented else INDENTATION)
            writer.comments(part.comments, start)
            writer.newline(start)
        elif isinstance(part, Condition):
            writer.write(Text("", space=True))
            _write_chain(writer, part.chain, indentation + INDENTATION, _rest(parts, index, tail, broken))
        elif id(part) in broken or part.must_break:
            _write_bracket(writer, part, indentation)
        elif part.flat is not None:
            writer.write(Text(part.flat.text, part.flat.bodies, space=part.space))
        else:
            _write_around(writer, part, indentation, _rest(parts, index, tail, broken))


def _write_around(writer: _Writer, bracket: Bracket, indentation: int, tail: str) -> None:
    """Writes `( )` or an index around what goes over lines by itself, such as a block."""
    writer.write(Text(bracket.opener, space=bracket.space))
    last = len(bracket.block.items) - 1
    separator = "; " if bracket.kind == "paren" else ", "
    for index, item in enumerate(bracket.block.items):
        rest = f"{bracket.closer}{tail}" if index == last else separator
        _write_chain(writer, item.chain, indentation, rest)
        writer.write(Text(bracket.closer if index == last else separator))


def _rest(parts: list[Part], index: int, tail: str, broken: Broken) -> str:
    """Gives what stands behind a part on its line."""
    rest: list[Text | None] = [Text("x")]
    for part in parts[index + 1 :]:
        if isinstance(part, Break):
            return _after_mark(rest)
        if isinstance(part, Bracket) and (id(part) in broken or part.flat is None):
            return _after_mark([*rest, Text(part.opener, space=part.space)])
        rest.append(flat_of(part))
    return _after_mark(rest) + tail


def _after_mark(texts: list[Text | None]) -> str:
    found = joined(texts)
    return "" if found is None else found.text[1:]


def _write_long_command(writer: _Writer, parts: list[Part], indentation: int, tail: str) -> None:
    """Writes a command over several lines that end in `\\`, an option together with its value."""
    units = _units(parts)
    for index, unit in enumerate(units):
        rest = tail if index == len(units) - 1 else " \\"
        if index and not _fits(writer.column, unit, indentation, rest, set()):
            writer.continue_line(indentation + INDENTATION)
        start = indentation + (INDENTATION if index else 0)
        _write_stage(writer, Stage(unit, [], is_command=False), start, rest)


def _units(parts: list[Part]) -> list[list[Part]]:
    """Splits a command into what stays together: all up to its first argument, and options with their values."""
    units: list[list[Part]] = [[]]
    is_open = True
    for part in parts:
        type_ = part.type if isinstance(part, Text | Bracket) else ""
        is_new = getattr(part, "space", False) and not is_open
        if is_new or type_ in ("FLAG", "FLAGEQ"):
            units.append([])
        units[-1].append(part)
        is_open = type_ in ("FLAG", "REDIR")
    return units


def _write_long_expression(writer: _Writer, parts: list[Part], indentation: int, tail: str, broken: Broken) -> None:
    """Writes an expression over several lines that end in an operator, as loose a one as there is."""
    if _fits(writer.column, parts, indentation, tail, broken):
        _write_parts(writer, parts, indentation, tail, broken)
        return
    ranks = sorted({part.rank for part in parts[:-1] if isinstance(part, Text) and part.rank})
    if not ranks:
        _write_parts(writer, parts, indentation, tail, broken)
        return
    rows: list[list[Part]] = [[]]
    for part in parts:
        rows[-1].append(part)
        if isinstance(part, Text) and part.rank == ranks[0]:
            rows.append([])
    for index, row in enumerate(rows):
        start = indentation + (INDENTATION if index else 0)
        if index:
            writer.newline(start)
        _write_long_expression(writer, row, start, tail if index == len(rows) - 1 else "", broken)


# ---- Measuring


def _fits(column: int, parts: list[Part], indentation: int, tail: str, broken: Broken) -> bool:
    """Whether parts and a tail stay within the columns, when the brackets in `broken`, and those that must, break."""
    end = _end_of(column, parts, indentation, broken)
    return end >= 0 and end + len(tail) <= COLUMNS


def _end_of(column: int, parts: list[Part], indentation: int, broken: Broken) -> int:
    """Gives the column behind the parts, -1 if a line is too long."""
    is_line_start = False
    for part in parts:
        column += part.space and not is_line_start
        is_line_start = False
        flat = None if id(part) in broken else flat_of(part)
        if flat is not None:
            column = _advance(column, flat.text)
        elif isinstance(part, Break):
            column, is_line_start = indentation + INDENTATION, True
        elif isinstance(part, Condition):
            column = indentation + INDENTATION * 2
        elif isinstance(part, Bracket):
            column = _end_of_bracket(column, part, indentation, broken)
        if not 0 <= column <= COLUMNS:
            return -1
    return column


def _end_of_bracket(column: int, bracket: Bracket, indentation: int, broken: Broken) -> int:
    column += len(bracket.opener)
    if id(bracket) in broken or bracket.must_break:
        return indentation + len(bracket.closer) if column <= COLUMNS else -1
    for item in bracket.block.items:
        parts = _parts_of(item.chain)
        if parts is None:
            return -1
        column = _end_of(column, parts, indentation, set())
        if column < 0:
            return -1
        column += len(bracket.closer)
    return column


def _advance(column: int, text: str) -> int:
    """Gives the column behind a text, -1 if its first line is too long."""
    first, newline, rest = text.partition("\n")
    if column + len(first) > COLUMNS:
        return -1
    return len(rest) - rest.rfind("\n") - 1 if newline else column + len(first)
