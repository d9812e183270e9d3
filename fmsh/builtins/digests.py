"""Checksums of bytes, as lower-case hexadecimal text."""

from __future__ import annotations

from fmsh.builtins.declare import builtin, required
from fmsh.builtins.fitting import as_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fmsh.builtins.builtin import Builtin
    from fmsh.values import Value


def sha256(data: bytes) -> Value:
    """Gives the SHA-256 of text or bytes.

    > "abc" | digest sha256
    ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad
    """
    from hashlib import sha256

    return sha256(data).hexdigest()


def md5(data: bytes) -> Value:
    """Gives the MD5 of text or bytes: for old formats, not for security.

    > "abc" | digest md5
    900150983cd24fb0d6963f7d28e17f72
    """
    from hashlib import md5

    return md5(data, usedforsecurity=False).hexdigest()


def hmac_sha256(data: bytes, key: Value) -> Value:
    """Gives the HMAC-SHA-256 of text or bytes under a key.

    > "abc" | digest hmac-sha256 k | str slice 0 8
    342e519c
    """
    from hmac import digest

    return digest(as_bytes(key, "the key of `digest hmac-sha256`"), data, "sha256").hex()


BUILTINS: tuple[Builtin, ...] = (
    builtin("digest sha256", sha256, input="bytes"),
    builtin("digest md5", md5, input="bytes"),
    builtin("digest hmac-sha256", hmac_sha256, required("key"), input="bytes"),
)
