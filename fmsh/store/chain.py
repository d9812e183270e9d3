"""The hashes by which a store recognises what it wrote.

Every event is hashed together with the hash before it, so that a changed, missing or exchanged event is found when the
history is read. The first link is the job's identity. Rows outside the history carry a hash of their own. All are keyed
with the store's instance key. They find damage, not an attacker who can read the key beside them.

Why a hash when SQLite has `integrity_check`: it knows the shape of pages, not their meaning, and passes most flipped
bits.
"""

from __future__ import annotations

import os

try:
    from _blake2 import blake2b  # a tenth of the cost of importing hashlib
except ImportError:  # an interpreter without its own copy of BLAKE2
    from hashlib import blake2b

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fmsh.store.base import Job, NewEvent, StoredEvent

HASH_BYTES = 16  # 2^64 events before two hashes are likely to agree by chance
KEY_BYTES = 32


def new_key_text() -> str:
    """Makes a key, with a hash of its own by which a damaged one is known."""
    key = os.urandom(KEY_BYTES)
    return f"{key.hex()}:{row_sum(key, key).hex()}"


def key_of_text(text: str) -> bytes | None:
    """Gives the key that `new_key_text` made; None if it is damaged."""
    found, _, sum = text.partition(":")
    try:
        key = bytes.fromhex(found)
        return key if row_sum(key, key).hex() == sum else None
    except ValueError:
        return None


def event_hash(key: bytes, before: bytes, job_id: int, seq: int, epoch: int, event: NewEvent | StoredEvent) -> bytes:
    """Gives the hash of an event that follows the event with the hash `before`."""
    text = f"{job_id}\n{seq}\n{epoch}\n{event.at_ms}\n{event.step}\n{event.type}\n{event.data_json}"
    return blake2b(before + text.encode(), digest_size=HASH_BYTES, key=key).digest()


def link_of(found: object) -> bytes:
    """Gives a hash as it was read; an empty one, from which nothing verifies, if damage made something else of it."""
    return found if isinstance(found, bytes) else b""


def identity_hash(key: bytes, job: Job) -> bytes:
    """Gives the link before the first event: what of a job's row never changes."""
    return row_sum(
        key, job.id, job.uid, job.key, job.name, job.tags_json, job.source, job.command, job.program_hash,
        job.parent_id, job.created_at_ms,
    )  # fmt: skip


def snapshot_sum(key: bytes, identity: bytes, seq: int, chain: bytes, state_json: str) -> bytes:
    return row_sum(key, identity, seq, chain, state_json)


def row_sum(key: bytes, *values: str | bytes | int | None) -> bytes:
    """Gives the hash of a row; each value is preceded by its kind and length, so that no two rows read the same."""
    digest = blake2b(digest_size=HASH_BYTES, key=key)
    for value in values:
        data = value if isinstance(value, bytes) else str(value).encode()
        digest.update(f"{type(value).__name__}{len(data)}:".encode() + data)
    return digest.digest()
