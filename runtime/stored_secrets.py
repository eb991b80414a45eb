"""Encrypts secrets that are stored in the database: AES-256-GCM, under a key of the settings with an
id, and bound to what the secret belongs to.
"""

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import SecretStr

from runtime import payload_keys

_NONCE_BYTES = 12
_SEPARATOR = b":"


class SecretUnreadable(Exception):
    """It was encrypted with a key that is no longer set, belongs to something else, or was changed."""


class StoredSecrets:
    """`keys` are ids and keys: the first encrypts, all decrypt."""

    def __init__(self, keys: list[tuple[str, bytes]]) -> None:
        self._ciphers = {id_: AESGCM(key) for id_, key in keys}
        self._newest = keys[0][0] if keys else None

    @property
    def can_encrypt(self) -> bool:
        """Whether a key is set."""
        return self._newest is not None

    def encrypted(self, secret: bytes, owner: str) -> bytes:
        """`owner` is the id of what the secret belongs to: it is of no use elsewhere."""
        if self._newest is None:
            raise RuntimeError("no key is set")
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._ciphers[self._newest].encrypt(nonce, secret, owner.encode())
        return self._newest.encode() + _SEPARATOR + nonce + sealed

    def decrypted(self, encrypted: bytes, owner: str) -> bytes:
        """Raises SecretUnreadable."""
        key_id, _, sealed = encrypted.partition(_SEPARATOR)
        cipher = self._ciphers.get(key_id.decode(errors="replace"))
        if cipher is None:
            raise SecretUnreadable(f"TOLLGATE_SECRET_KEYS has no key {key_id!r:.60}")
        try:
            return cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], owner.encode())
        except (InvalidTag, ValueError) as problem:
            raise SecretUnreadable("a secret was changed, or its key is another one") from problem


def read(secrets: tuple[SecretStr, ...]) -> StoredSecrets:
    """Those of the setting."""
    return StoredSecrets(payload_keys.read(secrets))
