"""Whether a call is signed as its sender signs: over the raw bytes, compared in constant time.

Sources: standardwebhooks.com (standard); docs.github.com "Validating webhook deliveries"; docs.stripe.com "Verify
signatures manually"; api.slack.com "Verifying requests from Slack".
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode, b64encode
from binascii import Error as NotBase64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

AGE_S_MAX = 300  # of a call that says when it was signed; what all four senders recommend


def is_signed(scheme: str, secret: str, headers: Mapping[str, str], body: bytes, *, now_s: float) -> bool:
    """Whether one of the signatures of a call is right, and not too old. Names of headers are in lower case."""
    signed_at, expected, given = SCHEMES[scheme](secret, headers, body)
    if signed_at is not None and not _is_near(signed_at, now_s):
        return False
    return any([hmac.compare_digest(expected.encode(), each.encode("utf-8", "replace")) for each in given])


def _is_near(signed_at: str, now_s: float) -> bool:
    return signed_at.isascii() and signed_at.isdigit() and abs(int(signed_at[:12]) - now_s) <= AGE_S_MAX


def _hex(secret: str, signed: bytes) -> str:
    return hmac.new(secret.encode("utf-8", "surrogateescape"), signed, hashlib.sha256).hexdigest()


def _github(secret: str, headers: Mapping[str, str], body: bytes) -> tuple[str | None, str, list[str]]:
    return None, f"sha256={_hex(secret, body)}", [headers.get("x-hub-signature-256", "")]


def _stripe(secret: str, headers: Mapping[str, str], body: bytes) -> tuple[str | None, str, list[str]]:
    parts = [part.strip().partition("=") for part in headers.get("stripe-signature", "").split(",")]
    signed_at = next((value for name, _, value in parts if name == "t"), "")
    expected = _hex(secret, signed_at.encode() + b"." + body)
    return signed_at, expected, [value for name, _, value in parts if name == "v1"]


def _slack(secret: str, headers: Mapping[str, str], body: bytes) -> tuple[str | None, str, list[str]]:
    signed_at = headers.get("x-slack-request-timestamp", "")
    expected = f"v0={_hex(secret, b'v0:' + signed_at.encode() + b':' + body)}"
    return signed_at, expected, [headers.get("x-slack-signature", "")]


def _standard(secret: str, headers: Mapping[str, str], body: bytes) -> tuple[str | None, str, list[str]]:
    id, signed_at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    signed = f"{id}.{signed_at}.".encode() + body
    expected = b64encode(hmac.new(_standard_key(secret), signed, hashlib.sha256).digest()).decode()
    return signed_at, expected, list(_standard_signatures(headers.get("webhook-signature", "")))


def _standard_key(secret: str) -> bytes:
    text = secret.removeprefix("whsec_")
    try:
        return b64decode(text, validate=True)
    except (NotBase64, ValueError):
        return text.encode("utf-8", "surrogateescape")


def _standard_signatures(header: str) -> Iterator[str]:
    for each in header.split():
        version, _, signature = each.partition(",")
        if version == "v1":
            yield signature


SCHEMES: dict[str, Callable[[str, Mapping[str, str], bytes], tuple[str | None, str, list[str]]]] = {
    "github": _github,
    "stripe": _stripe,
    "slack": _slack,
    "standard": _standard,
}
