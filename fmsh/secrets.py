"""The secrets of jobs: what a job holds in the place of a text, and how it becomes text again.

A job holds a `Secret`: text with references in it, whose names begin with what they are:

    NAME                a secret that a person keeps (`fmsh secret set NAME`); it follows what is kept under that name
    env NAME PRINT      a variable of the environment that looks secret, kept when the job started
    sealed CIPHERTEXT   a text that a job received or made, encrypted under the key of this store in its own history

Names that people choose have no blank, so the three never meet.
"""

from __future__ import annotations

from fmsh.errors import StoreMissing
from fmsh.values import ENVIRONMENT, SEALED, Secret, SecretReference, kind_of, raised

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from fmsh.store.base import EventStore
    from fmsh.values import Value

SECRET_WORDS = (
    "TOKEN",
    "SECRET",
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "API_KEY",
    "APIKEY",
    "ACCESS_KEY",
    "PRIVATE_KEY",
    "CREDENTIAL",
)
NEW_BYTES_DEFAULT, NEW_BYTES_MAX = 32, 1024


def looks_secret(name: str) -> bool:
    """Whether an environment variable of this name is taken to hold a secret."""
    return any(word in name.upper() for word in SECRET_WORDS)


class Secrets:
    """The secrets in `store`, encrypted under the key in the file `key_path`. Used by one thread."""

    def __init__(self, store: EventStore, key_path: str) -> None:
        self._store = store
        self._key_path = key_path
        self._texts: dict[str, str] = {}  # of our own environment: no vault is needed for what we were given

    def reveal(self, secret: Secret) -> str:
        """The text of a secret, for a connector at the moment of its effect. Raises: Raised where there is none."""
        return "".join(part if isinstance(part, str) else self._text(part.name) for part in secret.parts)

    def job_environment(self, environment: Mapping[str, str]) -> dict[str, str | Secret]:
        """The environment that a job keeps: what looks like a secret is a reference; its text goes into the vault."""
        kept: dict[str, str | Secret] = {}
        for name, text in environment.items():
            kept[name] = self._keep_variable(name, text) if text and looks_secret(name) else text
        return kept

    def sealer(self) -> Callable[[str], Secret]:
        """Gives what turns a text into a secret that holds it encrypted; any thread may call that."""
        seal = self._vault().sealer()
        return lambda text: Secret((SecretReference(f"{SEALED} {seal(text)}"),))

    def chosen(self, value: Value) -> Secret:
        """The secret that a name, or a secret itself, stands for. Raises: Raised: there is none."""
        found = value if isinstance(value, Secret) else self.use({"name": value})
        assert isinstance(found, Secret)
        self.reveal(found)
        return found

    def token(self, name: str) -> bytes:
        """32 bytes that nobody can guess, the same for a name in this store."""
        return bytes(self._vault().derive(f"callback {name}"))

    def observe(self, operation: str, arguments: dict[str, Value]) -> Value:
        """Answers what a job asks of secrets. Raises: Raised."""
        return _ANSWERS[operation](self, arguments)

    def use(self, arguments: dict[str, Value]) -> Value:
        """A secret that is kept. That it is there is looked at now, its text only where it is used."""
        name = check_name(arguments["name"])
        if self._store.secret(name) is None:
            raise _missing(name)
        return Secret((SecretReference(name),))

    def make(self, arguments: dict[str, Value]) -> Value:
        """A fresh random secret: text of 4/3 as many characters as bytes, fit for an address or a header."""
        import secrets

        count = arguments.get("bytes", NEW_BYTES_DEFAULT)
        if type(count) is not int or not 1 <= count <= NEW_BYTES_MAX:
            raise raised("type", f"--bytes takes a whole number from 1 to {NEW_BYTES_MAX}")
        return self.sealer()(secrets.token_urlsafe(count))

    def keep(self, arguments: dict[str, Value]) -> Value:
        """Keeps a value under a name."""
        name, value = check_name(arguments["name"]), arguments["value"]
        if not isinstance(value, str | Secret):
            raise raised("type", f"`secret {name}` keeps text, this is {kind_of(value)}", hint="`to json` makes text")
        self._vault().keep(name, value if isinstance(value, str) else self.reveal(value))
        return Secret((SecretReference(name),))

    def tell(self, arguments: dict[str, Value]) -> Value:
        """The plain text, for the language."""
        value = arguments["secret"]
        if isinstance(value, str):
            return value
        if not isinstance(value, Secret):
            raise raised("type", f"`reveal` takes a secret, this is {kind_of(value)}")
        return self.reveal(value)

    def _text(self, name: str) -> str:
        kind, _, rest = name.partition(" ")
        if kind == SEALED and rest:
            return str(self._vault().unseal(rest))
        if name in self._texts:
            return self._texts[name]
        try:
            return str(self._vault().reveal(name))
        except StoreMissing:
            raise _missing(SecretReference(name).label) from None

    def _keep_variable(self, name: str, text: str) -> Secret:
        vault = self._vault()
        reference = f"{ENVIRONMENT} {name} {vault.fingerprint(text)}"
        self._texts[reference] = text
        if self._store.secret(reference) is None:
            vault.keep(reference, text)
        return Secret((SecretReference(reference),))

    def _vault(self) -> Any:
        from fmsh.store.vault import Vault

        return Vault(self._store, self._key_path)


def check_name(name: Value) -> str:
    """The name of a secret as people choose it. Raises: Raised."""
    if not isinstance(name, str) or not name.isprintable() or not name or any(c in ' :"' for c in name):
        raise raised(
            "name", "the name of a secret is a word without blanks, colons and quotes", hint="such as CI_TOKEN"
        )
    return name


def _missing(name: str) -> Exception:
    return raised("secret", f"there is no secret {name!r}", hint=f"set it with `fmsh secret set {name}`")


_ANSWERS: dict[str, Callable[[Secrets, dict[str, Value]], Value]] = {
    "secret": Secrets.use,
    "secret new": Secrets.make,
    "secret keep": Secrets.keep,
    "reveal": Secrets.tell,
}
OPERATIONS = frozenset(_ANSWERS)
