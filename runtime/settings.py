"""Every setting, read from the environment here and nowhere else; rejects unsafe values.

A process reads the groups that it needs: `migrate` and `certify` only `Settings`; `api` and
`worker` also `Twilio` and those of the billing providers that are set up. No secret has a default,
and an empty one counts as missing: anyone can forge a signature made with an empty key.
"""

import importlib.metadata
import os
import tempfile
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from domain.campaigns import validity
from providers import origins
from runtime import formats, variables
from runtime.commands import Command
from runtime.formats import (
    AccountSid,
    AuthToken,
    BaseUrl,
    Beginnings,
    CertificateFile,
    DatabaseUrl,
    Identifier,
    Names,
    Networks,
    Origins,
    Secret,
    SigningSecrets,
    StripeAccount,
    StripeKey,
)
from runtime.payload_keys import PayloadKeys, SecretKeys
from runtime.twilio_accounts import FurtherAccounts


class BadSettings(Exception):
    """The environment is invalid; the message is one line that names each wrong variable."""

    def __init__(self, *problems: str) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class Group(BaseSettings):
    """Settings that are read together."""

    model_config = SettingsConfigDict(frozen=True, env_ignore_empty=True, hide_input_in_errors=True)


class Settings(Group):
    """Settings of every process. All have defaults; none is a provider's secret."""

    model_config = SettingsConfigDict(env_prefix="TOLLGATE_")

    database_url: DatabaseUrl | None = None
    """`postgresql://...`, PostgreSQL 16 or later; unset: an embedded server in `data_dir`. Of
    several hosts (`host1:5432,host2:5432`) the writable one is used.
    """
    database_password_command: Command | None = None
    """A command, without a shell, that prints the database's password; run for each new connection,
    for ten seconds at most.
    """
    data_dir: Path = Path(".data")
    """Where embedded servers keep their data and logs."""
    cache_dir: Path = Path("~/.cache/tollgate")
    """Where a downloaded or built Temporal dev server is kept."""
    public_url: BaseUrl = "http://127.0.0.1:8000"
    """The address at which providers reach the API; Twilio signs it, so it must be exactly the
    address that Twilio calls.
    """
    db_pool_size: int = Field(default=20, ge=1, le=1000)
    """The most database connections of one process."""
    drain_period: timedelta = Field(
        default=timedelta(seconds=10), ge=timedelta(0), le=timedelta(minutes=5)
    )
    """How long the API serves on after SIGTERM while it is not ready: longer than a balancer takes
    to notice, and at least five seconds if it keeps connections open.
    """
    max_body_bytes: int = Field(default=512 * 1024, ge=1024)
    """A request with a larger body is refused without reading it."""
    grace_period: timedelta = Field(
        default=timedelta(days=3), ge=timedelta(0), le=timedelta(days=365)
    )
    """How long a past-due subscription keeps sending, from its first failed payment."""
    twilio_messages_per_second: int | None = Field(default=None, ge=1)
    """How many messages a second each parent account at Twilio may send, for all its organizations
    together; unset: no limit.
    """
    unknown_message_lost_after: timedelta = Field(
        default=timedelta(minutes=15), ge=timedelta(minutes=1), le=timedelta(days=7)
    )
    """When a message that Twilio neither confirmed nor lists counts as lost and is refunded."""
    message_validity: timedelta = Field(
        default=validity.DEFAULT, ge=validity.SHORTEST, le=validity.LONGEST
    )
    """How long Twilio may keep a message in its queue before it sends it; a message never waits
    there past the beginning of its campaign's quiet hours.
    """
    rotate_tokens_at_suspension: bool = False
    """Whether a suspension replaces the subaccount's auth token at Twilio, so that whoever else has
    the old one can do nothing with it; its API keys stay as they are.
    """
    bulk_credit_limit: Decimal = Field(
        default=Decimal(1000), ge=0, le=10**12, decimal_places=6, allow_inf_nan=False
    )
    """The most that one act over many organizations may credit in all, in units of its currency."""
    other_products: Beginnings = ()
    """Prefixes of the plans, prices, products and custom ids of other products on the same provider
    accounts, separated by commas. A parked webhook is dismissed if its provider reports such an id
    for it, unless it names an organization.
    """
    lifecycle_task_queue: Identifier = "lifecycle"
    """The Temporal task queue of enforcement."""
    campaign_task_queue: Identifier = "campaigns"
    """The Temporal task queue of sending."""
    payload_keys: PayloadKeys = ()
    """Keys that encrypt what is stored at Temporal, separated by commas, each `id:key` with 32
    bytes in base64; or `@/path/keys`, a file that has them. The first one encrypts, all decrypt;
    unset, or with `clear` first, nothing is encrypted.
    """
    secret_keys: SecretKeys = ()
    """Keys that encrypt the secrets that Tollgate stores, such as those that sign its webhooks:
    separated by commas, each `id:key` with 32 bytes in base64; or `@/path/keys`, a file that has
    them. The first one encrypts, all decrypt.
    """
    outbound_networks: Networks = ()
    """Networks and addresses that webhooks and notifications may call although they are not public,
    separated by commas.
    """
    outbound_http: bool = False
    """Whether webhooks may call `http://`, without TLS: for development."""
    tell_today_every: timedelta = Field(
        default=timedelta(hours=1), ge=timedelta(0), le=timedelta(days=1)
    )
    """How often people are told of alerts with the severity `today`, together; 0: at once."""
    tell_info_every: timedelta = Field(
        default=timedelta(days=1), ge=timedelta(0), le=timedelta(days=7)
    )
    """The same of alerts with the severity `info`."""
    remind_after: timedelta = Field(
        default=timedelta(hours=4), ge=timedelta(0), le=timedelta(days=7)
    )
    """When people are told again of an alert with the severity `page` that is still open and that
    nobody acknowledged; 0: never.
    """
    codec_token: Secret | None = None
    """The bearer token of `tollgate codec-server`."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The lowest level that is logged."""
    log_format: Literal["json", "console"] = "json"
    """`json` for machines, `console` for people."""
    build_id: str = Field(default_factory=lambda: importlib.metadata.version("tollgate"))
    """The name of this build in logs and Temporal's workers; set it to the commit when deploying.
    """

    _lower_words = field_validator("log_level", "log_format", mode="before")(formats.lower)
    _split_lists = field_validator("other_products", "outbound_networks", mode="before")(
        formats.split
    )


class PayPal(Group):
    model_config = SettingsConfigDict(env_prefix="TOLLGATE_PAYPAL_")

    client_id: Secret
    """The REST app's client id."""
    client_secret: Secret
    """The REST app's secret."""
    webhook_ids: Names
    """The ids of Tollgate's webhooks at PayPal, separated by commas: part of the text that PayPal
    signs.
    """
    base_url: BaseUrl = origins.PAYPAL_SANDBOX
    """PayPal's API: `https://api-m.paypal.com` in live mode."""
    cert_origins: Origins = origins.PAYPAL_CERTIFICATES
    """The origins from which a signing certificate may be fetched, separated by commas."""
    ca_file: CertificateFile | None = None
    """Further certificates for verifying webhooks: roots, which are trusted, and intermediates. For
    simulators, and in case PayPal changes its authority.
    """
    verify_online_fallback: bool = True
    """Whether to have PayPal verify a webhook when its certificate, or the issuer's, cannot be
    fetched.
    """

    @property
    def is_live(self) -> bool | None:
        """None for a simulator."""
        return origins.paypal_is_live(self.base_url)

    _split_names = field_validator("webhook_ids", "cert_origins", mode="before")(formats.split)


class Stripe(Group):
    model_config = SettingsConfigDict(env_prefix="TOLLGATE_STRIPE_")

    api_key: StripeKey
    """A secret or a restricted key; live or test mode is read from it."""
    webhook_secrets: SigningSecrets
    """The signing secrets of Tollgate's webhook endpoint, separated by commas: two during a
    rotation.
    """
    account: StripeAccount | None = None
    """The account's id (`acct_…`), for an endpoint that also receives events of connected accounts;
    events of other accounts are refused.
    """
    suspend_by: Literal["pause", "collection"] = "pause"
    """How Tollgate suspends a subscription at Stripe: `pause` stops it; `collection` only stops
    charging for it.
    """
    base_url: BaseUrl = "https://api.stripe.com"
    """Stripe's API, or a simulator."""

    @property
    def is_live(self) -> bool:
        return "_live_" in self.api_key.get_secret_value()

    _split_secrets = field_validator("webhook_secrets", mode="before")(formats.split)


class Twilio(Group):
    model_config = SettingsConfigDict(env_prefix="TOLLGATE_TWILIO_")

    account_sid: AccountSid
    """The parent account, which owns the organizations' subaccounts."""
    auth_token: AuthToken
    """The parent account's token."""
    further_accounts: FurtherAccounts = ()
    """Further parent accounts, separated by commas, each `sid:token`: Twilio lets one have 1,000
    subaccounts unless it raises that limit.
    """
    base_url: BaseUrl = "https://api.twilio.com"
    """Twilio's API, or a simulator."""

    _split_accounts = field_validator("further_accounts", mode="before")(formats.split)


G = TypeVar("G", bound=Group)


def load(group: type[G]) -> G:
    """Read one group from the environment. Raises BadSettings; for `Settings`, also for a variable
    that nothing reads.
    """
    problems: tuple[str, ...] = ()
    if group is Settings:
        names = [
            f"{_prefix(of)}{name}".upper()
            for of in Group.__subclasses__()
            for name in of.model_fields
        ]
        problems = variables.unknown(os.environ, names)
    try:
        read = group()
    except ValidationError as problem:
        raise BadSettings(
            *formats.all_in_words(_prefix(group), problem.errors()), *problems
        ) from None
    if problems:
        raise BadSettings(*problems)
    return read


def required(group: type[Group]) -> list[str]:
    """The variables that have no default."""
    return [
        f"{_prefix(group)}{name}".upper()
        for name, field in group.model_fields.items()
        if field.is_required()
    ]


def given(group: type[Group]) -> bool:
    """Whether the environment sets anything that the group requires."""
    return any(os.environ.get(name) for name in required(group))


def writable(name: str, directory: Path) -> Path:
    """The directory, created if it is missing. Raises BadSettings, with the variable's name, if it
    is not writable.
    """
    place = directory.expanduser().absolute()
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=place):
            return place
    except OSError as problem:
        raise BadSettings(f"{name}: {place} cannot be written: {problem.strerror}") from problem


def _prefix(group: type[Group]) -> str:
    return str(group.model_config.get("env_prefix", ""))
