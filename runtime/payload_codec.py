"""Encrypts what workflows store at Temporal: AES-256-GCM, each payload under a key with an id."""

import os
from collections.abc import Iterable, Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import SecretStr
from temporalio.api.common.v1 import Payload
from temporalio.converter import PayloadCodec

from runtime import payload_keys
from runtime.payload_keys import CLEAR

ENCRYPTED = b"binary/encrypted"
_NONCE_BYTES = 12


class UndecodablePayload(Exception):
    """A payload is encrypted with a key that is not set, or was changed."""


class EncryptingCodec(PayloadCodec):
    """Encrypts with the first key, decrypts with any; what is not encrypted passes through.

    A key's id is authenticated with the payload. Under one key, at most 2^32 payloads are safe.
    """

    def __init__(self, keys: Iterable[tuple[str, bytes]]) -> None:
        pairs = list(keys)
        self._newest = pairs[0][0]
        self._ciphers = {id_: AESGCM(key) for id_, key in pairs if id_ != CLEAR}

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        if self._newest == CLEAR:
            return list(payloads)
        return [self._encrypted(payload) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Raises UndecodablePayload."""
        return [
            self._decrypted(payload) if payload.metadata.get("encoding") == ENCRYPTED else payload
            for payload in payloads
        ]

    def _encrypted(self, payload: Payload) -> Payload:
        nonce, key_id = os.urandom(_NONCE_BYTES), self._newest.encode()
        data = self._ciphers[self._newest].encrypt(nonce, payload.SerializeToString(), key_id)
        return Payload(
            metadata={"encoding": ENCRYPTED, "encryption-key-id": key_id}, data=nonce + data
        )

    def _decrypted(self, payload: Payload) -> Payload:
        key_id = payload.metadata.get("encryption-key-id", b"").decode(errors="replace")
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise UndecodablePayload(f"TOLLGATE_PAYLOAD_KEYS has no key {key_id!r:.60}")
        nonce, data = payload.data[:_NONCE_BYTES], payload.data[_NONCE_BYTES:]
        try:
            return Payload.FromString(cipher.decrypt(nonce, data, key_id.encode()))
        except (InvalidTag, ValueError) as problem:
            raise UndecodablePayload(
                f"a payload was changed, or {key_id} is another key now"
            ) from problem


def codec(secrets: tuple[SecretStr, ...]) -> EncryptingCodec | None:
    """None without keys."""
    return EncryptingCodec(payload_keys.read(secrets)) if secrets else None
