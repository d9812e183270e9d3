"""Secrets are unreadable in the store, and a key that does not fit is named as such."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from fmsh.errors import StoreCorrupt, StoreError, StoreMissing
from fmsh.store.memory import MemoryStore
from fmsh.store.memory_disk import MemoryDisk
from fmsh.store.sqlite import SqliteStore
from fmsh.store.vault import Vault

CANARY = "canary-7f3a"


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(MemoryDisk())


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "secret.key")


def test_a_secret_comes_back_and_the_newest_one_holds(store: MemoryStore, path: str) -> None:
    vault = Vault(store, path)
    for text in ("old", "nèw\0\n"):
        vault.keep("token", text)
    assert vault.reveal("token") == "nèw\0\n" == Vault(store, path).reveal("token")


def test_no_file_of_the_store_holds_a_secret(tmp_path: Path) -> None:
    store = SqliteStore.open(str(tmp_path), kind="shell")
    Vault(store, str(tmp_path / "secret.key")).keep("token", CANARY)
    store.close()
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert len(files) >= 3 and not any(CANARY.encode() in file.read_bytes() for file in files)


def test_the_key_is_readable_by_its_owner_only(store: MemoryStore, path: str) -> None:
    before = os.umask(0o000)
    Vault(store, path).keep("token", CANARY)
    os.umask(before)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600 and os.listdir(os.path.dirname(path)) == ["secret.key"]
    os.chmod(path, 0o640)
    with pytest.raises(StoreError, match="nobody else"):
        Vault(store, path).reveal("token")


def test_a_secret_that_was_never_set_is_missing(store: MemoryStore, path: str) -> None:
    with pytest.raises(StoreMissing, match="token"):
        Vault(store, path).reveal("token")


def test_a_lost_key_is_not_replaced(store: MemoryStore, path: str) -> None:
    vault = Vault(store, path)
    vault.keep("token", CANARY)
    os.unlink(path)
    for use in (lambda: vault.reveal("token"), lambda: vault.keep("other", "x")):
        with pytest.raises(StoreError, match="is gone"):
            use()
    assert not os.path.exists(path)


def test_an_exchanged_key_is_named(store: MemoryStore, path: str) -> None:
    Vault(store, path).keep("token", CANARY)
    with open(path, "wb") as file:
        file.write(Fernet.generate_key())
    with pytest.raises(StoreError, match="another one"):
        Vault(store, path).reveal("token")


def test_a_planted_link_is_not_followed(store: MemoryStore, path: str) -> None:
    with open(path + ".elsewhere", "wb") as file:
        file.write(Fernet.generate_key())
    os.symlink(path + ".elsewhere", path)
    with pytest.raises(StoreError):
        Vault(store, path).keep("token", CANARY)


def test_a_changed_or_exchanged_ciphertext_is_found(store: MemoryStore, path: str) -> None:
    vault = Vault(store, path)
    vault.keep("a", "text of a")
    vault.keep("b", "text of b")
    kept = store.secret("a")
    assert kept is not None
    for ciphertext in (kept[:-4] + b"AAA=", b"", store.secret("b") or b""):
        store.set_secret("a", ciphertext)
        with pytest.raises(StoreCorrupt, match="'a'"):
            vault.reveal("a")
