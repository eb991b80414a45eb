"""Reads the whole environment of the API and the worker at once: one line names every problem."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

from temporalio.envconfig import ClientConnectConfig

from runtime import billing, formats, passwords, settings, twilio_accounts
from runtime.settings import BadSettings, Group, PayPal, Settings, Stripe, Twilio
from runtime.temporal_address import temporal_connection

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    settings: Settings
    billing: Sequence[Group]
    twilio: Twilio
    temporal: ClientConnectConfig
    database_url: str


def read() -> Environment:
    """Raises BadSettings with every problem."""
    problems: list[str] = []

    def attempt(reading: Callable[[], T]) -> T | None:
        try:
            return reading()
        except BadSettings as problem:
            problems.extend(problem.problems)
            return None

    common = attempt(lambda: settings.load(Settings))
    groups = attempt(billing.set_up)
    twilio = attempt(lambda: settings.load(Twilio))
    temporal = attempt(_temporal)
    if common is not None and common.database_url is None:
        problems.append("TOLLGATE_DATABASE_URL is not set (`tollgate dev` starts its own servers)")
    if common is not None and groups is not None and twilio is not None:
        problems.extend(_contradictions(common, groups, twilio))
    if problems:
        raise BadSettings(*problems)
    assert common is not None
    assert common.database_url is not None
    assert groups is not None
    assert twilio is not None
    assert temporal is not None
    return Environment(
        settings=common,
        billing=groups,
        twilio=twilio,
        temporal=temporal,
        database_url=passwords.named(
            common.database_url.get_secret_value(), common.database_password_command
        ),
    )


def _temporal() -> ClientConnectConfig:
    connection = temporal_connection()
    if connection is None:
        raise BadSettings("TEMPORAL_ADDRESS is not set (`tollgate dev` starts its own servers)")
    return connection


def _contradictions(common: Settings, groups: Sequence[Group], twilio: Twilio) -> list[str]:
    """Settings that are valid alone but contradict each other."""
    found = []
    paypal = next((group for group in groups if isinstance(group, PayPal)), None)
    stripe = next((group for group in groups if isinstance(group, Stripe)), None)
    if paypal is not None and paypal.is_live is not None:
        mode = "live" if paypal.is_live else "the sandbox"
        if stripe is not None and stripe.is_live is not paypal.is_live:
            key = "a live key" if stripe.is_live else "a test key"
            found.append(
                f"TOLLGATE_STRIPE_API_KEY is {key}, and TOLLGATE_PAYPAL_BASE_URL is {mode}"
            )
    if not _loopback(twilio.base_url) and _loopback(common.public_url):
        found.append(
            "TOLLGATE_PUBLIC_URL is an address of this machine alone, which Twilio cannot reach"
        )
    if twilio.account_sid in twilio_accounts.read(twilio.further_accounts):
        found.append("TOLLGATE_TWILIO_FURTHER_ACCOUNTS names TOLLGATE_TWILIO_ACCOUNT_SID again")
    if common.lifecycle_task_queue == common.campaign_task_queue:
        found.append("TOLLGATE_LIFECYCLE_TASK_QUEUE and TOLLGATE_CAMPAIGN_TASK_QUEUE must differ")
    return found


def _loopback(url: str) -> bool:
    return formats.is_loopback(urlsplit(url).hostname)
