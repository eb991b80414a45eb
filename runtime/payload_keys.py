"""The keys that encrypt what workflows store at Temporal, and secrets in the database, as settings
write them.
"""

import binascii
import re
from base64 import b64decode
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, SecretStr
from pydantic_settings import NoDecode

from runtime import formats

CLEAR = "clear"
_ID = re.compile(r"[A-Za-z0-9._-]{1,40}")
_BYTES = 32


def payload_key(secret: SecretStr) -> SecretStr:
    """`id:key`, the key in base64; or the word that stands for no encryption."""
    text = secret.get_secret_value()
    if text == CLEAR:
        return secret
    id_, _, encoded = text.partition(":")
    try:
        key = b64decode(encoded, validate=True)
    except binascii.Error:
        key = b""
    if not _ID.fullmatch(id_) or len(key) != _BYTES:
        raise ValueError(
            "must be an id, a colon and 32 random bytes in base64 (`openssl rand -base64 32`), or "
            "the word clear"
        )
    return secret


def _split(value: object) -> object:
    """Separated by commas or, in a file, by line breaks."""
    if isinstance(value, str) and value.startswith("@"):
        path = Path(value.removeprefix("@"))
        try:
            value = path.read_text().replace("\n", ",")
        except (OSError, UnicodeDecodeError):
            raise ValueError(f"{path} cannot be read") from None
        if not formats.split(value):
            raise ValueError(f"{path} has no key")
    return formats.split(value)


def _consistent(secrets: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    ids = [secret.get_secret_value().partition(":")[0] for secret in secrets]
    if len(set(ids)) != len(ids):
        raise ValueError("names a key twice")
    if CLEAR in ids[1:]:
        raise ValueError("the word clear can only be the first")
    return secrets


PayloadKeys = Annotated[
    tuple[Annotated[SecretStr, AfterValidator(payload_key)], ...],
    NoDecode,
    BeforeValidator(_split),
    AfterValidator(_consistent),
]


def _no_word(secrets: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    if any(secret.get_secret_value() == CLEAR for secret in secrets):
        raise ValueError("a stored secret is always encrypted: the word clear is no key")
    return secrets


SecretKeys = Annotated[PayloadKeys, AfterValidator(_no_word)]


def read(secrets: tuple[SecretStr, ...]) -> list[tuple[str, bytes]]:
    """Ids and keys, in order; `clear` has an empty key."""
    split = (secret.get_secret_value().partition(":") for secret in secrets)
    return [(id_, b64decode(encoded)) for id_, _, encoded in split]
