"""The body of a request: bytes and files in a row. A file is read while it is sent, so it costs no memory."""

from __future__ import annotations

import os
import stat

from fmsh.record import Record
from fmsh.values import raised, text_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from fmsh.values import Value

CHUNK_BYTES = 256 * 1024


class FilePiece(Record):
    """A file as it was when the request was made; `size` in bytes."""

    path: str
    size: int


class Body(Record):
    """`content_type`: "" for none."""

    content_type: str
    pieces: tuple[bytes | FilePiece, ...]

    @property
    def length(self) -> int:
        return sum(len(piece) if isinstance(piece, bytes) else piece.size for piece in self.pieces)

    @property
    def whole(self) -> bytes | None:
        """The bytes, where no file is among them."""
        made = [piece for piece in self.pieces if isinstance(piece, bytes)]
        return b"".join(made) if len(made) == len(self.pieces) else None

    def holds(self, texts: Iterable[str]) -> bool:
        """Whether one of `texts` is in what is not a file."""
        made = b"\n".join(piece for piece in self.pieces if isinstance(piece, bytes))
        return any(text_bytes(text) in made for text in texts)

    def chunks(self) -> Iterator[bytes]:
        """The body from its beginning. Raises: OSError where a file cannot be read, or is not what it was."""
        for piece in self.pieces:
            if isinstance(piece, bytes):
                yield piece
            else:
                yield from _chunks_of(piece)


def _chunks_of(piece: FilePiece) -> Iterator[bytes]:
    rest = piece.size
    with open(piece.path, "rb", buffering=0) as file:
        while rest:
            chunk = file.read(min(rest, CHUNK_BYTES))
            if not chunk:
                raise FileChanged(f"{piece.path} became shorter while it was sent")
            rest -= len(chunk)
            yield chunk


class FileChanged(OSError):
    """A file is not any more what it was when its length was told."""


def of_file(path: str, directory: str, content_type: str = "") -> Body:
    """A file as the whole body. Raises: Raised where there is none to be read."""
    piece = _file_piece(path, directory, "--file")
    return Body(content_type or _type_of(path), (piece,))


def multipart(fields: Mapping[str, str], attached: Mapping[str, Value], directory: str, boundary: str) -> Body:
    """A form with files: `fields` are texts, `attached` the paths of files, or lists of such.

    Source: RFC 7578; names are escaped as browsers do. Raises: Raised.
    """
    pieces: list[bytes | FilePiece] = []
    for name, text in fields.items():
        pieces.append(_part_head(boundary, f'name="{_quoted(name)}"', "") + text_bytes(text) + b"\r\n")
    for name, paths in attached.items():
        for path in paths if isinstance(paths, list) else [paths]:
            if not isinstance(path, str):
                raise raised("type", "--attach takes a record of paths", hint="such as --attach {photo: ./me.png}")
            place = f'name="{_quoted(name)}"; filename="{_quoted(os.path.basename(path))}"'
            pieces += [_part_head(boundary, place, _type_of(path)), _file_piece(path, directory, "--attach"), b"\r\n"]
    pieces.append(f"--{boundary}--\r\n".encode())
    return Body(f"multipart/form-data; boundary={boundary}", tuple(pieces))


def _part_head(boundary: str, place: str, content_type: str) -> bytes:
    kind = f"Content-Type: {content_type}\r\n" if content_type else ""
    return text_bytes(f"--{boundary}\r\nContent-Disposition: form-data; {place}\r\n{kind}\r\n")


def _quoted(name: str) -> str:
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def _file_piece(path: str, directory: str, flag: str) -> FilePiece:
    full = os.path.join(directory, os.path.expanduser(path))
    try:
        found = os.stat(full)
        with open(full, "rb"):
            pass
    except (OSError, ValueError) as problem:
        reason = str(getattr(problem, "strerror", None) or problem).lower()
        raise raised("path", f"cannot read {path}, which {flag} names: {reason}", path=path) from None
    if not stat.S_ISREG(found.st_mode):
        raise raised("path", f"{path}, which {flag} names, is not a regular file", path=path)
    return FilePiece(full, found.st_size)


def _type_of(path: str) -> str:
    import mimetypes

    return mimetypes.guess_type(path)[0] or "application/octet-stream"
