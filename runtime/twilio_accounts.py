"""Further parent accounts at Twilio, as a setting writes them."""

from typing import Annotated

from pydantic import AfterValidator, SecretStr
from pydantic_settings import NoDecode

from runtime import formats


def _account(secret: SecretStr) -> SecretStr:
    """`sid:token`."""
    sid, _, token = secret.get_secret_value().partition(":")
    if not token:
        raise ValueError("must be an account's SID, a colon and its auth token")
    formats.twilio_account_sid(sid)
    formats.twilio_auth_token(SecretStr(token))
    return secret


def _each_once(secrets: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    if len(read(secrets)) != len(secrets):
        raise ValueError("names an account twice")
    return secrets


FurtherAccounts = Annotated[
    tuple[Annotated[SecretStr, AfterValidator(_account)], ...],
    NoDecode,
    AfterValidator(_each_once),
]


def read(secrets: tuple[SecretStr, ...]) -> dict[str, str]:
    """Tokens by sid, in order."""
    pairs = (secret.get_secret_value().partition(":") for secret in secrets)
    return {sid: token for sid, _, token in pairs}
