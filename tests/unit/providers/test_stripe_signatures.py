"""Stripe's webhooks: each check separately, on bytes signed as by Stripe."""

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta

import pytest

from providers.errors import InvalidSignature
from providers.stripe.signatures import TOLERANCE, Signatures

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
OLD, NEW = "whsec_old", "whsec_new"
SECOND = timedelta(seconds=1)


def signed(
    event: object = None, *, secret: str = NEW, at: datetime = NOW
) -> tuple[bytes, dict[str, str]]:
    raw = json.dumps({"livemode": False} if event is None else event).encode()
    moment = int(at.timestamp())
    mac = hmac.new(secret.encode(), f"{moment}.".encode() + raw, hashlib.sha256).hexdigest()
    return raw, {"stripe-signature": f"t={moment},v1={mac}"}


def verify(
    raw: bytes, headers: dict[str, str], *, live: bool = False, account: str | None = None
) -> None:
    Signatures([NEW, OLD], live=live, account=account).verify(raw, headers, now=NOW)


@pytest.mark.parametrize("secret", [OLD, NEW])
def test_every_secret_that_is_being_rolled_may_sign(secret: str) -> None:
    verify(*signed(secret=secret))


@pytest.mark.parametrize("at", [NOW - TOLERANCE, NOW, NOW + TOLERANCE])
def test_a_signature_is_good_for_five_minutes_either_way(at: datetime) -> None:
    verify(*signed(at=at))


@pytest.mark.parametrize("at", [NOW - TOLERANCE - SECOND, NOW + TOLERANCE + SECOND])
def test_a_signature_of_another_time_is_refused(at: datetime) -> None:
    with pytest.raises(InvalidSignature, match="too long ago"):
        verify(*signed(at=at))


@pytest.mark.parametrize("secrets", [[], [""], [NEW, " "]])
def test_an_empty_secret_is_refused_at_the_start(secrets: list[str]) -> None:
    with pytest.raises(ValueError, match="empty webhook secret"):
        Signatures(secrets, live=False, account=None)


@pytest.mark.parametrize("written", ["{}=2", "{:+}", "\u0660{}"])
def test_a_signed_time_that_is_not_a_plain_number_is_refused(written: str) -> None:
    """The SDK reads each of these as the number that it signs."""
    raw, headers = signed()
    moment = int(NOW.timestamp())
    time = written.format(moment)

    with pytest.raises(InvalidSignature, match="its time cannot be read"):
        verify(
            raw,
            {"stripe-signature": headers["stripe-signature"].replace(f"t={moment}", f"t={time}")},
        )


def test_the_time_may_stand_behind_the_signature() -> None:
    raw, headers = signed()
    time, mac = headers["stripe-signature"].split(",")

    verify(raw, {"stripe-signature": f"{mac},{time}"})


def test_another_secret_or_another_body_is_refused() -> None:
    raw, headers = signed()

    with pytest.raises(InvalidSignature):
        verify(*signed(secret="whsec_other"))
    with pytest.raises(InvalidSignature):
        verify(raw + b" ", headers)
    with pytest.raises(InvalidSignature):
        verify(raw, {})


@pytest.mark.parametrize(("live_event", "live"), [(False, True), (True, False)])
def test_a_test_event_at_a_live_endpoint_is_refused_and_the_other_way_round(
    *, live_event: bool, live: bool
) -> None:
    with pytest.raises(InvalidSignature, match="event at a"):
        verify(*signed({"livemode": live_event}), live=live)


def test_an_event_of_another_account_is_refused() -> None:
    verify(*signed({"livemode": False, "account": "acct_1"}), account="acct_1")

    for account in (None, "acct_2"):
        with pytest.raises(InvalidSignature, match="another account"):
            verify(*signed({"livemode": False, "account": "acct_1"}), account=account)


def test_what_names_neither_a_mode_nor_an_account_is_let_in() -> None:
    verify(*signed({"id": "evt_1"}), live=True, account="acct_1")


def test_what_stripe_signed_and_is_no_json_is_let_in() -> None:
    raw = b"not json"
    moment = int(NOW.timestamp())
    mac = hmac.new(NEW.encode(), f"{moment}.".encode() + raw, hashlib.sha256).hexdigest()

    verify(raw, {"stripe-signature": f"t={moment},v1={mac}"})
