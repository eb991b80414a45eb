"""Verifies Stripe's signature on the raw bytes with the SDK's own check, and that the event is
meant for us.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import stripe

from providers.errors import InvalidSignature, NotMeantForUs
from providers.reading import NotJson, document, text

TOLERANCE = timedelta(minutes=5)


class Signatures:
    """`secrets` are all accepted ones: two during a rotation. `account` is ours, for Connect
    events.
    """

    def __init__(self, secrets: Sequence[str], *, live: bool, account: str | None) -> None:
        if not secrets or not all(secret.strip() for secret in secrets):
            raise ValueError("an empty webhook secret verifies what anyone can forge")
        self._secrets = tuple(secrets)
        self._live = live
        self._account = account

    def verify(self, raw: bytes, headers: Mapping[str, str], *, now: datetime) -> None:
        """Raises `InvalidSignature`."""
        header = headers.get("stripe-signature", "")
        if not any(_signed(raw, header, secret) for secret in self._secrets):
            raise InvalidSignature("not signed with any secret of ours")
        signed_at = _signed_at(header)
        if signed_at is None:
            raise InvalidSignature("its time cannot be read")
        apart = int(now.timestamp() - signed_at)
        if abs(now.timestamp() - signed_at) > TOLERANCE.total_seconds():
            raise NotMeantForUs(
                f"signed too long ago, or in the future: {apart} s ago by our clock"
            )
        self._meant_for_us(raw)

    def _meant_for_us(self, raw: bytes) -> None:
        try:
            event = document(raw)
        except NotJson:
            return  # Stripe signed it: it is stored and examined, not rejected
        livemode, account = event.get("livemode"), text(event, "account")
        if isinstance(livemode, bool) and livemode is not self._live:
            raise NotMeantForUs(
                f"a {_mode(live=livemode)} event at a {_mode(live=self._live)} endpoint"
            )
        if account is not None and account != self._account:
            raise NotMeantForUs("an event of another account")


def _signed(raw: bytes, header: str, secret: str) -> bool:
    try:
        return bool(stripe.WebhookSignature.verify_header(raw, header, secret, tolerance=None))
    except (stripe.SignatureVerificationError, ValueError, TypeError, OverflowError):
        return False


def _signed_at(header: str) -> int | None:
    """The first `t`, which is the signed one; the header is verified. None if there are several
    times.
    """
    first = next(
        each.partition("=")[2] for each in header.split(",") if each.partition("=")[0] == "t"
    )
    return int(first) if first.isascii() and first.isdigit() else None


def _mode(*, live: bool) -> str:
    return "live" if live else "test"
