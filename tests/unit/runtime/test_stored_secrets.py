"""Secrets in the database: what opens them, and what does not."""

import os

import pytest

from runtime.stored_secrets import SecretUnreadable, StoredSecrets

OLD, NEW = ("2026-01", os.urandom(32)), ("2026-12", os.urandom(32))


def test_a_secret_is_encrypted_with_the_first_key_and_read_with_any() -> None:
    stored = StoredSecrets([OLD]).encrypted(b"whsec", "we_1")

    assert b"whsec" not in stored
    assert StoredSecrets([NEW, OLD]).decrypted(stored, "we_1") == b"whsec"
    assert StoredSecrets([NEW, OLD]).encrypted(b"whsec", "we_1").startswith(b"2026-12:")


@pytest.mark.parametrize(
    ("keys", "owner"),
    [([OLD], "we_2"), ([NEW], "we_1"), ([], "we_1"), ([(OLD[0], NEW[1])], "we_1")],
    ids=["of another endpoint", "without its key", "without any key", "with another key"],
)
def test_a_secret_is_unreadable(keys: list[tuple[str, bytes]], owner: str) -> None:
    stored = StoredSecrets([OLD]).encrypted(b"whsec", "we_1")

    with pytest.raises(SecretUnreadable):
        StoredSecrets(keys).decrypted(stored, owner)


def test_a_changed_secret_is_unreadable() -> None:
    stored = StoredSecrets([OLD]).encrypted(b"whsec", "we_1")

    with pytest.raises(SecretUnreadable):
        StoredSecrets([OLD]).decrypted(stored[:-1] + bytes([stored[-1] ^ 1]), "we_1")


def test_without_a_key_nothing_is_encrypted() -> None:
    assert not StoredSecrets([]).can_encrypt
