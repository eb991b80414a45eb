"""Signs deliveries as Stripe does: HMAC-SHA256 over the time and the raw body, once for each valid
secret.
"""

import hashlib
import hmac
from collections.abc import Sequence

from simulators import deliveries
from simulators.stripe.state import State


class Deliveries(deliveries.Deliveries):
    """All `secrets` sign: two of them during a rotation."""

    def __init__(self, state: State, secrets: Sequence[str], *, limit: int = 50) -> None:
        super().__init__(limit=limit)
        self.state = state
        self.secrets = list(secrets)

    def new_webhook_id(self) -> str:
        return self.state.new_id("we")

    def signed_headers(
        self,
        raw: bytes,
        _webhook_id: str,
        *,
        at: int | None = None,
        secrets: Sequence[str] | None = None,
    ) -> dict[str, str]:
        when = self.state.now() if at is None else at
        signatures = [
            signature(raw, when, secret)
            for secret in (self.secrets if secrets is None else secrets)
        ]
        return {
            "Stripe-Signature": ",".join([f"t={when}", *(f"v1={each}" for each in signatures)]),
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
            "Accept": "*/*",
        }


def signature(raw: bytes, at: int, secret: str) -> str:
    return hmac.new(secret.encode(), f"{at}.".encode() + raw, hashlib.sha256).hexdigest()
