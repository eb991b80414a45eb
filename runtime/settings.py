"""Every setting, read from the environment here and nowhere else; refuses to start unsafe.

A process asks for the groups it needs: `migrate` and `certify` for `Settings` alone, `api` and `worker` for `Twilio`
and those of the billing providers that are set up too. No secret has a default, and an empty one is missing: a
signature made with an empty key is one that anyone can make.
"""

import importlib.metadata
import os
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, Field, SecretStr, ValidationError, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from temporalio.envconfig import ClientConfig, ClientConnectConfig

PAYPAL_LIVE = "https://api-m.paypal.com"
PAYPAL_SANDBOX = "https://api-m.sandbox.paypal.com"
PAYPAL_CERT_ORIGINS = (
    "https://api.paypal.com",
    "https://api-m.paypal.com",
    "https://api.sandbox.paypal.com",
    "https://api-m.sandbox.paypal.com",
)


class BadSettings(Exception):
    """The environment is not fit to start with; the message is one line that names each variable."""


def _base_url(text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise ValueError("must start with https:// or http://")
    return text.rstrip("/")


def _not_blank(secret: SecretStr) -> SecretStr:
    if not secret.get_secret_value().strip():
        raise ValueError("is empty")
    return secret


def _split(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


BaseUrl = Annotated[str, AfterValidator(_base_url)]
Secret = Annotated[SecretStr, AfterValidator(_not_blank)]
Names = Annotated[tuple[str, ...], NoDecode, Field(min_length=1)]
Secrets = Annotated[tuple[Secret, ...], NoDecode, Field(min_length=1)]


class Group(BaseSettings):
    """Settings that are read together."""

    model_config = SettingsConfigDict(frozen=True, env_ignore_empty=True, hide_input_in_errors=True)


class Settings(Group):
    """What every process may need; everything here has a default, and none is a secret of a provider's."""

    model_config = SettingsConfigDict(env_prefix="TOLLGATE_")

    database_url: SecretStr | None = None
    """`postgresql+psycopg://...`, PostgreSQL 18 or later; unset: an embedded server in `data_dir`."""
    data_dir: Path = Path(".data")
    """Where embedded servers keep their data and logs."""
    cache_dir: Path = Path("~/.cache/tollgate")
    """Where a downloaded or built Temporal dev server is kept."""
    public_url: BaseUrl = "http://127.0.0.1:8000"
    """The address under which providers reach the API; Twilio signs it, so it must be exactly what Twilio calls."""
    db_pool_size: int = Field(default=20, ge=1, le=1000)
    """Database connections of one process, at most."""
    max_body_bytes: int = Field(default=512 * 1024, ge=1024)
    """A request with a larger body is refused unread."""
    grace_period: timedelta = Field(default=timedelta(days=3), ge=timedelta(0))
    """How long a past-due subscription keeps sending, from its first failed payment."""
    self_check_interval: timedelta = Field(default=timedelta(hours=6), ge=timedelta(minutes=1))
    """How often each organization is compared with the providers though nothing rang."""
    twilio_messages_per_second: int | None = Field(default=None, ge=1)
    """How many messages a second the whole account at Twilio may send, of all organizations; none: no limit."""
    unknown_message_lost_after: timedelta = Field(default=timedelta(minutes=15), ge=timedelta(minutes=1))
    """When a message that Twilio never confirmed and does not list is given up and refunded."""
    lifecycle_task_queue: str = "lifecycle"
    """The Temporal task queue of enforcement."""
    campaign_task_queue: str = "campaigns"
    """The Temporal task queue of sending."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severe event that is logged."""
    log_format: Literal["json", "console"] = "json"
    """`json` for machines, `console` for people."""
    build_id: str = Field(default_factory=lambda: importlib.metadata.version("tollgate"))
    """What the logs and Temporal's workers call this build; set it to the commit when deploying."""

    @field_validator("database_url")
    @classmethod
    def _psycopg(cls, url: SecretStr | None) -> SecretStr | None:
        """`postgres://` and `postgresql://` are taken too, as every hosting service writes them."""
        if url is None:
            return None
        scheme, separator, rest = url.get_secret_value().partition("://")
        if not separator or scheme not in {"postgres", "postgresql", "postgresql+psycopg"}:
            raise ValueError("must be a postgresql:// URL")
        return SecretStr(f"postgresql+psycopg://{rest}")


class PayPal(Group):
    model_config = SettingsConfigDict(env_prefix="TOLLGATE_PAYPAL_")

    client_id: Secret
    """The REST app's client id."""
    client_secret: Secret
    """The REST app's secret."""
    webhook_ids: Names
    """The ids of our webhooks at PayPal, separated by commas: part of what PayPal signs."""
    base_url: BaseUrl = PAYPAL_SANDBOX
    """`https://api-m.paypal.com` when live."""
    cert_origins: Names = PAYPAL_CERT_ORIGINS
    """The origins from which a signing certificate may be fetched, separated by commas."""
    ca_file: Path | None = None
    """Further certificates to verify webhooks with: roots, which are trusted, and intermediates. For simulators, and
    for an authority that PayPal may change to.
    """
    verify_online_fallback: bool = True
    """Whether to ask PayPal to verify a webhook when its certificate, or who issued it, cannot be fetched."""

    _split_names = field_validator("webhook_ids", "cert_origins", mode="before")(_split)


class Stripe(Group):
    model_config = SettingsConfigDict(env_prefix="TOLLGATE_STRIPE_")

    api_key: Secret
    """A secret or a restricted key; live or test mode is read from it."""
    webhook_secrets: Secrets
    """The signing secrets of our webhook endpoint, separated by commas: two while one is being rolled."""
    account: str | None = None
    """Our `acct_…`, for an endpoint that hears of connected accounts, too; events of any other are refused."""
    suspend_by: Literal["pause", "collection"] = "pause"
    """`pause` stops a subscription that Tollgate suspends at Stripe; `collection` only stops charging for it."""
    base_url: BaseUrl = "https://api.stripe.com"
    """Stripe's API, or a simulator."""

    _split_secrets = field_validator("webhook_secrets", mode="before")(_split)


class Twilio(Group):
    model_config = SettingsConfigDict(env_prefix="TOLLGATE_TWILIO_")

    account_sid: str = Field(min_length=1)
    """The parent account, which owns the organizations' subaccounts."""
    auth_token: Secret
    """The parent account's token."""
    base_url: BaseUrl = "https://api.twilio.com"
    """Twilio's API, or a simulator."""


G = TypeVar("G", bound=Group)


def load(group: type[G]) -> G:
    """Read one group from the environment. Raises BadSettings."""
    try:
        return group()
    except ValidationError as problem:
        prefix = str(group.model_config.get("env_prefix", ""))
        raise BadSettings("; ".join(_in_words(prefix, error) for error in problem.errors())) from None


def required(group: type[Group]) -> list[str]:
    """The variables that have no default."""
    prefix = group.model_config.get("env_prefix", "")
    return [f"{prefix}{name}".upper() for name, field in group.model_fields.items() if field.is_required()]


def given(group: type[Group]) -> bool:
    """Whether the environment sets anything that the group requires."""
    return any(os.environ.get(name) for name in required(group))


def temporal_connection() -> ClientConnectConfig | None:
    """What TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, TEMPORAL_API_KEY and TEMPORAL_TLS_* say; None without an address.

    The Temporal CLI's own configuration file is not read: a developer's default profile may be a production cluster.
    """
    config = ClientConfig.load_client_connect_config(disable_file=True)
    return config if config.get("target_host") else None


def _in_words(prefix: str, error: ErrorDetails) -> str:
    name = f"{prefix}{error['loc'][0]}".upper() if error["loc"] else prefix
    if error["type"] in {"missing", "too_short", "string_too_short"}:
        return f"{name} is not set"
    return f"{name}: {error['msg'].removeprefix('Value error, ')}"
