"""Signatures of Standard Webhooks 1.0.0: HMAC-SHA256 (`v1`) and Ed25519 (`v1a`).

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_HMAC_BYTES = 32
HMAC, ED25519 = "v1", "v1a"


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """`raw` is the secret, `shown` what the receiver verifies with: the same secret as `whsec_…`,
    or the public key as `whpk_…`.
    """

    scheme: str
    raw: bytes
    shown: str

    @property
    def is_public(self) -> bool:
        """Whether what is shown is no secret."""
        return self.scheme == ED25519


def new_key(scheme: str) -> SigningKey:
    """A random key for one of the two schemes."""
    if scheme == ED25519:
        private = Ed25519PrivateKey.generate()
        public = private.public_key().public_bytes_raw()
        return SigningKey(
            scheme=scheme, raw=private.private_bytes_raw(), shown=_text("whpk", public)
        )
    raw = secrets.token_bytes(_HMAC_BYTES)
    return SigningKey(scheme=HMAC, raw=raw, shown=_text("whsec", raw))


def headers(
    message_id: str, timestamp: int, body: bytes, keys: Iterable[tuple[str, bytes]]
) -> dict[str, str]:
    """The headers of a message, with a signature of each key: scheme and secret."""
    content = f"{message_id}.{timestamp}.".encode() + body
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(_signature(scheme, key, content) for scheme, key in keys),
    }


def _signature(scheme: str, key: bytes, content: bytes) -> str:
    if scheme == ED25519:
        signed = Ed25519PrivateKey.from_private_bytes(key).sign(content)
    else:
        signed = hmac.digest(key, content, hashlib.sha256)
    return f"{scheme},{base64.b64encode(signed).decode()}"


def _text(prefix: str, raw: bytes) -> str:
    return f"{prefix}_{base64.b64encode(raw).decode()}"
