"""The simulated PayPal, Stripe, Twilio and host application: how their processes start, and what
Tollgate needs to know about them.
"""

import secrets
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

HOST = "127.0.0.1"
CLIENT_ID = "sim-client-id"
ACCOUNT_SID = "AC00000000000000000000000000000001"


def _secret() -> str:
    return secrets.token_hex(16)


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """The simulators with random credentials; PayPal's writes its trust root to `ca_file`."""

    paypal_port: int
    stripe_port: int
    twilio_port: int
    receiver_port: int
    ca_file: Path
    client_secret: str = field(default_factory=_secret, repr=False)
    api_key: str = field(default_factory=lambda: f"sk_test_{_secret()}", repr=False)
    signing_secret: str = field(default_factory=lambda: f"whsec_{_secret()}", repr=False)
    auth_token: str = field(default_factory=_secret, repr=False)
    secret_key: str = field(
        default_factory=lambda: f"demo:{b64encode(secrets.token_bytes(32)).decode()}", repr=False
    )
    webhook_id: str = field(default_factory=_secret)

    @property
    def paypal_url(self) -> str:
        return f"http://{HOST}:{self.paypal_port}"

    @property
    def stripe_url(self) -> str:
        return f"http://{HOST}:{self.stripe_port}"

    @property
    def twilio_url(self) -> str:
        return f"http://{HOST}:{self.twilio_port}"

    @property
    def receiver_url(self) -> str:
        """The host application's, which receives events."""
        return f"http://{HOST}:{self.receiver_port}"

    @property
    def urls(self) -> tuple[str, ...]:
        """All of them."""
        return self.paypal_url, self.stripe_url, self.twilio_url, self.receiver_url

    def arguments(self, api_url: str) -> Mapping[str, list[str]]:
        """The arguments of `simulators.server`, by name; webhooks go to the API at `api_url`."""
        webhook = ["--webhook-url", f"{api_url}/webhooks/paypal", "--webhook-id", self.webhook_id]
        app = [
            "--client-id",
            CLIENT_ID,
            "--client-secret",
            self.client_secret,
            "--ca-file",
            str(self.ca_file),
        ]
        stripe = ["--api-key", self.api_key, "--webhook-secret", self.signing_secret]
        account = ["--account-sid", ACCOUNT_SID, "--auth-token", self.auth_token]
        return {
            "paypal": ["paypal", "--port", str(self.paypal_port), *app, *webhook],
            "stripe": [
                *("stripe", "--port", str(self.stripe_port), *stripe),
                *("--webhook-url", f"{api_url}/webhooks/stripe"),
            ],
            "twilio": ["twilio", "--port", str(self.twilio_port), *account],
            "receiver": ["receiver", "--port", str(self.receiver_port)],
        }

    def environment(self) -> dict[str, str]:
        return {
            "TOLLGATE_PAYPAL_BASE_URL": self.paypal_url,
            "TOLLGATE_PAYPAL_CLIENT_ID": CLIENT_ID,
            "TOLLGATE_PAYPAL_CLIENT_SECRET": self.client_secret,
            "TOLLGATE_PAYPAL_WEBHOOK_IDS": self.webhook_id,
            "TOLLGATE_PAYPAL_CERT_ORIGINS": self.paypal_url,
            "TOLLGATE_PAYPAL_CA_FILE": str(self.ca_file),
            "TOLLGATE_STRIPE_BASE_URL": self.stripe_url,
            "TOLLGATE_STRIPE_API_KEY": self.api_key,
            "TOLLGATE_STRIPE_WEBHOOK_SECRETS": self.signing_secret,
            "TOLLGATE_TWILIO_BASE_URL": self.twilio_url,
            "TOLLGATE_TWILIO_ACCOUNT_SID": ACCOUNT_SID,
            "TOLLGATE_TWILIO_AUTH_TOKEN": self.auth_token,
            "TOLLGATE_SECRET_KEYS": self.secret_key,
            "TOLLGATE_OUTBOUND_NETWORKS": HOST,
            "TOLLGATE_OUTBOUND_HTTP": "true",
        }
