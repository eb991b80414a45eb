"""Settings reject unsafe values, and name in one line what is missing."""

import os
from datetime import timedelta

import pytest
from pydantic import SecretStr

from runtime import billing
from runtime.settings import (
    BadSettings,
    PayPal,
    Settings,
    Stripe,
    Twilio,
    load,
)
from runtime.temporal_address import temporal_connection


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(("TOLLGATE_", "TEMPORAL_")):
            monkeypatch.delenv(name)


def test_a_database_needs_no_provider_and_no_secret() -> None:
    settings = load(Settings)

    assert settings.database_url is None
    assert settings.grace_period == timedelta(days=3)


@pytest.mark.parametrize("empty", ["", " ", "\t"])
def test_an_empty_secret_is_an_error_at_start(empty: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOLLGATE_TWILIO_ACCOUNT_SID", "AC0123456789abcdef0123456789abcdef")
    monkeypatch.setenv("TOLLGATE_TWILIO_AUTH_TOKEN", empty)

    with pytest.raises(BadSettings, match="TOLLGATE_TWILIO_AUTH_TOKEN"):
        load(Twilio)


def test_every_missing_variable_is_named_in_one_line() -> None:
    with pytest.raises(BadSettings) as refusal:
        load(PayPal)

    assert str(refusal.value) == (
        "TOLLGATE_PAYPAL_CLIENT_ID is not set; TOLLGATE_PAYPAL_CLIENT_SECRET is not set; "
        "TOLLGATE_PAYPAL_WEBHOOK_IDS is not set"
    )


def test_lists_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOLLGATE_PAYPAL_CLIENT_ID", "id")
    monkeypatch.setenv("TOLLGATE_PAYPAL_CLIENT_SECRET", "secret")
    monkeypatch.setenv("TOLLGATE_PAYPAL_WEBHOOK_IDS", "WH-1, WH-2,")

    assert load(PayPal).webhook_ids == ("WH-1", "WH-2")


def test_no_secret_shows_when_settings_are_printed() -> None:
    twilio = Twilio(
        account_sid="AC0123456789abcdef0123456789abcdef", auth_token=SecretStr("hunter2")
    )

    assert "hunter2" not in f"{twilio} {twilio!r}"


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_a_database_url_may_be_written_in_any_usual_way(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOLLGATE_DATABASE_URL", f"{scheme}://app:pw@db/tollgate")

    url = load(Settings).database_url
    assert url is not None
    assert url.get_secret_value() == "postgresql+psycopg://app:pw@db/tollgate"


def test_a_wrong_value_is_not_repeated_in_its_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOLLGATE_DATABASE_URL", "mysql://app:hunter2@db/tollgate")

    with pytest.raises(BadSettings) as refusal:
        load(Settings)

    assert str(refusal.value) == "TOLLGATE_DATABASE_URL: must be a postgresql:// URL"


def test_temporal_is_found_through_its_own_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    assert temporal_connection() is None

    monkeypatch.setenv("TEMPORAL_ADDRESS", "temporal:7233")
    monkeypatch.setenv("TEMPORAL_NAMESPACE", "tollgate")

    assert temporal_connection() == {"target_host": "temporal:7233", "namespace": "tollgate"}


PAYPAL_SET = {"CLIENT_ID": "id", "CLIENT_SECRET": "secret", "WEBHOOK_IDS": "WH-1"}
STRIPE_SET = {"API_KEY": "sk_test_1", "WEBHOOK_SECRETS": "whsec_1,whsec_2"}


@pytest.mark.parametrize(
    ("paypal", "stripe", "found"),
    [
        (PAYPAL_SET, {}, [PayPal]),
        ({}, STRIPE_SET, [Stripe]),
        (PAYPAL_SET, STRIPE_SET, [PayPal, Stripe]),
    ],
)
def test_either_provider_or_both_may_be_set_up(
    paypal: dict[str, str],
    stripe: dict[str, str],
    found: list[type],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _set(monkeypatch, paypal, stripe)

    assert [type(group) for group in billing.set_up()] == found


@pytest.mark.parametrize(
    ("paypal", "stripe", "problem"),
    [
        ({}, {}, "no billing provider is set up"),
        ({}, {"API_KEY": "sk_test_1"}, "TOLLGATE_STRIPE_WEBHOOK_SECRETS is not set"),
        (
            {},
            {"API_KEY": "sk_test_1", "WEBHOOK_SECRETS": " , "},
            "TOLLGATE_STRIPE_WEBHOOK_SECRETS is not set",
        ),
        (PAYPAL_SET, {"WEBHOOK_SECRETS": "whsec_1"}, "TOLLGATE_STRIPE_API_KEY is not set"),
        ({"CLIENT_ID": "id"}, STRIPE_SET, "TOLLGATE_PAYPAL_CLIENT_SECRET is not set"),
    ],
)
def test_a_provider_half_set_up_or_none_is_refused_by_name(
    paypal: dict[str, str], stripe: dict[str, str], problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _set(monkeypatch, paypal, stripe)

    with pytest.raises(BadSettings, match=problem):
        billing.set_up()


def _set(monkeypatch: pytest.MonkeyPatch, paypal: dict[str, str], stripe: dict[str, str]) -> None:
    for prefix, names, given in (("PAYPAL", PAYPAL_SET, paypal), ("STRIPE", STRIPE_SET, stripe)):
        for name in names:
            monkeypatch.setenv(f"TOLLGATE_{prefix}_{name}", given.get(name, ""))
