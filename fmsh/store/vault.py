"""Secrets at rest: encrypted in the store, their key in one file beside it that only its owner can read.

A ciphertext names its secret, so that two secrets cannot be exchanged in the store. The store remembers a fingerprint
of the key: a lost or exchanged key file is named as what it is, and never replaced by a new one that opens nothing.

`cryptography` is imported when a secret is first kept or revealed: it is far from the start-up path.
"""

from __future__ import annotations

import hashlib
import os

from fmsh.errors import StoreCorrupt, StoreError, StoreMissing
from fmsh.store import faults

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from fmsh.store.base import EventStore

FINGERPRINT = "vault_key_fingerprint"
KEY_FILE_BYTES_MAX = 4096
ODD_TEXT = "surrogatepass"  # text of the language may hold surrogates: bytes that were not UTF-8


class Vault:
    """Keeps secrets in `store` under the key in the file `key_path`, which is made with the first secret."""

    def __init__(self, store: EventStore, key_path: str) -> None:
        self._store = store
        self._key_path = key_path

    def keep(self, name: str, text: str) -> None:
        """Keeps `text` as the secret `name`, in place of what it was before.

        Raises: StoreError: the key file is lost, exchanged, or readable by others.
        """
        from cryptography.fernet import Fernet

        self._store.set_secret(name, Fernet(self._key()).encrypt(f"{name}\0{text}".encode("utf-8", ODD_TEXT)))

    def reveal(self, name: str) -> str:
        """Gives the secret `name`.

        Raises: StoreMissing: there is none. StoreCorrupt: it is not what was kept. StoreError: as for `keep`.
        """
        from cryptography.fernet import Fernet, InvalidToken

        ciphertext = self._store.secret(name)
        if ciphertext is None:
            raise StoreMissing(f"there is no secret {name!r}", hint=f"Set it with `fmsh secret set {name}`.")
        try:
            kept_name, _, text = Fernet(self._key()).decrypt(ciphertext).decode("utf-8", ODD_TEXT).partition("\0")
        except InvalidToken:
            kept_name, text = "", ""
        if kept_name != name:
            raise StoreCorrupt(
                f"the secret {name!r} is not what was kept", hint=f"Set it again: `fmsh secret set {name}`."
            )
        return text

    def sealer(self) -> Callable[[str], str]:
        """Gives what encrypts a text to be kept elsewhere; any thread may call that."""
        from cryptography.fernet import Fernet

        fernet = Fernet(self._key())
        return lambda text: fernet.encrypt(text.encode("utf-8", ODD_TEXT)).decode("ascii")

    def unseal(self, sealed: str) -> str:
        """Gives back what `sealer` encrypted. Raises: StoreCorrupt: it is not, or not under this key."""
        from cryptography.fernet import Fernet, InvalidToken

        try:
            return Fernet(self._key()).decrypt(sealed.encode("ascii")).decode("utf-8", ODD_TEXT)
        except (InvalidToken, UnicodeError):
            raise StoreCorrupt(
                "a secret in the history of a job cannot be read with the key of this store",
                hint="A job that came from another store brings no secrets with it: do again what made it.",
            ) from None

    def fingerprint(self, text: str) -> str:
        """Names a text without giving it away: the same text has the same fingerprint in this store."""
        return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8, key=self._key()).hexdigest()

    def derive(self, purpose: str) -> bytes:
        """Gives 32 bytes that only this key makes of a purpose."""
        return hashlib.blake2b(purpose.encode("utf-8", ODD_TEXT), digest_size=32, key=self._key()).digest()

    def _key(self) -> bytes:
        expected = self._store.setting(FINGERPRINT)
        key = _read_key(self._key_path)
        if key is None:
            if expected is not None:
                raise self._unusable("is gone")
            _make_key(self._key_path)
            key = _read_key(self._key_path)
            assert key is not None
        found = hashlib.blake2b(key, digest_size=16).hexdigest()
        if expected is None:
            self._store.set_setting(FINGERPRINT, found)
        elif found != expected:
            raise self._unusable("is another one than the secrets were kept under")
        return key

    def _unusable(self, what: str) -> StoreError:
        return StoreError(
            f"the key of the secrets, {self._key_path}, {what}",
            hint="Restore it from a backup. Without it the secrets cannot be read: remove them and set them again.",
        )


def _read_key(path: str) -> bytes | None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    except OSError as fault:
        raise faults.from_system(fault, path) from fault
    try:
        found = os.fstat(fd)
        if found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise StoreError(
                f"the key of the secrets, {path}, must be ours and readable by nobody else",
                hint=f"Look who could have read it, then `chmod 600 {path}`.",
            )
        return os.read(fd, KEY_FILE_BYTES_MAX).strip()
    finally:
        os.close(fd)


def _make_key(path: str) -> None:
    """Makes the key file whole or not at all; the first of two processes that try wins."""
    from cryptography.fernet import Fernet

    aside = f"{path}.{os.urandom(8).hex()}"
    try:
        fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, Fernet.generate_key() + b"\n")
            os.fsync(fd)
            os.link(aside, path)
        except FileExistsError:
            pass
        finally:
            os.close(fd)
            os.unlink(aside)
    except OSError as fault:
        raise faults.from_system(fault, path) from fault
